//! TLS to the database: how much of it is demanded, the files it takes, and what a failed handshake
//! means. The handshake itself is the driver's, with rustls.
//!
//! Trusted are the authorities of Mozilla's list, which is what the driver offers without a second
//! cryptographic library, and those of the file that the settings name.

use std::fmt::Display;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, Error as TlsError, RootCertStore};
use sea_orm::sqlx;
use sea_orm::sqlx::mysql::MySqlSslMode;
use sea_orm::sqlx::postgres::PgSslMode;

use super::target::Unusable;

crate::one_of! {
    /// How much TLS a connection to the database must have.
    pub enum TlsMode {
        /// None, even where the server offers it.
        Disable = "disable",
        /// Where the server offers it, whoever the server is.
        Prefer = "prefer",
        /// Encrypted, whoever the server is.
        Require = "require",
        /// Encrypted, with a certificate of a trusted authority, for whatever name.
        VerifyCa = "verify_ca",
        /// Encrypted, with a certificate of a trusted authority for the host that was asked for.
        VerifyFull = "verify_full",
    }
}

/// A file, and the key of the settings that names it.
#[derive(Clone, Copy)]
pub(super) struct NamedFile<'a> {
    pub(super) key: &'static str,
    pub(super) path: &'a Path,
}

/// The files of one connection.
#[derive(Clone, Copy, Default)]
pub(super) struct TlsFiles<'a> {
    pub(super) ca: Option<NamedFile<'a>>,
    pub(super) certificate: Option<NamedFile<'a>>,
    pub(super) key: Option<NamedFile<'a>>,
}

impl TlsMode {
    fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

impl TlsFiles<'_> {
    /// Rejects files that the driver would stumble over at each connection, and those that it would
    /// not look at.
    pub(super) fn check(&self, mode: TlsMode) -> Result<(), Unusable> {
        if let Some(ca) = &self.ca {
            if !mode.verifies() {
                return Err(ca.unusable("absent unless certificates are verified (verify_full)"));
            }
            ca.check_authorities()?;
        }
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                certificate.certificates()?;
                key.check_key()
            }
            (Some(lonely), None) | (None, Some(lonely)) => {
                Err(lonely.unusable("together with the other half of certificate and key"))
            }
            (None, None) => Ok(()),
        }
    }
}

impl NamedFile<'_> {
    fn check_authorities(&self) -> Result<(), Unusable> {
        let mut store = RootCertStore::empty();
        for certificate in self.certificates()? {
            store.add(certificate).map_err(|error| self.no_certificate(&error))?;
        }
        Ok(())
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Unusable> {
        let read = CertificateDer::pem_file_iter(self.path);
        let read = read.and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let found = read.map_err(|error| self.no_certificate(&error))?;
        if found.is_empty() {
            return Err(self.no_certificate(&"there is none in it"));
        }
        Ok(found)
    }

    fn no_certificate(&self, error: &dyn Display) -> Unusable {
        self.unusable(format!("the path of a PEM file with a certificate ({error})"))
    }

    fn check_key(&self) -> Result<(), Unusable> {
        match PrivateKeyDer::from_pem_file(self.path) {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(self.unusable(format!("the path of a PEM file with a private key ({error})")))
            }
        }
    }

    fn unusable(&self, allowed: impl Into<String>) -> Unusable {
        Unusable { key: self.key, allowed: allowed.into() }
    }
}

impl From<TlsMode> for PgSslMode {
    fn from(mode: TlsMode) -> Self {
        match mode {
            TlsMode::Disable => Self::Disable,
            TlsMode::Prefer => Self::Prefer,
            TlsMode::Require => Self::Require,
            TlsMode::VerifyCa => Self::VerifyCa,
            TlsMode::VerifyFull => Self::VerifyFull,
        }
    }
}

impl From<TlsMode> for MySqlSslMode {
    fn from(mode: TlsMode) -> Self {
        match mode {
            TlsMode::Disable => Self::Disabled,
            TlsMode::Prefer => Self::Preferred,
            TlsMode::Require => Self::Required,
            TlsMode::VerifyCa => Self::VerifyCa,
            TlsMode::VerifyFull => Self::VerifyIdentity,
        }
    }
}

impl From<PgSslMode> for TlsMode {
    fn from(mode: PgSslMode) -> Self {
        match mode {
            // The driver knows no `allow`, and uses no TLS for it.
            PgSslMode::Disable | PgSslMode::Allow => Self::Disable,
            PgSslMode::Prefer => Self::Prefer,
            PgSslMode::Require => Self::Require,
            PgSslMode::VerifyCa => Self::VerifyCa,
            PgSslMode::VerifyFull => Self::VerifyFull,
        }
    }
}

impl From<MySqlSslMode> for TlsMode {
    fn from(mode: MySqlSslMode) -> Self {
        match mode {
            MySqlSslMode::Disabled => Self::Disable,
            MySqlSslMode::Preferred => Self::Prefer,
            MySqlSslMode::Required => Self::Require,
            MySqlSslMode::VerifyCa => Self::VerifyCa,
            MySqlSslMode::VerifyIdentity => Self::VerifyFull,
        }
    }
}

/// Why there is no TLS, where that is what failed. Waiting changes none of it.
pub(super) fn trouble(error: &sqlx::Error) -> Option<&'static str> {
    match error {
        sqlx::Error::Tls(source) => Some(match source.downcast_ref() {
            Some(error) => trouble_of_handshake(error),
            None => "TLS is demanded, and the server offers none",
        }),
        sqlx::Error::Io(error) => {
            error.get_ref().and_then(|source| source.downcast_ref()).map(trouble_of_handshake)
        }
        _ => None,
    }
}

fn trouble_of_handshake(error: &TlsError) -> &'static str {
    let TlsError::InvalidCertificate(error) = error else {
        return match error {
            TlsError::AlertReceived(_) => {
                "the server broke the TLS handshake off (does it want a client certificate?)"
            }
            _ => "the TLS handshake failed",
        };
    };
    match error {
        // An authority that was made anew under its old name has another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate is not signed by a trusted authority"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another name"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet"
        }
        _ => "the server's certificate cannot be accepted",
    }
}
