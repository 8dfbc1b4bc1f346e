//! The one place that measures statements: span, duration, slow statements, and the count on the
//! line of the request. What a statement is called comes from `statement`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{ConnAcquireErr, DbErr};
use tracing::field::Empty;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;
use tracing::{Instrument, Span, debug, info_span, warn};

use super::error::{error_type, status_code};
use super::pool::Pool;
use super::statement::Summary;
use super::target::Target;
use crate::telemetry::{Metrics, RequestScope};

/// `error.type` of a call that was dropped before its end, because a client left or time was up.
const CANCELLED: &str = "cancelled";

/// Measures the statements of one database. Cheap to clone.
#[derive(Clone)]
pub(super) struct Observer(Arc<Shared>);

struct Shared {
    metrics: Metrics,
    pool: Pool,
    slow_query: Duration,
    server: Server,
}

/// What every span says about the database, in OpenTelemetry's terms.
pub(super) struct Server {
    system_name: &'static str,
    address: Option<String>,
    port: Option<u16>,
    namespace: Option<String>,
}

/// A statement under way. Measured when dropped, so that a cancelled one counts too.
struct Measurement<'a> {
    shared: &'a Shared,
    summary: Summary,
    span: Span,
    started: Instant,
    error_type: Option<Cow<'static, str>>,
}

impl Observer {
    pub(super) fn new(metrics: Metrics, pool: Pool, slow_query: Duration, server: Server) -> Self {
        Self(Arc::new(Shared { metrics, pool, slow_query, server }))
    }

    pub(super) fn system_name(&self) -> &'static str {
        self.0.server.system_name
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Runs one statement and records how it went.
    pub(super) async fn observe<T>(
        &self,
        summary: Summary,
        work: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let mut measurement = Measurement::start(&self.0, summary);
        let span = measurement.span.clone();
        // SQLite's driver takes the current span along to a thread of its own and lets go of it there
        // at some later time: neither the statement's span nor the request's would end before. The
        // driver tells nothing that is not told here, so it gets no subscriber and sees no span.
        let work = work.with_subscriber(NoSubscriber::default());
        let result = self.0.pool.timed(work).instrument(span).await;
        measurement.end(result.as_ref().err());
        result
    }
}

impl Server {
    pub(super) fn new(system_name: &'static str, target: &Target) -> Self {
        let address = target.address();
        Self {
            system_name,
            address: address.map(|(host, _)| host.to_owned()),
            port: address.map(|(_, port)| port),
            namespace: target.namespace().map(str::to_owned),
        }
    }
}

impl<'a> Measurement<'a> {
    fn start(shared: &'a Shared, summary: Summary) -> Self {
        let span = client_span(&shared.server, &summary);
        let error_type = Some(CANCELLED.into());
        Self { shared, summary, span, started: Instant::now(), error_type }
    }

    fn end(&mut self, error: Option<&DbErr>) {
        self.error_type = error.map(error_type);
        if let Some(code) = error.and_then(status_code) {
            self.span.record("db.response.status_code", code);
        }
        if let Some(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)) = error {
            self.shared.pool.count_timeout();
        }
    }

    fn tell(&self, elapsed: Duration) {
        self.span.in_scope(|| {
            debug!(
                target: "chassis::database",
                {
                    db.query.summary = self.summary.span_name(),
                    db.query.text = self.summary.text,
                    duration_ms = elapsed.as_secs_f64() * 1000.0,
                    error.r#type = self.error_type.as_deref(),
                },
                "database statement"
            );
        });
    }

    fn warn_of_slowness(&self, elapsed: Duration) {
        self.shared.metrics.db_slow_queries.inc();
        self.span.in_scope(|| {
            warn!(
                target: "chassis::database",
                {
                    db.operation.name = self.summary.operation,
                    db.collection.name = self.summary.collection,
                    db.query.text = self.summary.text,
                    duration_ms = elapsed.as_secs_f64() * 1000.0,
                },
                "slow database statement"
            );
        });
    }
}

impl Drop for Measurement<'_> {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let error_type = self.error_type.as_deref();
        if let Some(error_type) = error_type {
            self.span.record("error.type", error_type);
            self.span.record("otel.status_code", "ERROR");
        }
        let Summary { operation, collection, .. } = &self.summary;
        let system = self.shared.server.system_name;
        let labels = [system, operation, collection.as_str(), error_type.unwrap_or_default()];
        let durations = &self.shared.metrics.db_operation_duration;
        durations.with_label_values(&labels).observe(elapsed.as_secs_f64());
        RequestScope::with_current(|scope| {
            if let Some(scope) = scope {
                scope.record_query(elapsed);
            }
        });
        self.tell(elapsed);
        if elapsed >= self.shared.slow_query {
            self.warn_of_slowness(elapsed);
        }
    }
}

fn client_span(server: &Server, summary: &Summary) -> Span {
    info_span!(
        target: "chassis::database",
        "statement",
        otel.name = summary.span_name(),
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = server.system_name,
        db.namespace = server.namespace,
        db.operation.name = summary.operation,
        db.collection.name = Some(summary.collection.as_str()).filter(|name| !name.is_empty()),
        db.query.text = summary.text,
        db.response.status_code = Empty,
        server.address = server.address,
        server.port = server.port,
        error.type = Empty,
    )
}
