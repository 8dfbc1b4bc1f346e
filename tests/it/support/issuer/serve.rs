//! What the process of the issuer answers: its two documents, well or badly, and the wishes of the tests
//! below `/control`.
#![expect(clippy::needless_pass_by_value, reason = "poem's extractors are values")]

use std::future::pending;
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use chassis::http::settings::ServerSettings;
use chassis::server::Server;
use chassis::testing::Witness;
use poem::http::{StatusCode, header};
use poem::web::{Data, Json};
use poem::{EndpointExt, Response, Route, get, handler, post};
use serde_json::{Value, json};

use super::SERVING;
use super::keys::{IssuerKey, extend};

/// More than the service reads.
const HUGE: usize = 1 << 20;

type Shared = Arc<Mutex<State>>;

struct State {
    name: String,
    keys: Vec<IssuerKey>,
    made: u32,
    asked: u64,
    discovery: String,
    jwks: String,
}

pub(super) async fn serve(address: SocketAddr) {
    let server = Server::bind(address, &ServerSettings::default()).await.unwrap();
    let address = server.address();
    let state = State {
        name: format!("http://{address}"),
        keys: vec![IssuerKey::generate("key-0", "ES256")],
        made: 0,
        asked: 0,
        discovery: "well".to_owned(),
        jwks: "well".to_owned(),
    };
    let routes = Route::new()
        .at("/.well-known/openid-configuration", get(discovery))
        .at("/keys", get(jwks))
        .at("/control/token", post(token))
        .at("/control/rotate", post(rotate))
        .at("/control/behave", post(behave))
        .at("/control/asked", get(asked))
        .data(Shared::new(Mutex::new(state)));
    let witness = Witness::new("issuer", "off");
    let _running = server.serve(routes.map_to_response().boxed(), witness.telemetry());
    let mut out = stdout();
    writeln!(out, "{SERVING}{address}").unwrap();
    // Until it is killed.
    pending::<()>().await;
}

#[handler]
async fn discovery(state: Data<&Shared>) -> Response {
    let (how, name) = {
        let state = state.lock().unwrap();
        (state.discovery.clone(), state.name.clone())
    };
    let issuer = if how == "another" { "http://127.0.0.1:1" } else { &name };
    let document = json!({ "issuer": issuer, "jwks_uri": format!("{name}/keys") });
    answer(&how, &document).await
}

#[handler]
async fn jwks(state: Data<&Shared>) -> Response {
    let (how, document) = {
        let mut state = state.lock().unwrap();
        state.asked += 1;
        let keys: Vec<&Value> = state.keys.iter().map(|key| &key.jwk).collect();
        (state.jwks.clone(), json!({ "keys": keys }))
    };
    answer(&how, &document).await
}

async fn answer(how: &str, document: &Value) -> Response {
    let json = Response::builder().content_type("application/json");
    match how {
        "garbage" => json.body("<html>Sign in</html>"),
        "huge" => json.body(format!("{}{document}", " ".repeat(HUGE))),
        "failing" => json.status(StatusCode::INTERNAL_SERVER_ERROR).body(document.to_string()),
        "moved" => json.status(StatusCode::FOUND).header(header::LOCATION, "/elsewhere").finish(),
        "hanging" => pending().await,
        _ => json.body(document.to_string()),
    }
}

#[handler]
fn token(state: Data<&Shared>, recipe: Json<Value>) -> Json<Value> {
    let state = state.lock().unwrap();
    let now = jsonwebtoken::get_current_timestamp();
    let mut claims = json!({
        "iss": state.name,
        "aud": "belvedere",
        "sub": "somebody",
        "iat": now,
        "exp": now + 3600,
    });
    extend(&mut claims, &recipe["claims"]);
    let named = |key: &&IssuerKey| recipe["key"].as_str().is_none_or(|id| id == key.id);
    let key = state.keys.iter().rfind(named).unwrap();
    Json(json!({ "token": key.sign(&claims, &recipe["header"]) }))
}

#[handler]
fn rotate(state: Data<&Shared>, change: Json<Value>) -> Json<Value> {
    let mut state = state.lock().unwrap();
    state.made += 1;
    let id = format!("key-{}", state.made);
    let key = IssuerKey::generate(&id, change["algorithm"].as_str().unwrap());
    if change["keep"] != true {
        state.keys.clear();
    }
    state.keys.push(key);
    Json(json!({ "kid": id }))
}

#[handler]
fn behave(state: Data<&Shared>, change: Json<Value>) -> Json<Value> {
    let mut state = state.lock().unwrap();
    let how = change["how"].as_str().unwrap().to_owned();
    match change["document"].as_str() {
        Some("discovery") => state.discovery = how,
        Some("jwks") => state.jwks = how,
        other => panic!("{other:?}"),
    }
    Json(json!({}))
}

#[handler]
fn asked(state: Data<&Shared>) -> Json<Value> {
    Json(json!({ "jwks": state.lock().unwrap().asked }))
}
