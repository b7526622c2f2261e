//! Errors of accepting connections, logged with their remedy at a bounded rate.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// Shortest time between two log lines.
const INTERVAL: Duration = Duration::from_secs(10);
/// Pause before the next try. Without a pause, the retries would keep a processor busy until a connection closes.
const PAUSE: Duration = Duration::from_millis(100);

/// The accept errors of one listener.
#[derive(Debug)]
pub struct AcceptErrors {
    listener: &'static str,
    logged: Option<Instant>,
    since_logged: u64,
}

impl AcceptErrors {
    /// Creates the state for a listener without errors so far. `listener` is its name in the log.
    #[must_use]
    pub fn new(listener: &'static str) -> Self {
        Self {
            listener,
            logged: None,
            since_logged: 0,
        }
    }

    /// Records an error of `accept`. Returns the pause before the next try, or `None` if the error concerned one
    /// connection only.
    pub fn pause_after(&mut self, error: &io::Error) -> Option<Duration> {
        if matches!(
            error.kind(),
            ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionReset
                | ErrorKind::Interrupted
                | ErrorKind::TimedOut
                | ErrorKind::WouldBlock
        ) {
            return None;
        }
        self.since_logged += 1;
        if self
            .logged
            .is_none_or(|logged| logged.elapsed() >= INTERVAL)
        {
            self.logged = Some(Instant::now());
            let failures = std::mem::take(&mut self.since_logged);
            tracing::warn!(
                listener = self.listener,
                %error,
                failures,
                "connections wait because none can be accepted; if too many files are open, raise \
                 their limit (`ulimit -n`, LimitNOFILE= of systemd)"
            );
        }
        Some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_of_the_whole_process_causes_a_pause() {
        let mut errors = AcceptErrors::new("test");
        for kind in [ErrorKind::ConnectionAborted, ErrorKind::Interrupted] {
            assert_eq!(errors.pause_after(&kind.into()), None);
        }
        for errno in [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE] {
            assert_eq!(errors.pause_after(&errno.into()), Some(PAUSE));
        }
        // The first error was logged. The second is counted for the next line.
        assert_eq!(errors.since_logged, 1);
    }
}
