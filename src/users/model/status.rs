//! Whether a user may sign in. It is no part of the user's representation, which the user changes.

use belvedere_entity::user;
use chassis::http::input::Field;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use serde_json::Value;

/// Whether a user may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Status {
    /// The user may.
    Active,
    /// The user may not, and has no sessions.
    Disabled,
}

/// Whether a user may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct UserStatus {
    /// Whether the user may sign in.
    pub status: Status,
}

impl Field for Status {
    fn parse(value: Value) -> Result<Self, String> {
        match value.as_str() {
            Some("active") => Ok(Self::Active),
            Some("disabled") => Ok(Self::Disabled),
            _ => Err("must be \"active\" or \"disabled\"".to_owned()),
        }
    }
}

impl From<&user::Model> for Status {
    fn from(row: &user::Model) -> Self {
        if row.disabled_at.is_some() { Self::Disabled } else { Self::Active }
    }
}

impl Example for UserStatus {
    fn example() -> Self {
        Self { status: Status::Disabled }
    }
}
