//! The variables that exist once for each signal, with the defaults of each. Where two names stand,
//! the first is for this signal alone and the second for all.

use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_INSECURE, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TIMEOUT,
};

/// What the variables of one signal are called, and what they are worth when they are not set.
pub(super) struct Names {
    /// The path of the signal below a shared endpoint, OTLP's protocol/exporter.
    pub(super) path: &'static str,
    pub(super) exporter: &'static str,
    pub(super) protocol: [&'static str; 2],
    pub(super) endpoint: [&'static str; 2],
    pub(super) insecure: [&'static str; 2],
    pub(super) headers: [&'static str; 2],
    pub(super) timeout: [&'static str; 2],
    pub(super) compression: [&'static str; 2],
    pub(super) certificate: [&'static str; 2],
    pub(super) client_certificate: [&'static str; 2],
    pub(super) client_key: [&'static str; 2],
    pub(super) schedule_delay: &'static str,
    pub(super) queue_size: &'static str,
    pub(super) batch_size: &'static str,
    pub(super) export_timeout: &'static str,
    pub(super) attribute_count: [&'static str; 2],
    pub(super) attribute_length: [&'static str; 2],
    pub(super) default_delay_ms: u64,
    pub(super) default_queue_size: usize,
}

macro_rules! names {
    ($signal:literal, $path:literal, $processor:literal, $item:literal, $delay:literal, $queue:literal) => {
        Names {
            path: $path,
            exporter: concat!("OTEL_", $signal, "_EXPORTER"),
            protocol: [own!($signal, "PROTOCOL"), OTEL_EXPORTER_OTLP_PROTOCOL],
            endpoint: [own!($signal, "ENDPOINT"), OTEL_EXPORTER_OTLP_ENDPOINT],
            insecure: [own!($signal, "INSECURE"), OTEL_EXPORTER_OTLP_INSECURE],
            headers: [own!($signal, "HEADERS"), OTEL_EXPORTER_OTLP_HEADERS],
            timeout: [own!($signal, "TIMEOUT"), OTEL_EXPORTER_OTLP_TIMEOUT],
            compression: [own!($signal, "COMPRESSION"), OTEL_EXPORTER_OTLP_COMPRESSION],
            certificate: [own!($signal, "CERTIFICATE"), "OTEL_EXPORTER_OTLP_CERTIFICATE"],
            client_certificate: [
                own!($signal, "CLIENT_CERTIFICATE"),
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            ],
            client_key: [own!($signal, "CLIENT_KEY"), "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
            schedule_delay: concat!("OTEL_", $processor, "_SCHEDULE_DELAY"),
            queue_size: concat!("OTEL_", $processor, "_MAX_QUEUE_SIZE"),
            batch_size: concat!("OTEL_", $processor, "_MAX_EXPORT_BATCH_SIZE"),
            export_timeout: concat!("OTEL_", $processor, "_EXPORT_TIMEOUT"),
            attribute_count: [
                concat!("OTEL_", $item, "_ATTRIBUTE_COUNT_LIMIT"),
                "OTEL_ATTRIBUTE_COUNT_LIMIT",
            ],
            attribute_length: [
                concat!("OTEL_", $item, "_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
                "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            ],
            default_delay_ms: $delay,
            default_queue_size: $queue,
        }
    };
}

/// opentelemetry-otlp has the names of a signal only together with a transport of its own.
macro_rules! own {
    ($signal:literal, $suffix:literal) => {
        concat!("OTEL_EXPORTER_OTLP_", $signal, "_", $suffix)
    };
}

/// Delays are the specification's. Its queues of 2,048 lose half of the spans at 10,000 requests per
/// second; ours bridge more than a second of them. `export::queue` says what memory that takes.
pub(super) const TRACES: Names = names!("TRACES", "/v1/traces", "BSP", "SPAN", 5_000, 32_768);
pub(super) const LOGS: Names = names!("LOGS", "/v1/logs", "BLRP", "LOGRECORD", 1_000, 16_384);
