//! opentelemetry-otlp as the reference for what is sent: its exporters, with a client that keeps the
//! request, and values to export that look random and are the same in every run. For tests alone.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{LogExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{LogBatch, LogExporter as _};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prost::Message;

/// It is never asked for; no request leaves.
const ENDPOINT: &str = "http://localhost";

/// Keeps the body of the last request and says that all is well.
#[derive(Clone, Debug, Default)]
struct Keeper(Arc<Mutex<Bytes>>);

/// Marsaglia's xorshift64.
pub(in crate::telemetry) struct Dice(u64);

#[async_trait]
impl HttpClient for Keeper {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        *self.0.lock().unwrap() = request.into_body();
        Ok(Response::new(Bytes::new()))
    }
}

impl Keeper {
    fn message<T: Message + Default>(&self) -> T {
        T::decode(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// What the reference sends of spans.
pub(super) fn spans(resource: &Resource, spans: Vec<SpanData>) -> ExportTraceServiceRequest {
    let kept = Keeper::default();
    let exporter = SpanExporter::builder().with_http().with_http_client(kept.clone());
    let exporter = exporter.with_endpoint(ENDPOINT).with_protocol(Protocol::HttpBinary);
    let mut exporter = exporter.build().unwrap();
    exporter.set_resource(resource);
    exporter.export(spans).now_or_never().unwrap().unwrap();
    kept.message()
}

/// What the reference sends of log records.
pub(in crate::telemetry) fn logs(records: LogBatch<'_>) -> ExportLogsServiceRequest {
    let kept = Keeper::default();
    let exporter = LogExporter::builder().with_http().with_http_client(kept.clone());
    let exporter = exporter.with_endpoint(ENDPOINT).with_protocol(Protocol::HttpBinary);
    let exporter = exporter.build().unwrap();
    exporter.export(records).now_or_never().unwrap().unwrap();
    kept.message()
}

impl Dice {
    pub(in crate::telemetry) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(in crate::telemetry) fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(in crate::telemetry) fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        let at = self.number() % choices.len() as u64;
        choices[usize::try_from(at).unwrap()].clone()
    }

    pub(in crate::telemetry) fn flag(&mut self) -> bool {
        self.one_of(&[true, false])
    }

    /// Also the ends of varints of every length.
    pub(in crate::telemetry) fn int(&mut self) -> i64 {
        let any = self.number().cast_signed();
        self.one_of(&[0, 1, -1, 127, 128, 16_383, 16_384, i64::MAX, i64::MIN, any, any >> 20])
    }

    pub(in crate::telemetry) fn float(&mut self) -> f64 {
        let any = f64::from_bits(self.number());
        let special = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE];
        if self.flag() { any } else { self.one_of(&special) }
    }

    /// Also those whose length takes two bytes.
    pub(in crate::telemetry) fn text(&mut self) -> String {
        let length = self.one_of(&[0, 1, 2, 10, 63, 127, 128, 129, 300]);
        let characters = ['a', 'Z', '"', '\\', '\0', '\n', '\u{2028}', 'é', '€', '😀'];
        (0..length).map(|_| self.one_of(&characters)).collect()
    }

    /// Up to three of what `make` makes.
    pub(in crate::telemetry) fn some<T>(&mut self, make: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..self.number() % 4).map(|_| make(self)).collect()
    }
}
