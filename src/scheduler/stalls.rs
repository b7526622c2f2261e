//! Detects times in which the whole process stood still: it was stopped, its machine was paused, or other
//! processes had the processors.
//!
//! The sign is a jump of the clock during which the process used less than half as much processor time.

use std::time::Duration;

use super::core::Time;

/// The processor time is read no more often than this, because reading it is a system call.
const SAMPLED_EVERY: Duration = Duration::from_millis(25);
/// Shorter jumps are the ordinary scheduling of threads.
const SHORTEST: Duration = Duration::from_millis(125);

/// Compares the clock with the processor time of the process.
#[derive(Debug, Default)]
pub(super) struct StallDetector {
    sampled_at: Time,
    processor: Duration,
}

impl StallDetector {
    /// Takes a sample if it is time for one. Returns how long the process stood still since the last sample, if it
    /// did. A process that has nothing to do (`is_idle`) does not stand still.
    pub(super) fn observe(
        &mut self,
        now: Time,
        is_idle: bool,
        processor: impl FnOnce() -> Option<Duration>,
    ) -> Option<Duration> {
        let passed = now.saturating_sub(self.sampled_at);
        if passed < SAMPLED_EVERY {
            return None;
        }
        let processor = processor()?;
        let used = processor.saturating_sub(self.processor);
        *self = Self {
            sampled_at: now,
            processor,
        };
        let lost = passed.saturating_sub(used);
        (!is_idle && passed >= SHORTEST && lost > passed / 2).then_some(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_jump_without_processor_time_is_a_stall() {
        for (passed, used, is_idle, lost) in [
            (3_000, 10, false, Some(2_990)),
            (3_000, 10, true, None),
            (3_000, 1_600, false, None),
            (3_000, 5_900, false, None),
            (100, 0, false, None),
        ] {
            let mut detector = StallDetector::default();
            assert_eq!(detector.observe(ms(50), false, || Some(ms(40))), None);
            let now = ms(50 + passed);
            let stall = detector.observe(now, is_idle, || Some(ms(40 + used)));
            assert_eq!(stall, lost.map(ms), "{passed} ms, of which {used} used");
        }
    }

    #[test]
    fn the_processor_time_is_not_read_at_every_event() {
        let mut detector = StallDetector::default();
        let mut reads = 0;
        for event in 0..1_000 {
            detector.observe(Duration::from_micros(100 * event), false, || {
                reads += 1;
                Some(Duration::ZERO)
            });
        }
        assert!(reads <= 4, "{reads} in 100 ms");
    }
}
