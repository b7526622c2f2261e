//! The time that the core is given.

use std::time::Duration;

/// Time since the shell's clock started.
pub type Time = Duration;

/// Returns the part of a batch's time that some of its rows account for.
pub(super) fn time_of_rows(batch: Duration, rows: usize, all_rows: usize) -> Duration {
    let count = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
    batch * count(rows) / count(all_rows).max(1)
}
