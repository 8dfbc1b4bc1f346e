//! The days on which the database fails: what callers are told and how soon, what probes say, and how
//! the service comes back by itself. `cargo test bad_days -- --nocapture` prints the times.

mod abandoned;
mod away;
mod exhausted;
mod hanging;
mod load;
mod logins;
mod read_only;
mod starting;
mod storage;

use std::io::Write;
use std::time::{Duration, Instant};

use belvedere::settings::Settings;
use chassis::testing::{Answer, Client, Proxy, TestDatabase};

use crate::support::{App, Person, eventually};

/// `database.acquire_timeout` of these services, its default.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Callers are answered within that. Machines that run tests get some more, but far less than a request
/// may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2 + 5);
/// Probes turn within ten seconds, and the same for the machine.
const READINESS_LIMIT: Duration = Duration::from_secs(10 + 5);
/// So long that no answer in these tests is the request timeout's.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);

/// A service whose database is reached through a proxy, and a user of it.
struct Day {
    case: &'static str,
    app: App,
    proxy: Proxy,
    person: Person,
}

/// What was observed, for the table.
#[derive(Default)]
struct Times {
    answer: Option<Duration>,
    not_ready: Option<Duration>,
    recovery: Option<Duration>,
    pool: Option<Duration>,
}

impl Day {
    /// None where the tests run on SQLite: between a service and its file there is no network.
    async fn begin(case: &'static str) -> Option<Self> {
        Self::with(case, |_| {}).await
    }

    async fn with(case: &'static str, change: impl FnOnce(&mut Settings)) -> Option<Self> {
        let database = TestDatabase::create().await;
        let proxy = Proxy::before(&database).await?;
        let by_proxy = proxy.settings(&database);
        let app = App::on(database, |settings| {
            settings.database = by_proxy;
            patient(settings);
            change(settings);
        });
        let app = app.await;
        let person = app.person().await;
        Some(Self { case, app, proxy, person })
    }

    fn client(&self) -> &Client {
        &self.person.client
    }
}

impl Times {
    /// One line of the table, for who wants to see it.
    fn tell(&self, case: &str) {
        if std::env::args().any(|argument| argument == "--nocapture") {
            let seconds = |time: Option<Duration>| {
                time.map_or("-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
            };
            let [answer, not_ready, recovery, pool] =
                [self.answer, self.not_ready, self.recovery, self.pool].map(seconds);
            let line = format!(
                "| {case} | 503 after {answer} | not ready after {not_ready} \
                 | recovered after {recovery} | pool back after {pool} |\n"
            );
            std::io::stdout().write_all(line.as_bytes()).unwrap();
        }
    }
}

/// Limits that tell the answers apart.
fn patient(settings: &mut Settings) {
    settings.database.acquire_timeout = ACQUIRE_TIMEOUT;
    settings.server.request_timeout = REQUEST_TIMEOUT;
}

/// The answer is the one for a database that cannot be had, and tells nothing else.
#[track_caller]
fn is_unavailable(answer: &Answer) {
    let problem = answer.problem(503).to_string();
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    for inner in ["sql", "127.0.0.1", "read-only", "refused", "os error", "database"] {
        assert!(!problem.to_lowercase().contains(inner), "{inner} is told: {problem}");
    }
}

/// Sends it, and fails unless it is answered so, and in time; tells the time.
async fn unavailable_in_time(call: chassis::testing::Call) -> Duration {
    let asked = Instant::now();
    let answer = call.send().await;
    is_unavailable(&answer);
    let elapsed = asked.elapsed();
    assert!(elapsed < ANSWER_LIMIT, "{elapsed:?}");
    elapsed
}

/// Waits until the probe says so; tells the time since.
async fn readiness_is(client: &Client, status: u16, since: Instant) -> Duration {
    let says = async || client.get("/readyz").send().await.status.as_u16() == status;
    eventually(&format!("/readyz answers {status}"), says).await;
    let _ = client.get("/livez").send().await.expect(200);
    since.elapsed()
}

/// Waits until this is answered with success; tells the time since.
async fn answers_again(client: &Client, path: &str, since: Instant) -> Duration {
    let well = async || client.get(path).send().await.status.is_success();
    eventually("requests are answered", well).await;
    since.elapsed()
}

/// Waits until no connection is in use, as the metrics tell; tells the time since.
async fn pool_is_idle(client: &Client, since: Instant) -> Duration {
    let idle = async || pool_gauge(client, "used").await == 0;
    eventually("no connection is in use", idle).await;
    since.elapsed()
}

/// `db_client_connection_count` of this state.
async fn pool_gauge(client: &Client, state: &str) -> u64 {
    let metrics = client.get("/metrics").send().await.expect(200).text();
    let wanted = format!("db_client_connection_state=\"{state}\"");
    let mut lines = metrics.lines();
    let line = lines
        .find(|line| line.starts_with("db_client_connection_count{") && line.contains(&wanted));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}
