//! Whether calls are answered: one state of the process, which the probe `/readyz` and the service read.

use std::sync::Arc;

use tokio::sync::watch;

/// The phase of a server process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadinessState {
    /// The model is loading.
    Loading,
    /// Calls are answered.
    Ready,
    /// No new call is accepted.
    Draining,
}

impl ReadinessState {
    /// Returns why no call is answered, or `None` if calls are answered.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Loading => Some("the model is being loaded and warmed up"),
            Self::Ready => None,
            Self::Draining => Some("the server is shutting down"),
        }
    }
}

/// The shared state of the process. Clones share it. It only moves forward: a draining process is never ready again.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<ReadinessState>>);

impl Default for Readiness {
    /// Creates the state of a process that is loading.
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(ReadinessState::Loading)))
    }
}

impl Readiness {
    /// Returns the present state.
    #[must_use]
    pub fn state(&self) -> ReadinessState {
        *self.0.borrow()
    }

    /// Moves from loading to ready.
    pub fn ready(&self) {
        self.0.send_if_modified(|state| {
            let loaded = *state == ReadinessState::Loading;
            if loaded {
                *state = ReadinessState::Ready;
            }
            loaded
        });
    }

    /// Moves to draining.
    pub fn drain(&self) {
        self.0.send_replace(ReadinessState::Draining);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_process_is_never_ready_again() {
        let readiness = Readiness::default();
        assert_eq!(readiness.state(), ReadinessState::Loading);
        readiness.ready();
        assert_eq!(readiness.state(), ReadinessState::Ready);
        readiness.drain();
        readiness.ready();
        assert_eq!(readiness.state(), ReadinessState::Draining);
    }
}
