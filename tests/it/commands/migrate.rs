//! `belvedere migrate`

use crate::support::process::{Binary, End};

const FIRST: &str = "m20261120_000001_create_users";

/// What a command says besides its log.
fn said(end: &End) -> Vec<&str> {
    end.stdout.lines().filter(|line| !line.starts_with('{')).collect()
}

#[tokio::test]
async fn the_schema_goes_up_and_down_and_tells_where_it_is() {
    let binary = Binary::with_database().await;
    let (applied, pending) = (format!("applied  {FIRST}"), format!("pending  {FIRST}"));
    let reverted = format!("reverted  {FIRST}");
    for (command, outcome) in [
        (&["status"][..], pending.as_str()),
        (&["down"], "nothing to be reverted"),
        (&["up"], &applied),
        (&["up"], "nothing to be applied"),
        (&["status"], &applied),
        (&["down", "0"], "nothing to be reverted"),
        (&["down", "1"], &reverted),
        (&["status"], &pending),
    ] {
        let end = binary.run(&[&["migrate"], command].concat()).await.expect(0);
        assert_eq!(said(&end), [outcome], "{command:?}");
    }
}

#[tokio::test]
async fn any_number_may_migrate_at_once() {
    let binary = Binary::with_database().await;
    let processes = [(); 4].map(|()| binary.start(&["migrate", "up"], ""));
    let mut outcomes = Vec::new();
    for process in processes {
        let end = process.end().await.expect(0);
        outcomes.extend(said(&end).iter().map(ToString::to_string));
    }
    outcomes.sort();
    let nothing = "nothing to be applied".to_owned();
    assert_eq!(outcomes, [format!("applied  {FIRST}"), nothing.clone(), nothing.clone(), nothing]);
}

#[tokio::test]
async fn a_migration_without_a_database_fails_and_says_why() {
    let binary = Binary::new().variable("DATABASE_URL", "sqlite://missing/users.db?mode=rwc");
    for command in ["up", "down", "status"] {
        let end = binary.run(&["migrate", command]).await.expect(1);
        end.complains_of(&["missing/users.db", "does not exist"]);
    }
}
