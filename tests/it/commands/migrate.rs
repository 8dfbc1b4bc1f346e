//! `belvedere migrate`

use belvedere_migration::Migrator;
use sea_orm::{
    ConnectionTrait, DbBackend, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait,
};
use sea_orm_migration::MigratorTrait;

use crate::support::eventually;
use crate::support::process::{Binary, End};

/// What a command says besides its log.
fn said(end: &End) -> Vec<&str> {
    end.stdout.lines().filter(|line| !line.starts_with('{')).collect()
}

/// Each migration behind a word.
fn all(word: &str) -> Vec<String> {
    let names = Migrator::migrations();
    names.iter().map(|migration| format!("{word}  {}", migration.name())).collect()
}

fn backwards(lines: &[String]) -> Vec<String> {
    lines.iter().rev().cloned().collect()
}

#[tokio::test]
async fn the_schema_goes_up_and_down_and_tells_where_it_is() {
    let binary = Binary::with_database().await;
    let count = all("").len().to_string();
    let (applied, pending, reverted) = (all("applied"), all("pending"), all("reverted"));
    let mut but_one = applied.clone();
    *but_one.last_mut().unwrap() = pending.last().unwrap().clone();
    let nothing = |what: &str| vec![format!("nothing to be {what}")];
    for (command, outcome) in [
        (&["status"][..], pending.clone()),
        (&["down"], nothing("reverted")),
        (&["up"], applied.clone()),
        (&["up"], nothing("applied")),
        (&["status"], applied.clone()),
        (&["down", "0"], nothing("reverted")),
        (&["down"], backwards(&reverted)[..1].to_vec()),
        (&["status"], but_one),
        (&["up"], applied[applied.len() - 1..].to_vec()),
        (&["down", &count], backwards(&reverted)),
        (&["status"], pending.clone()),
    ] {
        let end = binary.run(&[&["migrate"], command].concat()).await.expect(0);
        assert_eq!(said(&end), outcome, "{command:?}");
    }
}

#[tokio::test]
async fn ten_processes_may_migrate_at_once() {
    let binary = Binary::with_database().await;
    let processes = [(); 10].map(|()| binary.start(&["migrate", "up"], ""));
    let mut outcomes = Vec::new();
    for process in processes {
        let end = process.end().await.expect(0);
        outcomes.extend(said(&end).iter().map(ToString::to_string));
    }
    outcomes.retain(|outcome| outcome != "nothing to be applied");
    outcomes.sort();
    assert_eq!(outcomes, all("applied"), "each is applied once");
    let end = binary.run(&["migrate", "status"]).await.expect(0);
    assert_eq!(said(&end), all("applied"));
}

#[tokio::test]
async fn a_process_that_is_killed_at_its_migration_lets_the_next_one_in() {
    let binary = Binary::with_database().await;
    binary.run(&["migrate", "up"]).await.expect(0);
    binary.run(&["migrate", "down", "99"]).await.expect(0);
    let database = binary.connect().await;
    // Keeps a step from being noted, or SQLite's from being begun.
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let obstacle = database.begin_with_options(options).await.unwrap();
    let (lock, stuck) = match database.backend() {
        DbBackend::Postgres => (
            "LOCK TABLE seaql_migrations IN SHARE MODE",
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        ),
        DbBackend::MySql => (
            "LOCK TABLES seaql_migrations READ",
            "SELECT count(*) FROM information_schema.processlist
             WHERE db = DATABASE() AND state LIKE 'Waiting for table%'",
        ),
        _ => ("SELECT 1", "SELECT 1"),
    };
    obstacle.execute_unprepared(lock).await.unwrap();

    let process = binary.start(&["migrate", "up"], "");
    eventually("it is in the middle of it", async || {
        let asked = Statement::from_string(database.backend(), stuck);
        let row = database.query_one_raw(asked).await.unwrap().unwrap();
        row.try_get_by_index::<i64>(0).unwrap() > 0
    })
    .await;
    process.signal("KILL");
    assert_eq!(process.end().await.code, None);
    let next = binary.start(&["migrate", "up"], "");
    if database.backend() == DbBackend::MySql {
        obstacle.execute_unprepared("UNLOCK TABLES").await.unwrap();
    }
    drop(obstacle);
    let end = next.end().await.expect(0);
    assert!(!said(&end).is_empty());
    let end = binary.run(&["migrate", "status"]).await.expect(0);
    assert_eq!(said(&end), all("applied"));
    database.close().await;
}

#[tokio::test]
async fn a_migration_that_fails_says_what_to_do() {
    // Somebody else's tables are in the way.
    for (step, table) in ["users", "idempotency_keys"].into_iter().enumerate() {
        let binary = Binary::with_database().await;
        let database = binary.connect().await;
        database.execute_unprepared(&format!("CREATE TABLE {table} (x INT)")).await.unwrap();
        let end = binary.run(&["migrate", "up"]).await.expect(1);
        let name = &all("migration")[step].replace("  ", " ");
        end.complains_of(&[name, "failed: ", "`belvedere migrate up` goes on with it"]);
        let lines = end.stderr_lines();
        let failed = lines.iter().filter(|line| line["message"] == "migration failed");
        assert_eq!(failed.count(), 1, "{}", end.stderr);
        let mut expected = all("pending");
        expected[..step].clone_from_slice(&all("applied")[..step]);
        assert_eq!(said(&binary.run(&["migrate", "status"]).await.expect(0)), expected);

        database.execute_unprepared(&format!("DROP TABLE {table}")).await.unwrap();
        let end = binary.run(&["migrate", "up"]).await.expect(0);
        assert_eq!(said(&end), all("applied")[step..]);
        database.close().await;
    }
}

#[tokio::test]
async fn what_a_newer_version_has_done_is_listed_and_left_alone() {
    let binary = Binary::with_database().await;
    binary.run(&["migrate", "up"]).await.expect(0);
    let database = binary.connect().await;
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m2999_newer', 0)";
    database.execute_unprepared(newer).await.unwrap();
    let end = binary.run(&["migrate", "status"]).await.expect(0);
    let mut expected = all("applied");
    expected.push("unknown  m2999_newer".to_owned());
    assert_eq!(said(&end), expected);
    assert_eq!(said(&binary.run(&["migrate", "up"]).await.expect(0)), ["nothing to be applied"]);
    let end = binary.run(&["migrate", "down"]).await.expect(1);
    end.complains_of(&["m2999_newer", "unknown to this version"]);
    database.close().await;
}

#[tokio::test]
async fn a_migration_without_a_database_fails_and_says_why() {
    let binary = Binary::new().variable("DATABASE_URL", "sqlite://missing/users.db?mode=rwc");
    for command in ["up", "down", "status"] {
        let end = binary.run(&["migrate", command]).await.expect(1);
        end.complains_of(&["missing/users.db", "does not exist"]);
    }
}
