//! A database for each test, gone afterwards.

use chassis::database::{Database, DatabaseSettings};
use chassis::testing::{TestDatabase, Witness};

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
