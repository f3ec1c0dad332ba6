//! The server's certificate and key, and whose certificates it accepts of clients.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::config::{Config, TlsAuthClients};

/// What handshakes are done with.
pub(crate) type TlsConfig = Arc<ServerConfig>;

/// Reads the files that the settings name.
///
/// # Errors
/// What is missing, unreadable or does not fit, with the setting's name.
pub(crate) fn load(config: &Config) -> Result<TlsConfig, CertificateError> {
    let chain = certificates(path(config.tls_cert_file.path(), "tls-cert-file")?, "tls-cert-file")?;
    let key = PrivateKeyDer::from_pem_file(path(config.tls_key_file.path(), "tls-key-file")?)
        .map_err(|error| CertificateError::of("tls-key-file", error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(config))
        .map_err(|error| CertificateError::of("tls-protocols", error))?;
    let builder = match config.tls_auth_clients {
        TlsAuthClients::No => builder.with_no_client_auth(),
        required => {
            let roots = Arc::new(roots(path(config.tls_ca_cert_file.path(), "tls-ca-cert-file")?)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match required {
                TlsAuthClients::Optional => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            let verifier = verifier.build();
            builder
                .with_client_cert_verifier(verifier.map_err(|error| CertificateError::of("tls-ca-cert-file", error))?)
        }
    };
    let config = builder.with_single_cert(chain, key);
    config
        .map(Arc::new)
        .map_err(|error| CertificateError::of("tls-cert-file", error))
}

fn versions(config: &Config) -> Vec<&'static SupportedProtocolVersion> {
    let protocols = config.tls_protocols;
    [
        (protocols.tls_1_2, &rustls::version::TLS12),
        (protocols.tls_1_3, &rustls::version::TLS13),
    ]
    .into_iter()
    .filter_map(|(is_on, version)| is_on.then_some(version))
    .collect()
}

fn path<'a>(path: Option<&'a Path>, setting: &'static str) -> Result<&'a Path, CertificateError> {
    path.ok_or_else(|| {
        let hint = match setting {
            "tls-ca-cert-file" => "is needed to check clients' certificates; `tls-auth-clients no` asks for none",
            _ => "is needed by `tls-port`",
        };
        CertificateError::of(setting, hint)
    })
}

fn roots(path: &Path) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, "tls-ca-cert-file")? {
        let added = roots.add(certificate);
        added.map_err(|error| CertificateError::of("tls-ca-cert-file", error))?;
    }
    Ok(roots)
}

fn certificates(path: &Path, setting: &'static str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| CertificateError::of(setting, error))?;
    match certificates.is_empty() {
        true => Err(CertificateError::of(setting, "has no certificate in it (PEM)")),
        false => Ok(certificates),
    }
}

/// Which setting names what can't be used, and why.
#[derive(Debug)]
pub(crate) struct CertificateError {
    setting: &'static str,
    reason: String,
}

impl CertificateError {
    fn of(setting: &'static str, reason: impl fmt::Display) -> CertificateError {
        CertificateError {
            setting,
            reason: reason.to_string(),
        }
    }

    /// The setting's name.
    pub(crate) fn setting(&self) -> &'static str {
        self.setting
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.reason)
    }
}
