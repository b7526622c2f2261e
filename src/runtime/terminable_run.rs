//! The run options of one set of sessions, through which another thread stops a run.

use ort::session::RunOptions;

use super::device::StopHandle;

/// Options of every run of an instance.
pub(super) struct TerminableRun(pub(super) RunOptions);

impl std::fmt::Debug for TerminableRun {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TerminableRun")
            .finish_non_exhaustive()
    }
}

impl StopHandle for TerminableRun {
    fn stop(&self) {
        // A run that cannot be stopped ends by itself, and nobody waits for its result.
        let _ = self.0.terminate();
    }

    fn clear(&self) {
        let _ = self.0.unterminate();
    }
}
