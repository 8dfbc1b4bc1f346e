//! Applying, reverting and listing migrations.

use belvedere_migration::{MigrationError, down, pending, status, up};
use futures_util::future::try_join_all;
use sea_orm::{ActiveValue::Set, EntityTrait};
use sea_orm_migration::seaql_migrations;

use crate::support::{Place, on_an_empty_database};

const FIRST: &str = "m20261120_000001_create_users";

#[tokio::test]
async fn up_and_down_change_the_schema_once_and_status_tells() {
    on_an_empty_database(async |place: &Place| {
        let database = place.connect().await;
        let db = database.connection();
        assert_eq!(pending(db).await.unwrap(), 1);
        assert_eq!(up(db).await.unwrap(), [FIRST]);
        assert_eq!(up(db).await.unwrap(), Vec::<String>::new());
        let listed = status(db).await.unwrap();
        assert_eq!((listed[0].name.as_str(), listed[0].applied), (FIRST, true));
        assert_eq!(down(db, 5).await.unwrap(), [FIRST]);
        assert_eq!(pending(db).await.unwrap(), 1);
        assert_eq!(up(db).await.unwrap(), [FIRST]);
    })
    .await;
}

#[tokio::test]
async fn many_processes_may_start_at_once() {
    on_an_empty_database(async |place: &Place| {
        let start = async || {
            let database = place.connect().await;
            up(database.connection()).await
        };
        let done = try_join_all((0..6).map(|_| start())).await.unwrap();
        assert_eq!(done.concat(), [FIRST], "one process works, the others find nothing to do");
    })
    .await;
}

#[tokio::test]
async fn a_database_ahead_of_the_program_is_served_but_not_taken_back() {
    on_an_empty_database(async |place: &Place| {
        let database = place.connect().await;
        let db = database.connection();
        up(db).await.unwrap();
        let newer = seaql_migrations::ActiveModel {
            version: Set("m29991231_000001_newer".to_owned()),
            applied_at: Set(0),
        };
        seaql_migrations::Entity::insert(newer).exec_without_returning(db).await.unwrap();

        assert_eq!(pending(db).await.unwrap(), 0);
        assert_eq!(up(db).await.unwrap(), Vec::<String>::new());
        let refused = down(db, 1).await;
        assert!(matches!(refused, Err(MigrationError::Unknown { .. })), "{refused:?}");
        assert_eq!(pending(db).await.unwrap(), 0);
        up(db).await.expect("the lock was given back");
    })
    .await;
}
