//! When a refused caller should come back: as predicted, and spread out, so that those who were
//! refused together do not return together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The predicted time, and up to half of it more.
pub(super) fn spread(drain: Duration) -> Duration {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    // The fractional parts of multiples of the golden ratio are spread evenly, whatever their number.
    let turn = DRAWN.fetch_add(1, Ordering::Relaxed) as f64 * 0.618_033_988_749_895;
    drain.mul_f64(1.0 + turn.fract() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_who_are_refused_together_come_back_apart() {
        let drain = Duration::from_secs(1);
        let mut times: Vec<_> = (0..8).map(|_| spread(drain)).collect();
        times.sort_unstable();
        assert!(times[0] >= drain && times[7] <= drain.mul_f64(1.5));
        assert!(
            times
                .windows(2)
                .all(|pair| pair[1] - pair[0] > Duration::from_millis(20))
        );
    }
}
