//! Requests that are done once, however often they are sent: who works on which
//! `Idempotency-Key`, and what was answered.
//!
//! A request is claimed first, in a row of its own that all replicas see. The claim ends with the
//! transaction that does the work: what was done and what is answered are committed together or not at
//! all. A claim whose holder died is anybody's once its lease is over. Knows nothing of users but that an
//! answer may tell of somebody who can be forgotten.

use std::time::Duration;

use belvedere_entity::idempotency_key::{self as row, Column, Entity};
use belvedere_entity::user::PasswordHash;
use chassis::database::{Conflict, Database, QueryError, now, violated_constraint};
use chassis::http::idempotency::ScopedKey;
use chassis::privacy::Pii;
use chassis::problem::chain;
use chassis::recurring::Recurring;
use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, ConnectionTrait, DbErr, EntityTrait,
    IntoActiveModel, QueryFilter,
};
use uuid::Uuid;

use crate::expired;

mod claim;

pub use claim::Claim;

/// How long an answer is kept.
pub const RETENTION: Duration = Duration::from_hours(24);
/// How long others leave a claim alone, at least: much longer than a request takes, and clocks differ.
const LEASE_MIN: Duration = Duration::from_mins(1);
/// Whoever finds a key gone, claimed and gone again is in a crowd, and may as well come back.
const ROUNDS: usize = 3;
/// The primary key, as the databases name it.
const KEY_TAKEN: [&str; 2] = ["idempotency_keys_pkey", "PRIMARY"];

/// The keys that are known. Cheap to clone.
#[derive(Clone)]
pub struct Idempotency {
    database: Database,
    lease: Duration,
}

/// What is answered, and answered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Location`
    pub location: Option<String>,
    /// The version that `ETag` names.
    pub version: Option<i64>,
    /// The body, as it is sent.
    pub body: Option<Pii<String>>,
}

/// What an answer is about, stored beside it.
pub struct About<'a> {
    /// Whom it tells of; see [`forget`].
    pub subject: Uuid,
    /// The hash of the secret in the request, against which repetitions are verified.
    pub secret: Option<&'a PasswordHash>,
}

/// Where a request with a key stands.
pub enum Begun {
    /// It is the caller's to work on.
    Claimed(Claim),
    /// It was answered before.
    Answered(Stored),
}

/// An answer that was given before, to a request with the same fingerprint.
pub struct Stored {
    /// What was answered.
    pub answer: Answer,
    /// The hash of the secret in that request; the same secret makes it the same request.
    pub secret: Option<PasswordHash>,
}

/// Why a request with a key is not worked on.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Another request with this key is being worked on, or has taken this one's place.
    #[error("a request with this key is in flight")]
    InFlight,
    /// The key came with another body before.
    #[error("the key came with another body before")]
    Reused,
    /// A statement failed.
    #[error("the idempotency keys could not be reached")]
    Database(#[source] QueryError),
}

impl Idempotency {
    /// The keys in this database, for requests that are given up after `request_timeout`.
    pub fn new(database: Database, request_timeout: Duration) -> Self {
        Self { database, lease: LEASE_MIN.max(request_timeout * 3) }
    }

    /// Claims the request with this key, unless it was answered before or is in flight.
    pub async fn begin(&self, key: &ScopedKey, fingerprint: [u8; 32]) -> Result<Begun, KeyError> {
        for _ in 0..ROUNDS {
            let claimed = self.new_row(key, fingerprint);
            // From now on the row may be there, whether anybody sees it come or not.
            let claim = self.claim(&claimed);
            let insert = || Entity::insert(claimed.clone().into_active_model());
            let done = self.database.retrying(|| insert().exec_without_returning(&self.database));
            match done.await {
                Ok(_) => return Ok(Begun::Claimed(claim)),
                Err(error) if is_taken(&error) => claim.settle(),
                Err(error) => {
                    if matches!(error, DbErr::ConnectionAcquire(_)) {
                        // Nothing was sent; and an exhausted pool is not asked for more.
                        claim.settle();
                    }
                    return Err(error.into());
                }
            }
            let found = Entity::find_by_id(claimed.key_hash.clone()).one(&self.database).await?;
            // Released meanwhile, it is free again.
            let Some(found) = found else { continue };
            if found.expires_at <= now() {
                let claim = self.claim(&claimed);
                if self.take_over(&found, &claimed).await? {
                    return Ok(Begun::Claimed(claim));
                }
                claim.settle();
                continue;
            }
            return answered(found, fingerprint).map(Begun::Answered);
        }
        Err(KeyError::InFlight)
    }

    /// Forgets what has expired by then; says how many keys that were.
    pub async fn clean_up(&self, by: DateTime<Utc>) -> Result<u64, KeyError> {
        let columns = (Column::KeyHash, Column::ExpiresAt);
        Ok(expired::delete::<Entity>(&self.database, columns, by).await?)
    }

    /// Forgets what has expired every now and then, until the handle is dropped.
    pub fn clean_up_every(&self, pause: Duration) -> Recurring {
        let keys = self.clone();
        Recurring::every("delete expired idempotency keys", pause, move || {
            let keys = keys.clone();
            async move {
                match keys.clean_up(now()).await {
                    Ok(count) => tracing::debug!(count, "expired idempotency keys deleted"),
                    Err(error) => {
                        tracing::warn!(error = chain(&error), "expired idempotency keys stay");
                    }
                }
            }
        })
    }

    /// Puts this claim in the place of one whose lease is over, or of an answer that has expired; false
    /// where somebody else was faster.
    async fn take_over(&self, old: &row::Model, new: &row::Model) -> Result<bool, DbErr> {
        let columns = new.clone().into_active_model().reset_all();
        let columns = row::ActiveModel { key_hash: NotSet, ..columns };
        let update = Entity::update_many()
            .set(columns)
            .filter(Column::KeyHash.eq(old.key_hash.clone()))
            .filter(Column::ClaimId.eq(old.claim_id));
        let updated = self.database.retrying(|| update.clone().exec(&self.database)).await?;
        Ok(updated.rows_affected > 0)
    }

    fn new_row(&self, key: &ScopedKey, fingerprint: [u8; 32]) -> row::Model {
        let now = now();
        row::Model {
            key_hash: key.hash().to_vec(),
            claim_id: Uuid::now_v7(),
            fingerprint: fingerprint.to_vec(),
            secret_hash: None,
            subject_id: None,
            status: None,
            location: None,
            version: None,
            body: None,
            created_at: now,
            expires_at: now + self.lease,
        }
    }

    fn claim(&self, row: &row::Model) -> Claim {
        Claim::new(self.database.clone(), row.key_hash.clone(), row.claim_id)
    }
}

/// Forgets the answers that tell of somebody who is deleted, or whose old password is not to be kept. Their
/// keys are free again.
pub async fn forget(db: &impl ConnectionTrait, subject: Uuid) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::SubjectId.eq(subject)).exec(db).await?;
    Ok(())
}

fn answered(found: row::Model, fingerprint: [u8; 32]) -> Result<Stored, KeyError> {
    let Some(status) = found.status else {
        return Err(KeyError::InFlight);
    };
    if found.fingerprint != fingerprint {
        return Err(KeyError::Reused);
    }
    let answer = Answer {
        status: u16::try_from(status).unwrap_or_default(),
        location: found.location,
        version: found.version,
        body: found.body,
    };
    Ok(Stored { answer, secret: found.secret_hash })
}

fn is_taken(error: &DbErr) -> bool {
    violated_constraint(error).is_some_and(|name| KEY_TAKEN.contains(&name.as_str()))
}

impl Conflict for KeyError {
    fn conflict(&self) -> Option<String> {
        match self {
            Self::Database(error) => error.conflict(),
            Self::InFlight | Self::Reused => None,
        }
    }
}

impl From<DbErr> for KeyError {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}
