//! OpenTelemetry's environment variables that are honoured. A test of `otel_environment`, which reads
//! them, holds this table against what it asks for.

/// One meaning, and the variables that have it.
#[derive(Clone, Copy, Debug)]
pub struct VariableRow {
    /// What they are called: the one for all signals, then those for one signal, which beat it.
    pub names: &'static [&'static str],
    /// What they may be.
    pub values: &'static str,
    /// What holds where none is set.
    pub default: &'static str,
    /// What they say.
    pub meaning: &'static str,
}

const fn row(
    names: &'static [&'static str],
    values: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> VariableRow {
    VariableRow { names, values, default, meaning }
}

pub(in crate::telemetry) const VARIABLES: &[VariableRow] = &[
    row(
        &["OTEL_SDK_DISABLED"],
        "`true`, `false`",
        "`false`",
        "nothing is sampled or exported; requests keep their ids, and a caller's trace is continued",
    ),
    row(
        &["OTEL_SERVICE_NAME"],
        "text",
        "the service's own name",
        "`service.name`; beats the next one",
    ),
    row(
        &["OTEL_RESOURCE_ATTRIBUTES"],
        "`key=value,…`, values percent-encoded",
        "none",
        "attributes of the resource: of all spans and log records, and labels of `target_info`; lines have those that every line has",
    ),
    row(
        &["OTEL_PROPAGATORS"],
        "`tracecontext`, `baggage`, `none`, separated by commas",
        "`tracecontext`",
        "whether a caller's `traceparent` is read; baggage is not, though its name is known",
    ),
    row(
        &["OTEL_TRACES_SAMPLER"],
        "`always_on`, `always_off`, `traceidratio`, each also with `parentbased_` before it",
        "`parentbased_always_on`",
        "which traces are sampled",
    ),
    row(&["OTEL_TRACES_SAMPLER_ARG"], "0 to 1", "1", "the share that `traceidratio` samples"),
    row(
        &["OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER"],
        "`otlp`, `console`, `none`",
        "`otlp`",
        "where the signal goes; by `otlp` nowhere until it has an endpoint",
    ),
    row(
        &[
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        ],
        "URL; for gRPC also `host:port`",
        "none: nothing is exported",
        "the collector; over HTTP the first is a base that `/v1/traces` and `/v1/logs` are added to, the others are used as they are",
    ),
    row(
        &[
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
        ],
        "`grpc`, `http/protobuf`",
        "`http/protobuf`",
        "how it is spoken to",
    ),
    row(
        &[
            "OTEL_EXPORTER_OTLP_INSECURE",
            "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
            "OTEL_EXPORTER_OTLP_LOGS_INSECURE",
        ],
        "`true`, `false`",
        "`false`",
        "whether gRPC goes without TLS where the endpoint has no scheme",
    ),
    row(
        &[
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
        ],
        "`key=value,…`, values percent-encoded",
        "none",
        "headers that are sent along, such as credentials",
    ),
    row(
        &[
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
        ],
        "milliseconds from 1",
        "10000",
        "the longest that a batch is tried, retries included",
    ),
    row(
        &[
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
        ],
        "`gzip`, `none`",
        "`none`",
        "how what is sent is compressed",
    ),
    row(
        &[
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
        ],
        "path of a PEM file",
        "Mozilla's roots, built in",
        "whom to trust",
    ),
    row(
        &[
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
        ],
        "path of a PEM file",
        "none",
        "the certificate to show, together with its key",
    ),
    row(
        &[
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
            "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
        ],
        "path of a PEM file",
        "none",
        "the key of that certificate",
    ),
    row(
        &["OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY"],
        "milliseconds",
        "5000 and 1000",
        "the longest that a span or log record waits for others",
    ),
    row(
        &["OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BLRP_MAX_QUEUE_SIZE"],
        "a number from 1",
        "32768 and 16384",
        "how many may wait; further ones are dropped and counted",
    ),
    row(
        &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"],
        "a number from 1",
        "512",
        "how many are sent together",
    ),
    row(
        &["OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BLRP_EXPORT_TIMEOUT"],
        "milliseconds from 1",
        "that of OTLP",
        "as `OTEL_EXPORTER_OTLP_TIMEOUT`; the shorter one counts",
    ),
    row(
        &[
            "OTEL_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
        ],
        "a number",
        "128",
        "attributes of a span or log record; further ones are left out",
    ),
    row(
        &[
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        ],
        "a number",
        "none",
        "characters of a value; longer ones are cut",
    ),
    row(
        &["OTEL_METRICS_EXEMPLAR_FILTER"],
        "`trace_based`, `always_on`, `always_off`",
        "`trace_based`",
        "which requests may become an exemplar",
    ),
    row(
        &["OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"],
        "up to 32 methods, separated by commas; case matters",
        "`CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,TRACE`",
        "the methods that spans, metrics and lines name, in place of the default; any other is `_OTHER`",
    ),
];
