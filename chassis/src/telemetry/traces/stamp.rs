//! Puts the request id on every span of a request, whoever made it: the id that a caller complains
//! with finds the trace, statements and hashes included.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::Span as _;
use opentelemetry::{Context, KeyValue, StringValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::telemetry::RequestScope;

/// The key that log lines have it under.
const REQUEST_ID: &str = "request_id";

#[derive(Debug)]
pub(super) struct Stamp<P>(pub(super) P);

impl<P: SpanProcessor> SpanProcessor for Stamp<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        if let Some(scope) = context.get::<Arc<RequestScope>>() {
            let id = StringValue::from(Arc::clone(scope.request_id()));
            span.set_attribute(KeyValue::new(REQUEST_ID, id));
        }
        self.0.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}
