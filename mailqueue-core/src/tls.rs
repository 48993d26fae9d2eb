//! TLS for all that open connections: certificates are always checked.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The reason why TLS cannot be set up on this machine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsSetupError {
    /// The file is missing or not PEM.
    #[error("the certificate file {path} cannot be read: {reason}")]
    Authority {
        /// The file.
        path: String,
        /// The reason.
        reason: String,
    },
    /// There is nothing to check certificates against.
    #[error("this system has no certificate authorities; install the package ca-certificates")]
    NoAuthorities,
    /// rustls refused.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// A client configuration that trusts the system's authorities, or only the one in `authority` if that is given.
///
/// # Errors
///
/// [`TlsSetupError`]
pub(crate) fn client_config(authority: Option<&Path>) -> Result<ClientConfig, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    match authority {
        Some(path) => add_file(&mut roots, path)?,
        None => {
            // Ignores the loader's errors: one unreadable file leaves the others, and none at all is told below.
            for certificate in rustls_native_certs::load_native_certs().certs {
                // One that rustls cannot parse is one it could not use either.
                let _ = roots.add(certificate);
            }
        }
    }
    // Without this every connection would fail later, with an error that names no cause.
    if roots.is_empty() {
        return Err(TlsSetupError::NoAuthorities);
    }
    // Named, because the default of the process is unset or belongs to another crate of the host.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsSetupError> {
    let refused = |reason: String| TlsSetupError::Authority { path: path.display().to_string(), reason };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    Ok(())
}
