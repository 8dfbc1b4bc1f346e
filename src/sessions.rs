//! Who is signed in: sessions, and the refresh tokens that keep them going (RFC 9700, section 4.14).
//!
//! A session is the family of all its refresh tokens, each of which is used once. One that is used again
//! was stolen, or its thief was faster: nobody can tell, so the whole family ends. What ends a user's
//! sessions is a change of its token version, in the transaction of that change; the sessions end with it.
//! Knows nothing of passwords and of access tokens.

use std::time::Duration;

use belvedere_entity::session::{self, Column, Entity};
use belvedere_entity::{refresh_token, user};
use chassis::database::{Database, Transaction, now};
use chassis::privacy::Pii;
use chassis::problem::chain;
use chassis::recurring::Recurring;
use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, TransactionSession, UpdateMany,
};
use uuid::Uuid;

mod renewal;
mod token;

pub use renewal::{Renewal, Renewed};
pub use token::RefreshToken;

/// More than anybody's devices; whoever logs in once more loses the session that was used longest ago.
const PER_USER: u64 = 100;
/// What people know their devices by stands in the beginning; as long as its column.
const USER_AGENT_MAX: usize = 200;
/// As many rows as one statement deletes without being in the way of others.
const BATCH: u64 = 500;

/// How long sessions last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// A session that is not used for so long is over.
    pub idle: Duration,
    /// A session is over after so long, however it is used.
    pub absolute: Duration,
    /// A refresh token may come once more for so long, from requests that were sent side by side, as
    /// long as its successor is not used.
    pub grace: Duration,
}

/// The sessions of a directory. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    database: Database,
    lifetimes: Lifetimes,
}

/// A session that was ended by one of its tokens.
pub struct EndedBy {
    /// The session.
    pub session: session::Model,
    /// Whether the token had been spent before, so that somebody else may have it.
    pub reused: bool,
}

impl Sessions {
    /// The sessions in this database.
    pub fn new(database: Database, lifetimes: Lifetimes) -> Self {
        Self { database, lifetimes }
    }

    /// Signs the user in that `row` was read for, on a client that calls itself `agent`. The session goes
    /// on with `token`, which the client alone is given.
    pub async fn start(
        &self,
        row: &user::Model,
        agent: Option<&str>,
        token: &RefreshToken,
    ) -> Result<session::Model, DbErr> {
        let now = now();
        let ends_at = now + self.lifetimes.absolute;
        let session = session::Model {
            id: Uuid::now_v7(),
            user_id: row.id,
            token_version: row.token_version,
            user_agent: agent.map(beginning),
            created_at: now,
            used_at: now,
            expires_at: ends_at.min(now + self.lifetimes.idle),
            ends_at,
        };
        let store = || async {
            let transaction = self.database.begin_write().await?;
            let insert = Entity::insert(session.clone().into_active_model());
            insert.exec_without_returning(&transaction).await?;
            add_token(&transaction, token, session.id, now).await?;
            end_surplus(&transaction, row.id).await?;
            transaction.commit().await
        };
        self.database.retrying(store).await?;
        Ok(session)
    }

    /// The sessions that the user can go on with, last used first.
    pub async fn list(&self, row: &user::Model) -> Result<Vec<session::Model>, DbErr> {
        let alive = Entity::find()
            .filter(Column::UserId.eq(row.id))
            .filter(Column::TokenVersion.eq(row.token_version))
            .filter(Column::ExpiresAt.gt(now()));
        let latest = alive.order_by_desc(Column::UsedAt).order_by_desc(Column::Id);
        latest.limit(PER_USER).all(&self.database).await
    }

    /// Ends a session of this user; false where there is none with this id.
    pub async fn end(&self, user: Uuid, id: Uuid) -> Result<bool, DbErr> {
        let own = || ending().filter(Column::UserId.eq(user)).filter(Column::Id.eq(id));
        let ended = self.database.retrying(|| own().exec(&self.database)).await?;
        Ok(ended.rows_affected > 0)
    }

    /// Ends the session that this token is of, spent or not; `None` where there is none, or none any more.
    pub async fn end_of(&self, token: &RefreshToken) -> Result<Option<EndedBy>, DbErr> {
        let found = refresh_token::Entity::find_by_id(token.hash().to_vec());
        let Some(found) = found.one(&self.database).await? else { return Ok(None) };
        let session = Entity::find_by_id(found.session_id).one(&self.database).await?;
        let Some(session) = session else { return Ok(None) };
        let is_late = |spent| now() >= spent + self.lifetimes.grace;
        let reused = found.spent_at.is_some_and(is_late);
        let ended = self.end(session.user_id, session.id).await?;
        Ok(ended.then_some(EndedBy { session, reused }))
    }

    /// Deletes what has expired by then; says how many sessions that were. A session may have thousands of
    /// tokens, so those go first, in portions.
    pub async fn clean_up(&self, by: DateTime<Utc>) -> Result<u64, DbErr> {
        let mut deleted = 0;
        loop {
            let expired = Entity::find().select_only().column(Column::Id);
            let expired = expired.filter(Column::ExpiresAt.lte(by));
            let oldest = expired.order_by_asc(Column::ExpiresAt).limit(BATCH);
            let ids: Vec<Uuid> = oldest.into_tuple().all(&self.database).await?;
            if ids.is_empty() {
                return Ok(deleted);
            }
            while self.delete_tokens(&ids).await? > 0 {}
            let delete = Entity::delete_many().filter(Column::Id.is_in(ids));
            let delete = delete.filter(Column::ExpiresAt.lte(by));
            let sessions = self.database.retrying(|| delete.clone().exec(&self.database)).await?;
            deleted += sessions.rows_affected;
        }
    }

    /// Deletes what has expired every now and then, until the handle is dropped.
    pub fn clean_up_every(&self, pause: Duration) -> Recurring {
        let sessions = self.clone();
        Recurring::every("delete expired sessions", pause, move || {
            let sessions = sessions.clone();
            async move {
                match sessions.clean_up(now()).await {
                    Ok(count) => tracing::debug!(count, "expired sessions deleted"),
                    Err(error) => tracing::warn!(error = chain(&error), "expired sessions stay"),
                }
            }
        })
    }

    async fn delete_tokens(&self, sessions: &[Uuid]) -> Result<u64, DbErr> {
        use refresh_token::{Column, Entity};
        let some = Entity::find().select_only().column(Column::TokenHash);
        let some = some.filter(Column::SessionId.is_in(sessions.iter().copied())).limit(BATCH);
        let hashes: Vec<Vec<u8>> = some.into_tuple().all(&self.database).await?;
        if hashes.is_empty() {
            return Ok(0);
        }
        let delete = Entity::delete_many().filter(Column::TokenHash.is_in(hashes));
        let deleted = self.database.retrying(|| delete.clone().exec(&self.database)).await?;
        Ok(deleted.rows_affected)
    }
}

/// Ends every session of a user, whose token version must change in the same transaction: a login that is
/// under way would otherwise begin one with what no longer holds.
pub async fn end_all(db: &impl ConnectionTrait, user: Uuid) -> Result<(), DbErr> {
    ending().filter(Column::UserId.eq(user)).exec(db).await?;
    Ok(())
}

async fn end_surplus(db: &impl ConnectionTrait, user: Uuid) -> Result<(), DbErr> {
    let surplus = Entity::find().select_only().column(Column::Id).filter(Column::UserId.eq(user));
    let surplus = surplus.filter(Column::ExpiresAt.gt(now()));
    let surplus = surplus.order_by_desc(Column::UsedAt).order_by_desc(Column::Id);
    let ids: Vec<Uuid> = surplus.offset(PER_USER).limit(BATCH).into_tuple().all(db).await?;
    if !ids.is_empty() {
        ending().filter(Column::Id.is_in(ids)).exec(db).await?;
    }
    Ok(())
}

/// Ends sessions that live: one row each, however many tokens they had. What is left of them is deleted in
/// the background.
fn ending() -> UpdateMany<Entity> {
    let now = now();
    let ended = session::ActiveModel { expires_at: Set(now), ..Default::default() };
    Entity::update_many().set(ended).filter(Column::ExpiresAt.gt(now))
}

async fn add_token(
    transaction: &Transaction,
    token: &RefreshToken,
    session_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = refresh_token::Model {
        token_hash: token.hash().to_vec(),
        session_id,
        created_at: now,
        spent_at: None,
        successor: None,
    };
    let insert = refresh_token::Entity::insert(row.into_active_model());
    insert.exec_without_returning(transaction).await?;
    Ok(())
}

fn beginning(agent: &str) -> Pii<String> {
    Pii::new(agent.chars().take(USER_AGENT_MAX).collect())
}
