//! Connections of callers, over TCP or a Unix domain socket, as tonic's server takes them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::stream::{self, BoxStream, SelectAll, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::server::ServerError;
use crate::address::{Address, Bound, SocketFile};

/// Pause after an error of `accept`: no file descriptor is left, most likely, and trying at once would
/// only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Between two log lines about such errors.
const ERRORS_LOGGED: Duration = Duration::from_secs(5);

/// A bound address. Callers may connect; they are answered once the server runs.
#[derive(Debug)]
pub struct Listener {
    bound: Bound,
    /// What was bound, as it is written; a port is the system's choice if 0 was asked for.
    pub address: String,
}

impl Listener {
    /// Binds an address. Call it within the runtime.
    ///
    /// # Errors
    /// [`ServerError::Listen`].
    pub async fn bind(address: &Address) -> Result<Self, ServerError> {
        let bound = address.bind().await.map_err(|error| ServerError::Listen {
            address: address.to_string(),
            flag: "listen",
            reason: error.to_string(),
        })?;
        let address = bound.address();
        Ok(Self { bound, address })
    }

    /// The connections, and what is to be kept while they are accepted.
    pub(super) fn into_connections(self) -> (Connections, Option<SocketFile>) {
        match self.bound {
            Bound::Tcp(listeners) => {
                let each = listeners
                    .into_iter()
                    .map(|listener| accepted(listener).boxed());
                (stream::select_all(each), None)
            }
            Bound::Unix(listener, file) => {
                let connections = accepted(listener).boxed();
                (stream::select_all([connections]), Some(file))
            }
        }
    }
}

/// Connections as they are accepted, of all listeners.
pub(super) type Connections = SelectAll<BoxStream<'static, io::Result<Connection>>>;

/// What accepts connections.
trait Accept: Send + 'static {
    fn accept(&self) -> impl Future<Output = io::Result<Connection>> + Send;
}

impl Accept for TcpListener {
    async fn accept(&self) -> io::Result<Connection> {
        let (stream, _) = self.accept().await?;
        // Without it an answer waits 40 ms for the acknowledgement of the one before. A connection
        // that refuses it is closing.
        let _ = stream.set_nodelay(true);
        Ok(Connection::Tcp(stream))
    }
}

impl Accept for UnixListener {
    async fn accept(&self) -> io::Result<Connection> {
        let (stream, _) = self.accept().await?;
        Ok(Connection::Unix(stream))
    }
}

fn accepted(listener: impl Accept + Sync) -> impl stream::Stream<Item = io::Result<Connection>> {
    stream::unfold(
        (listener, None::<Instant>),
        |(listener, mut logged)| async move {
            loop {
                match listener.accept().await {
                    Ok(connection) => return Some((Ok(connection), (listener, logged))),
                    Err(error) => {
                        if logged.is_none_or(|logged| logged.elapsed() >= ERRORS_LOGGED) {
                            tracing::warn!(%error, "a connection cannot be accepted");
                            logged = Some(Instant::now());
                        }
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        },
    )
}

/// A caller's connection.
#[derive(Debug)]
pub(super) enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    /// A Unix domain socket has no addresses.
    fn connect_info(&self) -> TcpConnectInfo {
        match self {
            Self::Tcp(stream) => stream.connect_info(),
            Self::Unix(_) => TcpConnectInfo {
                local_addr: None,
                remote_addr: None,
            },
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
