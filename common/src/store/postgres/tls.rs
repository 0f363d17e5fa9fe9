//! TLS to the server, by rustls.

use super::Url;
use super::url::Tls;
use crate::store::Failure;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What TLS connections are made with; none where there are to be none.
pub(super) fn connector(url: &Url) -> Result<Option<MakeRustlsConnect>, Failure> {
    let bad = |what: &str, error: &dyn std::fmt::Display| Failure::Away(format!("{what}: {error}"));
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("TLS", &error))?;
    let trusted = !url.ca_file.as_os_str().is_empty();
    let config = match url.tls {
        Tls::Disable => return Ok(None),
        Tls::VerifyFull if trusted => builder.with_root_certificates(authorities(url)?).with_no_client_auth(),
        Tls::VerifyFull => builder
            .with_platform_verifier()
            .map_err(|error| bad("the system's certificates", &error))?
            .with_no_client_auth(),
        Tls::Prefer | Tls::Require => {
            let known = match trusted {
                true => {
                    let roots = Arc::new(authorities(url)?);
                    let known = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
                    Some(known.map_err(|error| bad("store.ca_file", &error))?)
                }
                false => None,
            };
            let lenient = Lenient { provider, known };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(lenient)).with_no_client_auth()
        }
    };
    Ok(Some(MakeRustlsConnect::new(config)))
}

fn authorities(url: &Url) -> Result<RootCertStore, Failure> {
    let path = url.ca_file.display();
    let bad = |error: &dyn std::fmt::Display| Failure::Away(format!("store.ca_file {path}: {error}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&url.ca_file).map_err(|error| bad(&error))? {
        roots.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
    }
    if roots.is_empty() {
        return Err(bad(&"it holds no certificate"));
    }
    Ok(roots)
}

/// What `prefer` and `require` mean to libpq: encrypted to whoever answers, or to whom one of our authorities
/// vouches for, by whatever name.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    known: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(known) = &self.known else { return Ok(ServerCertVerified::assertion()) };
        match known.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
