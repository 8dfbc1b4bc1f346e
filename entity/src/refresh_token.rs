//! The table `refresh_tokens`.

use sea_orm::entity::prelude::*;

/// One row of `refresh_tokens`: a token that keeps a session going, or that has done so.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub struct Model {
    /// SHA-256 of the token: the token itself is not stored.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Binary(32)")]
    pub token_hash: Vec<u8>,
    /// The session, which is the family of all its tokens.
    pub session_id: Uuid,
    /// When it was issued.
    pub created_at: DateTimeUtc,
    /// When it was used; a token is used once.
    pub spent_at: Option<DateTimeUtc>,
    /// The token that took its place, sealed with this one: who has only the table cannot read it.
    #[sea_orm(column_type = "Binary(32)", nullable)]
    pub successor: Option<Vec<u8>>,
}

/// Asked for through its session.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
