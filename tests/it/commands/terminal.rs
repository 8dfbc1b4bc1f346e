//! What commands do at a terminal, and where there is none: `script` gives them one, `setsid` takes it.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use belvedere_entity::user::Entity;
use sea_orm::EntityTrait;

use crate::support::PASSWORD;
use crate::support::process::Binary;

const CREATE: [&str; 6] = ["users", "create", "--name", "Ada", "--email", "ada@example.org"];

/// Creates a user at a terminal at which this is typed; what is seen there is its stdout.
fn create_at_a_terminal(binary: &Binary, typed: &str) -> Output {
    let create = binary.command(&CREATE);
    let command = format!("'{}' {}", create.get_program().display(), CREATE.join(" "));
    run_as(&create, ["script", "--quiet", "--return", "--command", &command, "/dev/null"], typed)
}

/// Runs something else with what this command was to have around it.
fn run_as(
    command: &Command,
    wrapper: impl IntoIterator<Item: AsRef<OsStr>>,
    input: &str,
) -> Output {
    let mut wrapper = wrapper.into_iter();
    let mut child = Command::new(wrapper.next().unwrap())
        .args(wrapper)
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(command.get_current_dir().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_password_that_is_typed_twice_is_the_users() {
    let binary = Binary::with_database().await;
    let output = create_at_a_terminal(&binary, &format!("{PASSWORD}\n{PASSWORD}\n"));
    let seen = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{seen}");
    assert!(seen.contains("Password: ") && seen.contains("Password, again: "), "{seen}");
    let database = binary.connect().await;
    let user = Entity::find().one(&database).await.unwrap().unwrap();
    database.close().await;
    assert!(seen.trim_end().ends_with(&user.id.to_string()), "{seen}");
}

#[tokio::test]
async fn passwords_that_differ_make_no_user() {
    let binary = Binary::with_database().await;
    let output = create_at_a_terminal(&binary, &format!("{PASSWORD}\n{PASSWORD}!\n"));
    let seen = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{seen}");
    assert!(seen.contains("the two passwords differ"), "{seen}");
    let database = binary.connect().await;
    assert_eq!(Entity::find().one(&database).await.unwrap(), None);
    database.close().await;
}

#[tokio::test]
async fn nobody_is_asked_where_there_is_no_terminal() {
    let binary = Binary::with_database().await;
    let create = binary.command(&CREATE);
    let alone = ["setsid".as_ref(), "--wait".as_ref(), create.get_program()];
    let output = run_as(&create, alone.into_iter().chain(create.get_args()), "");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("there is no terminal to ask at; use --password-stdin"), "{stderr}");
}

#[tokio::test]
async fn log_lines_at_a_terminal_are_coloured_text() {
    for (no_color, level) in [("", "\u{1b}[32m INFO\u{1b}[0m "), ("1", " INFO chassis")] {
        let binary = Binary::with_database().await.variable("NO_COLOR", no_color);
        let seen = text(&create_at_a_terminal(&binary, "\n\n").stdout);
        let line = seen.lines().find(|line| line.contains("connected to")).unwrap();
        assert!(line.contains(level), "{line}");
    }
}
