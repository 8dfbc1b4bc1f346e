//! The table `sessions`.

use chassis::privacy::Pii;
use sea_orm::entity::prelude::*;

/// One row of `sessions`: somebody is signed in somewhere.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// UUIDv7. No secret: it stands in access tokens.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Who is signed in.
    pub user_id: Uuid,
    /// The user's token version at login; the session has ended with any other.
    pub token_version: i64,
    /// What the client called itself at login.
    pub user_agent: Option<Pii<String>>,
    /// When it began.
    pub created_at: DateTimeUtc,
    /// When its refresh token was used last.
    pub used_at: DateTimeUtc,
    /// When it is over unless it is used before; never later than `ends_at`.
    pub expires_at: DateTimeUtc,
    /// When it is over however often it is used.
    pub ends_at: DateTimeUtc,
}

/// The user is known by id alone: a session outlives nobody, for it is asked for together with its user.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
