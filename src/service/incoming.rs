//! A stream of accepted connections. If accepting fails, the error is logged and accepting is retried after a pause.
//!
//! The transport by itself would retry at once and without end, and would not log the error.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::net::{TcpListener, UnixListener};
use tokio::time::Sleep;

use super::connection::Connection;
use crate::telemetry::accept::AcceptErrors;

/// A listener that accepts connections.
pub(super) trait Accept {
    /// An accepted connection.
    type Connection;

    /// Polls for the next connection.
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Self::Connection>>;
}

impl Accept for TcpListener {
    type Connection = Connection;

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        let (connection, _) = ready!(TcpListener::poll_accept(self, context))?;
        // Without this option, a response waits 40 ms for the acknowledgement of the previous one. The call fails
        // only if the connection has been closed already.
        let _ = connection.set_nodelay(true);
        Poll::Ready(Ok(Connection::Tcp(connection)))
    }
}

impl Accept for UnixListener {
    type Connection = Connection;

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        let (connection, _) = ready!(UnixListener::poll_accept(self, context))?;
        Poll::Ready(Ok(Connection::Unix(connection)))
    }
}

/// An endless stream of connections without errors.
#[derive(Debug)]
pub(super) struct Incoming<A> {
    listener: A,
    errors: AcceptErrors,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<A: Accept> Incoming<A> {
    /// Creates the stream of a listener. `name` identifies the listener in the log.
    pub(super) fn new(listener: A, name: &'static str) -> Self {
        Self {
            listener,
            errors: AcceptErrors::new(name),
            pause: None,
        }
    }
}

impl<A: Accept + Unpin> Stream for Incoming<A> {
    type Item = io::Result<A::Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(context));
                this.pause = None;
            }
            match ready!(this.listener.poll_accept(context)) {
                Ok(connection) => return Poll::Ready(Some(Ok(connection))),
                Err(error) => {
                    let pause = this.errors.pause_after(&error);
                    this.pause = pause.map(|pause| Box::pin(tokio::time::sleep(pause)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _};

    use super::*;

    /// Fails with these errors, the last first, and then accepts.
    struct Failing {
        errors: Vec<io::Error>,
        tries: usize,
    }

    impl Accept for Failing {
        type Connection = ();

        fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.tries += 1;
            Poll::Ready(self.errors.pop().map_or(Ok(()), Err))
        }
    }

    #[tokio::test]
    async fn accepting_is_retried_after_a_pause_and_at_once_if_only_one_connection_was_lost() {
        let lost = io::ErrorKind::ConnectionAborted.into();
        let failing = Failing {
            errors: vec![rustix::io::Errno::MFILE.into(), lost],
            tries: 0,
        };
        let mut incoming = Incoming::new(failing, "test");
        assert!(incoming.next().now_or_never().is_none());
        assert_eq!(incoming.listener.tries, 2);
        assert!(incoming.pause.is_some());
        assert!(incoming.next().await.unwrap().is_ok());
        assert_eq!(incoming.listener.tries, 3);
    }
}
