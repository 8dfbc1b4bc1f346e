//! The world of a test: a service of its own, and people who use it.

pub(crate) mod issuer;
pub(crate) mod nobody;
pub(crate) mod process;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belvedere::service::Service;
use belvedere::settings::Settings;
use belvedere::users::model::Role;
use belvedere::users::store;
use chassis::database::Database;
use chassis::http::conditional::Versions;
use chassis::testing::{Answer, Client, TestDatabase, Witness};
use serde_json::{Value, json};
use uuid::Uuid;

/// Long enough for the rules, and nobody's.
pub(crate) const PASSWORD: &str = "a quiet heron by the weir";

/// A running service with its own database, telemetry and port.
pub(crate) struct App {
    pub(crate) client: Client,
    pub(crate) witness: Witness,
    pub(crate) service: Service,
    pub(crate) database: Arc<TestDatabase>,
}

/// A user and a client that is signed in as that user.
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) client: Client,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

impl App {
    /// A service with the defaults.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A service whose settings the test changes.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(TestDatabase::create().await, change).await
    }

    /// A service on this database, which others may use as well.
    pub(crate) async fn on(
        database: impl Into<Arc<TestDatabase>>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let database = database.into();
        let mut settings = settings(&database);
        change(&mut settings);
        let witness = Witness::new("belvedere", &settings.log.level);
        let service = Service::start(&settings, witness.telemetry()).await.unwrap();
        let client = Client::new(service.address());
        Self { client, witness, service, database }
    }

    /// Registers somebody and signs them in.
    pub(crate) async fn person(&self) -> Person {
        let email = format!("{}@example.org", Uuid::now_v7().simple());
        let created = self.register(&email).await.expect(201);
        let id = created.json()["id"].as_str().unwrap().to_owned();
        self.signed_in_as(id, email).await
    }

    /// Somebody who may see and change everyone.
    pub(crate) async fn admin(&self) -> Person {
        let person = self.person().await;
        let database = self.connection().await;
        store::set_role(&database, person.id.parse().unwrap(), Role::Admin, &Versions::ANY)
            .await
            .unwrap();
        database.close().await;
        self.signed_in_as(person.id, person.email).await
    }

    async fn signed_in_as(&self, id: String, email: String) -> Person {
        let tokens = self.log_in(&email, PASSWORD).await.expect(200).json();
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        let (access_token, refresh_token) = (text("access_token"), text("refresh_token"));
        let client = self.client.with_token(&access_token);
        Person { id, email, client, access_token, refresh_token }
    }

    /// A way past the service, to what it has stored.
    pub(crate) async fn connection(&self) -> Database {
        Database::connect(&self.database.settings(), self.witness.telemetry()).await.unwrap()
    }

    /// `POST /users` with this address.
    pub(crate) async fn register(&self, email: &str) -> Answer {
        self.client.post("/users").json(&new_user(email)).send().await
    }

    /// `POST /auth/login`
    pub(crate) async fn log_in(&self, email: &str, password: &str) -> Answer {
        let credentials = json!({ "email": email, "password": password });
        self.client.post("/auth/login").json(&credentials).send().await
    }

    /// A client with a token of this user, whose password is [`PASSWORD`].
    pub(crate) async fn signed_in(&self, email: &str) -> Client {
        let answer = self.log_in(email, PASSWORD).await.expect(200).json();
        self.client.with_token(answer["access_token"].as_str().unwrap())
    }
}

/// Waits until this holds, for what can only be asked for; fails after half a minute.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..1500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never came true: {what}");
}

impl Person {
    /// Where the user is found.
    pub(crate) fn path(&self) -> String {
        format!("/users/{}", self.id)
    }

    /// The session that the person is signed in with.
    pub(crate) fn session_id(&self) -> String {
        let claims = self.access_token.split('.').nth(1).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        claims["sid"].as_str().unwrap().to_owned()
    }
}

/// The body of a problem without what names its request.
#[track_caller]
pub(crate) fn without_ids(answer: &Answer, status: u16) -> Value {
    let mut problem = answer.problem(status);
    let members = problem.as_object_mut().unwrap();
    for name in ["instance", "request_id", "trace_id"] {
        members.remove(name);
    }
    problem
}

/// The body of a registration.
pub(crate) fn new_user(email: &str) -> Value {
    json!({ "name": "Ada Lovelace", "email": email, "password": PASSWORD })
}

/// The defaults, but for what lets tests run side by side and fast.
pub(crate) fn settings(database: &TestDatabase) -> Settings {
    let mut settings = Settings::default();
    settings.server.addr.set_port(0);
    settings.database = database.settings();
    // All tests of a service call from one address.
    settings.rate_limit.enabled = false;
    // A thousandth of the real cost; tests about hashing set their own.
    settings.password.memory_kib = 64;
    settings.password.iterations = 1;
    settings
}
