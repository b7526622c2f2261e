//! Network addresses of listeners: parsing and binding.
//!
//! An address is `HOST:PORT` with a name, an IPv4 address or an IPv6 address in brackets, or `unix:PATH`. The module does
//! not depend on the service that uses the address.

mod socket_file;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::net::{TcpListener, TcpSocket, UnixListener, lookup_host};

pub use socket_file::SocketFile;

/// Number of connections that the system queues until they are accepted.
const BACKLOG: u32 = 1_024;

/// How often the system may choose a port until the port is free on every address of a name. If a tenth of all ports is
/// in use, one bind in 10⁸ fails.
const PORTS_TRIED: usize = 8;

/// An address on which a server listens, or which a client calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP port.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port; 0 lets the system choose one.
        port: u16,
    },
    /// A Unix domain socket.
    Unix(PathBuf),
}

/// Why a text is not an address. The message states what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no address: {what}")]
pub struct AddressError {
    text: String,
    what: String,
}

/// Bound sockets that listen.
#[derive(Debug)]
pub enum Bound {
    /// One socket for each address of the host's name.
    Tcp(Vec<TcpListener>),
    /// A Unix domain socket, and its file.
    Unix(UnixListener, SocketFile),
}

impl Address {
    /// Creates a TCP address.
    #[must_use]
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp {
            host: host.into(),
            port,
        }
    }

    /// Parses an address. `port` is the port of a host without one.
    ///
    /// # Errors
    /// [`AddressError`] if the text is not an address.
    ///
    /// # Example
    /// ```
    /// use undertone::address::Address;
    ///
    /// assert_eq!(Address::parse("[::1]", 50_051)?, Address::tcp("::1", 50_051));
    /// assert_eq!(Address::parse("unix:/run/u.sock", 0)?.to_string(), "unix:/run/u.sock");
    /// # Ok::<(), undertone::address::AddressError>(())
    /// ```
    pub fn parse(text: &str, port: u16) -> Result<Self, AddressError> {
        let refuse = |what: String| {
            Err(AddressError {
                text: text.into(),
                what,
            })
        };
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///PATH` is the same path as an absolute URL.
            let path = match path.strip_prefix("//") {
                Some(absolute) if absolute.starts_with('/') => absolute,
                Some(_) => return refuse("write unix:/PATH or unix:PATH".into()),
                None => path,
            };
            return match path {
                "" => refuse("a path is missing, as in unix:/run/undertone.sock".into()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return refuse(format!("leave out `{scheme}://` and write {rest}"));
        }
        let (host, port_text) = if let Some(bracketed) = text.strip_prefix('[') {
            let Some((host, rest)) = bracketed.split_once(']') else {
                return refuse("the bracket is not closed".into());
            };
            // The part after `%` is the interface of a link-local address.
            let (number, _interface) = host.split_once('%').unwrap_or((host, ""));
            if number.parse::<Ipv6Addr>().is_err() {
                return refuse(format!("`{host}` is no IPv6 address"));
            }
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return refuse("only a colon and a port may follow the bracket".into()),
            }
        } else {
            match text.split_once(':') {
                Some((_, rest)) if rest.contains(':') => {
                    return refuse(format!(
                        "write an IPv6 address in brackets, as in [::1]:{port}"
                    ));
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        if !text.starts_with('[')
            && let Some(what) = wrong_host(host, port_text, port)
        {
            return refuse(what);
        }
        let port = match port_text {
            None => port,
            Some(digits) => match digits.parse() {
                Ok(port) if digits.bytes().all(|digit| digit.is_ascii_digit()) => port,
                _ => return refuse(format!("`{digits}` is no port; 0 to 65535 are possible")),
            },
        };
        Ok(Self::tcp(host, port))
    }

    /// Parses an address of a configuration, for `deserialize_with`. `PORT` is the port of a host without one.
    ///
    /// # Errors
    /// Those of [`Address::parse`].
    pub fn deserialize<'de, const PORT: u16, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text, PORT).map_err(de::Error::custom)
    }

    /// Binds all addresses of the name, which may have an IPv4 and an IPv6 address.
    ///
    /// # Errors
    /// The system's error if the name has no address on this machine, or if an address is taken.
    pub async fn bind(&self) -> io::Result<Bound> {
        match self {
            Self::Tcp { host, port } => Ok(Bound::Tcp(bind_tcp(host, *port).await?)),
            Self::Unix(path) => {
                let (listener, file) = SocketFile::bind(path)?;
                Ok(Bound::Unix(listener, file))
            }
        }
    }
}

/// Returns the error in a host that is not an IPv6 address, if there is one.
fn wrong_host(host: &str, port_text: Option<&str>, port: u16) -> Option<String> {
    let port = port_text.map_or_else(|| port.to_string(), str::to_owned);
    if host.is_empty() || host == "*" {
        return Some(format!(
            "write 127.0.0.1:{port} for this machine, or [::]:{port} for every interface"
        ));
    }
    let numeric = host
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Some(if host.contains('.') {
            format!("`{host}` is no IPv4 address")
        } else {
            format!("a host is missing, as in 127.0.0.1:{host}")
        });
    }
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    (!host.chars().all(allowed)).then(|| format!("`{host}` is no host name"))
}

async fn bind_tcp(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let mut found: Vec<SocketAddr> = Vec::new();
    for address in lookup_host((host, port)).await? {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    listen_on_all(&found, listen)
}

/// Listens on all addresses with the same port. If the system chose the port and it is taken on one address, the system
/// chooses again.
fn listen_on_all(
    addresses: &[SocketAddr],
    mut listen: impl FnMut(SocketAddr) -> io::Result<TcpListener>,
) -> io::Result<Vec<TcpListener>> {
    let chosen = addresses.iter().all(|address| address.port() == 0);
    for _ in 1..PORTS_TRIED {
        match listen_once(addresses, &mut listen) {
            Err(error) if chosen && error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    listen_once(addresses, &mut listen)
}

fn listen_once(
    addresses: &[SocketAddr],
    mut listen: impl FnMut(SocketAddr) -> io::Result<TcpListener>,
) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut absent = None;
    for mut address in addresses.iter().copied() {
        if let Some(first) = listeners.first() {
            // The system chooses a port for the first address. The others use the same one.
            address.set_port(first.local_addr()?.port());
        }
        match listen(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_local(&error) => return Err(error),
            // `localhost` may have an IPv6 address on a machine without IPv6.
            Err(error) => absent = Some(error),
        }
    }
    match (listeners.is_empty(), absent) {
        (false, _) => Ok(listeners),
        (true, Some(error)) => Err(error),
        (true, None) => Err(io::Error::other("the name has no address")),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Without this option, a restart would have to wait until the system forgets the last run's connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Returns whether the machine has the address, but it is taken or not permitted.
fn is_local(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

impl Bound {
    /// Returns the bound addresses as text. If port 0 was requested, this is the port that the system chose.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listeners) => {
                let addresses = listeners.iter().filter_map(|each| each.local_addr().ok());
                let addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
                addresses.join(", ")
            }
            Self::Unix(_, file) => unix(file.path()),
        }
    }
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => f.write_str(&unix(path)),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_of_addresses_are_parsed() {
        for (text, written) in [
            ("127.0.0.1:50051", "127.0.0.1:50051"),
            ("127.0.0.1", "127.0.0.1:7"),
            ("localhost:0", "localhost:0"),
            ("speech-1.example.com:80", "speech-1.example.com:80"),
            ("under_score", "under_score:7"),
            ("[::]:50051", "[::]:50051"),
            ("[::1]", "[::1]:7"),
            ("[fe80::1%eth0]:5", "[fe80::1%eth0]:5"),
            ("[::ffff:127.0.0.1]:5", "[::ffff:127.0.0.1]:5"),
            ("unix:/run/u.sock", "unix:/run/u.sock"),
            ("unix:///run/u.sock", "unix:/run/u.sock"),
            ("unix:u.sock", "unix:u.sock"),
        ] {
            let address = Address::parse(text, 7).unwrap();
            assert_eq!(address.to_string(), written);
            assert_eq!(Address::parse(written, 9).unwrap(), address);
        }
    }

    #[test]
    fn a_text_that_is_no_address_is_refused_with_what_to_write() {
        for (text, expected) in [
            ("", "127.0.0.1:7"),
            (":50051", "[::]:50051"),
            ("*:50051", "[::]:50051"),
            ("50051", "127.0.0.1:50051"),
            ("::1", "[::1]:7"),
            ("::1:50051", "brackets"),
            ("[::1", "not closed"),
            ("[::1]50051", "colon"),
            ("[localhost]:1", "no IPv6 address"),
            ("127.0.0.300:1", "no IPv4 address"),
            ("localhost:http", "`http` is no port"),
            ("localhost:65536", "0 to 65535"),
            ("localhost:+1", "0 to 65535"),
            ("localhost:", "0 to 65535"),
            ("no where", "no host name"),
            ("http://localhost:1", "write localhost:1"),
            ("unix:", "a path is missing"),
            ("unix://run/u.sock", "unix:/PATH"),
        ] {
            let error = Address::parse(text, 7).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn all_addresses_of_a_name_are_bound_to_the_same_port() {
        let bound = Address::tcp("localhost", 0).bind().await.unwrap();
        let Bound::Tcp(listeners) = &bound else {
            panic!("{bound:?}");
        };
        let ports = listeners
            .iter()
            .map(|each| each.local_addr().unwrap().port());
        let mut ports: Vec<u16> = ports.collect();
        ports.dedup();
        assert!(ports.len() == 1 && ports[0] != 0, "{ports:?}");
        let taken = Address::tcp("localhost", ports[0]).bind().await;
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    /// Binds two addresses, of which the second is taken on the first `taken` ports. Also returns the number of tries.
    fn bind_beside_others(port: u16, taken: usize) -> (io::Result<Vec<TcpListener>>, usize) {
        // They represent two addresses of a machine. The test binds any port of 127.0.0.1.
        let [first, second] = [1, 2].map(|last| SocketAddr::from(([127, 0, 0, last], port)));
        let mut tries = 0;
        let bound = listen_on_all(&[first, second], |address| {
            tries += usize::from(address.ip() == second.ip());
            if address.ip() == second.ip() && tries <= taken {
                Err(io::ErrorKind::AddrInUse.into())
            } else {
                listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            }
        });
        (bound, tries)
    }

    #[tokio::test]
    async fn the_system_chooses_again_if_its_port_is_taken_on_a_second_address() {
        let (bound, tries) = bind_beside_others(0, 2);
        assert_eq!((bound.unwrap().len(), tries), (2, 3));
        let (bound, tries) = bind_beside_others(0, usize::MAX);
        assert_eq!(bound.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(tries, PORTS_TRIED);
    }

    #[tokio::test]
    async fn a_requested_port_is_tried_once() {
        let (bound, tries) = bind_beside_others(50_051, usize::MAX);
        assert_eq!(bound.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(tries, 1);
    }
}
