//! Applying, reverting and listing migrations.

use belvedere_migration::{MigrationError, MigrationState, Migrator, down, pending, status, up};
use sea_orm::{ActiveValue::Set, EntityTrait};
use sea_orm_migration::{MigratorTrait, seaql_migrations};

use crate::support::{Place, on_an_empty_database};

const NEWER: &str = "m29991231_000001_newer";

fn names() -> Vec<String> {
    Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect()
}

#[tokio::test]
async fn up_and_down_change_the_schema_once_and_status_tells() {
    on_an_empty_database(async |place: &Place| {
        let database = place.connect().await;
        let db = database.connection();
        let (all, latest_first) = (names(), names().into_iter().rev().collect::<Vec<_>>());
        assert_eq!(pending(db).await.unwrap(), all.len());
        assert_eq!(down(db, 1).await.unwrap(), Vec::<String>::new());
        assert_eq!(up(db).await.unwrap(), all);
        assert_eq!(up(db).await.unwrap(), Vec::<String>::new());
        let listed = status(db).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|step| (step.name.clone(), step.state)).collect();
        let applied = |name: &String| (name.clone(), MigrationState::Applied);
        assert_eq!(listed, all.iter().map(applied).collect::<Vec<_>>());
        assert_eq!(down(db, 1).await.unwrap(), latest_first[..1]);
        assert_eq!(pending(db).await.unwrap(), 1);
        assert_eq!(up(db).await.unwrap(), latest_first[..1]);
        assert_eq!(down(db, all.len() + 5).await.unwrap(), latest_first);
        assert_eq!(pending(db).await.unwrap(), all.len());
        assert_eq!(up(db).await.unwrap(), all);
    })
    .await;
}

#[tokio::test]
async fn a_database_ahead_of_the_program_is_served_but_not_taken_back() {
    on_an_empty_database(async |place: &Place| {
        let database = place.connect().await;
        let db = database.connection();
        up(db).await.unwrap();
        let newer =
            seaql_migrations::ActiveModel { version: Set(NEWER.to_owned()), applied_at: Set(0) };
        seaql_migrations::Entity::insert(newer).exec_without_returning(db).await.unwrap();

        assert_eq!(pending(db).await.unwrap(), 0);
        assert_eq!(up(db).await.unwrap(), Vec::<String>::new());
        let listed = status(db).await.unwrap();
        assert_eq!(listed.len(), names().len() + 1);
        let last = listed.last().unwrap();
        assert_eq!((last.name.as_str(), last.state), (NEWER, MigrationState::Unknown));
        let refused = down(db, 1).await;
        assert!(matches!(refused, Err(MigrationError::Unknown { .. })), "{refused:?}");
        assert_eq!(pending(db).await.unwrap(), 0);

        seaql_migrations::Entity::delete_by_id(NEWER).exec(db).await.unwrap();
        assert_eq!(down(db, 1).await.unwrap().len(), 1, "the lock was given back");
    })
    .await;
}
