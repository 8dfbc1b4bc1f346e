//! Keeps finished spans for tests.

use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct Memory(Arc<Mutex<Vec<SpanData>>>);

impl Memory {
    pub(in crate::telemetry) fn finished(&self) -> Vec<SpanData> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut finished = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        finished.extend(batch);
        Ok(())
    }
}
