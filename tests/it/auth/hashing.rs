//! How passwords are kept: hashes that follow the settings, and a bounded number of them at once.

use std::sync::Arc;

use belvedere::users::store;
use chassis::password::PasswordSettings;
use chassis::testing::Answer;
use tokio::task::JoinSet;

use crate::support::{App, PASSWORD, Person, eventually};

#[tokio::test]
async fn a_hash_follows_the_settings_at_the_next_login() {
    let app = App::start().await;
    let ada = app.person().await;
    let old = stored_hash(&app, &ada).await;
    assert!(old.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{old}");
    let stronger = App::on(Arc::clone(&app.database), |settings| {
        settings.password.memory_kib = 128;
        settings.password.iterations = 2;
    })
    .await;
    stronger.log_in(&ada.email, "not the password").await.problem(401);
    assert_eq!(stored_hash(&app, &ada).await, old);
    let _ = stronger.log_in(&ada.email, PASSWORD).await.expect(200);
    let new = stored_hash(&app, &ada).await;
    assert!(new.starts_with("$argon2id$v=19$m=128,t=2,p=1$"), "{new}");
    let _ = stronger.log_in(&ada.email, PASSWORD).await.expect(200);
    assert_eq!(stored_hash(&app, &ada).await, new);
    // Nothing that somebody could see has changed, and the sessions go on.
    let me = ada.client.get("/users/me").send().await.expect(200);
    assert_eq!(me.header("etag"), "\"1\"");
    assert_eq!(me.json()["created_at"], me.json()["updated_at"]);
}

#[tokio::test]
async fn users_with_outdated_hashes_are_counted() {
    let app = App::start().await;
    let (ada, _) = (app.person().await, app.person().await);
    let database = app.connection().await;
    let stronger = PasswordSettings { memory_kib: 128, iterations: 2, ..weak() };
    let of = async |settings: &PasswordSettings| {
        store::count_outdated(&database, &settings.present_prefix()).await.unwrap()
    };
    assert_eq!((of(&weak()).await, of(&stronger).await), (0, 2));
    let renewing = App::on(Arc::clone(&app.database), |settings| {
        settings.password.memory_kib = 128;
        settings.password.iterations = 2;
    })
    .await;
    let _ = renewing.log_in(&ada.email, PASSWORD).await.expect(200);
    assert_eq!((of(&weak()).await, of(&stronger).await), (1, 1));
    database.close().await;
    let told = async || renewing.witness.metric("password_hashes_outdated", &[]) > 0.5;
    eventually("the gauge tells of one", told).await;
}

/// As `support::settings` has it.
fn weak() -> PasswordSettings {
    PasswordSettings { memory_kib: 64, iterations: 1, ..PasswordSettings::default() }
}

/// One hash at a time, and each takes long enough for others to come meanwhile; as many rounds as it takes
/// until somebody was refused.
#[tokio::test]
async fn logins_beyond_the_queue_are_told_to_come_back() {
    let app = App::with(|settings| {
        settings.password.max_concurrent = Some(1);
        settings.password.queue = 0;
        settings.password.iterations = 100;
    })
    .await;
    let _ = app.register("ada@example.org").await.expect(201);
    let mut refused = 0;
    while refused == 0 {
        let logins: JoinSet<Answer> = (0..8).map(|_| log_in(&app)).collect();
        for answer in logins.join_all().await {
            if answer.status != 200 {
                answer.problem(503);
                assert_eq!(answer.header("retry-after"), "1");
                refused += 1;
            }
        }
    }
    let rejected = [("operation", "verify")];
    let rejected = app.witness.metric("password_hash_rejected_total", &rejected);
    assert!((rejected - f64::from(refused)).abs() < f64::EPSILON);
    // Nobody is counted as having failed to log in: neither told so, nor held up later.
    let failed = [("event", "authn_login_fail")];
    assert!(app.witness.metric("auth_events_total", &failed).abs() < f64::EPSILON);
}

fn log_in(app: &App) -> impl Future<Output = Answer> + use<> {
    let credentials = serde_json::json!({ "email": "ada@example.org", "password": PASSWORD });
    app.client.post("/auth/login").json(&credentials).send()
}

async fn stored_hash(app: &App, person: &Person) -> String {
    let database = app.connection().await;
    let row = store::find(&database, person.id.parse().unwrap()).await;
    let row = row.unwrap().unwrap();
    database.close().await;
    row.password_hash.expose().to_owned()
}
