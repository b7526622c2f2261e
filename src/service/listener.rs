//! Connections of callers, over TCP or a Unix domain socket, as tonic's server takes them.

use std::io;

use futures_util::stream::{self, BoxStream, SelectAll, StreamExt as _};

use super::connection::Connection;
use super::error::ServerError;
use super::incoming::Incoming;
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
        let bound = address.bind().await.map_err(|source| ServerError::Listen {
            address: address.to_string(),
            flag: FLAG,
            source,
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
