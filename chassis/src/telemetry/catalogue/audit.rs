//! The audit trail as others may rely on it: its lines, and its security events. They are told in
//! `telemetry::audit`.

use super::{EventRow, Field, LineRow};

pub(super) const LINES: &[LineRow] = &[
    LineRow {
        message: "log filter changed",
        level: "WARN, whatever the filter is",
        when: "an operator has set another filter; `log filter returned` when its time is up",
        fields: AUDIT_OF_FILTERS,
    },
    LineRow {
        message: "operator's endpoint refused",
        level: "WARN, whatever the filter is",
        when: "requests for one without the token, at most once a minute",
        fields: &[
            Field::always("event.name", "string", "`authz_fail`"),
            Field::always("event.outcome", "string", "`failure`"),
            Field::when("client.address", "string", "known", "who asked last"),
            Field::always("url.path", "string", "what for"),
            Field::always("count", "int", "how many since the line before"),
        ],
    },
    LineRow {
        message: "debug header accepted",
        level: "WARN, whatever the filter is",
        when: "the first request with a debug header that is valid for longer than those before",
        fields: &[
            Field::always("event.name", "string", "`authz_admin`"),
            Field::always("event.outcome", "string", "`success`"),
            Field::when("client.address", "string", "known", "who sent it"),
            Field::always("debug.id", "string", "which header"),
            Field::always("expires_at", "string", "RFC 3339"),
        ],
    },
    LineRow {
        message: "debug header refused",
        level: "WARN, whatever the filter is",
        when: "headers that are not valid, at most once a minute",
        fields: &[
            Field::always("event.name", "string", "`authz_fail`"),
            Field::always("event.outcome", "string", "`failure`"),
            Field::when("client.address", "string", "known", "who sent the last one"),
            Field::always("reason", "string", "what is wrong with the last one"),
            Field::always("count", "int", "how many since the line before"),
        ],
    },
    LineRow {
        message: "rate limit exceeded",
        level: "WARN, whatever the filter is",
        when: "clients called more often than they may, at most once a minute",
        fields: &[
            Field::always("event.name", "string", "`excess_rate_limit_exceeded`"),
            Field::always("event.outcome", "string", "`failure`"),
            Field::when("client.address", "string", "known", "who was the last one"),
            Field::always("rate_limit.policy", "string", "of which budget: `default` or `auth`"),
            Field::always("count", "int", "how many since the line before"),
        ],
    },
];

const AUDIT_OF_FILTERS: &[Field] = &[
    Field::always("event.name", "string", "`authz_admin`"),
    Field::always("event.outcome", "string", "`success`"),
    Field::when("client.address", "string", "somebody changed it", "who"),
    Field::always("log.filter.old", "string", "the filter so far"),
    Field::always("log.filter.new", "string", "the filter from now on"),
    Field::when("returns_at", "string", "for a time", "RFC 3339"),
];

pub(super) const EVENTS: &[EventRow] = &[
    EventRow {
        name: "authz_admin",
        level: "WARN",
        meaning: "an operator changed what is logged, or sent a debug header",
    },
    EventRow {
        name: "authz_fail",
        level: "WARN",
        meaning: "an attempt at an operator's endpoint, or a debug header, was refused",
    },
    EventRow {
        name: "excess_rate_limit_exceeded",
        level: "WARN",
        meaning: "a client called more often than it may",
    },
];
