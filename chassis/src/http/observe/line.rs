//! The one line that tells the outcome of a request.

use tracing::field;

use super::{Outcome, Story, millis};

/// Writes it within the request's context, so that it has the ids.
pub(super) fn write(story: &Story, outcome: &Outcome<'_>) {
    let _attached = story.context.clone().attach();
    let exchange = &story.exchange;
    let (queries, db_elapsed) = story.scope.queries();
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "chassis::http",
                { http.request.method = &*exchange.method,
                  http.route = exchange.route_template(),
                  url.path = &*exchange.told_path(),
                  http.response.status_code = outcome.status.map(|status| status.as_u16()),
                  duration_ms = millis(outcome.elapsed),
                  client.address = exchange.client.address.map(field::display),
                  user_agent.original = exchange.told_user_agent().as_deref(),
                  user.id = story.scope.user_id(),
                  debug.id = story.scope.debug_id(),
                  idempotency.replayed = story.scope.is_replayed().then_some(true),
                  db.queries = queries,
                  db.duration_ms = millis(db_elapsed),
                  "error.type" = outcome.error_type,
                  error = outcome.causes },
                "request"
            )
        };
    }
    match outcome.status {
        Some(status) if status.is_server_error() => line!(error),
        _ => line!(info),
    }
}
