//! What the stack costs one request: an empty handler alone, and with everything around it.
//!
//! `cargo bench --bench stack`. No sockets and no database: this is the framework's share.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that cannot start has nothing to say"
)]

use chassis::http::{Site, StackSettings};
use chassis::settings::{Environ, Environment};
use chassis::telemetry::logs::LogSettings;
use chassis::telemetry::traces::TracingSettings;
use chassis::telemetry::{Identity, Telemetry};
use divan::{Bencher, black_box};
use poem::endpoint::BoxEndpoint;
use poem::{Endpoint, EndpointExt, IntoEndpoint, Request};
use poem_openapi::{OpenApi, OpenApiService, payload::PlainText};
use tokio::runtime::Runtime;
use tracing::instrument::WithSubscriber;

struct Empty;

#[OpenApi]
impl Empty {
    #[oai(path = "/empty", method = "get")]
    #[expect(clippy::unused_async, reason = "poem-openapi awaits every handler")]
    async fn empty(&self) -> PlainText<&'static str> {
        PlainText("")
    }
}

fn main() {
    divan::main();
}

/// The handler behind poem's router, nothing else.
#[divan::bench(sample_size = 200)]
fn bare(bencher: Bencher) {
    let runtime = runtime();
    let endpoint = service().into_endpoint().map_to_response().boxed();
    bencher.bench_local(|| runtime.block_on(answer(&endpoint)));
}

/// Ids, span, metrics, request line, headers, limits: all of it, with nothing exported.
#[divan::bench(sample_size = 200)]
fn everything_on(bencher: Bencher) {
    with_stack(bencher, &[]);
}

/// The same without recording spans.
#[divan::bench(sample_size = 200)]
fn without_tracing(bencher: Bencher) {
    with_stack(bencher, &[("OTEL_SDK_DISABLED", "true")]);
}

fn with_stack(bencher: Bencher, environ: &[(&str, &str)]) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let telemetry = telemetry(environ);
    let mut settings = StackSettings::default();
    // Budgets are per client and run out; counting them is what costs.
    settings.rate_limit.default = "1000000000/1m".parse().expect("a rate");
    let site = Site::new(&service().spec(), service()).unwrap();
    let endpoint = site.build(&settings, &telemetry).unwrap();
    let dispatch = telemetry.dispatch();
    bencher.bench_local(|| runtime.block_on(answer(&endpoint).with_subscriber(dispatch.clone())));
}

async fn answer(endpoint: &BoxEndpoint<'static>) {
    let request = Request::builder().uri_str("/empty").header("host", "localhost").finish();
    let response = endpoint.get_response(black_box(request)).await;
    assert!(response.is_success());
}

fn service() -> OpenApiService<Empty, ()> {
    OpenApiService::new(Empty, "bench", "0")
}

fn telemetry(environ: &[(&str, &str)]) -> Telemetry {
    let identity = Identity {
        name: "bench".to_owned(),
        version: "0".to_owned(),
        environment: Environment::Development,
    };
    let environ = environ.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let environ: Environ = environ.collect();
    Telemetry::start_into(
        std::io::sink(),
        false,
        &identity,
        &LogSettings::default(),
        &TracingSettings::default(),
        &environ,
    )
    .unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
