//! Certificates that only a client told of them trusts.

use std::sync::Arc;

use mailqueue_testing::Certificate;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use tokio::io::duplex;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Shakes hands in memory; the client's error, if any.
async fn handshake(
    certificate: &Certificate,
    client: Arc<ClientConfig>,
    name: &'static str,
) -> Result<(), Error> {
    let (near, far) = duplex(64 * 1024);
    let server = TlsAcceptor::from(certificate.server_config()).accept(far);
    let client = TlsConnector::from(client).connect(ServerName::try_from(name).expect("a name"), near);
    let (_, connected) = tokio::join!(server, client);
    match connected {
        Ok(_) => Ok(()),
        Err(fault) => Err(fault.downcast::<Error>().expect("a TLS fault")),
    }
}

#[tokio::test]
async fn its_own_clients_trust_it_under_both_names() {
    let certificate = Certificate::new();
    for name in ["localhost", "127.0.0.1"] {
        handshake(&certificate, certificate.client_config(), name).await.unwrap();
    }
}

#[tokio::test]
async fn the_ca_file_makes_others_trust_it() {
    let certificate = Certificate::new();
    let text = std::fs::read_to_string(certificate.ca_pem_file()).unwrap();
    assert_eq!(text, certificate.ca_pem());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate.ca_pem_file()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    handshake(&certificate, client, "localhost").await.unwrap();
}

#[tokio::test]
async fn a_stranger_a_wrong_name_and_an_old_date_are_refused() {
    let (certificate, stranger) = (Certificate::new(), Certificate::new());
    let refused = handshake(&certificate, stranger.client_config(), "localhost").await.unwrap_err();
    // Both authorities bear the same name, so the signature is what does not fit.
    assert!(matches!(refused, Error::InvalidCertificate(_)), "{refused:?}");

    let other = Certificate::for_names(&["mail.example.com"]);
    let refused = handshake(&other, other.client_config(), "localhost").await.unwrap_err();
    let by_name = matches!(
        refused,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        )
    );
    assert!(by_name, "{refused:?}");

    let expired = Certificate::expired();
    let refused = handshake(&expired, expired.client_config(), "localhost").await.unwrap_err();
    let by_date = matches!(
        refused,
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })
    );
    assert!(by_date, "{refused:?}");
}
