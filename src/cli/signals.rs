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
    /// Returns the name of the signal.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// Returns the exit code of a command that the signal ended: 128 plus the signal's number, as shells report it.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
        }
    }
}

/// A receiver of SIGTERM and SIGINT. Signals no longer end the process by themselves.
pub(super) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// Starts to receive signals. Requires a tokio runtime.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns a receiver of the first signal. A second signal ends the process at once.
    pub(super) fn first(mut self) -> oneshot::Receiver<Signal> {
        let (sender, first) = oneshot::channel();
        tokio::spawn(async move {
            // The receiver is gone if the command has ended by itself.
            let _ = sender.send(self.next().await);
            let second = self.next().await;
            std::process::exit(second.exit_code().into());
        });
        first
    }

    /// Waits for the next signal. Cancellation safe: no signal is lost.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}
