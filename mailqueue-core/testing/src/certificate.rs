//! A certificate authority and a server certificate for one test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;

/// A new authority with one server certificate that it signed.
///
/// No client trusts it by default: it needs [`Certificate::ca_pem_file`] or
/// [`Certificate::client_config`].
#[derive(Debug)]
pub struct Certificate {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    ca_pem: String,
    ca_pem_file: PathBuf,
    _directory: TempDir,
}

impl Certificate {
    /// A certificate for `localhost` and 127.0.0.1.
    pub fn new() -> Self {
        Self::for_names(&["localhost", "127.0.0.1"])
    }

    /// A certificate for other names or addresses, for instance ones that a client must refuse.
    pub fn for_names(names: &[&str]) -> Self {
        Self::sign(leaf(names))
    }

    /// A certificate for `localhost` and 127.0.0.1 that was valid in the year 2000 only.
    pub fn expired() -> Self {
        let mut leaf = leaf(&["localhost", "127.0.0.1"]);
        leaf.not_before = rcgen::date_time_ymd(2000, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(2000, 12, 31);
        Self::sign(leaf)
    }

    /// The authority's certificate as PEM text.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A file with the authority's certificate as PEM text, which lives as long as `self`.
    pub fn ca_pem_file(&self) -> &Path {
        &self.ca_pem_file
    }

    /// What a server shows to its clients; asks for no client certificate.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// A client that trusts this authority and no other.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    fn sign(leaf: CertificateParams) -> Self {
        let authority = authority();
        let key = KeyPair::generate().expect("ring could not make a key");
        let signed = leaf.signed_by(&key, &authority).expect("the certificate could not be signed");
        let ca = CertificateDer::from(authority.der().to_vec());
        let directory = tempfile::tempdir().expect("a temporary directory could not be created");
        let ca_pem_file = directory.path().join("ca.pem");
        std::fs::write(&ca_pem_file, authority.pem()).expect("the temporary directory is not writable");
        Self {
            server: server(vec![signed.der().clone()], key),
            client: client(ca),
            ca_pem: authority.pem(),
            ca_pem_file,
            _directory: directory,
        }
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "mailqueue test authority");
    let key = KeyPair::generate().expect("ring could not make a key");
    CertifiedIssuer::self_signed(authority, key).expect("the authority could not sign itself")
}

fn leaf(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = CertificateParams::new(names).expect("one of the certificate's names is none");
    leaf.distinguished_name.push(DnType::CommonName, "mailqueue test server");
    leaf
}

fn server(chain: Vec<CertificateDer<'static>>, key: KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen writes PKCS #8");
    // The provider is named, so that a test need not install one for its whole process.
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key);
    Arc::new(config.expect("the key belongs to the certificate"))
}

fn client(ca: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(ca).expect("the authority's certificate is one");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
