//! An attempt at a password that is being made, and how it ends.

use std::time::Duration;

use belvedere_entity::login_failure::{self as row, Column, Entity};
use chassis::database::Database;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};
use tokio::runtime::Handle;
use tokio::time::sleep;
use tracing::instrument::WithSubscriber;
use uuid::Uuid;

use super::{Attempts, Guessed, LONGEST_DELAY, Reached, delay, now};

/// A statement that nobody waits for any more goes on for as long, at most.
const AFTERMATH: Duration = Duration::from_secs(2);

/// An attempt that is counted as a failure until it is told otherwise. Dropped without a verdict, because
/// the client left or time was up, it is taken back in the background: nobody has learnt anything.
#[must_use = "an attempt that is dropped does not count"]
pub struct Attempt(Option<Held>);

#[derive(Clone)]
pub(super) struct Held {
    database: Database,
    known_for: Duration,
    guessed: Guessed,
    row: row::Model,
}

impl Attempt {
    pub(super) fn holding(held: Held) -> Self {
        Self(Some(held))
    }

    /// It has not been counted.
    pub(super) fn forget(mut self) {
        self.0 = None;
    }

    /// The password was right: its failures are forgotten, and the network is known from now on. What
    /// strangers have failed stays counted when the network was known before.
    pub async fn succeeded(mut self) -> Result<(), DbErr> {
        if let Some(held) = &self.0 {
            held.succeeded().await?;
        }
        self.0 = None;
        Ok(())
    }

    /// The password was not looked at: the attempt does not count. Where that cannot be stored, it does.
    pub async fn undo(mut self) {
        if let Some(held) = &self.0 {
            held.undo().await;
        }
        self.0 = None;
    }

    /// The password was wrong.
    pub fn failed(mut self) -> Option<Reached> {
        let failures = self.0.take()?.row.failures;
        let (before, now) = (delay(failures - 1), delay(failures));
        match (before.is_zero(), now == LONGEST_DELAY) {
            (true, _) if !now.is_zero() => Some(Reached::Delay),
            (_, true) if before < now => Some(Reached::LongestDelay),
            _ => None,
        }
    }
}

impl Held {
    pub(super) fn new(attempts: &Attempts, guessed: Guessed, row: row::Model) -> Self {
        let Attempts { database, known_for } = attempts.clone();
        Self { database, known_for, guessed, row }
    }

    async fn succeeded(&self) -> Result<(), DbErr> {
        let (db, shared) = (&self.database, self.guessed.shared.to_vec());
        if let Some(own) = self.guessed.own {
            db.retrying(|| self.know(own).exec_without_returning(db)).await?;
        }
        if self.row.key_hash == shared {
            db.retrying(|| Entity::delete_by_id(shared.clone()).exec(db)).await?;
        }
        Ok(())
    }

    /// False where there was nothing to take back, or nobody knows.
    async fn undo(&self) -> bool {
        let update = Entity::update_many()
            .col_expr(Column::Failures, Expr::value(self.row.failures - 1))
            .col_expr(Column::OpenAt, Expr::value(now()))
            .filter(Column::KeyHash.eq(self.row.key_hash.clone()))
            .filter(Column::AttemptId.eq(self.row.attempt_id));
        let undone = self.database.retrying(|| update.clone().exec(&self.database)).await;
        if undone.is_err() {
            tracing::debug!("an attempt that was not made stays counted");
        }
        undone.is_ok_and(|undone| undone.rows_affected > 0)
    }

    /// Takes back what was counted, or is being counted by a statement that nobody waits for any more.
    async fn undo_for_good(self) {
        if !self.undo().await {
            sleep(AFTERMATH).await;
            self.undo().await;
        }
    }

    fn know(&self, own: [u8; 32]) -> sea_orm::Insert<row::ActiveModel> {
        let now = now();
        let known = row::Model {
            key_hash: own.to_vec(),
            attempt_id: Uuid::now_v7(),
            failures: 0,
            open_at: now,
            expires_at: now + self.known_for,
            ..self.row.clone()
        };
        let renewed = [Column::AttemptId, Column::Failures, Column::OpenAt, Column::ExpiresAt];
        Entity::insert(known.into_active_model())
            .on_conflict(OnConflict::column(Column::KeyHash).update_columns(renewed).to_owned())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some(held) = self.0.take() else { return };
        // Without a runtime the process is ending; the failure stays counted.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(held.undo_for_good().with_current_subscriber());
    }
}
