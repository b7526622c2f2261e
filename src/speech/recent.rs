//! Which of a lane's newest frames are marked: one bit each.

/// How many frames are kept: 3 s.
pub(super) const KEPT: usize = WORDS * u64::BITS as usize;
const WORDS: usize = 6;

/// The newest frame is the lowest bit of the first word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent([u64; WORDS]);

impl Recent {
    /// One more frame, marked or not; the oldest is forgotten. Gives whether that one was marked.
    pub(super) fn push(&mut self, marked: bool) -> bool {
        let mut carry = u64::from(marked);
        for word in &mut self.0 {
            let oldest = *word >> (u64::BITS - 1);
            *word = *word << 1 | carry;
            carry = oldest;
        }
        carry == 1
    }

    /// Marks so many newest frames.
    pub(super) fn mark(&mut self, frames: usize) {
        self.each(frames, |word, newest| *word |= newest);
    }

    /// Unmarks so many newest frames. Gives how many of them were marked.
    pub(super) fn unmark(&mut self, frames: usize) -> usize {
        let mut marked = 0;
        self.each(frames, |word, newest| {
            marked += (*word & newest).count_ones() as usize;
            *word &= !newest;
        });
        marked
    }

    /// How many of so many newest frames are marked.
    pub(super) fn marked(mut self, frames: usize) -> usize {
        self.unmark(frames)
    }

    /// How many frames came after the newest that is marked, if any is.
    pub(super) fn since_marked(&self) -> Option<usize> {
        let (number, word) = self.0.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(number * u64::BITS as usize + word.trailing_zeros() as usize)
    }

    /// Each word that holds some of so many newest frames, and which of its bits are theirs.
    fn each(&mut self, frames: usize, mut change: impl FnMut(&mut u64, u64)) {
        let mut left = frames;
        for word in &mut self.0 {
            let here = left.min(u64::BITS as usize);
            if here == 0 {
                return;
            }
            change(word, u64::MAX >> (u64::BITS as usize - here));
            left -= here;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_those_of_the_newest_frames() {
        let mut recent = Recent::default();
        let mut told = Vec::new();
        for frame in 0..1_000usize {
            let marked = frame.is_multiple_of(3) || frame.is_multiple_of(7);
            let forgotten = recent.push(marked);
            told.push(marked);
            assert_eq!(forgotten, frame >= KEPT && told[frame - KEPT]);
            for newest in [1, 32, 64, 65, 300, KEPT] {
                let slow = told.iter().rev().take(newest).filter(|marked| **marked);
                assert_eq!(recent.marked(newest), slow.count());
            }
            let since = told.iter().rev().position(|marked| *marked);
            assert_eq!(recent.since_marked(), since);
        }
        let before = recent.marked(KEPT);
        let gone = recent.marked(100);
        assert_eq!(recent.unmark(100), gone);
        assert_eq!(recent.marked(KEPT), before - gone);
        assert!(recent.since_marked() >= Some(100));
        recent.mark(70);
        assert_eq!(recent.marked(KEPT), before - gone + 70);
    }
}
