//! The bound address of the gRPC server, over TCP or a Unix domain socket.

use std::io;

use futures_util::stream::{self, BoxStream, SelectAll, StreamExt as _};

use super::connection::Connection;
use super::error::ServerError;
use super::incoming::Incoming;
use crate::address::{Address, Bound, SocketFile};

/// The flag that sets the address.
const FLAG: &str = "listen";

/// A bound address. Callers can connect at once; their calls are answered when the server runs.
#[derive(Debug)]
pub struct Listener {
    bound: Bound,
    /// The bound address as text. If port 0 was configured, this is the port that the system chose.
    pub address: String,
}

impl Listener {
    /// Binds an address. Requires a tokio runtime.
    ///
    /// # Errors
    /// [`ServerError::Listen`].
    pub async fn bind(address: &Address) -> Result<Self, ServerError> {
        let bound = address.bind().await.map_err(|source| ServerError::Listen {
            address: address.to_string(),
            flag: FLAG,
            source,
        })?;
        let address = bound.address();
        Ok(Self { bound, address })
    }

    /// Returns the connections, and the socket's file, which must be kept while they are accepted.
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

/// The accepted connections of all listeners.
pub(super) type Connections = SelectAll<BoxStream<'static, io::Result<Connection>>>;
