//! The right to work on a request, which others wait for until it is given back.

use std::time::Duration;

use belvedere_entity::idempotency_key::{self as row, Column, Entity};
use chassis::database::{Database, Transaction, now};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter};
use tokio::runtime::Handle;
use tokio::time::sleep;
use tracing::instrument::WithSubscriber;
use uuid::Uuid;

use super::{About, Answer, KeyError, RETENTION};

/// A statement whose client has left goes on for as long, at most; what it has written may come to light
/// only then.
const AFTERMATH: Duration = Duration::from_secs(2);

/// A request with a key that is the holder's to work on. Dropped without an answer, because the client
/// left or time was up, it is released in the background.
#[must_use = "a claim that is dropped is released"]
pub struct Claim(Option<Held>);

#[derive(Clone)]
struct Held {
    database: Database,
    key_hash: Vec<u8>,
    id: Uuid,
}

impl Claim {
    pub(super) fn new(database: Database, key_hash: Vec<u8>, id: Uuid) -> Self {
        Self(Some(Held { database, key_hash, id }))
    }

    /// Stores the answer, in the transaction that does the work. Fails where somebody else has taken the
    /// request over, whose work it then is: the transaction must be rolled back.
    pub async fn keep(
        &self,
        transaction: &Transaction,
        answer: &Answer,
        about: &About<'_>,
    ) -> Result<(), KeyError> {
        let held = self.0.as_ref().ok_or(KeyError::InFlight)?;
        let columns = row::ActiveModel {
            secret_hash: Set(about.secret.cloned()),
            subject_id: Set(Some(about.subject)),
            status: Set(i16::try_from(answer.status).ok()),
            location: Set(answer.location.clone()),
            version: Set(answer.version),
            body: Set(answer.body.clone()),
            expires_at: Set(now() + RETENTION),
            ..Default::default()
        };
        let update =
            Entity::update_many().set(columns).filter(Column::KeyHash.eq(held.key_hash.clone()));
        let update = update.filter(Column::ClaimId.eq(held.id)).exec(transaction).await?;
        if update.rows_affected == 0 { Err(KeyError::InFlight) } else { Ok(()) }
    }

    /// The answer is stored and committed: there is nothing to release.
    pub fn settle(mut self) {
        self.0 = None;
    }

    /// The work was not done: the next request with the key may do it. Where that fails, the lease runs
    /// out.
    pub async fn release(mut self) {
        if let Some(held) = &self.0 {
            held.release().await;
        }
        self.0 = None;
    }
}

impl Held {
    /// Leaves an answer alone: whoever lost the connection during a commit cannot know whether it has
    /// happened. One that is still happening holds the row, and this waits for it. False where there was
    /// nothing to release, or nobody knows.
    async fn release(&self) -> bool {
        let delete = Entity::delete_many()
            .filter(Column::KeyHash.eq(self.key_hash.clone()))
            .filter(Column::ClaimId.eq(self.id))
            .filter(Column::Status.is_null());
        let deleted: Result<_, DbErr> =
            self.database.retrying(|| delete.clone().exec(&self.database)).await;
        if deleted.is_err() {
            tracing::debug!("an idempotency key stays claimed until its lease is over");
        }
        deleted.is_ok_and(|deleted| deleted.rows_affected > 0)
    }

    /// Releases what was claimed, or is being claimed by a statement that nobody waits for any more.
    async fn release_for_good(self) {
        if !self.release().await {
            sleep(AFTERMATH).await;
            self.release().await;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(held) = self.0.take() else { return };
        // Without a runtime the process is ending; the lease runs out.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(held.release_for_good().with_current_subscriber());
    }
}
