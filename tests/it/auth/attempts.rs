//! Guesses at a password: counted for all replicas together, answered alike for whoever has no account,
//! and in nobody's way for good.

use std::sync::Arc;

use belvedere::auth::attempts::{Attempts, Begun, FREE, Guessed, LONGEST_DELAY, Reached};
use belvedere_entity::login_failure::{Column, Entity};
use chassis::testing::Answer;
use chrono::{Duration, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{App, PASSWORD, Person, without_ids};

const WRONG: &str = "not the password";
const NEXT: &str = "seven quiet lamps under the bridge";

#[tokio::test]
async fn wrong_passwords_in_a_row_make_the_next_attempts_wait() {
    let app = App::start().await;
    let ada = app.person().await;
    let eve = "eve@example.org";
    for email in [&ada.email, eve] {
        for _ in 0..FREE {
            app.log_in(email, WRONG).await.problem(401);
        }
    }
    app.hold().await;
    let hashes = app.hashes();
    let refused = app.log_in(&ada.email, WRONG).await;
    let body = without_ids(&refused, 429);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((3000..=3600).contains(&wait), "{wait}");
    // Nobody hears whether the password is right now, or whether there is such an account.
    for (email, password) in [(&ada.email, PASSWORD), (&ada.email.to_uppercase(), PASSWORD)] {
        assert_eq!(without_ids(&app.log_in(email, password).await, 429), body);
    }
    let unknown = app.log_in(eve, WRONG).await;
    assert_eq!(without_ids(&unknown, 429), body);
    assert_eq!(names(&unknown), names(&refused));
    // And it costs no hash.
    assert_eq!(app.hashes(), hashes);
    // Nobody else has to wait.
    let _ = app.person().await;
}

#[tokio::test]
async fn whoever_has_waited_gets_in_and_the_count_begins_anew() {
    let app = App::start().await;
    let ada = app.person().await;
    for _ in 0..2 {
        app.fail(&ada.email, FREE).await;
        app.hold().await;
        app.log_in(&ada.email, PASSWORD).await.problem(429);
        app.let_time_pass().await;
        let _ = app.log_in(&ada.email, PASSWORD).await.expect(200);
    }
    // A day without guesses is as good.
    app.fail(&ada.email, FREE).await;
    let database = app.connection().await;
    let yesterday = Expr::value(Utc::now() - Duration::seconds(1));
    let expired = Entity::update_many().col_expr(Column::ExpiresAt, yesterday);
    expired.exec(&database).await.unwrap();
    database.close().await;
    app.fail(&ada.email, FREE).await;
    app.hold().await;
    app.log_in(&ada.email, PASSWORD).await.problem(429);
}

#[tokio::test]
async fn the_wait_doubles_and_ends_at_its_longest() {
    let app = App::start().await;
    app.fail("ada@example.org", FREE).await;
    let database = app.connection().await;
    let mut waits = Vec::new();
    for _ in 0..12 {
        let row = Entity::find().one(&database).await.unwrap().unwrap();
        // Both were reckoned from the same moment.
        waits.push((row.open_at - row.expires_at + Duration::days(1)).num_seconds());
        app.let_time_pass().await;
        app.log_in("ada@example.org", WRONG).await.problem(401);
    }
    database.close().await;
    let longest = i64::try_from(LONGEST_DELAY.as_secs()).unwrap();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, longest, longest]);
    let told = |event| app.witness.metric("auth_events_total", &[("event", event)]);
    // Once each: an alert on them does not ring for every guess.
    assert!((told("authn_login_lock") - 1.0).abs() < f64::EPSILON);
    assert!((told("authn_login_fail_max") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn replicas_count_together() {
    let first = App::start().await;
    let second = App::on(Arc::clone(&first.database), |_| {}).await;
    let ada = first.person().await;
    for number in 0..FREE {
        let replica = if number % 2 == 0 { &first } else { &second };
        replica.log_in(&ada.email, WRONG).await.problem(401);
    }
    first.hold().await;
    first.log_in(&ada.email, PASSWORD).await.problem(429);
    second.log_in(&ada.email, PASSWORD).await.problem(429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_guesses_get_through_at_once_than_one_after_the_other() {
    let first = Arc::new(App::start().await);
    let second = Arc::new(App::on(Arc::clone(&first.database), |_| {}).await);
    let ada = first.person().await;
    let before = first.hashes() + second.hashes();
    let mut guesses = JoinSet::new();
    for number in 0..64 {
        let replica = Arc::clone(if number % 2 == 0 { &first } else { &second });
        let email = ada.email.clone();
        guesses.spawn(async move { replica.log_in(&email, WRONG).await.status.as_u16() });
    }
    let statuses = guesses.join_all().await;
    let looked_at = statuses.iter().filter(|status| **status == 401).count();
    // Whoever is late may find the first wait of a second over.
    let most = usize::try_from(FREE).unwrap() + 3;
    assert!((1..=most).contains(&looked_at), "{statuses:?}");
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
    assert_eq!(first.hashes() + second.hashes() - before, u64::try_from(looked_at).unwrap());
}

#[tokio::test]
async fn a_stranger_who_guesses_does_not_keep_the_owner_waiting() {
    let app = App::with(|settings| {
        settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let _ = app.register("ada@example.org").await.expect(201);
    // Whoever has the next address in the same /64 is the same.
    let (home, neighbour) = ("2001:db8:1:2::3", "2001:db8:1:2::4");
    let (cafe, stranger) = ("192.0.2.7", "198.51.100.9");
    let _ = app.log_in_from(home, PASSWORD).await.expect(200);
    for _ in 0..FREE {
        app.log_in_from(stranger, WRONG).await.problem(401);
    }
    app.hold().await;
    app.log_in_from(stranger, PASSWORD).await.problem(429);
    app.log_in_from(cafe, PASSWORD).await.problem(429);
    let _ = app.log_in_from(neighbour, PASSWORD).await.expect(200);
    // Which gives the stranger no further guesses.
    app.log_in_from(stranger, WRONG).await.problem(429);
    // A known network is no way around the count.
    for _ in 0..FREE {
        app.log_in_from(home, WRONG).await.problem(401);
    }
    app.hold().await;
    app.log_in_from(neighbour, PASSWORD).await.problem(429);
}

#[tokio::test]
async fn a_network_is_known_for_longer_than_its_session_lasts() {
    let app = App::start().await;
    let ada = app.person().await;
    let _ = app.log_in(&ada.email, PASSWORD).await.expect(200);
    let database = app.connection().await;
    let row = Entity::find().one(&database).await.unwrap().unwrap();
    assert_eq!((row.expires_at - row.open_at).num_days(), 30 + 60);
    database.close().await;
}

#[tokio::test]
async fn whoever_holds_a_token_cannot_guess_the_password_either() {
    let app = App::start().await;
    let ada = app.person().await;
    for _ in 0..FREE {
        let refused = change(&ada, WRONG).await;
        assert_eq!(refused.invalid_fields(), ["/current_password"]);
    }
    app.hold().await;
    change(&ada, PASSWORD).await.problem(429);
    // Logins are counted apart.
    let _ = app.signed_in(&ada.email).await;
    app.let_time_pass().await;
    let _ = change(&ada, PASSWORD).await.expect(204);
}

#[tokio::test]
async fn an_attempt_that_was_not_made_does_not_count() {
    let app = App::start().await;
    let database = app.connection().await;
    let attempts = Attempts::new(database.clone());
    let begin = || attempts.begin(Guessed::login("ada@example.org", Some("192.0.2.7")));
    for _ in 0..3 * FREE {
        match begin().await.unwrap() {
            Begun::Allowed(attempt) => attempt.undo().await,
            Begun::Delayed(wait) => panic!("{wait:?}"),
        }
    }
    for number in 1..=FREE {
        let Begun::Allowed(attempt) = begin().await.unwrap() else { panic!("{number}") };
        let reached = (number == FREE).then_some(Reached::Delay);
        assert_eq!(attempt.failed(), reached);
    }
    app.hold().await;
    assert!(matches!(begin().await.unwrap(), Begun::Delayed(_)));
    database.close().await;
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_does_not_count() {
    let app = App::start().await;
    let database = app.connection().await;
    let attempts = Attempts::new(database.clone());
    for _ in 0..=FREE {
        let guessed = Guessed::login("ada@example.org", Some("192.0.2.7"));
        match attempts.begin(guessed).await.unwrap() {
            // As the end of a request does whose client has left or whose time is up.
            Begun::Allowed(attempt) => drop(attempt),
            Begun::Delayed(wait) => panic!("{wait:?}"),
        }
        while Entity::find().one(&database).await.unwrap().unwrap().failures > 0 {
            tokio::task::yield_now().await;
        }
    }
    database.close().await;
}

#[tokio::test]
async fn counts_that_have_expired_are_deleted_and_others_stay() {
    let app = App::start().await;
    for number in 0..3 {
        app.log_in(&format!("eve{number}@example.org"), WRONG).await.problem(401);
    }
    let database = app.connection().await;
    let attempts = Attempts::new(database.clone());
    assert_eq!(attempts.clean_up(Utc::now()).await.unwrap(), 0);
    assert_eq!(Entity::find().count(&database).await.unwrap(), 3);
    assert_eq!(attempts.clean_up(Utc::now() + Duration::hours(25)).await.unwrap(), 3);
    assert_eq!(Entity::find().count(&database).await.unwrap(), 0);
    database.close().await;
}

#[tokio::test]
async fn who_is_deleted_leaves_no_guesses_behind() {
    let app = App::start().await;
    let ada = app.person().await;
    app.fail(&ada.email, 1).await;
    change(&ada, WRONG).await.problem(422);
    let database = app.connection().await;
    assert!(Entity::find().count(&database).await.unwrap() >= 2);
    let _ = ada.client.delete(&ada.path()).send().await.expect(204);
    assert_eq!(Entity::find().count(&database).await.unwrap(), 0);
    database.close().await;
}

#[tokio::test]
async fn nothing_of_an_address_or_a_network_is_stored() {
    let app = App::start().await;
    let ada = app.person().await;
    app.log_in("eve@example.org", WRONG).await.problem(401);
    let database = app.connection().await;
    let rows = Entity::find().all(&database).await.unwrap();
    let stored: Vec<u8> =
        rows.iter().flat_map(|row| [&row.key_hash[..], &row.account_hash].concat()).collect();
    for secret in ["eve@example.org", &ada.email, "127.0.0.1"] {
        assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
    assert!(rows.iter().all(|row| row.key_hash.len() == 32 && row.account_hash.len() == 32));
    database.close().await;
}

impl App {
    async fn fail(&self, email: &str, times: i32) {
        for _ in 0..times {
            self.log_in(email, WRONG).await.problem(401);
        }
    }

    /// Has every wait that has begun go on for an hour, so that no test depends on the time that it takes.
    pub(super) async fn hold(&self) {
        let database = self.connection().await;
        let later = Expr::value(Utc::now() + Duration::hours(1));
        let update = Entity::update_many().col_expr(Column::OpenAt, later);
        let update = update.filter(Column::Failures.gte(FREE)).exec(&database).await.unwrap();
        assert!(update.rows_affected > 0, "nobody waits");
        database.close().await;
    }

    async fn log_in_from(&self, address: &str, password: &str) -> Answer {
        let credentials = json!({ "email": "ada@example.org", "password": password });
        let login = self.client.post("/auth/login").json(&credentials);
        login.header("x-forwarded-for", address).send().await
    }

    /// As if every wait were over.
    async fn let_time_pass(&self) {
        let database = self.connection().await;
        let past = Expr::value(Utc::now() - Duration::seconds(1));
        let update = Entity::update_many().col_expr(Column::OpenAt, past);
        update.exec(&database).await.unwrap();
        database.close().await;
    }

    /// How many passwords have been looked at.
    fn hashes(&self) -> u64 {
        let labels = [("operation", "verify")];
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let count = self.witness.metric("password_hash_duration_seconds", &labels) as u64;
        count
    }
}

async fn change(who: &Person, current: &str) -> Answer {
    let body = json!({ "current_password": current, "new_password": NEXT });
    who.client.put(&format!("{}/password", who.path())).json(&body).send().await
}

/// The names of all headers.
fn names(answer: &Answer) -> Vec<String> {
    let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
    names.sort();
    names
}
