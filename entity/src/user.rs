//! The table `users`.

use std::fmt;

use chassis::privacy::Pii;
use sea_orm::entity::prelude::*;

/// One row of `users`.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// UUIDv7, so that the order of ids is the order of creation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The name as given.
    pub name: Pii<String>,
    /// The name in lower case, to search by its start.
    pub name_key: Pii<String>,
    /// The address as given.
    pub email: Pii<String>,
    /// The address in lower case: two users differ in it.
    pub email_key: Pii<String>,
    /// E.164.
    pub phone_number: Option<Pii<String>>,
    /// Free text.
    #[sea_orm(column_type = "Text", nullable)]
    pub address: Option<Pii<String>>,
    /// What the user may do.
    pub role: Role,
    /// PHC string of the password.
    pub password_hash: PasswordHash,
    /// Grows with every change; the entity tag is made of it.
    pub version: i64,
    /// Grows when every token of the user ends.
    pub token_version: i64,
    /// Since when the user may not sign in; `None` where it may.
    pub disabled_at: Option<DateTimeUtc>,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// When the row was changed last.
    pub updated_at: DateTimeUtc,
}

/// Users refer to nothing.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

/// Tells which row this is, and nothing personal.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("id", &self.id)
            .field("role", &self.role)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// What a user may do.
#[derive(Copy, Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))")]
pub enum Role {
    /// See and change oneself.
    #[sea_orm(string_value = "user")]
    User,
    /// See and change everyone.
    #[sea_orm(string_value = "admin")]
    Admin,
}

/// The PHC string of a password. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, DeriveValueType)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes the string as it is.
    pub fn new(phc: impl Into<String>) -> Self {
        Self(phc.into())
    }

    /// The string, for verifying a password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{IntoActiveModel, Set};

    use super::*;

    #[test]
    fn no_debug_output_shows_a_password_hash() {
        let hash = PasswordHash::new("$argon2id$canary");
        let active = ActiveModel { password_hash: Set(hash.clone()), ..Default::default() };
        assert!(!format!("{hash:?} {active:?}").contains("canary"));
    }

    #[test]
    fn no_debug_output_of_a_row_shows_a_person() {
        let text = || Pii::new("canary".to_owned());
        let row = Model {
            id: Uuid::nil(),
            name: text(),
            name_key: text(),
            email: text(),
            email_key: text(),
            phone_number: Some(text()),
            address: Some(text()),
            role: Role::User,
            password_hash: PasswordHash::new("canary"),
            version: 1,
            token_version: 1,
            disabled_at: None,
            created_at: DateTimeUtc::UNIX_EPOCH,
            updated_at: DateTimeUtc::UNIX_EPOCH,
        };
        assert!(!format!("{row:?} {:?}", row.clone().into_active_model()).contains("canary"));
    }
}
