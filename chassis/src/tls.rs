//! What the public listener proves itself with: a certificate and its key, out of two PEM files that may
//! change while it listens. What connections do with it belongs to `server`.

mod follow;
mod pair;
mod probe;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tracing::dispatcher;
use zeroize::Zeroizing;

use self::follow::Follower;
use self::pair::Pair;
use crate::telemetry::Telemetry;

pub use self::probe::connect_unverified;

const CERTIFICATE: &str = "server.tls_cert_file";
const KEY: &str = "server.tls_key_file";

/// The two files of a listener.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
}

/// A setting that TLS cannot be had with: its key, and what is allowed.
#[derive(Debug, thiserror::Error)]
#[error("{key}: expected {allowed}")]
pub struct Unusable {
    pub(crate) key: &'static str,
    pub(crate) allowed: String,
}

/// Certificate and key of a listener that does not serve yet.
pub(crate) struct Tls {
    files: TlsFiles,
    found: Fingerprint,
    pair: Pair,
}

/// The certificate in use, which follows its files until this is dropped.
pub(crate) struct Served {
    config: watch::Receiver<Arc<ServerConfig>>,
    following: JoinHandle<()>,
}

/// What both files have at one moment.
struct Contents {
    certificate: io::Result<Vec<u8>>,
    key: io::Result<Zeroizing<Vec<u8>>>,
}

/// Tells contents apart, without keeping a key for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint([u8; 32]);

/// Everything that keeps TLS from being served with these two settings.
pub(crate) fn check(certificate: Option<&Path>, key: Option<&Path>) -> Vec<Unusable> {
    match TlsFiles::new(certificate, key) {
        Ok(Some(files)) => Pair::new(&files.read()).err().unwrap_or_default(),
        Ok(None) => Vec::new(),
        Err(lonely) => vec![lonely],
    }
}

impl TlsFiles {
    /// None where TLS is not wanted.
    pub(crate) fn new(
        certificate: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Option<Self>, Unusable> {
        let lonely =
            |key| Unusable::new(key, "together with the other half of certificate and key");
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                Ok(Some(Self { certificate: certificate.to_owned(), key: key.to_owned() }))
            }
            (Some(_), None) => Err(lonely(CERTIFICATE)),
            (None, Some(_)) => Err(lonely(KEY)),
            (None, None) => Ok(None),
        }
    }

    fn read(&self) -> Contents {
        Contents {
            certificate: std::fs::read(&self.certificate),
            key: std::fs::read(&self.key).map(Zeroizing::new),
        }
    }
}

impl Unusable {
    fn new(key: &'static str, allowed: impl Into<String>) -> Self {
        Self { key, allowed: allowed.into() }
    }
}

impl Tls {
    /// Reads the files; tells the first reason why they cannot be used.
    pub(crate) fn load(files: TlsFiles) -> Result<Self, Unusable> {
        let contents = files.read();
        match Pair::new(&contents) {
            Ok(pair) => Ok(Self { found: contents.fingerprint(), files, pair }),
            Err(mut unusable) => Err(unusable.swap_remove(0)),
        }
    }

    /// Begins to follow the files. Needs a runtime.
    pub(crate) fn serve(self, telemetry: &Telemetry) -> Served {
        let dispatch = telemetry.dispatch();
        let metrics = telemetry.metrics().clone();
        let begin = || Follower::new(self, metrics);
        let (follower, config) = dispatcher::with_default(&dispatch, begin);
        Served { config, following: follower.start(dispatch) }
    }
}

/// Without what the files have.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Served {
    /// Shakes hands with the certificate of this moment.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.config.borrow().clone().into()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Contents {
    fn fingerprint(&self) -> Fingerprint {
        let mut context = Context::new(&SHA256);
        let certificate = self.certificate.as_deref().map_err(io::Error::kind);
        let key = self.key.as_ref().map(|key| &key[..]).map_err(io::Error::kind);
        for file in [certificate, key] {
            let told = match file {
                Ok(bytes) => format!("{} bytes", bytes.len()),
                Err(kind) => format!("{kind:?}"),
            };
            context.update(told.as_bytes());
            context.update(file.unwrap_or_default());
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        Fingerprint(fingerprint)
    }
}
