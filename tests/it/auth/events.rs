//! Security events: one log line and one count each, with ids and nothing else of a person.

use std::time::Duration;

use belvedere::auth::attempts::FREE;
use chassis::testing::Call;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{App, PASSWORD, Person, new_user};

/// Everything that is ever told, in OWASP's vocabulary.
const EVENTS: [&str; 21] = [
    "authn_login_success",
    "authn_login_fail",
    "authn_login_lock",
    "authn_login_fail_max",
    "authz_admin",
    "authn_token_created",
    "authn_token_reuse",
    "authn_token_revoked",
    "session_created",
    "session_renewed",
    "session_use_after_expire",
    "session_logout",
    "authn_identity_linked",
    "authn_password_change",
    "authn_password_change_fail",
    "authz_fail",
    "authz_change",
    "user_created",
    "user_updated",
    "user_archived",
    "user_deleted",
];

const NEXT: &str = "seven quiet lamps under the bridge";

/// One event: its name, who acted and on whom.
type Told<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

#[tokio::test]
async fn a_registration_is_told() {
    let app = App::start().await;
    let register = || app.client.post("/users").json(&new_user("ada@example.org"));
    let told = app.told_by(register(), 201).await;
    let admin = app.admin().await.client;
    let found = admin.get("/users?email=ada@example.org").send().await.json();
    let id = found["items"][0]["id"].as_str().unwrap();
    assert_eq!(events(&told), [("user_created", None, Some(id))]);
    assert!(app.told_by(register(), 409).await.is_empty());
}

#[tokio::test]
async fn logins_are_told() {
    let app = App::start().await;
    let ada = app.person().await;
    let id = Some(ada.id.as_str());
    let log_in = |email: &str, password: &str| {
        let credentials = json!({ "email": email, "password": password });
        app.client.post("/auth/login").json(&credentials)
    };
    let told = app.told_by(log_in(&ada.email, PASSWORD), 200).await;
    let expected = ["authn_login_success", "session_created", "authn_token_created"];
    assert_eq!(events(&told), expected.map(|name| (name, id, id)));
    let told = app.told_by(log_in(&ada.email, NEXT), 401).await;
    assert_eq!(events(&told), [("authn_login_fail", None, id)]);
    assert_eq!(reason(&told), "wrong_password");
    let told = app.told_by(log_in("eve@example.org", NEXT), 401).await;
    assert_eq!(events(&told), [("authn_login_fail", None, None)]);
    assert_eq!(reason(&told), "unknown_address");
    let admin = app.admin().await.client;
    let status = admin.put(&format!("{}/status", ada.path()));
    let _ = status.json(&json!({ "status": "disabled" })).send().await.expect(200);
    let told = app.told_by(log_in(&ada.email, PASSWORD), 401).await;
    assert_eq!(events(&told), [("authn_login_fail", None, id)]);
    assert_eq!(reason(&told), "disabled");
}

#[tokio::test]
async fn logins_that_have_to_wait_are_told_with_their_reason() {
    let app = App::start().await;
    let ada = app.person().await;
    let id = Some(ada.id.as_str());
    let log_in = || {
        let credentials = json!({ "email": ada.email, "password": "not the password" });
        app.client.post("/auth/login").json(&credentials)
    };
    for _ in 1..FREE {
        let told = app.told_by(log_in(), 401).await;
        assert_eq!(events(&told), [("authn_login_fail", None, id)]);
        assert_eq!(reason(&told), "wrong_password");
    }
    let told = app.told_by(log_in(), 401).await;
    assert_eq!(events(&told), [("authn_login_fail", None, id), ("authn_login_lock", None, id)]);
    app.hold().await;
    let told = app.told_by(log_in(), 429).await;
    assert_eq!(events(&told), [("authn_login_fail", None, None)]);
    assert_eq!(reason(&told), "delayed");
}

#[tokio::test]
async fn changes_of_passwords_are_told() {
    let app = App::start().await;
    let ada = app.person().await;
    let id = Some(ada.id.as_str());
    let change = |current: &str, new: &str| {
        let body = json!({ "current_password": current, "new_password": new });
        ada.client.put(&format!("{}/password", ada.path())).json(&body)
    };
    for new in [NEXT, "short"] {
        let told = app.told_by(change("not the password", new), 422).await;
        assert_eq!(events(&told), [("authn_password_change_fail", id, id)]);
    }
    // Nobody tried a password that was not theirs.
    assert!(app.told_by(change(PASSWORD, "short"), 422).await.is_empty());
    let told = app.told_by(change(PASSWORD, NEXT), 204).await;
    assert_eq!(events(&told), [("authn_password_change", id, id)]);
    // The token has ended with the old password.
    let told = app.told_by(change(NEXT, PASSWORD), 401).await;
    assert_eq!(events(&told), [("authn_token_reuse", None, id)]);
}

#[tokio::test]
async fn what_becomes_of_sessions_is_told() {
    let app = App::with(|settings| settings.auth.refresh_grace = Duration::ZERO).await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let (id, by_admin) = (Some(ada.id.as_str()), Some(admin.id.as_str()));
    let send =
        |path: &str, token: &str| app.client.post(path).json(&json!({ "refresh_token": token }));
    let told = app.told_by(send("/auth/refresh", &ada.refresh_token), 200).await;
    assert_eq!(events(&told), [("session_renewed", id, id), ("authn_token_created", id, id)]);
    let told = app.told_by(send("/auth/refresh", &ada.refresh_token), 401).await;
    assert_eq!(events(&told), [("authn_token_reuse", None, id)]);
    assert_eq!(reason(&told), "spent");
    let told = app.told_by(send("/auth/refresh", &ada.refresh_token), 401).await;
    assert_eq!(events(&told), [("session_use_after_expire", None, id)]);

    let again = app.again(&ada).await;
    let told = app.told_by(send("/auth/logout", &again.refresh_token), 204).await;
    assert_eq!(events(&told), [("session_logout", id, id)]);
    assert!(app.told_by(send("/auth/logout", &again.refresh_token), 204).await.is_empty());

    // Whoever logs out with a token that was spent long ago may have found it.
    let again = app.again(&ada).await;
    let _ = send("/auth/refresh", &again.refresh_token).send().await.expect(200);
    let told = app.told_by(send("/auth/logout", &again.refresh_token), 204).await;
    assert_eq!(events(&told), [("authn_token_reuse", None, id)]);

    let again = app.again(&ada).await;
    let end = again.client.delete(&format!("/users/me/sessions/{}", again.session_id()));
    let told = app.told_by(end, 204).await;
    assert_eq!(events(&told), [("authn_token_revoked", id, id)]);
    let all = admin.client.delete(&format!("{}/sessions", ada.path()));
    let told = app.told_by(all, 204).await;
    assert_eq!(events(&told), [("authn_token_revoked", by_admin, id)]);

    let status = |status: &str| {
        let put = admin.client.put(&format!("{}/status", ada.path()));
        put.json(&json!({ "status": status }))
    };
    let told = app.told_by(status("disabled"), 200).await;
    assert_eq!(events(&told), [("user_archived", by_admin, id)]);
    assert!(app.told_by(status("disabled"), 200).await.is_empty());
    let told = app.told_by(status("active"), 200).await;
    assert_eq!(events(&told), [("user_updated", by_admin, id)]);
    assert_eq!(reason(&told), "enabled");
    assert!(app.told_by(status("active"), 200).await.is_empty());
}

#[tokio::test]
async fn a_session_that_is_used_after_its_time_is_told() {
    let app = App::with(|settings| {
        settings.auth.refresh_ttl = Duration::from_millis(1);
    })
    .await;
    let ada = app.person().await;
    let refresh = app.client.post("/auth/refresh");
    let refresh = refresh.json(&json!({ "refresh_token": ada.refresh_token }));
    let told = app.told_by(refresh, 401).await;
    let id = Some(ada.id.as_str());
    assert_eq!(events(&told), [("session_use_after_expire", None, id)]);
}

#[tokio::test]
async fn changes_of_users_are_told() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let (by_ada, by_admin) = (Some(ada.id.as_str()), Some(admin.id.as_str()));
    let patch = |person: &Person, body| person.client.patch(&ada.path()).json(&body);
    let told = app.told_by(patch(&ada, json!({ "name": "Ada" })), 200).await;
    assert_eq!(events(&told), [("user_updated", by_ada, by_ada)]);
    let told = app.told_by(patch(&admin, json!({ "name": "Ada" })), 200).await;
    assert_eq!(events(&told), [("user_updated", by_admin, by_ada)]);
    let put = json!({ "name": "Ada", "email": ada.email });
    let put = ada.client.put(&ada.path()).json(&put);
    assert_eq!(events(&app.told_by(put, 200).await), [("user_updated", by_ada, by_ada)]);
    let role = admin.client.put(&format!("{}/role", ada.path()));
    let told = app.told_by(role.json(&json!({ "role": "admin" })), 200).await;
    assert_eq!(events(&told), [("authz_change", by_admin, by_ada)]);
    let delete = || admin.client.delete(&ada.path());
    assert_eq!(events(&app.told_by(delete(), 204).await), [("user_deleted", by_admin, by_ada)]);
    assert!(app.told_by(delete(), 404).await.is_empty());
}

#[tokio::test]
async fn what_changes_nothing_is_not_told() {
    let app = App::start().await;
    let (ada, admin) = (app.person().await, app.admin().await);
    let patch = |body| ada.client.patch(&ada.path()).json(&body);
    let role = admin.client.put(&format!("{}/role", ada.path()));
    let calls = [
        (patch(json!({})), 200),
        (patch(json!({ "name": "" })), 422),
        (patch(json!({ "email": admin.email })), 409),
        (patch(json!({ "name": "Ada" })).header("if-match", "\"9\""), 412),
        (ada.client.get("/users/me"), 200),
        (ada.client.delete(&ada.path()).header("if-match", "\"9\""), 412),
        (role.json(&json!({ "role": "user" })), 200),
    ];
    for (call, status) in calls {
        let told = app.told_by(call, status).await;
        assert!(told.is_empty(), "{told:?}");
    }
}

#[tokio::test]
async fn what_somebody_may_not_do_is_told_whether_it_is_hidden_or_forbidden() {
    let app = App::start().await;
    let (ada, eve, admin) = (app.person().await, app.person().await, app.admin().await);
    let by_eve = Some(eve.id.as_str());
    let list = app.told_by(eve.client.get("/users"), 403).await;
    assert_eq!(events(&list), [("authz_fail", by_eve, None)]);
    let nobody = Uuid::now_v7().to_string();
    for id in [&ada.id, &nobody] {
        let read = eve.client.get(&format!("/users/{id}"));
        let told = app.told_by(read, 404).await;
        assert_eq!(events(&told), [("authz_fail", by_eve, Some(id.as_str()))]);
    }
    let body = json!({ "current_password": PASSWORD, "new_password": NEXT });
    let password = admin.client.put(&format!("{}/password", ada.path()));
    let told = app.told_by(password.json(&body), 403).await;
    let by_admin = Some(admin.id.as_str());
    assert_eq!(events(&told), [("authz_fail", by_admin, Some(ada.id.as_str()))]);
    // Who shows no token, or none of ours, is nobody that could be named.
    for stranger in [app.client.clone(), app.client.with_token("x")] {
        assert!(app.told_by(stranger.get("/users"), 401).await.is_empty());
    }
}

#[tokio::test]
async fn a_token_that_pretends_to_be_ours_is_told() {
    let app = App::start().await;
    let (ada, eve) = (app.person().await, app.person().await);
    let signature = ada.access_token.rsplit_once('.').unwrap().1;
    let forged = format!("{}.{signature}", eve.access_token.rsplit_once('.').unwrap().0);
    let told = app.told_by(app.client.with_token(forged).get("/users/me"), 401).await;
    assert_eq!(events(&told), [("authz_fail", None, None)]);
    assert_eq!(reason(&told), "forged_token");
}

#[tokio::test]
async fn an_event_has_an_outcome_and_ids_and_no_more() {
    let app = App::start().await;
    let ada = app.person().await;
    app.log_in(&ada.email, "not the password").await.problem(401);
    let lines = app.witness.lines();
    let told: Vec<&Value> = lines.iter().filter(|line| is_event(line)).collect();
    assert_eq!(told.len(), 5, "{told:?}");
    let known = [
        "timestamp",
        "level",
        "message",
        "target",
        "service.name",
        "service.version",
        "deployment.environment.name",
        "request_id",
        "trace_id",
        "span_id",
        "trace_flags",
        "event.name",
        "event.outcome",
        "event.reason",
        "actor.id",
        "target.id",
    ];
    for line in told {
        for member in line.as_object().unwrap().keys() {
            assert!(known.contains(&member.as_str()), "{member} in {line}");
        }
        let failed = line["event.name"] == "authn_login_fail";
        let (level, outcome) = if failed { ("WARN", "failure") } else { ("INFO", "success") };
        assert_eq!((&line["level"], &line["event.outcome"]), (&json!(level), &json!(outcome)));
    }
    app.witness.assert_silent_about(&[&ada.email, PASSWORD, "Lovelace", "not the password"]);
}

impl App {
    /// The events of one call, each of which has been counted once, and no other.
    async fn told_by(&self, call: Call, status: u16) -> Vec<Value> {
        let count = |event| self.witness.metric("auth_events_total", &[("event", event)]);
        let before = EVENTS.map(count);
        let answer = call.send().await.expect(status);
        let mut lines = self.witness.lines_of(answer.header("x-request-id"));
        lines.retain(is_event);
        for (event, before) in EVENTS.into_iter().zip(before) {
            let told = lines.iter().filter(|line| line["event.name"] == event);
            let counted = count(event) - before;
            assert!(
                (counted - f64::from(u32::try_from(told.count()).unwrap())).abs() < f64::EPSILON,
                "{event}"
            );
        }
        let all = self.witness.metric("auth_events_total", &[]);
        assert!((all - EVENTS.map(count).iter().sum::<f64>()).abs() < f64::EPSILON);
        lines
    }
}

fn is_event(line: &Value) -> bool {
    line["event.name"].is_string()
}

#[track_caller]
fn reason(told: &[Value]) -> &str {
    let [line] = told else { panic!("{told:?}") };
    line["event.reason"].as_str().unwrap()
}

fn events(told: &[Value]) -> Vec<Told<'_>> {
    told.iter().map(event).collect()
}

fn event(line: &Value) -> Told<'_> {
    let name = line["event.name"].as_str().unwrap();
    (name, line["actor.id"].as_str(), line["target.id"].as_str())
}
