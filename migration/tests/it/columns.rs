//! What the columns of `users` are in each database, as the database itself tells.

use belvedere_migration::{down, up};
use chassis::database::Database;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::support::{Place, on_a_database, on_an_empty_database};

const WITHOUT_PADDING: &str = "m20261120_000003_compare_keys_without_padding";

async fn told(database: &Database, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(database.backend(), sql);
    let rows = database.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Name and type of every column, and the collation of texts where they have their own.
async fn columns(database: &Database) -> Vec<String> {
    let sql = match database.backend() {
        DbBackend::Sqlite => "SELECT name || ' ' || type FROM pragma_table_info('users')",
        DbBackend::Postgres => {
            "SELECT concat_ws(' ', column_name, data_type, collation_name) \
             FROM information_schema.columns WHERE table_name = 'users'"
        }
        _ => {
            "SELECT CAST(CONCAT_WS(' ', column_name, column_type, collation_name) AS CHAR) \
             FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = 'users'"
        }
    };
    told(database, sql).await
}

#[tokio::test]
async fn ids_times_and_keys_have_the_types_that_each_database_has_for_them() {
    on_a_database(async |database: &Database| {
        let nopad = match database.system_name() {
            "mariadb" => "utf8mb4_nopad_bin",
            _ => "utf8mb4_0900_bin",
        };
        let expected = match database.backend() {
            DbBackend::Sqlite => {
                ["id uuid_text", "name_key varchar(400)", "email_key varchar(508)"]
                    .map(str::to_owned)
                    .to_vec()
            }
            DbBackend::Postgres => [
                "id uuid",
                "created_at timestamp with time zone",
                "updated_at timestamp with time zone",
                "name_key character varying C",
                "email_key character varying C",
            ]
            .map(str::to_owned)
            .to_vec(),
            _ => vec![
                "id binary(16)".to_owned(),
                "created_at datetime(6)".to_owned(),
                "updated_at datetime(6)".to_owned(),
                format!("name_key varchar(400) {nopad}"),
                format!("email_key varchar(508) {nopad}"),
            ],
        };
        let columns = columns(database).await;
        for column in expected {
            assert!(columns.contains(&column), "{column}: {columns:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_database_holds_addresses_apart_by_their_keys() {
    on_a_database(async |database: &Database| {
        let sql = match database.backend() {
            DbBackend::Sqlite => {
                "SELECT 'UNIQUE ' || columns.name FROM pragma_index_list('users') AS indexes, \
                 pragma_index_info(indexes.name) AS columns WHERE indexes.origin = 'u'"
            }
            DbBackend::Postgres => {
                "SELECT concat_ws(' ', constraint_type, column_name) \
                 FROM information_schema.table_constraints \
                 JOIN information_schema.key_column_usage USING (constraint_name) \
                 WHERE constraint_name = 'users_email_key_unique'"
            }
            _ => {
                "SELECT CAST(CONCAT_WS(' ', constraint_type, column_name) AS CHAR) \
                 FROM information_schema.table_constraints \
                 JOIN information_schema.key_column_usage \
                 USING (table_schema, table_name, constraint_name) \
                 WHERE table_schema = DATABASE() AND constraint_name = 'users_email_key_unique'"
            }
        };
        assert_eq!(told(database, sql).await, ["UNIQUE email_key"]);
    })
    .await;
}

/// MySQL commits the change before the step is noted, so the step may meet its own work.
#[tokio::test]
async fn the_collation_of_keys_goes_back_and_may_be_there_already() {
    on_an_empty_database(async |place: &Place| {
        let database = place.connect().await;
        if database.backend() != DbBackend::MySql {
            return;
        }
        let db = database.connection();
        up(db).await.unwrap();
        let now = columns(&database).await;
        while down(db, 1).await.unwrap() != [WITHOUT_PADDING] {}
        let before = columns(&database).await;
        assert!(before.contains(&"name_key varchar(400) utf8mb4_bin".to_owned()), "{before:?}");
        assert!(before.contains(&"email_key varchar(508) utf8mb4_bin".to_owned()), "{before:?}");
        up(db).await.unwrap();
        assert_eq!(columns(&database).await, now);
        // As after a cut between the change and the note of it.
        let forget = format!("DELETE FROM seaql_migrations WHERE version = '{WITHOUT_PADDING}'");
        database.execute_unprepared(&forget).await.unwrap();
        assert_eq!(up(db).await.unwrap(), [WITHOUT_PADDING]);
        assert_eq!(columns(&database).await, now);
        database.close().await;
    })
    .await;
}
