//! A directory in memory, and requests to it.

use std::time::Duration;

use belvedere_entity::user::PasswordHash;
use belvedere_migration as migration;
use chassis::database::{Database, DatabaseSettings};
use chassis::password::{PasswordHasher, PasswordSettings};
use chassis::problem::{Occurrence, Problem};
use chassis::settings::Secret;
use chassis::telemetry::Metrics;
use chassis::testing::Witness;
use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderMap, Method, StatusCode};
use poem::{Endpoint, EndpointExt, Request, RequestBuilder, Response};
use poem_openapi::OpenApiService;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::api::{AuthApi, SessionsApi};
use crate::auth::{AuthContext, AuthSettings};
use crate::idempotency::Idempotency;
use crate::users::api::UsersApi;
use crate::users::model::{Email, Name, NewPassword, NewUser, Role};
use crate::users::{Users, store};

pub(super) const PASSWORD: &str = "a quiet heron by the weir";

pub(super) struct World {
    pub(super) users: Users,
    pub(super) metrics: Metrics,
    endpoint: BoxEndpoint<'static, Response>,
}

pub(super) struct Call<'a> {
    world: &'a World,
    request: RequestBuilder,
    body: Value,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Value,
    /// The problem as `Debug` shows it; empty for a success.
    pub(super) problem: String,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(&AuthSettings::default()).await
    }

    pub(super) async fn with(settings: &AuthSettings) -> Self {
        let witness = Witness::new("test", "off");
        let metrics = witness.metrics().clone();
        let database = DatabaseSettings {
            url: Some(Secret::new("sqlite::memory:")),
            ..DatabaseSettings::default()
        };
        let database = Database::connect(&database, witness.telemetry()).await.unwrap();
        migration::up(database.connection()).await.unwrap();
        // As cheap as argon2 can be.
        let limits =
            PasswordSettings { memory_kib: 8, iterations: 1, ..PasswordSettings::default() };
        let hasher = PasswordHasher::new(&limits, &metrics).unwrap();
        let context = AuthContext::new(settings, database.clone(), hasher.clone(), &metrics);
        let keys = Idempotency::new(database.clone(), Duration::ZERO);
        let users = Users::new(database, hasher, limits, keys, Some("https://example.org/"));
        let service = OpenApiService::new((UsersApi, AuthApi, SessionsApi), "test", "1");
        let endpoint = service.data(users.clone()).data(context.unwrap());
        Self { users, metrics, endpoint: endpoint.map_to_response().boxed() }
    }

    /// Creates a user called Ada and logs in as it.
    pub(super) async fn user(&self, email: &str, role: Role) -> (Uuid, String) {
        let limits = PasswordSettings::default();
        let new = NewUser {
            name: Name::parse("Ada".to_owned()).unwrap(),
            email: Email::parse(email.to_owned()).unwrap(),
            password: NewPassword::parse(Secret::new(PASSWORD), &limits, &[]).unwrap(),
            phone_number: None,
            address: None,
        };
        let row = self.users.create(new, role).await.unwrap();
        (row.id, self.log_in(email, PASSWORD).await)
    }

    /// Gives the user a hash with other parameters than this world's.
    pub(super) async fn outdate_hash(&self, id: Uuid) -> PasswordHash {
        let row = store::find(self.users.database(), id).await.unwrap().unwrap();
        let other = PasswordSettings { memory_kib: 8, iterations: 2, ..Default::default() };
        let hasher = PasswordHasher::new(&other, &self.metrics).unwrap();
        let hash = PasswordHash::new(hasher.hash(Secret::new(PASSWORD)).await.unwrap());
        store::set_hash(self.users.database(), &row, hash.clone()).await.unwrap();
        hash
    }

    pub(super) async fn log_in(&self, email: &str, password: &str) -> String {
        let body = json!({ "email": email, "password": password });
        let answer = self.request(Method::POST, "/auth/login").json(&body).send().await;
        assert_eq!(answer.body["token_type"], "Bearer", "{}", answer.problem);
        answer.body["access_token"].as_str().unwrap().to_owned()
    }

    pub(super) fn request(&self, method: Method, path: &str) -> Call<'_> {
        let request = Request::builder().method(method).uri_str(path);
        Call { world: self, request, body: Value::Null }
    }
}

impl Call<'_> {
    pub(super) fn token(self, token: &str) -> Self {
        if token.is_empty() {
            self
        } else {
            self.header("authorization", &format!("Bearer {token}"))
        }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(super) fn json(mut self, body: &Value) -> Self {
        self.body = body.clone();
        self.header("content-type", "application/json")
    }

    pub(super) async fn send(self) -> Answer {
        let request = match self.body {
            Value::Null => self.request.finish(),
            body => self.request.body(body.to_string()),
        };
        match self.world.endpoint.call(request).await {
            Ok(response) => Answer::of(response, String::new()).await,
            Err(error) => {
                let problem = error.downcast_ref::<Problem>().map(|problem| format!("{problem:?}"));
                let response = match error.downcast::<Problem>() {
                    Ok(problem) => problem.render(Occurrence::default()),
                    Err(error) => error.into_response(),
                };
                Answer::of(response, problem.unwrap_or_default()).await
            }
        }
    }
}

impl Answer {
    async fn of(mut response: Response, problem: String) -> Self {
        let body = response.take_body().into_bytes().await.expect("a body");
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            problem,
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
