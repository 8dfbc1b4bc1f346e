//! The table `login_failures`.

use sea_orm::entity::prelude::*;

/// One row of `login_failures`: how often a password was guessed wrong in a row, from anywhere or from one
/// network that has guessed it right before.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "login_failures")]
pub struct Model {
    /// SHA-256 of the account and the network; neither is stored.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Binary(32)")]
    pub key_hash: Vec<u8>,
    /// SHA-256 of the account, whether there is such a user or not.
    #[sea_orm(column_type = "Binary(32)")]
    pub account_hash: Vec<u8>,
    /// The latest attempt: who wants to count another one must know it.
    pub attempt_id: Uuid,
    /// Attempts since the last right password, those under way included.
    pub failures: i32,
    /// When the next attempt is allowed.
    pub open_at: DateTimeUtc,
    /// When the row is as good as gone.
    pub expires_at: DateTimeUtc,
}

/// The account may be nobody's.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
