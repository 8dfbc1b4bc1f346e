//! How passwords are kept: hashes that follow the settings, and a bounded number of them at once.

use std::sync::{Arc, mpsc};

use belvedere::users::{outdated, store};
use chassis::password::PasswordSettings;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, spawn_blocking};

use crate::support::{App, PASSWORD, Person, eventually, new_user};

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
        outdated::count(&database, &settings.present_prefix()).await.unwrap()
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

/// The runtime's only thread that may block is held, so that the first registration has its turn at hashing
/// and cannot finish, for as long as the test likes. A login writes before it hashes, which on SQLite needs
/// such a thread too.
#[test]
fn passwords_beyond_the_queue_are_told_to_come_back() {
    let runtime =
        Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let app = App::with(|settings| {
            settings.password.max_concurrent = Some(1);
            settings.password.queue = 0;
        })
        .await;
        let (release, held) = mpsc::channel::<()>();
        let thread = spawn_blocking(move || held.recv());
        let mut registrations = JoinSet::new();
        for number in 0..3 {
            let user = new_user(&format!("ada{number}@example.org"));
            registrations.spawn(app.client.post("/users").json(&user).send());
        }
        for _ in 0..2 {
            let refused = registrations.join_next().await.unwrap().unwrap();
            refused.problem(503);
            assert_eq!(refused.header("retry-after"), "1");
        }
        release.send(()).unwrap();
        let _ = registrations.join_next().await.unwrap().unwrap().expect(201);
        thread.await.unwrap().unwrap();
        let rejected = [("operation", "hash")];
        let rejected = app.witness.metric("password_hash_rejected_total", &rejected);
        assert!((rejected - 2.0).abs() < f64::EPSILON);
    });
}

async fn stored_hash(app: &App, person: &Person) -> String {
    let database = app.connection().await;
    let row = store::find(&database, person.id.parse().unwrap()).await;
    let row = row.unwrap().unwrap();
    database.close().await;
    row.password_hash.expose().to_owned()
}
