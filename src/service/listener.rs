//! Connections of callers, over TCP or a Unix domain socket, as tonic's server takes them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{self, BoxStream, SelectAll, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::incoming::Incoming;
use super::server::ServerError;
use crate::address::{Address, Bound, SocketFile};

/// The flag that names the address.
const FLAG: &str = "listen";

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
            flag: FLAG,
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
                    .map(|listener| Incoming::new(listener, FLAG).boxed());
                (stream::select_all(each), None)
            }
            Bound::Unix(listener, file) => {
                let connections = Incoming::new(listener, FLAG).boxed();
                (stream::select_all([connections]), Some(file))
            }
        }
    }
}

/// Connections as they are accepted, of all listeners.
pub(super) type Connections = SelectAll<BoxStream<'static, io::Result<Connection>>>;

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
