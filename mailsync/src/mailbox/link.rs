//! TCP and TLS to mail servers.

use super::Error;
use mailsync_proto::mail::account::{Server, Tls};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
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
    pub async fn connect(&self, place: &Server) -> Result<AnyStream, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Link(format!("{}: {error}", place));
        let connecting = TcpStream::connect((&*place.host, place.port));
        let stream = match tokio::time::timeout(CONNECT, connecting).await {
            Ok(stream) => stream.map_err(|error| failed(&error))?,
            Err(_) => return Err(failed(&"no connection in time")),
        };
        // threats: M3: what is not encrypted stays on this machine.
        if place.tls == Tls::None && !stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback()) {
            return Err(Error::Unsafe(format!("{}: only this machine is spoken to without TLS", place)));
        }
        let _ = stream.set_nodelay(true);
        match place.tls {
            Tls::Implicit => self.encrypt(place, Box::new(stream)).await,
            Tls::Starttls | Tls::None => Ok(Box::new(stream)),
        }
    }

    /// The TLS handshake; the certificate must be the host's.
    pub async fn encrypt(&self, place: &Server, stream: AnyStream) -> Result<AnyStream, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Link(format!("{}: TLS: {error}", place));
        let name = ServerName::try_from(place.host.to_string()).map_err(|error| failed(&error))?;
        let connecting = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream);
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&"no handshake in time")),
        }
    }
}
