//! Passwords that change while the service runs: the files of the section's secrets are read again,
//! and what they have is what new connections log in with. Connections that are open stay so: no
//! database asks twice.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DatabaseConnection;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, info, warn};

use super::settings::DatabaseSettings;
use super::target::Target;
use crate::settings::Secret;

/// New connections fail at most so long after database and file have changed; a file of some bytes is
/// read in microseconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks at the files until it is dropped.
pub(super) struct Rotation(JoinHandle<()>);

/// What follows the files.
pub(super) struct Rotated {
    /// Pools of the database itself.
    pub(super) primary: Vec<DatabaseConnection>,
    /// Pools of its replica.
    pub(super) replica: Vec<DatabaseConnection>,
}

/// The settings in force, and whether the last look at the files failed.
pub(super) struct State {
    settings: DatabaseSettings,
    failing: bool,
}

impl Rotation {
    /// Nothing to do where no secret came from a file.
    pub(super) fn start(
        settings: &DatabaseSettings,
        pools: Rotated,
        dispatch: Dispatch,
    ) -> Option<Arc<Self>> {
        let from_file = |secret: Option<&Secret>| secret.is_some_and(|it| it.file().is_some());
        if !settings.secrets().into_iter().any(|(_, secret)| from_file(secret)) {
            return None;
        }
        let mut state = State::new(settings);
        let look = async move {
            let mut ticks = interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                state.look(&pools).await;
            }
        };
        Some(Arc::new(Self(tokio::spawn(look.with_subscriber(dispatch)))))
    }
}

impl Rotation {
    pub(super) fn stop(&self) {
        self.0.abort();
    }
}

impl Drop for Rotation {
    fn drop(&mut self) {
        self.stop();
    }
}

impl State {
    pub(super) fn new(settings: &DatabaseSettings) -> Self {
        Self { settings: settings.clone(), failing: false }
    }

    /// Reads the files, and has the pools follow what has changed.
    pub(super) async fn look(&mut self, pools: &Rotated) {
        let settings = self.settings.clone();
        let read = spawn_blocking(move || settings.reread()).await;
        let told = match read {
            Ok(Ok(now)) => self.follow(now, pools),
            Ok(Err(error)) => Err(error.to_string()),
            // The runtime is ending.
            Err(_) => return,
        };
        match told {
            Ok(()) => self.failing = false,
            // Whoever replaces a file may be half way through; what is in force stays so.
            Err(error) if !self.failing => {
                self.failing = true;
                warn!(error, "database credentials cannot be read again");
            }
            Err(_) => {}
        }
    }

    fn follow(&mut self, now: DatabaseSettings, pools: &Rotated) -> Result<(), String> {
        let changed = changed(&self.settings, &now);
        if changed.is_empty() {
            return Ok(());
        }
        let unusable = |_| "they describe no database".to_owned();
        let target = Target::from_settings(&now).map_err(unusable)?;
        let replica = Target::of_replica(&now).map_err(unusable)?;
        let before = Target::from_settings(&self.settings).map_err(unusable)?;
        let replica_before = Target::of_replica(&self.settings).map_err(unusable)?;
        let other_replica = match (&replica, &replica_before) {
            (Some(now), Some(before)) => !now.is_same_database(before),
            _ => false,
        };
        if !target.is_same_database(&before) || other_replica {
            return Err("they describe another database, which takes a restart".to_owned());
        }
        for pool in &pools.primary {
            target.clone().set_for(pool);
        }
        if let Some(replica) = replica {
            for pool in &pools.replica {
                replica.clone().set_for(pool);
            }
        }
        self.settings = now;
        info!(
            settings = changed.join(", "),
            "database credentials changed: new connections use them"
        );
        Ok(())
    }
}

/// The keys whose values differ.
fn changed(before: &DatabaseSettings, now: &DatabaseSettings) -> Vec<&'static str> {
    let pairs = before.secrets().into_iter().zip(now.secrets());
    let differing = pairs
        .filter(|((_, before), (_, now))| before.map(Secret::expose) != now.map(Secret::expose));
    differing.map(|((key, _), _)| key).collect()
}
