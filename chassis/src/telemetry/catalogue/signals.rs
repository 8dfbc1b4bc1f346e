//! The spans and log lines of the chassis, with what stands on them. They are made where things
//! happen; a test of the service holds these rows against what it told.

use super::{Field, LineRow, SpanRow};

pub(super) const SPANS: &[SpanRow] = &[
    SpanRow {
        name: "{http.request.method} {http.route}",
        kind: "server",
        when: "each request but the operator's; without a route the method alone, `HTTP` for an unknown one",
        attributes: SERVER,
    },
    SpanRow {
        name: "{db.operation.name} {db.collection.name}",
        kind: "client",
        when: "each database statement",
        attributes: STATEMENT,
    },
    SpanRow {
        name: "GET",
        kind: "client",
        when: "a document of another service is fetched, such as the keys of an issuer",
        attributes: FETCH,
    },
    SpanRow { name: "password hash", kind: "internal", when: "a new password", attributes: &[] },
    SpanRow {
        name: "password verify",
        kind: "internal",
        when: "a password is compared with its hash",
        attributes: &[],
    },
    SpanRow {
        name: "background task",
        kind: "internal",
        when: "the service does what recurs; its statements are below it",
        attributes: &[Field::always("task.name", "string", "what it does")],
    },
];

/// On every span of a request, whoever makes it.
pub(super) const EVERY_SPAN: &[Field] =
    &[Field::when("request_id", "string", "inside a request", "`X-Request-Id` of the answer")];

const SERVER: &[Field] = &[
    Field::always("http.request.method", "string", "the method, or `_OTHER`"),
    Field::when(
        "http.request.method_original",
        "string",
        "the method is unknown",
        "the method as sent",
    ),
    Field::when("http.route", "string", "the path has one", "template of the OpenAPI document"),
    Field::when(
        "url.path",
        "string",
        "it could be parsed",
        "the path without its query; `[redacted]` for what looks like an e-mail address or a token",
    ),
    Field::always("url.scheme", "string", "`http` or `https`, as the client sees it"),
    Field::when(
        "http.response.status_code",
        "int",
        "there was an answer",
        "status; 5xx sets the span's status to error",
    ),
    Field::when(
        "error.type",
        "string",
        "5xx, or there was no answer",
        "kind of the fault, `client_disconnected` or `drain_timeout`",
    ),
    Field::when("client.address", "string", "known", "the client behind trusted proxies"),
    Field::when("network.peer.address", "string", "known", "the other end of the connection"),
    Field::when("network.peer.port", "int", "known", "its port"),
    Field::when("network.protocol.version", "string", "it could be parsed", "`1.0`, `1.1` or `2`"),
    Field::when(
        "server.address",
        "string",
        "the client names one",
        "host of the request, also by the word of a trusted proxy",
    ),
    Field::when("server.port", "int", "the client names one", "its port"),
    Field::when("user_agent.original", "string", "sent", "`User-Agent`, redacted as the path is"),
    Field::when("debug.id", "string", "sent with a debug header", "which of them"),
];

const FETCH: &[Field] = &[
    Field::always("http.request.method", "string", "`GET`"),
    Field::when("http.response.status_code", "int", "there was an answer", "status"),
    Field::always("server.address", "string", "host of the document"),
    Field::when("server.port", "int", "the address has one", "its port"),
    Field::always("url.full", "string", "address of the document without its query"),
    Field::when(
        "error.type",
        "string",
        "there is no document",
        "`network`, `status`, `body` or `timeout`",
    ),
];

const STATEMENT: &[Field] = &[
    Field::always("db.system.name", "string", "`sqlite`, `postgresql`, `mysql` or `mariadb`"),
    Field::when("db.namespace", "string", "known", "name of the database"),
    Field::always("db.operation.name", "string", "first word of the statement, or `_OTHER`"),
    Field::when("db.collection.name", "string", "there is one", "the table"),
    Field::when(
        "db.query.text",
        "string",
        "values are sent beside it",
        "the statement with placeholders",
    ),
    Field::when(
        "db.response.status_code",
        "string",
        "the database refused",
        "its code, such as an SQLSTATE",
    ),
    Field::when("server.address", "string", "the database is a server", "its host"),
    Field::when("server.port", "int", "the database is a server", "its port"),
    Field::when("error.type", "string", "it failed", "as the label of the metric"),
];

pub(super) const EVERY_LINE: &[Field] = &[
    Field::always("timestamp", "string", "RFC 3339 in UTC, with microseconds"),
    Field::always("level", "string", "`ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`"),
    Field::always("message", "string", "what happened; the same words each time"),
    Field::always("target", "string", "the module that tells it"),
    Field::always("service.name", "string", "from the resource"),
    Field::always("service.version", "string", "from the resource"),
    Field::always("deployment.environment.name", "string", "from the resource"),
    Field::when("request_id", "string", "inside a request", "`X-Request-Id` of the answer"),
    Field::when("trace_id", "string", "inside a trace", "W3C trace id"),
    Field::when("span_id", "string", "inside a trace", "the span that tells it"),
    Field::when(
        "trace_flags",
        "string",
        "inside a trace",
        "W3C trace flags, two digits; the last bit says sampled",
    ),
];

pub(super) const LINES: &[LineRow] = &[
    LineRow {
        message: "request",
        level: "INFO, ERROR at 5xx",
        when: "the end of each request but the operator's, also when the client went away",
        fields: &[
            Field::always("http.request.method", "string", "as on the span"),
            Field::always("http.route", "string", "as on the span; empty without a route"),
            Field::when("url.path", "string", "it could be parsed", "as on the span"),
            Field::when("http.response.status_code", "int", "there was an answer", "the status"),
            Field::always("duration_ms", "double", "from the head of the request to the answer"),
            Field::when("client.address", "string", "known", "as on the span"),
            Field::when("user_agent.original", "string", "sent", "as on the span"),
            Field::when("user.id", "string", "signed in", "the caller"),
            Field::when("debug.id", "string", "sent with a debug header", "which of them"),
            Field::when(
                "idempotency.replayed",
                "bool",
                "the answer is a stored one",
                "`true`: to a repeated `Idempotency-Key`",
            ),
            Field::when("db.queries", "int", "it could be parsed", "statements of this request"),
            Field::when("db.duration_ms", "double", "it could be parsed", "their time together"),
            Field::when("error.type", "string", "5xx, or there was no answer", "as on the span"),
            Field::when("error", "string", "5xx", "the chain of causes, outermost first"),
        ],
    },
    LineRow {
        message: "slow database statement",
        level: "WARN",
        when: "a statement took longer than `database.slow_query`",
        fields: &[
            Field::always("db.operation.name", "string", "as on the span"),
            Field::always("db.collection.name", "string", "as on the span; empty without one"),
            Field::when(
                "db.query.text",
                "string",
                "values are sent beside it",
                "the statement with placeholders",
            ),
            Field::always("duration_ms", "double", "waiting for a connection included"),
        ],
    },
    LineRow {
        message: "TLS certificate changed: new connections get it",
        level: "INFO",
        when: "the files of `server.tls_cert_file` and `server.tls_key_file` were replaced",
        fields: &[Field::always("tls.server.not_after", "string", "RFC 3339: when it ends")],
    },
    LineRow {
        message: "TLS certificate cannot be replaced: the old one stays",
        level: "WARN",
        when: "they were replaced by what cannot be used, once for each time",
        fields: &[Field::always("error", "string", "the setting, and what is wrong with its file")],
    },
    LineRow {
        message: "TLS certificate needs to be renewed",
        level: "WARN",
        when: "one is taken that has expired, has less than a fifth of its life left, or is not valid yet",
        fields: &[
            Field::always("reason", "string", "which of them"),
            Field::always("tls.server.not_before", "string", "RFC 3339: when it begins"),
            Field::always("tls.server.not_after", "string", "RFC 3339: when it ends"),
        ],
    },
    LineRow {
        message: "database credentials changed: new connections use them",
        level: "INFO",
        when: "the file of a secret of `database` has another content than before",
        fields: &[Field::always("settings", "string", "the keys, separated by commas")],
    },
    LineRow {
        message: "database credentials cannot be read again",
        level: "WARN",
        when: "such a file became unusable; what was in it stays in force",
        fields: &[Field::always("error", "string", "what is wrong with it")],
    },
    LineRow {
        message: "the replica is gone: reads go to the primary",
        level: "WARN",
        when: "the database of `database.read_url` does not answer, or lacks a migration; at start too",
        fields: &[Field::always("reason", "string", "what the probe met")],
    },
    LineRow {
        message: "reads go to the replica",
        level: "INFO",
        when: "it answers, at start or again",
        fields: &[],
    },
    LineRow {
        message: "transaction given up",
        level: "WARN",
        when: "the database gave it up for another one again and again; its request is answered 503",
        fields: &[
            Field::always("db.response.status_code", "string", "the database's code"),
            Field::always("attempts", "int", "how often it was tried"),
        ],
    },
    LineRow {
        message: "Redis is gone: each replica keeps budgets of its own",
        level: "WARN",
        when: "`rate_limit.redis_url` does not answer as it should",
        fields: &[Field::always("reason", "string", "what it did instead")],
    },
    LineRow {
        message: "budgets are shared through Redis",
        level: "INFO",
        when: "it answers for the first time, or again",
        fields: &[],
    },
    LineRow {
        message: "too many clients at once: all budgets begin anew",
        level: "WARN",
        when: "more clients than a replica remembers came within one window",
        fields: &[Field::always("policy", "string", "of which budget: `default` or `auth`")],
    },
    LineRow {
        message: "abandoned statements were ended",
        level: "INFO",
        when: "clients left before theirs were done, and MariaDB went on with them",
        fields: &[Field::always("killed", "int", "how many")],
    },
    LineRow {
        message: "log lines were lost",
        level: "WARN",
        when: "an output did not take them, at most once a minute; `log lines are written again` after it",
        fields: &[
            Field::always("log.output", "string", "`stdout` or `file`"),
            Field::always("log.lines_lost", "int", "how many"),
        ],
    },
    LineRow {
        message: "spans cannot be exported",
        level: "WARN",
        when: "a collector stops taking them, and once a minute while that lasts; `log records cannot be exported` likewise, `spans are exported again` (INFO) after it",
        fields: &[
            Field::always("error", "string", "what the last attempt met"),
            Field::always("lost", "int", "how many since the line before"),
        ],
    },
    LineRow {
        message: "spans were lost",
        level: "WARN",
        when: "the queue was full, or the collector took a part; at most once a minute, `log records were lost` likewise",
        fields: &[Field::always("lost", "int", "how many since the line before")],
    },
    LineRow {
        message: "panic",
        level: "ERROR",
        when: "code panicked; its request is answered 500",
        fields: &[
            Field::when(
                "exception.message",
                "string",
                "it is a literal of the source",
                "the message",
            ),
            Field::when("code.file.path", "string", "known", "where"),
            Field::when("code.line.number", "int", "known", "where"),
            Field::when("thread.name", "string", "it has one", "on which thread"),
        ],
    },
];
