//! `belvedere users`

use belvedere_entity::login_failure::{Column, Entity};
use chassis::testing::Client;
use chrono::{Duration, Utc};
use sea_orm::EntityTrait;
use sea_orm::sea_query::Expr;
use serde_json::{Value, json};

use crate::support::PASSWORD;
use crate::support::process::{Binary, End};

async fn create(binary: &Binary, email: &str, role: &str, input: &str) -> End {
    let command = ["users", "create", "--name", "Ada Lovelace", "--email", email];
    let rest = ["--role", role, "--password-stdin"];
    binary.run_with_input(&[&command[..], &rest].concat(), input).await
}

async fn log_in(client: &Client, email: &str) -> Client {
    let credentials = json!({ "email": email, "password": PASSWORD });
    let answer = client.post("/auth/login").json(&credentials).send().await.expect(200).json();
    client.with_token(answer["access_token"].as_str().unwrap())
}

async fn me(client: &Client, email: &str) -> Value {
    let client = log_in(client, email).await;
    client.get("/users/me").send().await.expect(200).json()
}

#[tokio::test]
async fn a_user_made_at_the_command_line_can_sign_in() {
    let binary = Binary::with_database().await;
    // With the end of line that any system puts there, and whatever comes behind it.
    for (email, role, input) in [
        ("ada@example.org", "admin", format!("{PASSWORD}\n")),
        ("bob@example.org", "user", format!("{PASSWORD}\r\nignored")),
        ("eve@example.org", "user", PASSWORD.to_owned()),
    ] {
        let id = create(&binary, email, role, &input).await.expect(0).stdout;
        let mut process = binary.serve();
        let user = me(&Client::new(process.ready().await), email).await;
        assert_eq!((&user["id"], &user["role"]), (&json!(id.trim_end()), &json!(role)));
        assert_eq!((&user["name"], &user["email"]), (&json!("Ada Lovelace"), &json!(email)));
    }
}

#[tokio::test]
async fn every_argument_that_no_user_may_have_is_named() {
    let binary = Binary::with_database().await;
    let command = ["users", "create", "--name", "", "--email", "nobody", "--password-stdin"];
    let end = binary.run_with_input(&command, "hunter2\n").await.expect(2);
    end.complains_of(&["--name", "--email must be", "--password must have 15 to 256 characters"]);
    end.is_silent_about(&["hunter2"]);
    assert_eq!(end.stdout, "");
}

#[tokio::test]
async fn a_password_that_is_no_text_is_refused() {
    let binary = Binary::with_database().await;
    let command =
        ["users", "create", "--name", "Ada", "--email", "ada@example.org", "--password-stdin"];
    let end = binary.run_with_input(&command, b"\xFF\xFE a long password\n").await.expect(2);
    end.complains_of(&["--password-stdin: the password must be UTF-8"]);
}

#[tokio::test]
async fn a_password_that_is_guessed_soon_is_refused_here_too() {
    let binary = Binary::with_database().await;
    for password in ["ada@example.org", "Ada Lovelace Ada", "passwordpassword"] {
        let end = create(&binary, "ada@example.org", "admin", password).await.expect(2);
        end.complains_of(&["--password must not be"]);
        end.is_silent_about(&[password]);
    }
}

#[tokio::test]
async fn an_address_is_given_to_one_user_alone() {
    let binary = Binary::with_database().await;
    create(&binary, "ada@example.org", "user", PASSWORD).await.expect(0);
    let end = create(&binary, "ADA@example.org", "user", PASSWORD).await.expect(1);
    end.complains_of(&["the e-mail address belongs to another user"]);
}

#[tokio::test]
async fn the_first_administrator_is_made_by_a_command() {
    let binary = Binary::with_database().await;
    create(&binary, "ada@example.org", "user", PASSWORD).await.expect(0);
    let mut process = binary.serve();
    let nobody = Client::new(process.ready().await);
    let mut ada = log_in(&nobody, "ada@example.org").await;
    let _ = ada.get("/users").send().await.expect(403);
    for (role, status) in [("admin", 200), ("user", 403)] {
        // Without regard to case, as everywhere.
        let command = ["users", "set-role", "Ada@Example.org", role];
        binary.run(&command).await.expect(0);
        // Tokens end with the role that they were given to.
        let _ = ada.get("/users").send().await.expect(401);
        ada = log_in(&nobody, "ada@example.org").await;
        let _ = ada.get("/users").send().await.expect(status);
    }
}

#[tokio::test]
async fn a_role_is_set_for_users_that_exist_and_to_roles_that_exist() {
    let binary = Binary::with_database().await;
    let set_role = async |email, role| binary.run(&["users", "set-role", email, role]).await;
    let end = set_role("nobody@example.org", "admin").await.expect(1);
    end.complains_of(&["there is no user with this address"]);
    set_role("nobody", "admin").await.expect(2).complains_of(&["EMAIL: must be an e-mail address"]);
    set_role("nobody@example.org", "boss").await.expect(2).complains_of(&["boss", "user, admin"]);
}

#[tokio::test]
async fn a_user_is_kept_out_and_let_in_again_by_commands() {
    let binary = Binary::with_database().await;
    create(&binary, "ada@example.org", "user", PASSWORD).await.expect(0);
    let mut process = binary.serve();
    let nobody = Client::new(process.ready().await);
    let ada = log_in(&nobody, "ada@example.org").await;
    for _ in 0..2 {
        binary.run(&["users", "disable", "Ada@example.org"]).await.expect(0);
    }
    let _ = ada.get("/users/me").send().await.expect(401);
    let credentials = json!({ "email": "ada@example.org", "password": PASSWORD });
    let refused = nobody.post("/auth/login").json(&credentials).send().await;
    refused.problem(401);
    binary.run(&["users", "enable", "ada@example.org"]).await.expect(0);
    log_in(&nobody, "ada@example.org").await;
    for command in ["disable", "enable"] {
        let end = binary.run(&["users", command, "nobody@example.org"]).await.expect(1);
        end.complains_of(&["there is no user with this address"]);
    }
}

#[tokio::test]
async fn an_account_that_has_to_wait_is_unlocked() {
    let binary = Binary::with_database().await;
    create(&binary, "ada@example.org", "user", PASSWORD).await.expect(0);
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    let wrong = json!({ "email": "ada@example.org", "password": "not the password" });
    client.post("/auth/login").json(&wrong).send().await.problem(401);
    // As after many more.
    let database = binary.connect().await;
    let later = Expr::value(Utc::now() + Duration::minutes(15));
    let delay = Entity::update_many().col_expr(Column::OpenAt, later);
    delay.exec(&database).await.unwrap();
    database.close().await;
    let right = json!({ "email": "ada@example.org", "password": PASSWORD });
    client.post("/auth/login").json(&right).send().await.problem(429);
    let end = binary.run(&["users", "unlock", "Ada@Example.org"]).await.expect(0);
    assert!(end.stderr.contains("authz_admin"), "{}", end.stderr);
    let _ = log_in(&client, "ada@example.org").await;

    let unlock = async |email| binary.run(&["users", "unlock", email]).await;
    unlock("nobody@example.org").await.expect(1).complains_of(&["there is no user"]);
    unlock("nobody").await.expect(2).complains_of(&["EMAIL: must be an e-mail address"]);
}

#[tokio::test]
async fn a_schema_behind_is_told_where_it_is_not_brought_up() {
    let binary = Binary::with_database().await.in_production();
    let end = create(&binary, "ada@example.org", "admin", PASSWORD).await.expect(1);
    end.complains_of(&["migrations are pending", "belvedere migrate up"]);
}
