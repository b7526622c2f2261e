//! The value of `--server`: the address of the server to call.

use std::fmt;

use tonic::transport::Endpoint;

use crate::address::{Address, AddressError};
use crate::config;

/// The port of an `http` URL without a port.
const HTTP_PORT: u16 = 80;

/// The address of a server that is called without TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    text: String,
    address: Address,
}

/// Why a text is not the address of a server. The message states what to write instead.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TargetError {
    #[error(
        "`{0}` requires TLS, which is not supported yet. To send the audio unencrypted, write http:// in place of \
         https://"
    )]
    Tls(String),
    #[error("`{scheme}` is not supported: write http://HOST:PORT, HOST:PORT or unix:PATH")]
    Scheme { scheme: String },
    #[error("`{0}` contains more than a server's address: write only http://HOST:PORT")]
    More(String),
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl Target {
    /// Parses `http://HOST[:PORT]`, `HOST[:PORT]` or `unix:PATH`.
    pub(super) fn parse(text: &str) -> Result<Self, TargetError> {
        let address = address(text)?;
        let text = text.to_owned();
        Ok(Self { text, address })
    }

    /// Returns the endpoint for a channel. Proxies in environment variables are not used.
    pub(super) fn endpoint(&self) -> Result<Endpoint, tonic::transport::Error> {
        Endpoint::from_shared(match &self.address {
            Address::Tcp { .. } => format!("http://{}", self.address),
            Address::Unix(_) => self.address.to_string(),
        })
    }
}

fn address(text: &str) -> Result<Address, TargetError> {
    let Some((scheme, rest)) = text.split_once(':') else {
        return Ok(Address::parse(text, config::PORT)?);
    };
    match &*scheme.to_ascii_lowercase() {
        "unix" => Ok(Address::parse(text, config::PORT)?),
        "https" => Err(TargetError::Tls(text.into())),
        "http" if rest.starts_with("//") => {
            let host = rest.trim_start_matches("//");
            let host = host.strip_suffix('/').unwrap_or(host);
            if host.contains(['/', '?', '#', '@']) {
                return Err(TargetError::More(text.into()));
            }
            Ok(Address::parse(host, HTTP_PORT)?)
        }
        _ if rest.starts_with("//") => Err(TargetError::Scheme {
            scheme: scheme.into(),
        }),
        _ => Ok(Address::parse(text, config::PORT)?),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_of_an_address_are_accepted() {
        for (text, address) in [
            ("http://127.0.0.1:50051", "127.0.0.1:50051"),
            ("HTTP://speech.example.com:1/", "speech.example.com:1"),
            ("http://speech", "speech:80"),
            ("http://[::1]:5", "[::1]:5"),
            ("127.0.0.1:7", "127.0.0.1:7"),
            ("localhost", "localhost:50051"),
            ("[::1]", "[::1]:50051"),
            ("unix:/run/u.sock", "unix:/run/u.sock"),
            ("unix:///run/u.sock", "unix:/run/u.sock"),
        ] {
            assert_eq!(Target::parse(text).unwrap().address.to_string(), address);
        }
    }

    #[test]
    fn an_address_that_would_be_called_in_another_way_than_it_states_is_refused() {
        for (text, expected) in [
            ("https://127.0.0.1:50051", "TLS"),
            ("HTTPS://127.0.0.1:50051", "TLS"),
            ("https:127.0.0.1:50051", "TLS"),
            ("grpc://127.0.0.1:50051", "`grpc` is not supported"),
            ("grpcs://127.0.0.1:50051", "`grpcs` is not supported"),
            ("dns:///speech:50051", "`dns` is not supported"),
            ("ftp://speech", "`ftp` is not supported"),
            ("http://speech/api", "contains more than a server's address"),
            (
                "http://me:secret@speech",
                "contains more than a server's address",
            ),
            ("http://speech?x=1", "contains more than a server's address"),
            ("http:speech", "no port"),
            ("http://", "127.0.0.1:80"),
            ("", "127.0.0.1:50051"),
            ("50051", "127.0.0.1:50051"),
        ] {
            let error = Target::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
