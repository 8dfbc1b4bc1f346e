//! A database for each test, gone afterwards.

pub(crate) mod dump;
pub(crate) mod proxy;
pub(crate) mod steps;

use std::time::Duration;

use chassis::database::{Database, DatabaseSettings};
use chassis::settings::Secret;
use chassis::testing::{TestDatabase, Witness};
use tracing::Dispatch;

/// Where the database of one test is.
pub(crate) struct Place {
    settings: DatabaseSettings,
}

impl Place {
    /// A pool of its own to the database, as another process would have.
    pub(crate) async fn connect(&self) -> Database {
        let witness = Witness::new("test", "off");
        Database::connect(&self.settings, witness.telemetry()).await.unwrap()
    }

    /// The same through something else that listens there; none for SQLite, which has no server.
    pub(crate) async fn connect_to(&self, url: &str) -> Database {
        let settings = DatabaseSettings { url: Some(Secret::new(url)), ..self.settings.clone() };
        let witness = Witness::new("test", "off");
        Database::connect(&settings, witness.telemetry()).await.unwrap()
    }

    pub(crate) fn url(&self) -> &str {
        self.settings.url.as_ref().unwrap().expose()
    }
}

/// Somebody who hears what is told, and where to tell it.
pub(crate) fn witness() -> (Witness, Dispatch) {
    let witness = Witness::new("test", "info");
    let dispatch = witness.telemetry().dispatch();
    (witness, dispatch)
}

/// Runs a test on an empty database.
pub(crate) async fn on_an_empty_database(test: impl AsyncFnOnce(&Place)) {
    let database = TestDatabase::create().await;
    let settings = database.settings();
    test(&Place { settings }).await;
}

/// Runs a test on a database with the whole schema.
pub(crate) async fn on_a_database(test: impl AsyncFnOnce(&Database)) {
    on_an_empty_database(async |place: &Place| {
        let database = place.connect().await;
        belvedere_migration::up(database.connection()).await.unwrap();
        test(&database).await;
        database.close().await;
    })
    .await;
}

/// Waits until this holds, for what can only be asked for; fails after a minute.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..3000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never came true: {what}");
}
