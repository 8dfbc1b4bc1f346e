//! The whole URL surface on one screen, and who answers it.

use chassis::database::Database;
use chassis::http::Site;
use chassis::http::docs::{DocumentError, Documents};
use chassis::http::settings::link;
use chassis::password::PasswordHasher;
use chassis::problem::{CHASSIS_TYPES, Fails};
use chassis::telemetry::Telemetry;
use poem::EndpointExt;
use poem::http::Method;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, LicenseObject, Object, OpenApi, OpenApiService, Tags};

use crate::auth::AuthContext;
use crate::auth::api::{AuthApi, KeysApi, SessionsApi};
use crate::idempotency::Idempotency;
use crate::settings::Settings;
use crate::users::api::UsersApi;
use crate::users::{self, Users};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// `/`
struct RootApi;

#[derive(Tags)]
enum Tag {
    /// Where to go from here.
    Service,
}

/// What this is, and where to go from here.
#[derive(Clone, Debug, Object)]
#[oai(example)]
struct Index {
    /// The name of the service.
    #[oai(validator(max_length = 64))]
    name: String,
    /// Its version.
    #[oai(validator(max_length = 64))]
    version: String,
    /// Where to go, by what is found there.
    links: Links,
}

/// Where parts of this service are: paths, or URLs where the operator set the service's own.
#[derive(Clone, Debug, Object)]
#[oai(example)]
struct Links {
    /// Interactive documentation.
    #[oai(skip_serializing_if_is_none)]
    docs: Option<String>,
    /// The OpenAPI document.
    #[oai(skip_serializing_if_is_none)]
    openapi: Option<String>,
    /// Whether the service is well, where the operator's endpoints are not elsewhere.
    #[oai(skip_serializing_if_is_none)]
    health: Option<String>,
}

#[derive(ApiResponse)]
enum Found {
    /// What this is.
    #[oai(status = 200)]
    Index(Json<Index>),
}

chassis::statuses! {
    /// Nothing beyond what can always go wrong.
    IndexFails = 500;
}

#[OpenApi(tag = "Tag::Service")]
#[expect(clippy::unused_async, reason = "poem-openapi awaits every handler")]
impl RootApi {
    /// What this is
    ///
    /// Name and version of the service, and links to its documentation and health.
    #[oai(path = "/", method = "get", operation_id = "read_index")]
    async fn index(&self, index: Data<&Index>) -> Result<Found, Fails<IndexFails>> {
        Ok(Found::Index(Json(index.clone())))
    }
}

/// Everything that the public listener answers.
pub fn site(
    settings: &Settings,
    telemetry: &Telemetry,
    database: &Database,
) -> Result<Site, BoxError> {
    let hasher = PasswordHasher::new(&settings.password, telemetry.metrics())?;
    let auth =
        AuthContext::new(&settings.auth, database.clone(), hasher.clone(), telemetry.metrics())?;
    let public_url = settings.server.public_url.as_deref();
    let keys = Idempotency::new(database.clone(), settings.server.request_timeout);
    let users = Users::new(database.clone(), hasher, settings.password.clone(), keys, public_url);

    let documents = document(public_url)?;
    let api = api(None).data(auth).data(users).data(index(settings));
    let site = Site::new(&documents.json, api)?
        .problem_types(CHASSIS_TYPES)?
        .problem_types(users::PROBLEM_TYPES)?
        .strict(hashes_passwords);
    if !settings.docs.enabled {
        return Ok(site);
    }
    Ok(site.documents(documents)?)
}

/// The OpenAPI document of the service that callers find there, which needs none that runs.
pub fn document(public_url: Option<&str>) -> Result<Documents, DocumentError> {
    let server = public_url.map(|url| link(Some(url), ""));
    Documents::of(move || api(server.as_deref()))
}

type Api = (RootApi, UsersApi, AuthApi, SessionsApi, KeysApi);

fn api(server: Option<&str>) -> OpenApiService<Api, ()> {
    let version = env!("CARGO_PKG_VERSION");
    let apis = (RootApi, UsersApi, AuthApi, SessionsApi, KeysApi);
    let service = OpenApiService::new(apis, "belvedere", version)
        .description(
            "A user directory: users with their contact data, and access tokens for them. Every error is a problem document \
             (RFC 9457); every answer carries `X-Request-Id`, which tells its log lines and its trace.",
        )
        .license(LicenseObject::new("MIT OR Apache-2.0"));
    // The last is relative to wherever the document was read from: the page works behind any other name too.
    server.into_iter().chain(["/"]).fold(service, OpenApiService::server)
}

/// What costs a password hash, or lets passwords be tried, has the smaller budget.
fn hashes_passwords(method: &Method, route: &str) -> bool {
    let tries = route.starts_with("/auth/") || route == "/users/{user_id}/password";
    tries || (method == Method::POST && route == "/users")
}

fn index(settings: &Settings) -> Index {
    let docs = settings.docs.enabled;
    let link = |path| link(settings.server.public_url.as_deref(), path);
    Index {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        links: Links {
            docs: docs.then(|| link("/docs")),
            openapi: docs.then(|| link("/openapi.json")),
            health: settings.ops.addr.is_none().then(|| link("/health")),
        },
    }
}

impl poem_openapi::types::Example for Index {
    fn example() -> Self {
        Self { name: "belvedere".to_owned(), version: "0.1.0".to_owned(), links: Links::example() }
    }
}

impl poem_openapi::types::Example for Links {
    fn example() -> Self {
        let path = |path: &str| Some(path.to_owned());
        Self { docs: path("/docs"), openapi: path("/openapi.json"), health: path("/health") }
    }
}
