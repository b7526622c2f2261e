//! Connections that the system does not let a listener accept: logged with the cure, at a bounded rate.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// From one line to the next.
const INTERVAL: Duration = Duration::from_secs(10);
/// Before the next try. Trying at once would only keep a processor busy until a connection is closed.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener's failures to accept.
#[derive(Debug)]
pub struct AcceptErrors {
    listener: &'static str,
    logged: Option<Instant>,
    since_logged: u64,
}

impl AcceptErrors {
    /// None so far, of a listener that the log names so.
    #[must_use]
    pub fn new(listener: &'static str) -> Self {
        Self {
            listener,
            logged: None,
            since_logged: 0,
        }
    }

    /// Takes an error of `accept`, and says how long not to try again; not at all if it was only that
    /// connection's.
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
                "connections wait, since none can be accepted; if there are too many open files, raise \
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
    fn only_an_error_of_the_whole_process_pauses() {
        let mut errors = AcceptErrors::new("test");
        for kind in [ErrorKind::ConnectionAborted, ErrorKind::Interrupted] {
            assert_eq!(errors.pause_after(&kind.into()), None);
        }
        for errno in [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE] {
            assert_eq!(errors.pause_after(&errno.into()), Some(PAUSE));
        }
        // The first was logged, the second counts for the next line.
        assert_eq!(errors.since_logged, 1);
    }
}
