//! Using a refresh token: it is spent for its successor, in one transaction with what that changes.

use belvedere_entity::refresh_token::{self, Column, Entity};
use belvedere_entity::{session, user};
use chassis::database::{Transaction, now};
use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, TransactionSession};

use super::{RefreshToken, Sessions, add_token, ending};

/// Whoever lost the race for a token finds it spent the next time.
const ROUNDS: usize = 3;

/// What became of a refresh token.
pub enum Renewal {
    /// The session goes on.
    Renewed(Box<Renewed>),
    /// There is no session with this token, or none any more.
    Unknown,
    /// The session is over: it was not used for too long, or it has lasted long enough.
    Expired(session::Model),
    /// The token was spent before, by the client or by somebody else: the session has ended.
    Reused(session::Model),
    /// What the session began with no longer holds, and it has ended: another password or role, or the
    /// user may not sign in.
    Revoked(session::Model),
}

/// A session that goes on.
pub struct Renewed {
    /// The session.
    pub session: session::Model,
    /// Who is signed in.
    pub user: user::Model,
    /// The token to go on with.
    pub token: RefreshToken,
    /// Whether it was issued before, to a request that was sent side by side with this one.
    pub again: bool,
}

/// A token with its session and its user, as they are stored.
struct Found {
    token: refresh_token::Model,
    session: session::Model,
    user: Option<user::Model>,
}

impl Sessions {
    /// Spends the token for `next`. Side by side, all who use the same token get the same successor:
    /// exactly one lives.
    pub async fn renew(&self, token: &RefreshToken, next: &RefreshToken) -> Result<Renewal, DbErr> {
        // Whoever makes tokens up must not get at the locks of a transaction.
        if Entity::find_by_id(token.hash().to_vec()).one(&self.database).await?.is_none() {
            return Ok(Renewal::Unknown);
        }
        for _ in 0..ROUNDS {
            if let Some(renewal) = self.database.retrying(|| self.attempt(token, next)).await? {
                return Ok(renewal);
            }
        }
        Ok(Renewal::Unknown)
    }

    /// `None` where another request has spent the token since it was read.
    async fn attempt(
        &self,
        token: &RefreshToken,
        next: &RefreshToken,
    ) -> Result<Option<Renewal>, DbErr> {
        let transaction = self.database.begin_write().await?;
        let Some(found) = find(&transaction, token).await? else {
            return Ok(Some(Renewal::Unknown));
        };
        let now = now();
        let Found { token: row, session, user } = found;
        let holds = |user: &user::Model| {
            user.token_version == session.token_version && user.disabled_at.is_none()
        };
        let Some(user) = user.filter(holds) else {
            return self.ended(transaction, session, Renewal::Revoked).await;
        };
        if session.expires_at <= now {
            return self.ended(transaction, session, Renewal::Expired).await;
        }
        if row.spent_at.is_some() {
            return match self.successor(&transaction, token, &row, now).await? {
                Some(token) => {
                    let again = true;
                    Ok(Some(Renewal::Renewed(Box::new(Renewed { session, user, token, again }))))
                }
                None => self.ended(transaction, session, Renewal::Reused).await,
            };
        }
        let Some(session) = self.spend(&transaction, token, next, session, now).await? else {
            return Ok(None);
        };
        transaction.commit().await?;
        let renewed = Renewed { session, user, token: next.clone(), again: false };
        Ok(Some(Renewal::Renewed(Box::new(renewed))))
    }

    /// Puts `next` in the place of `token`; `None` where somebody else was faster.
    async fn spend(
        &self,
        transaction: &Transaction,
        token: &RefreshToken,
        next: &RefreshToken,
        session: session::Model,
        now: DateTime<Utc>,
    ) -> Result<Option<session::Model>, DbErr> {
        let expires_at = session.ends_at.min(now + self.lifetimes.idle);
        let used = session::ActiveModel {
            used_at: Set(now),
            expires_at: Set(expires_at),
            ..Default::default()
        };
        // The session comes first everywhere, so that nobody waits for each other.
        let alive = session::Entity::update_many()
            .set(used)
            .filter(session::Column::Id.eq(session.id))
            // One that was ended meanwhile must not come to life again.
            .filter(session::Column::ExpiresAt.gt(now))
            .exec(transaction)
            .await?;
        let spent = refresh_token::ActiveModel {
            spent_at: Set(Some(now)),
            successor: Set(Some(token.seal(next).to_vec())),
            ..Default::default()
        };
        let update = Entity::update_many()
            .set(spent)
            .filter(Column::TokenHash.eq(token.hash().to_vec()))
            .filter(Column::SpentAt.is_null());
        let spent = update.exec(transaction).await?;
        if alive.rows_affected == 0 || spent.rows_affected == 0 {
            return Ok(None);
        }
        add_token(transaction, next, session.id, now).await?;
        Ok(Some(session::Model { used_at: now, expires_at, ..session }))
    }

    /// The token that was issued for a spent one, as long as whoever spent it may not have got it.
    async fn successor(
        &self,
        transaction: &Transaction,
        token: &RefreshToken,
        row: &refresh_token::Model,
        now: DateTime<Utc>,
    ) -> Result<Option<RefreshToken>, DbErr> {
        let recent = row.spent_at.is_some_and(|spent| now < spent + self.lifetimes.grace);
        let successor = row.successor.as_deref().and_then(|sealed| token.unseal(sealed));
        let Some(successor) = successor.filter(|_| recent) else { return Ok(None) };
        let next = Entity::find_by_id(successor.hash().to_vec()).one(transaction).await?;
        Ok(next.filter(|next| next.spent_at.is_none()).map(|_| successor))
    }

    async fn ended(
        &self,
        transaction: Transaction,
        session: session::Model,
        why: impl FnOnce(session::Model) -> Renewal,
    ) -> Result<Option<Renewal>, DbErr> {
        ending().filter(session::Column::Id.eq(session.id)).exec(&transaction).await?;
        transaction.commit().await?;
        Ok(Some(why(session)))
    }
}

async fn find(transaction: &Transaction, token: &RefreshToken) -> Result<Option<Found>, DbErr> {
    let row = Entity::find_by_id(token.hash().to_vec()).one(transaction).await?;
    let Some(token) = row else { return Ok(None) };
    let session = session::Entity::find_by_id(token.session_id).one(transaction).await?;
    let Some(session) = session else { return Ok(None) };
    let user = user::Entity::find_by_id(session.user_id).one(transaction).await?;
    Ok(Some(Found { token, session, user }))
}
