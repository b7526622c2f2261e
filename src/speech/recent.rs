//! A bit for each of a lane's newest frames: whether it is marked.

/// Number of frames that are kept: 384, or 3 s.
pub(super) const RECENT_FRAMES: usize = WORDS * u64::BITS as usize;
/// Number of words that hold the bits.
const WORDS: usize = 6;

/// Marks of the newest frames. The newest frame is the lowest bit of the first word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent([u64; WORDS]);

impl Recent {
    /// Adds a frame and drops the oldest. Returns whether the oldest was marked.
    pub(super) fn push(&mut self, marked: bool) -> bool {
        let mut carry = u64::from(marked);
        for word in &mut self.0 {
            let oldest = *word >> (u64::BITS - 1);
            *word = *word << 1 | carry;
            carry = oldest;
        }
        carry == 1
    }

    /// Marks the newest `frames` frames.
    pub(super) fn mark(&mut self, frames: usize) {
        self.change_words(frames, |word, newest| *word |= newest);
    }

    /// Unmarks the newest `frames` frames. Returns how many of them were marked.
    pub(super) fn unmark(&mut self, frames: usize) -> usize {
        let mut marked = 0;
        self.change_words(frames, |word, newest| {
            marked += (*word & newest).count_ones() as usize;
            *word &= !newest;
        });
        marked
    }

    /// Returns how many of the newest `frames` frames are marked.
    pub(super) fn marked(mut self, frames: usize) -> usize {
        self.unmark(frames)
    }

    /// Returns the number of frames after the newest marked one, or `None` if no frame is marked.
    pub(super) fn since_marked(&self) -> Option<usize> {
        let (number, word) = self.0.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(number * u64::BITS as usize + word.trailing_zeros() as usize)
    }

    /// Calls `change` with each word that holds some of the newest `frames` frames, and with a mask of their bits in
    /// it.
    fn change_words(&mut self, frames: usize, mut change: impl FnMut(&mut u64, u64)) {
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
        let mut marks = Vec::new();
        for frame in 0..1_000usize {
            let marked = frame.is_multiple_of(3) || frame.is_multiple_of(7);
            let oldest_marked = recent.push(marked);
            marks.push(marked);
            assert_eq!(
                oldest_marked,
                frame >= RECENT_FRAMES && marks[frame - RECENT_FRAMES]
            );
            for newest in [1, 32, 64, 65, 300, RECENT_FRAMES] {
                let counted = marks.iter().rev().take(newest).filter(|marked| **marked);
                assert_eq!(recent.marked(newest), counted.count());
            }
            let since = marks.iter().rev().position(|marked| *marked);
            assert_eq!(recent.since_marked(), since);
        }
        let before = recent.marked(RECENT_FRAMES);
        let removed = recent.marked(100);
        assert_eq!(recent.unmark(100), removed);
        assert_eq!(recent.marked(RECENT_FRAMES), before - removed);
        assert!(recent.since_marked() >= Some(100));
        recent.mark(70);
        assert_eq!(recent.marked(RECENT_FRAMES), before - removed + 70);
    }
}
