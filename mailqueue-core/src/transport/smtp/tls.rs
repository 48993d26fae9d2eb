//! The authorities that a relay's certificate has to come from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::relay_url::{RelayUrl, TlsMode};

/// The reason why no TLS can be spoken with a relay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// This system has no certificates, and the URL names none.
    #[error("{relay}: no trusted certificates on this system; name a file with ca=")]
    NoRoots {
        /// The relay.
        relay: String,
    },
    /// The file that the URL names is not there or holds no certificate.
    #[error("{relay}: {} holds no certificate that can be read: {reason}", path.display())]
    CaFile {
        /// The relay.
        relay: String,
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The host cannot be the name in a certificate.
    #[error("{relay}: the host is no name that a certificate can have")]
    Name {
        /// The relay.
        relay: String,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// The means to speak TLS with one relay.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({:?})", self.name)
    }
}

impl Tls {
    /// Reads the certificates of the system and of the relay's file; blocks. `None` when the relay is not to be spoken
    /// TLS with.
    pub(super) fn new(relay: &RelayUrl) -> Result<Option<Self>, TlsError> {
        if relay.tls == TlsMode::None {
            return Ok(None);
        }
        let name = ServerName::try_from(relay.host.clone())
            .map_err(|_| TlsError::Name { relay: relay.to_string() })?;
        // The provider is named: another crate of the host's may have turned on a second one.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(relay)?)
            .with_no_client_auth();
        Ok(Some(Self { connector: Arc::new(config).into(), name }))
    }
}

fn roots(relay: &RelayUrl) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // Some systems ship a certificate or two that do not parse; the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &relay.ca {
        add_file(&mut roots, path).map_err(|reason| TlsError::CaFile {
            relay: relay.to_string(),
            path: path.clone(),
            reason,
        })?;
    }
    match roots.is_empty() {
        true => Err(TlsError::NoRoots { relay: relay.to_string() }),
        false => Ok(roots),
    }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let before = roots.len();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    // A file without any PEM block is read without an error.
    match roots.len() == before {
        true => Err("no certificate in PEM".to_owned()),
        false => Ok(()),
    }
}
