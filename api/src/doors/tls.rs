//! HTTPS by files: certificates and key, read again when they change, so that a renewed certificate needs no restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// Why there is no HTTPS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not what it should be.
    #[error("setting {setting}: {}: {why}", .path.display())]
    File {
        /// Which setting names it.
        setting: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Certificate and key do not belong together, or cannot be used.
    #[error("settings tls_certificate and tls_key: {0}")]
    Pair(rustls::Error),
}

/// The certificate of the service, and where it comes from.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    now: Mutex<Loaded>,
}

struct Loaded {
    acceptor: TlsAcceptor,
    stamps: Stamps,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("stamps", &self.stamps).finish_non_exhaustive()
    }
}

/// When the files were changed, and their lengths.
type Stamps = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// Reads both files.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let now = Mutex::new(loaded(certificate, key)?);
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), now })
    }

    /// For a connection that begins now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).acceptor.clone()
    }

    /// Reads the files again where they have changed, or in any case. What is wrong with them is in the log, and
    /// the certificate before stays. Blocks.
    pub(crate) fn renew(&self, in_any_case: bool) {
        let known = self.now.lock().unwrap_or_else(PoisonError::into_inner).stamps;
        if !in_any_case && known == stamps(&self.certificate, &self.key) {
            return;
        }
        match loaded(&self.certificate, &self.key) {
            Ok(new) => {
                *self.now.lock().unwrap_or_else(PoisonError::into_inner) = new;
                tracing::info!("the certificate was read again");
            }
            Err(error) => tracing::warn!(%error, "the certificate before stays"),
        }
    }
}

fn loaded(certificate: &Path, key: &Path) -> Result<Loaded, TlsError> {
    // Before reading: what changes meanwhile is read again.
    let stamps = stamps(certificate, key);
    let wrong =
        |setting, path: &Path, why: String| TlsError::File { setting, path: path.to_owned(), why };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain: Vec<CertificateDer<'static>> =
        chain.map_err(|error| wrong("tls_certificate", certificate, error.to_string()))?;
    if chain.is_empty() {
        let why = "it holds no certificate in PEM".to_owned();
        return Err(wrong("tls_certificate", certificate, why));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| wrong("tls_key", key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    let mut config = config.map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { acceptor: TlsAcceptor::from(Arc::new(config)), stamps })
}

fn stamps(certificate: &Path, key: &Path) -> Stamps {
    [certificate, key].map(|path| {
        let facts = std::fs::metadata(path).ok()?;
        Some((facts.modified().ok()?, facts.len()))
    })
}
