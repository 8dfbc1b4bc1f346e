//! Every step down and up again in a table that has rows.

use belvedere_entity::user::Entity;
use belvedere_migration::{Migrator, down, status};
use chassis::database::Database;
use sea_orm::{EntityTrait, QueryOrder};
use sea_orm_migration::MigratorTrait;

use crate::support::dump::{dump, texts};
use crate::support::steps::first;
use crate::support::{Place, on_an_empty_database};
use crate::users::insert_all;

async fn stored_names(database: &Database) -> Vec<String> {
    let mut names = texts(database, "SELECT name FROM users").await;
    names.sort();
    names
}

#[tokio::test]
async fn each_step_goes_down_and_up_again_and_users_stay() {
    on_an_empty_database(async |place: &Place| {
        let database = place.connect().await;
        let count = Migrator::migrations().len();
        let mut schemas = vec![dump(&database).await];
        for steps in 1..=count {
            assert_eq!(first(&database, steps).await.unwrap().len(), 1);
            schemas.push(dump(&database).await);
        }
        // A step may be for one kind of database alone; a dump that sees nothing would see this.
        assert_ne!(schemas[0], schemas[1]);
        let names = ["Ada", "rené", "Rene", "ß", "a b "];
        insert_all(&database, &names).await;
        let users = Entity::find().order_by_asc(belvedere_entity::user::Column::Id);
        let stored = users.clone().all(&database).await.unwrap();
        let kept = stored_names(&database).await;

        for steps in (1..count).rev() {
            assert_eq!(down(database.connection(), 1).await.unwrap().len(), 1);
            assert_eq!(dump(&database).await, schemas[steps], "down to {steps}");
            assert_eq!(stored_names(&database).await, kept, "down to {steps}");
        }
        for (steps, schema) in schemas.iter().enumerate().skip(2) {
            assert_eq!(first(&database, steps).await.unwrap().len(), 1);
            assert_eq!(dump(&database).await, *schema, "up to {steps}");
            assert_eq!(stored_names(&database).await, kept, "up to {steps}");
        }
        assert_eq!(users.all(&database).await.unwrap(), stored);

        assert_eq!(down(database.connection(), count).await.unwrap().len(), count);
        assert_eq!(dump(&database).await, schemas[0]);
        assert_eq!(first(&database, count).await.unwrap().len(), count);
        assert_eq!(dump(&database).await, schemas[count]);
        assert_eq!(status(database.connection()).await.unwrap().len(), count);
        insert_all(&database, &names).await;
    })
    .await;
}
