//! The table `identities`.

use std::fmt;

use chassis::privacy::Pii;
use sea_orm::entity::prelude::*;

/// One row of `identities`: whom an outside issuer means by one of its subjects.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "identities")]
pub struct Model {
    /// SHA-256 of issuer and subject: compared by its bytes, whatever a database does with texts.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Binary(32)")]
    pub key_hash: Vec<u8>,
    /// `iss` of the tokens.
    pub issuer: String,
    /// `sub` of the tokens, for people who look for it.
    pub subject: Pii<String>,
    /// The user; when it goes, this goes.
    pub user_id: Uuid,
    /// When the two were linked.
    pub created_at: DateTimeUtc,
}

/// What an identity refers to.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The user that it is of.
    #[sea_orm(
        belongs_to = "crate::user::Entity",
        from = "Column::UserId",
        to = "crate::user::Column::Id",
        on_delete = "Cascade"
    )]
    User,
}

/// Tells whose it is, and nothing of what the issuer calls them.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

impl ActiveModelBehavior for ActiveModel {}
