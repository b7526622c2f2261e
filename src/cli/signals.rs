//! The signals that end a command.

use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::oneshot;

/// A signal that ends a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Terminate,
    Interrupt,
}

impl Signal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// The exit code of a command that it ended: 128 and the signal's number, as shells say it.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
        }
    }
}

/// SIGTERM and SIGINT, caught from the start.
pub(super) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the first; a second ends the process at once, whatever it is at.
    pub(super) fn first(mut self) -> oneshot::Receiver<Signal> {
        let (tell, first) = oneshot::channel();
        tokio::spawn(async move {
            // Nobody listens any more if the command is ending by itself.
            let _ = tell.send(self.next().await);
            let second = self.next().await;
            std::process::exit(second.exit_code().into());
        });
        first
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}
