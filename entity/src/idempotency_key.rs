//! The table `idempotency_keys`.

use chassis::privacy::Pii;
use sea_orm::entity::prelude::*;

use crate::user::PasswordHash;

/// One row of `idempotency_keys`: a request that is worked on, or that was answered.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    /// SHA-256 of the key with its scope: the key itself is not stored.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Binary(32)")]
    pub key_hash: Vec<u8>,
    /// Who works on it; another one takes over under another id.
    pub claim_id: Uuid,
    /// Tells whether a repetition has the same body, secrets aside.
    #[sea_orm(column_type = "Binary(32)")]
    pub fingerprint: Vec<u8>,
    /// PHC string of the secret in the body, if it had one.
    pub secret_hash: Option<PasswordHash>,
    /// Whom the answer tells of: when they go, it goes.
    pub subject_id: Option<Uuid>,
    /// Status of the answer; `None` while there is none.
    pub status: Option<i16>,
    /// `Location` of the answer.
    #[sea_orm(column_type = "Text", nullable)]
    pub location: Option<String>,
    /// The version that `ETag` of the answer names.
    pub version: Option<i64>,
    /// Body of the answer.
    #[sea_orm(column_type = "Text", nullable)]
    pub body: Option<Pii<String>>,
    /// When the request was claimed.
    pub created_at: DateTimeUtc,
    /// Without an answer: when others may take over. With one: when it is forgotten.
    pub expires_at: DateTimeUtc,
}

/// The subject may be of any table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
