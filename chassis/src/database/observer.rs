//! The one place that measures statements: span, duration, slow statements, and the count on the
//! line of the request. What a statement is called comes from `statement`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::context::FutureExt;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, sqlx};
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, debug, warn};

use super::error::{
    database_error, driver_error, error_type, is_login_refused, is_read_only, server_code,
    status_code,
};
use super::file::OpenedFile;
use super::pool::Pool;
use super::reaper::Reaper;
use super::statement::Summary;
use super::target::Target;
use super::watchdog::Watchdog;
use crate::telemetry::{Metrics, RequestScope, Telemetry};

/// `error.type` of a call that was dropped before its end, because a client left or time was up.
const CANCELLED: &str = "cancelled";

/// All that a statement's span can have, the request id included.
const ATTRIBUTES: usize = 10;

/// Measures the statements of one database. Cheap to clone.
#[derive(Clone)]
pub(super) struct Observer(Arc<Shared>);

struct Shared {
    metrics: Metrics,
    tracer: SdkTracer,
    pool: Pool,
    slow_query: Duration,
    server: Server,
    watchdog: Watchdog,
    reaper: Option<Reaper>,
    /// `None` for servers and for a database in memory.
    file: Option<OpenedFile>,
}

/// What every span says about the database, in OpenTelemetry's terms.
pub(super) struct Server {
    system_name: &'static str,
    address: Option<Arc<str>>,
    port: Option<u16>,
    namespace: Option<Arc<str>>,
}

/// A statement under way. Measured when dropped, so that a cancelled one counts too.
struct Measurement<'a> {
    shared: &'a Shared,
    summary: Summary,
    /// With the statement's span, where it has one: an unsampled request needs no children.
    context: Context,
    has_span: bool,
    started: Instant,
    error_type: Option<Cow<'static, str>>,
    status_code: Option<String>,
}

impl Observer {
    pub(super) fn new(
        telemetry: &Telemetry,
        pool: Pool,
        slow_query: Duration,
        server: Server,
        watchdog: Watchdog,
        reaper: Option<Reaper>,
        file: Option<OpenedFile>,
    ) -> Self {
        let (metrics, tracer) = (telemetry.metrics().clone(), telemetry.tracer().clone());
        Self(Arc::new(Shared { metrics, tracer, pool, slow_query, server, watchdog, reaper, file }))
    }

    pub(super) fn system_name(&self) -> &'static str {
        self.0.server.system_name
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    pub(super) fn file(&self) -> Option<&OpenedFile> {
        self.0.file.as_ref()
    }

    /// Runs one statement and records how it went.
    pub(super) async fn observe<T>(
        &self,
        summary: Summary,
        work: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let mut measurement = Measurement::start(&self.0, summary);
        let _awaited = self.0.reaper.as_ref().map(Reaper::awaited);
        let work = self.0.watchdog.guard(work);
        // SQLite's driver takes the current span along to a thread of its own and lets go of it there
        // at some later time. It tells nothing that is not told here, so it gets no subscriber and
        // sees no span. A new one each time would have `tracing` ask anew about every callsite.
        let work = work.with_subscriber(Dispatch::none());
        let context = measurement.context.clone();
        let mut result = self.0.pool.timed(work.with_context(context)).await;
        if let (Ok(_), Some(file)) = (&result, &self.0.file)
            && measurement.summary.may_write()
            && let Err(gone) = file.check().await
        {
            // SQLite writes on into a file that was deleted: nobody shall be told that it is kept.
            result = Err(DbErr::Conn(RuntimeErr::SqlxError(sqlx::Error::Io(gone).into())));
        }
        measurement.end(result.as_ref().err());
        if let Err(error) = &result {
            self.0.draw_conclusions(error);
        }
        result
    }
}

impl Server {
    pub(super) fn new(system_name: &'static str, target: &Target) -> Self {
        let address = target.address();
        Self {
            system_name,
            address: address.map(|(host, _)| host.into()),
            port: address.map(|(_, port)| port),
            namespace: target.namespace().map(Into::into),
        }
    }
}

impl<'a> Measurement<'a> {
    fn start(shared: &'a Shared, summary: Summary) -> Self {
        let (context, has_span) = shared.start_span(&summary);
        let error_type = Some(CANCELLED.into());
        let started = Instant::now();
        Self { shared, summary, context, has_span, started, error_type, status_code: None }
    }

    fn end(&mut self, error: Option<&DbErr>) {
        self.error_type = error.map(error_type);
        self.status_code = error.and_then(status_code);
        if let Some(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)) = error {
            self.shared.pool.count_timeout();
        }
    }

    fn tell(&self, elapsed: Duration) {
        debug!(
            target: "chassis::database",
            {
                db.query.summary = self.summary.span_name(),
                db.query.text = self.summary.text.as_deref(),
                duration_ms = elapsed.as_secs_f64() * 1000.0,
                error.r#type = self.error_type.as_deref(),
            },
            "database statement"
        );
    }

    fn warn_of_slowness(&self, elapsed: Duration) {
        self.shared.metrics.db_slow_queries.inc();
        warn!(
            target: "chassis::database",
            {
                db.operation.name = self.summary.operation,
                db.collection.name = self.summary.collection,
                db.query.text = self.summary.text.as_deref(),
                duration_ms = elapsed.as_secs_f64() * 1000.0,
            },
            "slow database statement"
        );
    }

    /// Says how the statement ended, and ends its span.
    fn end_span(&self) {
        let span = self.context.span();
        if let Some(error_type) = &self.error_type {
            span.set_attribute(KeyValue::new("error.type", error_type.clone()));
            span.set_status(Status::error(""));
        }
        if let Some(code) = &self.status_code {
            span.set_attribute(KeyValue::new("db.response.status_code", code.clone()));
        }
        span.end();
    }
}

impl Drop for Measurement<'_> {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let error_type = self.error_type.as_deref();
        let Summary { operation, collection, .. } = &self.summary;
        let system = self.shared.server.system_name;
        let labels = [system, operation, collection.as_str(), error_type.unwrap_or_default()];
        let durations = &self.shared.metrics.db_operation_duration;
        let (durations, seconds) = (durations.with_label_values(&labels), elapsed.as_secs_f64());
        if let Some(scope) = self.context.get::<Arc<RequestScope>>() {
            scope.record_query(elapsed);
        }
        let _attached = self.context.clone().attach();
        let exemplars = self.shared.metrics.exemplars;
        exemplars.with_current(|exemplar| durations.observe_with(seconds, exemplar));
        self.tell(elapsed);
        if elapsed >= self.shared.slow_query {
            self.warn_of_slowness(elapsed);
        }
        if self.has_span {
            self.end_span();
        }
    }
}

impl Shared {
    /// What a failed statement says about the connections that are still open.
    fn draw_conclusions(&self, error: &DbErr) {
        if is_read_only(error) {
            // After a failover the writable server may be another one at the same address.
            self.pool.session().renew();
        }
        if database_error(error).is_some_and(is_login_refused) {
            self.watchdog.doubt();
        }
        if is_broken(error) {
            // Where one connection has broken the others probably have.
            self.pool.session().suspect();
        }
    }

    /// The context for what is told of the statement. A new span is in it where the current one is
    /// recorded, and where there is none: a statement outside of a request is a trace of its own.
    fn start_span(&self, summary: &Summary) -> (Context, bool) {
        let parent = Context::current();
        let current = parent.span();
        let wanted = current.is_recording() || !current.span_context().is_valid();
        if !wanted {
            return (parent, false);
        }
        let builder = SpanBuilder::from_name(summary.span_name())
            .with_kind(SpanKind::Client)
            .with_attributes(Vec::with_capacity(ATTRIBUTES));
        let mut span = self.tracer.build_with_context(builder, &parent);
        if span.is_recording() {
            self.describe(summary, |attribute| span.set_attribute(attribute));
        }
        (parent.with_span(span), true)
    }

    fn describe(&self, summary: &Summary, mut set: impl FnMut(KeyValue)) {
        let server = &self.server;
        set(KeyValue::new("db.system.name", server.system_name));
        if let Some(namespace) = &server.namespace {
            set(KeyValue::new("db.namespace", Arc::clone(namespace)));
        }
        set(KeyValue::new("db.operation.name", summary.operation));
        if !summary.collection.is_empty() {
            set(KeyValue::new("db.collection.name", summary.collection.clone()));
        }
        if let Some(text) = &summary.text {
            set(KeyValue::new("db.query.text", Arc::clone(text)));
        }
        if let Some(address) = &server.address {
            set(KeyValue::new("server.address", Arc::clone(address)));
        }
        if let Some(port) = server.port {
            set(KeyValue::new("server.port", i64::from(port)));
        }
    }
}

/// Whether the connection has ended: broken off, by a server that shuts down (57P), or killed.
fn is_broken(error: &DbErr) -> bool {
    match driver_error(error) {
        Some(sqlx::Error::Io(_)) => true,
        Some(sqlx::Error::Database(error)) => {
            let code = server_code(error.as_ref());
            code.starts_with("57P") || ["1927", "1053"].contains(&code.as_str())
        }
        _ => false,
    }
}
