//! Keeps finished spans for tests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::{Context, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::telemetry::export::cut;

#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct Memory {
    spans: Arc<Mutex<Vec<SpanData>>>,
    /// Of an attribute's text, in characters.
    length: Option<usize>,
}

impl Memory {
    pub(in crate::telemetry) fn cut_at(self, length: Option<usize>) -> Self {
        Self { length, ..self }
    }

    pub(in crate::telemetry) fn finished(&self) -> Vec<SpanData> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl SpanProcessor for Memory {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        for attribute in &mut span.attributes {
            if let Value::String(text) = &attribute.value {
                let kept = cut(text.as_str(), self.length).to_owned();
                attribute.value = kept.into();
            }
        }
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
