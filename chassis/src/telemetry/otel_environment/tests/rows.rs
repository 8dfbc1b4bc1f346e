//! A row for each variable, for both signals: what it is worth.

use super::*;

const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
const METHODS: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";
const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");

/// Whether and where to the signals are exported.
pub(super) const WHERE: &[Row] = &[
    (&[], exporters, "None | None", &[]),
    (
        &[BASE],
        exporters,
        "http/protobuf to http://collector:4318/v1/traces | http/protobuf to http://collector:4318/v1/logs",
        &[],
    ),
    (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], exporters, "None | None", &[]),
    (
        &[BASE, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://other/x")],
        exporters,
        "http/protobuf to https://other/x | http/protobuf to http://collector:4318/v1/logs",
        &[],
    ),
    (
        &[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://other/x")],
        exporters,
        "None | http/protobuf to https://other/x",
        &[],
    ),
    (
        &[BASE, ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "ftp://other")],
        exporters,
        "http/protobuf to http://collector:4318/v1/traces | http/protobuf to http://collector:4318/v1/logs",
        &["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"],
    ),
    (
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "s3cret:4317")],
        exporters,
        "None | None",
        &["OTEL_EXPORTER_OTLP_ENDPOINT"],
    ),
    (
        &[BASE, ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC")],
        exporters,
        "grpc to http://collector:4318/ | grpc to http://collector:4318/",
        &[],
    ),
    (
        &[BASE, GRPC, ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "HTTP/Protobuf")],
        exporters,
        "grpc to http://collector:4318/ | http/protobuf to http://collector:4318/v1/logs",
        &[],
    ),
    (
        &[BASE, GRPC, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")],
        exporters,
        "grpc to http://collector:4318/ | grpc to http://collector:4318/",
        &["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"],
    ),
    (
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"), GRPC],
        exporters,
        "grpc to https://collector:4317 | grpc to https://collector:4317",
        &[],
    ),
    (
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            GRPC,
            ("OTEL_EXPORTER_OTLP_INSECURE", "True"),
            ("OTEL_EXPORTER_OTLP_LOGS_INSECURE", "false"),
        ],
        exporters,
        "grpc to http://collector:4317 | grpc to https://collector:4317",
        &[],
    ),
    (
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:1"),
            GRPC,
            ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "1"),
        ],
        exporters,
        "grpc to https://c:1 | grpc to https://c:1",
        &["OTEL_EXPORTER_OTLP_TRACES_INSECURE"],
    ),
    (
        &[BASE, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "Console")],
        exporters,
        "None | Console",
        &[],
    ),
    (
        &[("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_LOGS_EXPORTER", "otlp")],
        exporters,
        "None | None",
        &["OTEL_TRACES_EXPORTER"],
    ),
    (&[BASE, ("OTEL_SDK_DISABLED", "TRUE")], exporters, "None | None", &[]),
    (
        &[("OTEL_SDK_DISABLED", "true"), ("OTEL_LOGS_EXPORTER", "console")],
        exporters,
        "None | None",
        &[],
    ),
    (&[("OTEL_SDK_DISABLED", "s3cret")], exporters, "None | None", &["OTEL_SDK_DISABLED"]),
];

/// How, and in which portions.
pub(super) const HOW: &[Row] = &[
    (
        &[
            ("OTEL_EXPORTER_OTLP_HEADERS", "X-Team=a%20b, authorization=Bearer%20x"),
            ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-team=logs"),
        ],
        headers,
        r#""authorization=Bearer x,x-team=a b" | "x-team=logs""#,
        &[],
    ),
    (
        &[("OTEL_EXPORTER_OTLP_HEADERS", "a=1,s3cret"), ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "")],
        headers,
        r#""a=1" | "a=1""#,
        &["OTEL_EXPORTER_OTLP_HEADERS"],
    ),
    (
        &[("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=s3cret%zz")],
        headers,
        r#""" | """#,
        &["OTEL_EXPORTER_OTLP_TRACES_HEADERS"],
    ),
    (&[], timeouts, "10000 | 10000", &[]),
    (
        &[("OTEL_EXPORTER_OTLP_TIMEOUT", "7000"), ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "2000")],
        timeouts,
        "7000 | 2000",
        &[],
    ),
    (
        &[("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "s3cret"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "7000")],
        timeouts,
        "7000 | 7000",
        &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"],
    ),
    (
        &[("OTEL_BSP_EXPORT_TIMEOUT", "500"), ("OTEL_BLRP_EXPORT_TIMEOUT", "30000")],
        timeouts,
        "500 | 10000",
        &[],
    ),
    (
        &[("OTEL_BLRP_EXPORT_TIMEOUT", "0")],
        timeouts,
        "10000 | 10000",
        &["OTEL_BLRP_EXPORT_TIMEOUT"],
    ),
    (
        &[
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
        ],
        gzip,
        "false | true",
        &[],
    ),
    (
        &[("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "zstd")],
        gzip,
        "false | false",
        &["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION"],
    ),
    (
        &[
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/logs.pem"),
        ],
        certificates,
        r#""/ca.pem" | "/logs.pem""#,
        &[],
    ),
    (
        &[
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k.pem"),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/t.pem"),
        ],
        clients,
        r#"Some(["/c.pem", "/t.pem"]) | Some(["/c.pem", "/k.pem"])"#,
        &[],
    ),
    (
        &[("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c.pem")],
        clients,
        "None | None",
        &["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
    ),
    (&[], batches, "5000 32768 512 | 1000 16384 512", &[]),
    (
        &[
            ("OTEL_BSP_SCHEDULE_DELAY", "0"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "250"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "1000"),
            ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "10"),
        ],
        batches,
        "1 100 100 | 250 1000 10",
        &[],
    ),
    (
        &[
            ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1"),
        ],
        batches,
        "5000 32768 512 | 1000 16384 512",
        &["OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
    ),
];

/// What of it, and in whose name.
pub(super) const WHAT: &[Row] = &[
    (&[], limits, "(128, None) | (128, None)", &[]),
    (
        &[
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "9"),
            ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "8"),
            ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "7"),
            ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "6"),
        ],
        limits,
        "(7, Some(6)) | (9, Some(8))",
        &[],
    ),
    (
        &[
            ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "5"),
            ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "long"),
        ],
        limits,
        "(128, None) | (5, None)",
        &["OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT"],
    ),
    (&[], sampler, "ParentBased(AlwaysOn)", &[]),
    (&[("OTEL_TRACES_SAMPLER", "Always_Off")], sampler, "AlwaysOff", &[]),
    (
        &[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.25")],
        sampler,
        "ParentBased(TraceIdRatioBased(0.25))",
        &[],
    ),
    (
        &[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")],
        sampler,
        "TraceIdRatioBased(1.0)",
        &["OTEL_TRACES_SAMPLER_ARG"],
    ),
    (
        &[("OTEL_TRACES_SAMPLER", "xray")],
        sampler,
        "ParentBased(AlwaysOn)",
        &["OTEL_TRACES_SAMPLER"],
    ),
    (&[("OTEL_SDK_DISABLED", "true")], sampler, "AlwaysOff", &[]),
    (&[("OTEL_PROPAGATORS", "baggage, TraceContext")], trace_context, "true", &[]),
    (&[("OTEL_PROPAGATORS", "none")], trace_context, "false", &[]),
    (&[("OTEL_PROPAGATORS", "b3")], trace_context, "false", &["OTEL_PROPAGATORS"]),
    (&[], methods, "GET PATCH", &[]),
    (&[(METHODS, "GET, PURGE")], methods, "GET PURGE", &[]),
    (&[(METHODS, "get")], methods, "get", &[]),
    (&[(METHODS, ",")], methods, "GET PATCH", &[METHODS]),
    (&[(METHODS, "GET,NO METHOD")], methods, "GET PATCH", &[METHODS]),
    (
        &[("OTEL_SERVICE_NAME", "n"), ("OTEL_RESOURCE_ATTRIBUTES", "a=1%2C2, b=%C3%A9=,")],
        resource,
        r#"Some("n") a=1,2 b=é="#,
        &[],
    ),
    (
        &[("OTEL_RESOURCE_ATTRIBUTES", "a=1,s3cret")],
        resource,
        "None ",
        &["OTEL_RESOURCE_ATTRIBUTES"],
    ),
];
