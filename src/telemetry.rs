//! What this service tells beyond what the chassis tells: rows for the catalogue, from which
//! `docs/telemetry.md` is made. `tests/it/contract/catalogue.rs` holds them against the truth.

use chassis::telemetry::catalogue::{Catalogue, Field, LineRow, MetricRow, SpanRow};

use crate::auth::Event;

/// Everything that this service tells.
pub fn catalogue() -> Catalogue {
    let mut catalogue = chassis::telemetry::catalogue();
    catalogue.metrics.push(PASSWORD_HASHES_OUTDATED);
    catalogue.spans.push(MIGRATION);
    catalogue.lines.push(SECURITY_EVENT);
    catalogue.lines.extend(MIGRATIONS);
    catalogue.lines.extend(EXPIRED);
    catalogue.lines.extend(PASSWORDS);
    catalogue.lines.extend(ISSUER_KEYS);
    catalogue.events.extend(Event::rows());
    catalogue
}

pub(crate) const PASSWORD_HASHES_OUTDATED: MetricRow = MetricRow::gauge(
    "password_hashes_outdated",
    "Users whose password hash has other parameters than the present ones; counted once an hour, and soon after the start.",
);

const MIGRATION: SpanRow = SpanRow {
    name: "migration",
    kind: "internal",
    when: "a step of the schema is applied or reverted",
    attributes: &[
        Field::always("migration.name", "string", "the step"),
        Field::always("migration.direction", "string", "`up` or `down`"),
        Field::when("error.type", "string", "it failed", "the database's code, or `_OTHER`"),
    ],
};

const STEP: Field = Field::always("migration.name", "string", "the step");
const DURATION: Field = Field::always("duration_ms", "double", "how long it took");

const MIGRATIONS: [LineRow; 6] = [
    LineRow {
        message: "migration applied",
        level: "INFO",
        when: "a step of the schema is applied",
        fields: &[STEP, DURATION],
    },
    LineRow {
        message: "migration reverted",
        level: "INFO",
        when: "a step of the schema is reverted",
        fields: &[STEP, DURATION],
    },
    LineRow {
        message: "migration failed",
        level: "ERROR",
        when: "a step of the schema is not applied or reverted; those before it stay",
        fields: &[
            STEP,
            DURATION,
            Field::always("error", "string", "what the database said, without values of rows"),
        ],
    },
    LineRow {
        message: "the schema is ahead of this version",
        level: "INFO",
        when: "a newer version has migrated the database, which is served all the same",
        fields: &[Field::always("migration.name", "string", "the latest step that it has made")],
    },
    LineRow {
        message: "waiting for another process that migrates",
        level: "INFO",
        when: "it has the lock, or writes to the file of SQLite; once for each wait",
        fields: &[],
    },
    LineRow {
        message: "the database has no advisory locks: let one process migrate at a time",
        level: "WARN",
        when: "it speaks PostgreSQL's protocol without them, and is migrated without a lock",
        fields: &[],
    },
];

const EXPIRED: [LineRow; 3] = [
    LineRow {
        message: "expired idempotency keys stay",
        level: "WARN",
        when: "they could not be deleted; the next round tries it again",
        fields: &[Field::always("error", "string", "what the database said")],
    },
    LineRow {
        message: "expired sessions stay",
        level: "WARN",
        when: "they could not be deleted, and are over all the same; the next round tries it again",
        fields: &[Field::always("error", "string", "what the database said")],
    },
    LineRow {
        message: "expired login failures stay",
        level: "WARN",
        when: "they could not be deleted; the next round tries it again",
        fields: &[Field::always("error", "string", "what the database said")],
    },
];

const PASSWORDS: [LineRow; 2] = [
    LineRow {
        message: "hashing may take more than half of the memory limit",
        level: "WARN",
        when: "the service starts, and its cgroup allows too little; in production it does not start",
        fields: &[
            Field::always("needed", "int", "bytes that all hashes at once take"),
            Field::always("limit", "int", "bytes that the cgroup allows"),
        ],
    },
    LineRow {
        message: "outdated password hashes were not counted",
        level: "WARN",
        when: "the database did not answer; the next round tries it again",
        fields: &[Field::always("error", "string", "what the database said")],
    },
];

const ISSUER_KEYS: [LineRow; 2] = [
    LineRow {
        message: "the keys of the issuer are known",
        level: "INFO",
        when: "they were fetched for the first time, or again after a failure",
        fields: &[Field::always("keys", "int", "how many of them can be used")],
    },
    LineRow {
        message: "the keys of the issuer cannot be fetched",
        level: "WARN",
        when: "it is away, or answers something else; once a minute while that lasts",
        fields: &[Field::always("error", "string", "what is wrong")],
    },
];

const SECURITY_EVENT: LineRow = LineRow {
    message: "security event",
    level: "INFO, WARN for a failure",
    when: "something happened that matters to security",
    fields: &[
        Field::always("event.name", "string", "see the security events below"),
        Field::always("event.outcome", "string", "`success` or `failure`"),
        Field::when(
            "event.reason",
            "string",
            "there is more to say",
            "a fixed word: `unknown_address`, `wrong_password`, `disabled`, `delayed`, `forged_token`, `ended`, `expired`, `spent`, `revoked`, `enabled`, `unlock`",
        ),
        Field::when("actor.id", "string", "signed in", "the user who did or tried it"),
        Field::when("target.id", "string", "known", "the user whom it was done to"),
    ],
};
