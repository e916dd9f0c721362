//! TCP and TLS to mail servers.

use super::Error;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a server may take to be reached, TLS included.
const CONNECT: Duration = Duration::from_secs(30);

/// Anything that octets go over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A link, encrypted or not.
pub type AnyStream = Box<dyn Stream>;

/// How a link is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// From the first octet
    #[default]
    Implicit,
    /// After STARTTLS
    Starttls,
    /// Not at all: to this machine only
    None,
}

/// A server's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the link is encrypted.
    #[serde(default)]
    pub tls: Tls,
}

impl Place {
    /// Reads `HOST:PORT`, or `[ADDRESS]:PORT`.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str, tls: Tls) -> Result<Self, String> {
        let bad = || format!("{text:?} is no HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let good = !host.is_empty() && host.len() <= 253 && host.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(bad)?;
        if good { Ok(Place { host: host.to_owned(), port, tls }) } else { Err(bad()) }
    }

    fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Whose certificates are believed.
#[derive(Clone, Debug)]
pub struct Trust {
    config: Arc<ClientConfig>,
}

impl Trust {
    /// The system's certificates, and those in a PEM file.
    ///
    /// # Errors
    /// In words, when the file cannot be read or holds none.
    pub fn new(ca: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let (_, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca {
            let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let certificates = rustls::pki_types::CertificateDer::pem_file_iter(path).map_err(|e| at(&e))?;
            let mut found = 0;
            for certificate in certificates {
                roots.add(certificate.map_err(|e| at(&e))?).map_err(|e| at(&e))?;
                found += 1;
            }
            if found == 0 {
                return Err(at(&"no certificate in it"));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Trust { config: Arc::new(config) })
    }

    /// Connects; with [`Tls::Implicit`] the link is encrypted, else it is not yet.
    pub async fn connect(&self, place: &Place) -> Result<AnyStream, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Link(format!("{}: {error}", place.name()));
        let connecting = TcpStream::connect((place.host.as_str(), place.port));
        let stream = match tokio::time::timeout(CONNECT, connecting).await {
            Ok(stream) => stream.map_err(|error| failed(&error))?,
            Err(_) => return Err(failed(&"no connection in time")),
        };
        // threats: M3: what is not encrypted stays on this machine.
        if place.tls == Tls::None && !stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback()) {
            return Err(Error::Unsafe(format!("{}: only this machine is spoken to without TLS", place.name())));
        }
        let _ = stream.set_nodelay(true);
        match place.tls {
            Tls::Implicit => self.encrypt(place, Box::new(stream)).await,
            Tls::Starttls | Tls::None => Ok(Box::new(stream)),
        }
    }

    /// The TLS handshake; the certificate must be the host's.
    pub async fn encrypt(&self, place: &Place, stream: AnyStream) -> Result<AnyStream, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Link(format!("{}: TLS: {error}", place.name()));
        let name = ServerName::try_from(place.host.clone()).map_err(|error| failed(&error))?;
        let connecting = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream);
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&"no handshake in time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = Place::parse("[::1]:143", Tls::None).unwrap();
        assert_eq!((place.host.as_str(), place.port), ("::1", 143));
        assert_eq!(Place::parse("mail.example.org:993", Tls::Implicit).unwrap().name(), "mail.example.org:993");
        for bad in ["", "x", "x:0", "x:y", ":1", "a b:1", "x:70000"] {
            assert!(Place::parse(bad, Tls::Implicit).is_err(), "{bad}");
        }
    }
}
