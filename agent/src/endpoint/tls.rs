//! TLS to the endpoint: version 1.3 alone, and authorities that the operator chose or the system trusts.

use super::failure::Failure;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::sync::Arc;

/// How many endpoints' sessions are remembered, in memory.
const SESSIONS: usize = 4;

/// What the client speaks. With `ca` (PEM), nobody but these authorities can vouch for the endpoint.
///
/// # Errors
///
/// [`Failure::Authorities`] where the PEM, or the system's store, can't be used.
pub fn config(ca: Option<&str>) -> Result<ClientConfig, Failure> {
    let bad = |error: rustls::Error| Failure::Authorities(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(bad)?;
    let mut config = match ca {
        Some(pem) => builder.with_root_certificates(authorities(pem)?).with_no_client_auth(),
        None => builder.with_platform_verifier().map_err(bad)?.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(config)
}

/// Reads the certificates in `pem`.
///
/// # Errors
///
/// [`Failure::Authorities`] where there is none, or one that means nothing.
pub fn authorities(pem: &str) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| Failure::Authorities(error.to_string()))?;
        roots.add(certificate).map_err(|error| Failure::Authorities(error.to_string()))?;
    }
    if roots.is_empty() { Err(Failure::Authorities("there is no certificate in it".into())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_that_are_none_are_refused() {
        for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(config(Some(pem)), Err(Failure::Authorities(_))), "{pem}");
        }
    }
}
