//! What a user is to the callers of the API: the texts, the bodies of requests, the answers.
//!
//! How a user is kept is the entity's business; which of these parts a query takes is `store`'s.

use belvedere_entity::user;
use chassis::http::input::Field;
use chassis::privacy::Pii;
use chassis::schema_type;
use chrono::{DateTime, SecondsFormat, Utc};
use poem_openapi::registry::MetaSchema;
use poem_openapi::types::{Example, ParseError, ParseFromJSON, ParseResult, ToJSON};
use poem_openapi::{Enum, Object};
use serde_json::Value;
use uuid::Uuid;

mod requests;
mod status;
mod text;

pub use requests::{NewUser, PasswordChange, RoleChange, StatusChange, UserChange, UserPatch};
pub use status::{Status, UserStatus};
pub use text::{Address, Email, Name, NewPassword, Password, PhoneNumber, Prefix};

/// Members of a user that requests may not set.
pub const READ_ONLY: &[&str] = &["id", "role", "created_at", "updated_at"];

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Role {
    /// May see and change itself.
    User,
    /// May see and change everyone.
    Admin,
}

/// A user of the directory. Passwords are never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct User {
    /// UUIDv7, given at creation.
    pub id: Uuid,
    /// What the person is called.
    #[oai(validator(max_length = 200))]
    pub name: Pii<String>,
    /// The address to sign in with; unique without regard to case.
    #[oai(validator(max_length = 254))]
    pub email: Pii<String>,
    /// E.164, or null.
    #[oai(nullable, validator(max_length = 16))]
    pub phone_number: Option<Pii<String>>,
    /// Postal address, or null.
    #[oai(nullable, validator(max_length = 500))]
    pub address: Option<Pii<String>>,
    /// What the user may do.
    pub role: Role,
    /// When the user was created.
    pub created_at: Timestamp,
    /// When the user was last changed.
    pub updated_at: Timestamp,
}

/// Some users, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct UserPage {
    /// As many as were asked for, or fewer on the last page.
    #[oai(validator(max_items = 100))]
    pub items: Vec<User>,
    /// The value of `after` for the next page; null on the last one.
    #[oai(nullable, validator(max_length = 22))]
    pub next: Option<String>,
}

/// A moment in UTC, written as RFC 3339 has it, with `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub DateTime<Utc>);

impl Role {
    /// As it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

impl Field for Role {
    fn parse(value: Value) -> Result<Self, String> {
        match value.as_str() {
            Some("user") => Ok(Self::User),
            Some("admin") => Ok(Self::Admin),
            _ => Err("must be \"user\" or \"admin\"".to_owned()),
        }
    }
}

impl From<user::Role> for Role {
    fn from(role: user::Role) -> Self {
        match role {
            user::Role::User => Self::User,
            user::Role::Admin => Self::Admin,
        }
    }
}

impl From<Role> for user::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::User => Self::User,
            Role::Admin => Self::Admin,
        }
    }
}

impl From<user::Model> for User {
    fn from(row: user::Model) -> Self {
        Self {
            id: row.id,
            name: row.name,
            email: row.email,
            phone_number: row.phone_number,
            address: row.address,
            role: row.role.into(),
            created_at: Timestamp(row.created_at),
            updated_at: Timestamp(row.updated_at),
        }
    }
}

impl Example for User {
    fn example() -> Self {
        let created = Timestamp::example();
        Self {
            id: Uuid::from_u128(0x01a1_fd8c_697b_7c1e_9d53_2b6f_0a4e_7d11),
            name: "Ada Lovelace".to_owned().into(),
            email: "ada@example.org".to_owned().into(),
            phone_number: Some("+442071838750".to_owned().into()),
            address: None,
            role: Role::User,
            created_at: created,
            updated_at: created,
        }
    }
}

impl Example for Timestamp {
    fn example() -> Self {
        Self(DateTime::from_timestamp_micros(1_795_255_200_123_456).unwrap_or_default())
    }
}

impl Example for UserPage {
    fn example() -> Self {
        Self { items: vec![User::example()], next: None }
    }
}

schema_type!(Timestamp, "string_date-time", MetaSchema::new_with_format("string", "date-time"));

impl ToJSON for Timestamp {
    fn to_json(&self) -> Option<Value> {
        // Databases keep microseconds.
        Some(self.0.to_rfc3339_opts(SecondsFormat::Micros, true).into())
    }
}

/// The derive of `Object` wants it; no request has a time.
impl ParseFromJSON for Timestamp {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let value = value.unwrap_or_default();
        let time = value.as_str().map(DateTime::parse_from_rfc3339);
        match time {
            Some(time) => Ok(Self(time.map_err(ParseError::custom)?.to_utc())),
            None => Err(ParseError::expected_type(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_user_is_written_with_nulls_and_times_in_utc() {
        let json = User::example().to_json().unwrap();
        assert_eq!(json["address"], Value::Null);
        assert_eq!(json["role"], "user");
        assert_eq!(json["created_at"], "2026-11-21T10:00:00.123456Z");
        assert_eq!(json.as_object().unwrap().len(), 8);
    }
}
