//! Stages that nobody uses, for whoever resamples next from the same rate on the same thread: making
//! their tables takes as long as a quarter of a second of speech.

use std::cell::RefCell;

use super::Stage;

/// Stages kept a thread: of a call, a lane each.
const KEPT: usize = 2;
/// Samples of the longest block, before or after, of a stage that is kept.
const LARGEST: usize = 4_096;

thread_local! {
    static IDLE: RefCell<Vec<(u32, Stage)>> = const { RefCell::new(Vec::new()) };
}

/// A stage from `rate` (Hz) at the start of a lane, if one is kept.
pub(super) fn take(rate: u32) -> Option<Stage> {
    // A thread that ends keeps none.
    let taken = IDLE.try_with(|idle| {
        let mut idle = idle.try_borrow_mut().ok()?;
        let place = idle.iter().position(|(kept, _)| *kept == rate)?;
        Some(idle.swap_remove(place).1)
    });
    taken.ok().flatten()
}

/// Keeps a stage from `rate` (Hz), wherever in a lane it is.
pub(super) fn keep(rate: u32, mut stage: Stage) {
    if stage.block.max(stage.output.len()) > LARGEST {
        return;
    }
    stage.reset();
    // What does not fit is dropped.
    let _ = IDLE.try_with(|idle| {
        if let Ok(mut idle) = idle.try_borrow_mut() {
            if idle.len() == KEPT {
                idle.remove(0);
            }
            idle.push((rate, stage));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_stages_are_kept_and_large_ones_never() {
        let used = |rate| keep(rate, Stage::new(rate).unwrap());
        for rate in [8_000, 44_100, 48_000] {
            used(rate);
        }
        // 4,094 samples in and 32,000 out; 48,000 in.
        for rate in [2_047, 191_999] {
            used(rate);
            assert!(take(rate).is_none(), "{rate}");
        }
        let kept = [8_000, 44_100, 48_000, 48_000].map(|rate| take(rate).is_some());
        assert_eq!(kept, [false, true, true, false]);
    }
}
