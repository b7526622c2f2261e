//! Keeps unused resampling stages for the next lane of the same rate on the same thread.
//!
//! Computing the tables of a stage takes as long as a quarter of a second of speech does.

use std::cell::RefCell;

use super::stage::FftStage;

/// Stages kept per thread, which is one for each lane of a telephone call.
const KEPT: usize = 2;

/// Samples of the longest block of a stage that is kept, before or after resampling.
const LARGEST: usize = 4_096;

thread_local! {
    static IDLE: RefCell<Vec<(u32, FftStage)>> = const { RefCell::new(Vec::new()) };
}

/// Returns a stage from `rate` (Hz) at the start of a lane, if one is kept.
pub(super) fn take(rate: u32) -> Option<FftStage> {
    // A thread that is ending has no stages.
    let taken = IDLE.try_with(|idle| {
        let mut idle = idle.try_borrow_mut().ok()?;
        let place = idle.iter().position(|(kept, _)| *kept == rate)?;
        Some(idle.swap_remove(place).1)
    });
    taken.ok().flatten()
}

/// Keeps a stage from `rate` (Hz). It may be in the middle of a lane.
pub(super) fn keep(rate: u32, mut stage: FftStage) {
    if stage.longest_block() > LARGEST {
        return;
    }
    stage.reset();
    // A thread that is ending drops the stage.
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
        let keep_new = |rate| keep(rate, FftStage::new(rate).unwrap());
        for rate in [8_000, 44_100, 48_000] {
            keep_new(rate);
        }
        // 4,094 samples of input and 32,000 of output; 48,000 samples of input.
        for rate in [2_047, 191_999] {
            keep_new(rate);
            assert!(take(rate).is_none(), "{rate}");
        }
        let kept = [8_000, 44_100, 48_000, 48_000].map(|rate| take(rate).is_some());
        assert_eq!(kept, [false, true, true, false]);
    }
}
