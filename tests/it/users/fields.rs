//! What may stand in each field of a user, at the borders of the rules.

use chassis::testing::Answer;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{App, new_user};

/// The longest address: 64 characters before the `@`, 254 in all.
fn longest_email() -> String {
    let label = "b".repeat(58);
    format!("{}@{label}.{label}.{label}.example.info", "a".repeat(64))
}

#[tokio::test]
async fn what_the_rules_just_allow_is_kept_as_it_was_sent() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    let cases = [
        ("name", json!("x")),
        ("name", json!("名".repeat(200))),
        // The longest in lower case, which is what the directory searches in.
        ("name", json!("İ".repeat(200))),
        ("name", json!("علی\u{200c}رضا")),
        ("name", json!("João  d'Ávila & \"Sons\" <b>% _ \\ 🦉")),
        ("email", json!("a@b.c")),
        ("email", json!(longest_email())),
        ("email", json!("o'neil+tag%_@SUB.example.org")),
        ("phone_number", json!("+12")),
        ("phone_number", json!("+123456789012345")),
        ("phone_number", json!(null)),
        ("address", json!("x")),
        ("address", json!("🦉".repeat(500))),
        ("address", json!("12 St James's Square\n\nLondon")),
        ("address", json!(null)),
    ];
    assert_eq!(longest_email().len(), 254);
    for (field, value) in cases {
        let created = register_with(&app, field, &value).await.expect(201);
        let place = created.header("location");
        let stored = admin.get(place).send().await.expect(200).json();
        assert_eq!(stored[field], value);
    }
}

#[tokio::test]
async fn what_breaks_a_rule_is_named_by_its_pointer() {
    let app = App::start().await;
    let cases = [
        ("name", json!("")),
        ("name", json!("x".repeat(201))),
        ("name", json!(" Ada")),
        ("name", json!("Ada\u{3000}")),
        ("name", json!("Ada\0")),
        ("name", json!("Ada\nLovelace")),
        ("name", json!("\u{1b}[31mAda")),
        ("name", json!("\u{202e}adA")),
        ("name", json!("Ada\u{200f}")),
        ("name", json!("\u{61c}")),
        ("name", json!("\u{200b}")),
        ("name", json!("\u{feff}\u{ad}")),
        ("name", json!(null)),
        ("name", json!(7)),
        ("name", json!(["Ada"])),
        ("email", json!(format!("{}x", longest_email()))),
        ("email", json!(format!("{}@b.org", "a".repeat(65)))),
        ("email", json!("ada")),
        ("email", json!("ada@example")),
        ("email", json!("ada@example.org\0")),
        ("email", json!("ada@exämple.org")),
        ("email", json!(null)),
        ("email", json!(true)),
        ("password", json!("fourteen chars")),
        ("password", json!("🦉".repeat(14))),
        ("password", json!("x".repeat(257))),
        ("password", json!(null)),
        ("password", json!(123_456_789_012_345_u64)),
        ("phone_number", json!("")),
        ("phone_number", json!("+1")),
        ("phone_number", json!("+0123")),
        ("phone_number", json!("+1234567890123456")),
        ("phone_number", json!("+44 20 7183 8750")),
        ("phone_number", json!(442_071_838_750_u64)),
        ("address", json!("")),
        ("address", json!("x".repeat(501))),
        ("address", json!("x".repeat(100_000))),
        ("address", json!("London\n")),
        ("address", json!("London\0")),
        ("address", json!({ "city": "London" })),
    ];
    for (field, value) in cases {
        let refused = register_with(&app, field, &value).await;
        assert_eq!(refused.invalid_fields(), [format!("/{field}")], "{value}");
    }
}

#[tokio::test]
async fn a_password_of_any_characters_works_at_both_limits() {
    let app = App::start().await;
    let passwords = [
        "heronweirquietx".to_owned(),
        " \t ~ , . ; ' \t ".to_owned(),
        "\0\n\u{202e}été à la mer".to_owned(),
        ('\u{1f300}'..).take(256).collect(),
    ];
    for password in passwords {
        let email = format!("{}@example.org", Uuid::now_v7().simple());
        let mut body = new_user(&email);
        body["password"] = json!(password);
        let created = app.client.post("/users").json(&body).send().await;
        let _ = created.expect(201);
        let _ = app.log_in(&email, &password).await.expect(200);
    }
}

#[tokio::test]
async fn what_cannot_be_set_is_told_from_what_does_not_exist() {
    let app = App::start().await;
    for field in ["id", "role", "created_at", "updated_at"] {
        let refused = register_with(&app, field, &json!("admin")).await;
        assert_eq!(refused.json()["errors"][0]["detail"], "is read-only");
        assert_eq!(refused.invalid_fields(), [format!("/{field}")]);
    }
    for (field, pointer) in [
        ("shoe_size", "/shoe_size"),
        ("Name", "/Name"),
        ("password_hash", "/password_hash"),
        ("a/b~c", "/a~1b~0c"),
        ("", "/"),
    ] {
        let refused = register_with(&app, field, &json!(1)).await;
        assert_eq!(refused.json()["errors"][0]["detail"], "is not a known field");
        assert_eq!(refused.invalid_fields(), [pointer]);
    }
}

#[tokio::test]
async fn every_field_that_is_not_acceptable_is_named() {
    let app = App::start().await;
    let body = json!({ "name": "", "email": "nobody", "password": "short", "phone_number": "0123", "role": "admin", "shoe": 44 });
    let answer = app.client.post("/users").json(&body).send().await;
    let mut fields = answer.invalid_fields();
    fields.sort();
    assert_eq!(fields, ["/email", "/name", "/password", "/phone_number", "/role", "/shoe"]);
    let missing = app.client.post("/users").json(&json!({})).send().await;
    assert_eq!(missing.invalid_fields(), ["/name", "/email", "/password"]);
}

#[tokio::test]
async fn the_operator_may_set_other_lengths_of_passwords() {
    let app = App::with(|settings| {
        settings.password.min_length = 4;
        settings.password.max_length = 6;
    })
    .await;
    for (password, status) in [("h7q", 422), ("hx7q", 201), ("hx7qwk3", 422)] {
        let answer = register_with(&app, "password", &json!(password)).await;
        let _ = answer.expect(status);
    }
}

#[tokio::test]
async fn what_is_guessed_soon_is_no_password_and_the_answer_says_why() {
    let app = App::start().await;
    for (password, why) in [
        ("123456789987654321", "must not be a commonly used password"),
        ("Correct Horse Battery Staple", "must not be a commonly used password"),
        (
            "password password 1",
            "must not be made of commonly used passwords, repetitions or rows of keys",
        ),
        (
            "aaaaaaaaaaaaaaaaaaaaaa",
            "must not be made of commonly used passwords, repetitions or rows of keys",
        ),
        ("AdaLovelace 12345", "must not be made of the user's name"),
        ("belvederebelvedere", "must not be made of the name of this service"),
    ] {
        let refused = register_with(&app, "password", &json!(password)).await;
        assert_eq!(refused.invalid_fields(), ["/password"]);
        assert_eq!(refused.json()["errors"][0]["detail"], why);
        assert!(!refused.text().contains(password));
    }
    let mut body = new_user("ada.king@engine.example");
    body["password"] = json!("ada.king@engine.example!");
    body["phone_number"] = json!("0123");
    let refused = app.client.post("/users").json(&body).send().await;
    assert_eq!(refused.invalid_fields(), ["/password", "/phone_number"]);
    let why = "must not be made of the user's e-mail address";
    assert_eq!(refused.json()["errors"][0]["detail"], why);
}

#[tokio::test]
async fn a_password_is_kept_exactly_as_it_was_sent() {
    let app = App::start().await;
    // Space around it, composed and decomposed: nothing is trimmed, folded or normalised.
    for (number, password) in
        [" a quiet weir at Åre ", "a quiet weir at A\u{30a}re", "tab\there\0and nul"]
            .iter()
            .enumerate()
    {
        let email = format!("ada{number}@example.org");
        let mut body = new_user(&email);
        body["password"] = json!(password);
        let _ = app.client.post("/users").json(&body).send().await.expect(201);
        let _ = app.log_in(&email, password).await.expect(200);
        for other in [password.trim(), &password.to_lowercase(), &password.replace("A\u{30a}", "Å")]
        {
            if other != *password {
                app.log_in(&email, other).await.problem(401);
            }
        }
    }
}

/// Registers somebody whose one field is this.
async fn register_with(app: &App, field: &str, value: &Value) -> Answer {
    let mut body = new_user(&format!("{}@example.org", Uuid::now_v7().simple()));
    body[field] = value.clone();
    app.client.post("/users").json(&body).send().await
}
