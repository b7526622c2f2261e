//! Whether calls are answered: one state of the process, which probes and health read.

use std::sync::Arc;

use tokio::sync::watch;

/// Where a serving process is between its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadinessState {
    /// The model is not there yet.
    Loading,
    /// Calls are answered.
    Ready,
    /// No new call is taken.
    Draining,
}

impl ReadinessState {
    /// Why no call is answered; none if calls are.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Loading => Some("the model is being loaded and warmed up"),
            Self::Ready => None,
            Self::Draining => Some("the server is shutting down"),
        }
    }
}

/// The state, shared. Clones are one. It moves forward only: what drains is never ready again.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<ReadinessState>>);

impl Default for Readiness {
    /// A process that is loading.
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(ReadinessState::Loading)))
    }
}

impl Readiness {
    /// The state now.
    #[must_use]
    pub fn state(&self) -> ReadinessState {
        *self.0.borrow()
    }

    /// The model is there and warm.
    pub fn ready(&self) {
        self.0.send_if_modified(|state| {
            let loaded = *state == ReadinessState::Loading;
            if loaded {
                *state = ReadinessState::Ready;
            }
            loaded
        });
    }

    /// The process is about to end.
    pub fn drain(&self) {
        self.0.send_replace(ReadinessState::Draining);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drains_is_never_ready_again() {
        let readiness = Readiness::default();
        assert_eq!(readiness.state(), ReadinessState::Loading);
        readiness.ready();
        assert_eq!(readiness.state(), ReadinessState::Ready);
        readiness.drain();
        readiness.ready();
        assert_eq!(readiness.state(), ReadinessState::Draining);
    }
}
