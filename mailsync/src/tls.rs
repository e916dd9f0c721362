//! Our side of TLS: the certificate that we show, read anew when its files change.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A certificate chain and its key, PEM files both.
#[derive(Debug)]
pub(crate) struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    loaded: Mutex<(Stamps, Arc<ServerConfig>)>,
}

/// When the files were written.
type Stamps = (Option<SystemTime>, Option<SystemTime>);

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    /// In words: which file, and what is wrong with it.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, String> {
        let stamps = (written(certificate), written(key));
        let config = read(certificate, key)?;
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        Ok(Identity { certificate, key, loaded: Mutex::new((stamps, config)) })
    }

    /// Takes a link that begins with a handshake.
    ///
    /// # Errors
    /// What the handshake failed with, or that it took too long.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let accepting = TlsAcceptor::from(self.current()).accept(stream);
        match tokio::time::timeout(HANDSHAKE, accepting).await {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(_) => Err("no handshake in time".into()),
        }
    }

    /// The files as they are now; the last good ones while they are being written or are wrong.
    fn current(&self) -> Arc<ServerConfig> {
        let stamps = (written(&self.certificate), written(&self.key));
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.0 != stamps {
            loaded.0 = stamps;
            match read(&self.certificate, &self.key) {
                Ok(config) => {
                    tracing::info!(certificate = %self.certificate.display(), "certificate read anew");
                    loaded.1 = config;
                }
                Err(error) => tracing::error!(error, "the new certificate is no good: the old one stays"),
            }
        }
        Arc::clone(&loaded.1)
    }
}

fn written(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|data| data.modified()).ok()
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    let at = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).map_err(|error| at(certificate, &error))?.collect();
    let chain = chain.map_err(|error| at(certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| at(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| at(certificate, &error))?;
    Ok(Arc::new(config))
}
