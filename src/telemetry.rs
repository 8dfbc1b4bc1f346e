//! What this service tells beyond what the chassis tells: rows for the catalogue, from which
//! `docs/telemetry.md` is made. `tests/it/contract/catalogue.rs` holds them against the truth.

use chassis::telemetry::catalogue::{Catalogue, Field, LineRow, SpanRow};

use crate::auth::Event;

/// Everything that this service tells.
pub fn catalogue() -> Catalogue {
    let mut catalogue = chassis::telemetry::catalogue();
    catalogue.spans.push(MIGRATION);
    catalogue.lines.push(SECURITY_EVENT);
    catalogue.events.extend(Event::rows());
    catalogue
}

const MIGRATION: SpanRow = SpanRow {
    name: "migration",
    kind: "internal",
    when: "a step of the schema is applied or reverted",
    attributes: &[
        Field::always("migration.name", "string", "the step"),
        Field::always("migration.direction", "string", "`up` or `down`"),
    ],
};

const SECURITY_EVENT: LineRow = LineRow {
    message: "security event",
    level: "INFO, WARN for a failure",
    when: "something happened that matters to security",
    fields: &[
        Field::always("event.name", "string", "see the security events below"),
        Field::always("event.outcome", "string", "`success` or `failure`"),
        Field::when("actor.id", "string", "signed in", "the user who did or tried it"),
        Field::when("target.id", "string", "known", "the user whom it was done to"),
    ],
};
