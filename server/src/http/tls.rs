//! TLS 1.3 and nothing older; the certificate is read again on demand.

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file is no PEM, or can't be read.
    #[error("{path}: {source}. Make a certificate for trying it out with: curfew-server init")]
    File { path: PathBuf, source: rustls::pki_types::pem::Error },
    /// There is no certificate in it.
    #[error("{0}: there is no certificate in it")]
    Empty(PathBuf),
    /// The key is not the certificate's, or of a kind that is not known.
    #[error("{path}: {source}")]
    Key { path: PathBuf, source: rustls::Error },
    /// The library does not do it.
    #[error("TLS: {0}")]
    Library(#[from] rustls::Error),
}

/// The certificate, as it is now.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: (PathBuf, PathBuf),
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads a certificate and its key.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(Arc::new(read(certificate, key)?));
        Ok(Arc::new(Self { files: (certificate.into(), key.into()), current }))
    }

    /// Reads them again. If they can't be used, the ones before go on.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let new = Arc::new(read(&self.files.0, &self.files.1)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).map_err(failed(certificate))?.collect();
    let chain = chain.map_err(failed(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(certificate.into()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
    CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider())
        .map_err(|source| TlsError::Key { path: key.into(), source })
}

/// How connections are taken.
pub(crate) fn server(certificate: Arc<Certificate>) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Hosts that come back all at once resume their sessions; the server keeps nothing for that.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}
