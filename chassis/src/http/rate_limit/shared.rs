//! Budgets that replicas share, kept in Redis. Nothing waits for a Redis that is gone: after the first
//! failure everyone goes on with budgets of their own, and one task looks for it in the background.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisResult, Script};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::instrument::WithSubscriber;
use tracing::{info, warn};

use super::Decision;
use crate::http::client_address::ClientKey;
use crate::http::quota::Rate;
use crate::jitter::jittered;
use crate::telemetry::{Metrics, Telemetry};

/// Redis answers within a millisecond; this is long enough for a fork or a resend, and what the first
/// requests of an outage lose.
const PATIENCE: Duration = Duration::from_millis(100);
/// Connecting has TLS and a login in it, and nobody waits for it.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// The first attempt after a failure is made at once. Pauses between further ones double up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(3);
/// A connection that did not hold as long is no reason to be quick again.
const HELD: Duration = Duration::from_secs(10);
/// Bytes of a client's hash: two clients of a billion share one by a chance of 1 to 10^20.
const HASH_BYTES: usize = 16;
/// What the probe's key is counted by; it is gone after a second.
const PROBE: Rate = Rate::per_minute(60);

/// The budgets in Redis; their task ends when this is dropped.
pub(super) struct SharedBudgets {
    state: Arc<State>,
    keeper: JoinHandle<()>,
}

struct State {
    client: Client,
    script: Script,
    prefix: String,
    hashing: hmac::Key,
    link: watch::Sender<Link>,
    doubted: Notify,
    metrics: Metrics,
}

/// Whether Redis can be asked.
#[derive(Clone)]
enum Link {
    Up { connection: MultiplexedConnection, number: u64 },
    Down { reason: String },
}

impl SharedBudgets {
    /// Connects in the background, on the current runtime.
    pub(super) fn start(url: &str, prefix: &str, telemetry: &Telemetry) -> RedisResult<Self> {
        let client = client(url)?;
        let login = client.get_connection_info().redis_settings();
        // Addresses are few, so a bare hash of one is soon found out. Whoever reads a dump of Redis, or
        // its keys, does not know its password.
        let hashing = hmac::Key::new(hmac::HMAC_SHA256, login.password().unwrap_or("").as_bytes());
        let (link, _) = watch::channel(Link::Down { reason: "not connected yet".to_owned() });
        let state = Arc::new(State {
            script: Script::new(include_str!("gcra.lua")),
            prefix: prefix.to_owned(),
            hashing,
            link,
            doubted: Notify::new(),
            metrics: telemetry.metrics().clone(),
            client,
        });
        let keeper = Arc::clone(&state).keep_connected();
        let keeper = tokio::spawn(keeper.with_subscriber(telemetry.dispatch()));
        Ok(Self { state, keeper })
    }

    /// Takes one request out of the client's budget; `None` while there is no Redis.
    pub(super) async fn decide(
        &self,
        policy: &str,
        rate: Rate,
        key: ClientKey,
    ) -> Option<Decision> {
        let state = &self.state;
        let mut link = state.link.subscribe();
        let (connection, number) = match &*link.borrow_and_update() {
            Link::Up { connection, number } => (connection.clone(), *number),
            Link::Down { .. } => return None,
        };
        let asked = state.ask(connection, state.key_of(policy, key), rate);
        tokio::select! {
            biased;
            answer = asked => match answer {
                Ok(decision) => Some(decision),
                Err(reason) => {
                    state.doubt(number, reason);
                    None
                }
            },
            // Others have found out meanwhile.
            _ = link.changed() => None,
        }
    }
}

impl Drop for SharedBudgets {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl State {
    /// Connects, waits until somebody doubts the connection, and begins again.
    async fn keep_connected(self: Arc<Self>) {
        let mut pause = Duration::ZERO;
        let mut is_told = false;
        for number in 0.. {
            if let Link::Down { reason } = &*self.link.borrow()
                && number > 0
                && !is_told
            {
                warn!(reason, "Redis is gone: each replica keeps budgets of its own");
                is_told = true;
            }
            tokio::time::sleep(jittered(pause, 0.5..1.0)).await;
            match self.connect().await {
                Ok(connection) => {
                    info!("budgets are shared through Redis");
                    is_told = false;
                    let since = Instant::now();
                    self.set(Link::Up { connection, number });
                    self.doubted.notified().await;
                    if since.elapsed() > HELD {
                        pause = Duration::ZERO;
                        continue;
                    }
                }
                Err(reason) => self.set(Link::Down { reason }),
            }
            pause = (pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
        }
    }

    /// A connection on which a decision has been made: a Redis that only reads, or whose rules forbid
    /// scripts, is of no use.
    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(CONNECT_PATIENCE));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let connection = timeout(CONNECT_PATIENCE, connecting).await;
        let connection = connection
            .map_err(|_| "no connection in time".to_owned())
            .and_then(|connected| connected.map_err(|error| error.to_string()));
        let probed = match connection {
            Ok(connection) => {
                let probe = format!("{}:probe", self.prefix);
                self.ask(connection.clone(), probe, PROBE).await.map(|_| connection)
            }
            Err(reason) => Err(reason),
        };
        probed.inspect_err(|_| self.count_error("connect"))
    }

    async fn ask(
        &self,
        mut connection: MultiplexedConnection,
        key: String,
        rate: Rate,
    ) -> Result<Decision, String> {
        let period = u64::try_from(rate.period().as_micros()).unwrap_or(u64::MAX).max(1);
        let mut call = self.script.key(key);
        call.arg(period).arg(rate.count);
        let answer = timeout(PATIENCE, call.invoke_async(&mut connection)).await;
        let (allowed, micros): (bool, i64) = answer
            .map_err(|_| "no answer in time".to_owned())?
            .map_err(|error| error.to_string())?;
        // The library would take a negative number for a large one.
        let micros = u64::try_from(micros).map_err(|_| "an answer of no sense".to_owned())?;
        let reset = Duration::from_micros(micros);
        let spent = u32::try_from(micros.div_ceil(period)).unwrap_or(u32::MAX);
        let remaining = if allowed { rate.count.saturating_sub(spent) } else { 0 };
        Ok(Decision { allowed, remaining, reset })
    }

    /// This connection failed. Only the first to say so ends it, and never one that came after it.
    fn doubt(&self, failed: u64, reason: String) {
        self.count_error("decide");
        let ended = self.link.send_if_modified(|link| match link {
            Link::Up { number, .. } if *number == failed => {
                *link = Link::Down { reason };
                true
            }
            _ => false,
        });
        if ended {
            self.metrics.rate_limit_store_in_use.set(0);
            self.doubted.notify_one();
        }
    }

    fn count_error(&self, operation: &str) {
        self.metrics.rate_limit_store_errors.with_label_values(&[operation]).inc();
    }

    fn set(&self, link: Link) {
        self.metrics.rate_limit_store_in_use.set(matches!(link, Link::Up { .. }).into());
        self.link.send_replace(link);
    }

    /// Addresses are personal data, and Redis may be looked at by others.
    fn key_of(&self, policy: &str, client: ClientKey) -> String {
        let hash = match client.address() {
            Some(IpAddr::V4(v4)) => hmac::sign(&self.hashing, &v4.octets()),
            Some(IpAddr::V6(v6)) => hmac::sign(&self.hashing, &v6.octets()),
            None => hmac::sign(&self.hashing, &[]),
        };
        let hash = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..HASH_BYTES]);
        format!("{}:{policy}:{hash}", self.prefix)
    }
}

/// A client for this URL, which is not told by the error.
pub(super) fn client(url: &str) -> RedisResult<Client> {
    let info = url.into_connection_info()?;
    // What is said of the library is one more command that an access list would have to allow.
    let login = info.redis_settings().clone().set_skip_set_lib_name();
    Client::open(info.set_redis_settings(login))
}
