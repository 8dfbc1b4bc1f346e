//! A certificate with the key that belongs to it, and until when it is good.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, Error as TlsError, RootCertStore, ServerConfig};

use super::{CERTIFICATE, Contents, KEY, Unusable};

/// What we speak, dearest first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// They match.
pub(super) struct Pair {
    pub(super) config: Arc<ServerConfig>,
    pub(super) validity: Validity,
}

/// When a certificate is good, in seconds of Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

/// How a certificate's time stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    NotYet,
    Good,
    /// Whoever renews certificates should have done so.
    Ending,
    Over,
}

impl Pair {
    /// What the files have, or everything that is wrong with it.
    pub(super) fn new(contents: &Contents) -> Result<Self, Vec<Unusable>> {
        let chain = certificates(contents.certificate.as_deref());
        let key = private_key(contents.key.as_ref().map(|key| &key[..]));
        match (chain, key) {
            (Ok((chain, validity)), Ok(key)) => {
                let config = config(chain, key).map_err(|unusable| vec![unusable])?;
                Ok(Self { config: Arc::new(config), validity })
            }
            (chain, key) => Err(chain.err().into_iter().chain(key.err()).collect()),
        }
    }
}

impl Validity {
    /// rustls verifies and does not tell, but an error says what it compared with; so it is asked about
    /// the end of all time, and about its beginning.
    fn of(certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let ask = |seconds| {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            let nobody = RootCertStore::empty();
            verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], time, &[])
        };
        let Err(TlsError::InvalidCertificate(CertificateError::ExpiredContext {
            not_after, ..
        })) = ask(u64::MAX)
        else {
            return Err(CertificateError::BadEncoding.into());
        };
        let not_before = match ask(0) {
            Err(TlsError::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before,
                ..
            })) => not_before.as_secs(),
            _ => 0,
        };
        Ok(Self { not_before, not_after: not_after.as_secs() })
    }

    /// Those that renew do it with a third of the life left; a fifth is late. A share, because some
    /// certificates live for years and others for six days.
    pub(super) fn standing(self, now: u64) -> Standing {
        let life = self.not_after.saturating_sub(self.not_before);
        match self.not_after.checked_sub(now) {
            None => Standing::Over,
            _ if now < self.not_before => Standing::NotYet,
            Some(left) if left < life / 5 => Standing::Ending,
            Some(_) => Standing::Good,
        }
    }
}

/// RFC 3339, as far as years have four digits.
pub(super) fn date(seconds: u64) -> Option<String> {
    let date = i64::try_from(seconds).ok().and_then(|it| DateTime::<Utc>::from_timestamp(it, 0));
    date.map(|date| date.to_rfc3339())
}

/// A configuration for each pair: sessions that began with another cannot be resumed.
fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Unusable> {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| match error {
        TlsError::InconsistentKeys(_) => {
            Unusable::new(KEY, format!("the key of the certificate in {CERTIFICATE}"))
        }
        error => no_key(&error),
    })?;
    config.alpn_protocols = PROTOCOLS.map(Vec::from).to_vec();
    Ok(config)
}

/// The one that is shown first, those that lead from it to its authority, and when it is good.
fn certificates(
    pem: Result<&[u8], &io::Error>,
) -> Result<(Vec<CertificateDer<'static>>, Validity), Unusable> {
    let pem = pem.map_err(|error| no_certificate(error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| no_certificate(&error))?;
    let leaf = chain.first().ok_or_else(|| no_certificate(&"there is none in it"))?;
    let validity = Validity::of(leaf).map_err(|error| no_certificate(&error))?;
    Ok((chain, validity))
}

fn private_key(pem: Result<&[u8], &io::Error>) -> Result<PrivateKeyDer<'static>, Unusable> {
    let pem = pem.map_err(|error| no_key(error))?;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| no_key(&error))
}

fn no_certificate(error: &dyn Display) -> Unusable {
    Unusable::new(CERTIFICATE, format!("the path of a PEM file with a certificate ({error})"))
}

fn no_key(error: &dyn Display) -> Unusable {
    let kinds = "RSA, ECDSA or Ed25519, not encrypted";
    Unusable::new(KEY, format!("the path of a PEM file with a private key, {kinds} ({error})"))
}
