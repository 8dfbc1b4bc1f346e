//! `GET /users?email=` and `?q=`

use chassis::testing::Client;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::support::{App, new_user};

#[tokio::test]
async fn an_address_finds_its_user_in_whatever_case() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    let _ = app.register("Ada@Example.org").await.expect(201);
    let _ = app.register("ada@example.org.uk").await.expect(201);
    for email in ["ada@example.org", "ADA@EXAMPLE.ORG"] {
        assert_eq!(found(&admin, "email", email).await, ["Ada@Example.org"]);
    }
    // Nothing stands for any text, and an address is not searched by its start.
    for email in ["a%@example.org", "ad_@example.org", "eve@example.org"] {
        assert!(found(&admin, "email", email).await.is_empty(), "{email}");
    }
}

#[tokio::test]
async fn a_prefix_finds_names_and_addresses_and_nothing_within_them() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    call_them(&app, &["Alan Turing", "Grace Hopper", "Ödön Ádám", "李 小龍"]).await;
    let cases: [(&str, &[usize]); 10] = [
        ("alan", &[0]),
        ("ALAN T", &[0]),
        ("turing", &[]),
        ("gr", &[1]),
        ("ö", &[2]),
        ("ÖDÖN á", &[2]),
        // Not the same letters, whatever a database's collation makes of them.
        ("odon", &[]),
        ("李", &[3]),
        ("U2@", &[2]),
        ("u", &[0, 1, 2, 3]),
    ];
    for (q, expected) in cases {
        assert_eq!(found(&admin, "q", q).await, emails(expected), "{q}");
    }
}

#[tokio::test]
async fn no_character_of_a_prefix_has_a_meaning_of_its_own() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    call_them(&app, &["100% Ada", "100_Ada", "1000", "\\x", "'; --", "[a]*"]).await;
    let cases: [(&str, &[usize]); 8] = [
        ("100%", &[0]),
        ("100_", &[1]),
        ("%", &[]),
        ("_", &[]),
        ("\\", &[3]),
        ("'", &[4]),
        ("[a]*", &[5]),
        ("*", &[]),
    ];
    for (q, expected) in cases {
        assert_eq!(found(&admin, "q", q).await, emails(expected), "{q}");
    }
}

/// A sigma at the end of a word is written in another way, which the start of a word must not be.
#[tokio::test]
async fn a_prefix_is_found_where_its_last_letter_changes_its_form() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    call_them(&app, &["Σίσυφος", "İstanbul"]).await;
    for (q, expected) in [("ΣΊΣ", 0), ("ΣΊΣΥΦΟΣ", 0), ("İs", 1)] {
        assert_eq!(found(&admin, "q", q).await, emails(&[expected]), "{q}");
    }
}

/// Spaces at an end are letters like others, whatever a database fills texts up with.
#[tokio::test]
async fn a_space_at_the_end_of_a_prefix_is_part_of_it() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    call_them(&app, &["Ann", "Ann Lee", "Anna"]).await;
    for (q, expected) in [("ann", &[0, 1, 2][..]), ("ann ", &[1]), ("ann  ", &[])] {
        assert_eq!(found(&admin, "q", q).await, emails(expected), "{q:?}");
    }
}

#[tokio::test]
async fn filters_narrow_each_other() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    call_them(&app, &["Grace", "Grace", "Ada"]).await;
    let both = |query: &'static str| async {
        let page = admin.get(query).send().await.expect(200).json();
        page["items"].as_array().unwrap().len()
    };
    assert_eq!(both("/users?q=grace&email=u1@example.org").await, 1);
    assert_eq!(both("/users?q=grace&email=u2@example.org").await, 0);
}

#[tokio::test]
async fn filters_that_are_none_are_named_together() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    let query = format!("/users?limit=0&email=ada&q={}", "x".repeat(201));
    let mut fields = admin.get(&query).send().await.invalid_fields();
    fields.sort();
    assert_eq!(fields, ["/email", "/limit", "/q"]);
    for query in ["q=", "q=%00", "q=a%0Ab", "q=%E2%80%AEa"] {
        let page = admin.get(&format!("/users?{query}")).send().await;
        assert_eq!(page.invalid_fields(), ["/q"], "{query}");
    }
}

/// Registers `u0@example.org`, `u1@example.org` and so on under these names.
async fn call_them(app: &App, names: &[&str]) {
    for (number, name) in names.iter().enumerate() {
        let mut body = new_user(&format!("u{number}@example.org"));
        body["name"] = json!(name);
        let created = app.client.post("/users").json(&body).send().await;
        let _ = created.expect(201);
    }
}

fn emails(numbers: &[usize]) -> Vec<String> {
    let email = |number| format!("u{number}@example.org");
    numbers.iter().map(email).collect()
}

async fn found(admin: &Client, parameter: &str, value: &str) -> Vec<String> {
    let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
    let page = admin.get(&format!("/users?{parameter}={value}"));
    let page = page.send().await.expect(200).json();
    let items = page["items"].as_array().unwrap().iter();
    items.map(|user| user["email"].as_str().unwrap().to_owned()).collect()
}
