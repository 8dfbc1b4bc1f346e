//! Certificates that are replaced while the service listens. The files are read once a second, for a
//! notification is lost on the mounts that orchestrators swap. Connections that are open keep what they
//! began with.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, info, warn};

use super::pair::{Pair, Standing, Validity, date};
use super::{Fingerprint, Tls, TlsFiles};
use crate::telemetry::Metrics;

/// A new certificate is served at most two looks after it was written; two files of some kilobytes
/// are read in microseconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Hands each new pair to the listener.
pub(super) struct Follower {
    files: TlsFiles,
    config: watch::Sender<Arc<ServerConfig>>,
    metrics: Metrics,
    in_use: Fingerprint,
    /// What the last look found.
    last: Fingerprint,
    /// What was found unusable, and told.
    refused: Option<Fingerprint>,
}

impl Follower {
    pub(super) fn new(tls: Tls, metrics: Metrics) -> (Self, watch::Receiver<Arc<ServerConfig>>) {
        let Tls { files, found, pair } = tls;
        let (config, receiver) = watch::channel(pair.config);
        tell(pair.validity, &metrics);
        let follower = Self { files, config, metrics, in_use: found, last: found, refused: None };
        (follower, receiver)
    }

    pub(super) fn start(mut self, dispatch: Dispatch) -> JoinHandle<()> {
        let follow = async move {
            let mut ticks = interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                self.look().await;
            }
        };
        tokio::spawn(follow.with_subscriber(dispatch))
    }

    /// Whoever replaces two files is between them for a moment, or half through one; so what is found
    /// counts when it is found again by the next look.
    pub(super) async fn look(&mut self) {
        let files = self.files.clone();
        // The runtime is ending.
        let Ok(contents) = spawn_blocking(move || files.read()).await else { return };
        let found = contents.fingerprint();
        let stays = std::mem::replace(&mut self.last, found) == found;
        if found == self.in_use {
            self.refused = None;
        } else if stays && self.refused != Some(found) {
            match Pair::new(&contents) {
                Ok(pair) => self.take(found, pair),
                Err(unusable) => {
                    self.refused = Some(found);
                    let reasons: Vec<_> = unusable.iter().map(ToString::to_string).collect();
                    let error = reasons.join("; ");
                    warn!(error, "TLS certificate cannot be replaced: the old one stays");
                }
            }
        }
    }

    fn take(&mut self, found: Fingerprint, pair: Pair) {
        self.in_use = found;
        self.refused = None;
        self.config.send_replace(pair.config);
        info!(
            tls.server.not_after = date(pair.validity.not_after),
            "TLS certificate changed: new connections get it"
        );
        tell(pair.validity, &self.metrics);
    }
}

/// Until when it is good, and a warning where that is soon.
fn tell(validity: Validity, metrics: &Metrics) {
    let Validity { not_before, not_after } = validity;
    // Certificates of this millennium have far fewer digits than a float.
    #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
    metrics.tls_certificate_expiry.set(not_after as f64);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let what = match validity.standing(now) {
        Standing::Good => return,
        Standing::NotYet => "it is not valid yet",
        Standing::Ending => "it ends soon",
        Standing::Over => "it has expired",
    };
    warn!(
        reason = what,
        tls.server.not_before = date(not_before),
        tls.server.not_after = date(not_after),
        "TLS certificate needs to be renewed"
    );
}
