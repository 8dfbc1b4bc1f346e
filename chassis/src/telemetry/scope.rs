//! What belongs to one request and is wanted far from its handler: the request id on log lines, the
//! count of statements, the caller.
//!
//! The scope travels in OpenTelemetry's `Context`, next to the current span. `carrier` attaches that
//! context wherever the request's `tracing` span is entered, so spawned tasks and blocking threads
//! that carry their span carry the scope too.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::Context;

/// The facts of one request, gathered while it runs and told once, at its end.
#[derive(Debug)]
pub struct RequestScope {
    request_id: Arc<str>,
    debug_id: Option<String>,
    user_id: OnceLock<String>,
    db_queries: AtomicU32,
    db_nanos: AtomicU64,
    request_bytes: AtomicU64,
    replayed: AtomicBool,
}

impl RequestScope {
    /// A scope for the request with this id.
    pub fn new(request_id: Arc<str>) -> Arc<Self> {
        Self::debugged(request_id, None)
    }

    /// The same for a request with a debug header, whose id this is: all of it is logged, and its
    /// trace is exported.
    pub fn debugged(request_id: Arc<str>, debug_id: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            request_id,
            debug_id,
            user_id: OnceLock::new(),
            db_queries: AtomicU32::new(0),
            db_nanos: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            replayed: AtomicBool::new(false),
        })
    }

    /// Runs `f` with the scope of the request that the current span belongs to, if there is one.
    pub fn with_current<R>(f: impl FnOnce(Option<&Self>) -> R) -> R {
        Context::map_current(|context| f(context.get::<Arc<Self>>().map(AsRef::as_ref)))
    }

    /// The id that the caller sent or that was made for the request.
    pub fn request_id(&self) -> &Arc<str> {
        &self.request_id
    }

    /// The id of the valid debug header that the request carries.
    pub fn debug_id(&self) -> Option<&str> {
        self.debug_id.as_deref()
    }

    /// Whether the request carries a valid debug header.
    pub fn is_debug(&self) -> bool {
        self.debug_id.is_some()
    }

    /// Names the signed-in caller; the first name stays.
    pub fn set_user(&self, id: impl Into<String>) {
        // A request has one caller: a second name would be a bug upstream, not news.
        let _ = self.user_id.set(id.into());
    }

    /// The signed-in caller, once known.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.get().map(String::as_str)
    }

    /// Notes that the answer is a stored one, to a repeated `Idempotency-Key`.
    pub fn set_replayed(&self) {
        self.replayed.store(true, Ordering::Relaxed);
    }

    /// Whether the answer is a stored one.
    pub fn is_replayed(&self) -> bool {
        self.replayed.load(Ordering::Relaxed)
    }

    /// Counts one statement and the time it took, waiting for a connection included.
    pub fn record_query(&self, elapsed: Duration) {
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.db_queries.fetch_add(1, Ordering::Relaxed);
        self.db_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Statements so far, and the time they took together.
    pub fn queries(&self) -> (u32, Duration) {
        (
            self.db_queries.load(Ordering::Relaxed),
            Duration::from_nanos(self.db_nanos.load(Ordering::Relaxed)),
        )
    }

    /// Counts bytes of the request's body as they are read.
    pub fn record_request_bytes(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.request_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of the request's body that were read.
    pub fn request_bytes(&self) -> u64 {
        self.request_bytes.load(Ordering::Relaxed)
    }
}
