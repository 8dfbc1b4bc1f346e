//! A tour of the service: every operation of the document, as it succeeds and as it fails.
//!
//! Tests of what holds for every answer go on the tour and look at each stop. The texts below are
//! planted where secrets and personal data travel; `privacy` looks for them.

use belvedere::settings::Settings;
use chassis::database::Database;
use chassis::testing::{Answer, Call};
use poem::http::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::{App, PASSWORD, Person, new_user};

pub(super) const NEW_PASSWORD: &str = "a canary by the weir, lately";
pub(super) const WRONG_PASSWORD: &str = "a canary that is not the password";
pub(super) const NAME: &str = "Canary Bird";
pub(super) const ADDRESS: &str = "Canary Wharf 1";
pub(super) const PHONE: &str = "+442071838751";
pub(super) const BODY: &str = "canary-body";
pub(super) const HASH: &str = "canary-hash";
pub(super) const HEADER: &str = "canary-header";
pub(super) const QUERY: &str = "canary-query";
pub(super) const KEY: &str = "canary-key";
pub(super) const TOKEN: &str = "canary-token";

/// One call as its request line tells it, and what it was answered.
pub(super) struct Stop {
    pub(super) line: Value,
    pub(super) answer: Answer,
}

struct Tour<'a> {
    app: &'a App,
    admin: Person,
    stops: Vec<Stop>,
}

/// Visits everything; the last stop is a fault of the service's own.
pub(super) async fn tour(app: &App) -> Vec<Stop> {
    let mut tour = Tour { app, admin: app.admin().await, stops: Vec::new() };
    tour.beside_the_users().await;
    let person = tour.creating().await;
    tour.listing(&person).await;
    tour.reading(&person).await;
    tour.changing(&person).await;
    tour.leaving(&person).await;
    tour.sessions().await;
    tour.logging_in().await;
    tour.stops
}

/// Bodies that are too large fit the buffers of a socket, so that nobody waits for the other end.
pub(super) fn small_bodies(settings: &mut Settings) {
    settings.server.body_limit = "2KiB".parse().unwrap();
}

/// Makes every stored hash unreadable, for which no caller can be blamed.
pub(super) async fn spoil_the_hashes(app: &App) {
    let telemetry = app.witness.telemetry();
    let database = Database::connect(&app.database.settings(), telemetry).await.unwrap();
    let spoil = format!("UPDATE users SET password_hash = '{HASH}'");
    database.execute_unprepared(&spoil).await.unwrap();
    database.close().await;
}

impl Stop {
    pub(super) fn status(&self) -> u16 {
        self.answer.status.as_u16()
    }

    /// For messages: `GET /users/{user_id} 404`.
    pub(super) fn name(&self) -> String {
        let part = |key: &str| self.line[key].as_str().unwrap_or_default();
        let (method, route) = (part("http.request.method"), part("http.route"));
        format!("{method} {route} {}", self.status())
    }
}

impl Tour<'_> {
    async fn go(&mut self, status: u16, call: Call) -> Answer {
        let answer = call.header("x-canary", HEADER).send().await.expect(status);
        let line = self.app.witness.request_line(answer.header("x-request-id"));
        self.stops.push(Stop { line, answer: answer.clone() });
        answer
    }

    async fn beside_the_users(&mut self) {
        let client = &self.app.client;
        self.go(200, client.get("/?q=canary-query")).await;
        self.go(200, client.call(Method::HEAD, "/")).await;
        self.go(204, client.call(Method::OPTIONS, "/users")).await;
        self.go(404, client.get("/nowhere?q=canary-query")).await;
        self.go(405, client.delete("/users?q=canary-query")).await;
        self.go(406, client.get("/").header("accept", "image/png")).await;
        self.go(200, client.get("/docs")).await;
        let current = client.get("/openapi.json").header("if-none-match", "*");
        self.go(304, current).await;
    }

    async fn creating(&mut self) -> Person {
        let client = &self.app.client;
        let person = self.app.person().await;
        let body = new_user("canary@example.org");
        self.go(201, client.post("/users").json(&body)).await;
        self.go(409, client.post("/users").json(&body)).await;
        let keyed = |email: &str, key: &str| {
            client.post("/users").json(&new_user(email)).header("idempotency-key", key)
        };
        self.go(201, keyed("canary-key@example.org", KEY)).await;
        self.go(201, keyed("canary-key@example.org", KEY)).await;
        self.go(422, keyed("canary-other@example.org", KEY)).await;
        self.go(400, keyed("canary-key@example.org", "canary key")).await;
        let text = |body: &'static str| client.post("/users").body("application/json", body);
        self.go(400, text("{\"password\": canary-body")).await;
        let plain = client.post("/users").body("text/plain", BODY);
        self.go(415, plain).await;
        let large = client.post("/users").json(&json!({ "name": BODY.repeat(300) }));
        self.go(413, large).await;
        let invalid =
            json!({ "name": 7, "email": BODY, "password": BODY, "address": "\u{0}canary-body" });
        self.go(422, client.post("/users").json(&invalid)).await;
        person
    }

    async fn listing(&mut self, person: &Person) {
        let (nobody, admin) = (&self.app.client, self.admin.client.clone());
        self.go(401, nobody.get("/users?q=canary-query")).await;
        self.go(403, person.client.get("/users?q=canary-query")).await;
        self.go(200, admin.get("/users?limit=1&q=canary")).await;
        self.go(200, admin.get("/users?email=canary@example.org")).await;
        self.go(400, admin.get("/users?limit=canary-query")).await;
        self.go(400, admin.get("/users?after=canary-query")).await;
        self.go(422, admin.get("/users?limit=0&email=canary-query")).await;
    }

    async fn reading(&mut self, person: &Person) {
        let (client, me) = (&person.client, format!("/users/{}", person.id));
        self.go(200, client.get("/users/me?q=canary-query")).await;
        let known = client.get("/users/me").header("if-none-match", "*");
        self.go(304, known).await;
        let stranger = self.app.client.with_token(TOKEN);
        self.go(401, stranger.get("/users/me")).await;
        self.go(200, client.get(&me)).await;
        self.go(304, client.get(&me).header("if-none-match", "\"1\"")).await;
        let other = format!("/users/{}", self.admin.id);
        self.go(404, client.get(&other)).await;
        self.go(400, client.get("/users/7")).await;
        self.go(401, stranger.get(&me)).await;
    }

    async fn changing(&mut self, person: &Person) {
        let (client, me) = (&person.client, format!("/users/{}", person.id));
        let whole = json!({ "name": NAME, "email": person.email, "phone_number": PHONE, "address": ADDRESS });
        self.go(200, client.put(&me).json(&whole)).await;
        let late = client.put(&me).json(&whole).header("if-match", "\"1\"");
        self.go(412, late).await;
        let part = json!({ "address": ADDRESS.to_uppercase() });
        self.go(200, client.patch(&me).json(&part)).await;
        let taken = json!({ "email": "CANARY@example.org" });
        self.go(409, client.patch(&me).json(&taken)).await;
        let invalid = json!({ "email": null, "phone_number": BODY, "role": BODY });
        self.go(422, client.patch(&me).json(&invalid)).await;
        self.go(415, client.patch(&me).body("application/xml", BODY)).await;

        let role = format!("{me}/role");
        let admin = self.admin.client.clone();
        self.go(403, client.put(&role).json(&json!({ "role": "admin" }))).await;
        self.go(422, admin.put(&role).json(&json!({ "role": BODY }))).await;
        self.go(200, admin.put(&role).json(&json!({ "role": "user" }))).await;
    }

    async fn leaving(&mut self, person: &Person) {
        let (client, me) = (&person.client, format!("/users/{}", person.id));
        let password = format!("{me}/password");
        let change =
            |current: &str| json!({ "current_password": current, "new_password": NEW_PASSWORD });
        self.go(422, client.put(&password).json(&change(WRONG_PASSWORD))).await;
        let admin = self.admin.client.clone();
        self.go(403, admin.put(&password).json(&change(PASSWORD))).await;
        self.go(204, client.put(&password).json(&change(PASSWORD))).await;
        // The change ended the session.
        self.go(401, client.delete(&me)).await;
        self.go(204, admin.delete(&me)).await;
        self.go(404, admin.delete(&me)).await;
    }

    async fn sessions(&mut self) {
        let client = &self.app.client;
        self.go(200, client.get("/.well-known/jwks.json")).await;
        let person = self.app.person().await;
        let login = json!({ "email": person.email, "password": PASSWORD });
        let login = client.post("/auth/login").header("user-agent", "touring/1.0").json(&login);
        let tokens = self.go(200, login).await.json();
        let go_on =
            |token: &Value| client.post("/auth/refresh").json(&json!({ "refresh_token": token }));
        let next = self.go(200, go_on(&tokens["refresh_token"])).await.json();
        self.go(401, go_on(&json!(TOKEN))).await;
        self.go(422, client.post("/auth/refresh").json(&json!({ "token": BODY }))).await;
        let signed_in = client.with_token(next["access_token"].as_str().unwrap());
        let sessions = self.go(200, signed_in.get("/users/me/sessions")).await.json();
        self.go(401, client.get("/users/me/sessions")).await;
        let last = sessions["items"].as_array().unwrap().last().unwrap()["id"].as_str().unwrap();
        self.go(204, signed_in.delete(&format!("/users/me/sessions/{last}"))).await;
        self.go(404, signed_in.delete(&format!("/users/me/sessions/{last}"))).await;
        let log_out =
            || client.post("/auth/logout").json(&json!({ "refresh_token": next["refresh_token"] }));
        self.go(204, log_out()).await;
        self.go(204, log_out()).await;
        self.go(422, client.post("/auth/logout").json(&json!({}))).await;

        let (admin, path) = (self.admin.client.clone(), person.path());
        let status =
            |status: &str| admin.put(&format!("{path}/status")).json(&json!({ "status": status }));
        self.go(200, status("disabled")).await;
        self.go(200, admin.get(&format!("{path}/status"))).await;
        self.go(200, status("active")).await;
        self.go(422, status(BODY)).await;
        self.go(204, admin.delete(&format!("{path}/sessions"))).await;
        let stranger = self.app.person().await;
        self.go(403, stranger.client.get(&format!("{path}/status"))).await;
        self.go(404, stranger.client.delete(&format!("{path}/sessions"))).await;
    }

    async fn logging_in(&mut self) {
        let client = &self.app.client;
        let login = |password: &str| {
            client
                .post("/auth/login?q=canary-query")
                .json(&json!({ "email": "canary@example.org", "password": password }))
        };
        self.go(200, login(PASSWORD)).await;
        self.go(401, login(WRONG_PASSWORD)).await;
        self.go(422, client.post("/auth/login").json(&json!({ "email": 7 }))).await;
        spoil_the_hashes(self.app).await;
        self.go(500, login(PASSWORD)).await;
    }
}
