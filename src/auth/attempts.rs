//! Guesses at passwords, counted per account in the database, so that all replicas count together.
//!
//! An attempt is counted before the password is looked at, and forgotten when it was right: however many
//! guess at once, no more are let through than would be one after the other. After [`FREE`] wrong ones in
//! a row each further attempt has to wait, twice as long each time, at most [`LONGEST_DELAY`]: never for
//! good. An address that nobody has is counted like any other. A network from which the account was logged
//! in to has a count of its own for a while, so that strangers who guess do not keep the owner waiting.

use std::time::Duration;

use aws_lc_rs::digest;
use belvedere_entity::login_failure::{self as row, Column, Entity};
use chassis::database::{Database, now, violated_constraint};
use chassis::problem::chain;
use chassis::recurring::Recurring;
use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};
use uuid::Uuid;

use crate::expired;

mod attempt;

pub use attempt::Attempt;
use attempt::Held;

/// People mistype, and several programs may share an account: so many wrong passwords cost no waiting.
pub const FREE: i32 = 10;
/// After that many, the next attempt has to wait for so long; then twice as long, and so on.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// No attempt waits for longer. It leaves 96 guesses a day, at passwords that are not guessed in millions.
pub const LONGEST_DELAY: Duration = Duration::from_mins(15);
/// Nobody has guessed for so long: the count begins anew.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);
/// A network stays known for so much longer than the session that began there: who signs in anew after
/// that is no stranger.
const KNOWN_AFTER_SESSION: Duration = Duration::from_hours(60 * 24);
/// Whoever loses against as many others in a row may as well wait.
const ROUNDS: i32 = 2 * FREE;
/// The primary key, as the databases name it.
const KEY_TAKEN: [&str; 2] = ["login_failures_pkey", "PRIMARY"];

/// Counts attempts in this database. Cheap to clone.
#[derive(Clone)]
pub struct Attempts {
    database: Database,
    /// A network counts by itself for so long after a login from there.
    known_for: Duration,
}

/// Whose password is guessed at, and from where.
#[derive(Clone, Copy)]
pub struct Guessed {
    account: [u8; 32],
    /// The count of all networks that are not known.
    shared: [u8; 32],
    /// The count of the caller's network, once it is known.
    own: Option<[u8; 32]>,
}

/// Whether a password may be looked at.
pub enum Begun {
    /// It may; tell the attempt how it ended.
    Allowed(Box<Attempt>),
    /// Not before so long, whatever the password.
    Delayed(Duration),
}

/// What a further failure has brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// From now on attempts have to wait.
    Delay,
    /// The wait does not grow any more.
    LongestDelay,
}

impl Guessed {
    /// A login with this address, in whatever case it is written, from this network.
    pub fn login(address: &str, network: Option<&str>) -> Self {
        let account = address.to_ascii_lowercase();
        let own = network.map(|network| hash(&["login", &account, network]));
        let shared = hash(&["login", &account]);
        Self { account: shared, shared, own }
    }

    /// The proof for a new password: who holds a token need not know the password.
    pub fn proof(user: Uuid) -> Self {
        let shared = hash(&["proof", &user.to_string()]);
        Self { account: shared, shared, own: None }
    }
}

impl Attempts {
    /// Attempts on the users in this database.
    pub fn new(database: Database) -> Self {
        Self { database, known_for: KNOWN_AFTER_SESSION }
    }

    /// The same where sessions last for so long.
    #[must_use]
    pub fn with_sessions_of(self, session_ttl: Duration) -> Self {
        Self { known_for: session_ttl.saturating_add(KNOWN_AFTER_SESSION), ..self }
    }

    /// Counts an attempt, or says how long the next one has to wait. The statements are the same for an
    /// account that does not exist.
    pub async fn begin(&self, guessed: Guessed) -> Result<Begun, DbErr> {
        for _ in 0..ROUNDS {
            let keys = [Some(guessed.shared), guessed.own].into_iter().flatten();
            let keys = keys.map(|key| key.to_vec());
            let rows =
                Entity::find().filter(Column::KeyHash.is_in(keys)).all(&self.database).await?;
            let now = now();
            let fresh =
                |key: [u8; 32]| rows.iter().find(|row| row.key_hash == key && row.expires_at > now);
            let own = guessed.own.and_then(fresh);
            let current = own.or_else(|| fresh(guessed.shared));
            let wait = current.map(|row| row.open_at - now).and_then(|wait| wait.to_std().ok());
            if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
                return Ok(Begun::Delayed(wait));
            }
            let next = next(&guessed, own, current, now);
            let stored = rows.iter().find(|row| row.key_hash == next.key_hash);
            // Held before it is stored: whoever leaves meanwhile must not leave a failure behind.
            let held = Held::new(self, guessed, next.clone());
            let attempt = Attempt::holding(held);
            if self.put(stored, &next).await? {
                return Ok(Begun::Allowed(Box::new(attempt)));
            }
            attempt.forget();
        }
        Ok(Begun::Delayed(FIRST_DELAY))
    }

    /// Lets the next attempts on a user's password through at once. Networks that are known stay so.
    pub async fn unlock(&self, address: &str, user: Uuid) -> Result<(), DbErr> {
        let update = Entity::update_many()
            .col_expr(Column::Failures, Expr::value(0))
            .col_expr(Column::AttemptId, Expr::value(Uuid::now_v7()))
            .col_expr(Column::OpenAt, Expr::value(now()))
            .filter(Column::AccountHash.is_in(accounts(address, user)));
        self.database.retrying(|| update.clone().exec(&self.database)).await?;
        Ok(())
    }

    /// Forgets what has expired by then; says how many counts that were.
    pub async fn clean_up(&self, by: DateTime<Utc>) -> Result<u64, DbErr> {
        expired::delete::<Entity>(&self.database, (Column::KeyHash, Column::ExpiresAt), by).await
    }

    /// Forgets what has expired every now and then, until the handle is dropped.
    pub fn clean_up_every(&self, pause: Duration) -> Recurring {
        let attempts = self.clone();
        Recurring::every("delete expired login failures", pause, move || {
            let attempts = attempts.clone();
            async move {
                match attempts.clean_up(now()).await {
                    Ok(count) => tracing::debug!(count, "expired login failures deleted"),
                    Err(error) => {
                        tracing::warn!(error = chain(&error), "expired login failures stay");
                    }
                }
            }
        })
    }

    /// Puts a count in the place of the stored one; false where another attempt was faster.
    async fn put(&self, stored: Option<&row::Model>, next: &row::Model) -> Result<bool, DbErr> {
        let db = &self.database;
        let columns = next.clone().into_active_model();
        let Some(stored) = stored else {
            let insert = || Entity::insert(columns.clone()).exec_without_returning(db);
            return match db.retrying(insert).await {
                Ok(_) => Ok(true),
                Err(error) if is_taken(&error) => Ok(false),
                Err(error) => Err(error),
            };
        };
        let update = Entity::update_many()
            .col_expr(Column::AttemptId, Expr::value(next.attempt_id))
            .col_expr(Column::Failures, Expr::value(next.failures))
            .col_expr(Column::OpenAt, Expr::value(next.open_at))
            .col_expr(Column::ExpiresAt, Expr::value(next.expires_at))
            .filter(Column::KeyHash.eq(stored.key_hash.clone()))
            .filter(Column::AttemptId.eq(stored.attempt_id));
        Ok(db.retrying(|| update.clone().exec(db)).await?.rows_affected > 0)
    }
}

/// Forgets what was counted of a user who is deleted.
pub async fn forget(db: &impl ConnectionTrait, address: &str, user: Uuid) -> Result<(), DbErr> {
    let rows = Entity::delete_many().filter(Column::AccountHash.is_in(accounts(address, user)));
    rows.exec(db).await?;
    Ok(())
}

/// Whatever is counted of a user.
fn accounts(address: &str, user: Uuid) -> [Vec<u8>; 2] {
    [Guessed::login(address, None), Guessed::proof(user)].map(|guessed| guessed.account.to_vec())
}

/// The count with one failure more: the network's own where it is known, else the shared one.
fn next(
    guessed: &Guessed,
    own: Option<&row::Model>,
    current: Option<&row::Model>,
    now: DateTime<Utc>,
) -> row::Model {
    // The row of a known network is kept for longer than what was guessed there.
    let lately = current.filter(|row| row.open_at + FORGOTTEN_AFTER > now);
    let failures = lately.map_or(0, |row| row.failures).saturating_add(1);
    let key = own.map_or(guessed.shared.to_vec(), |own| own.key_hash.clone());
    let forgotten = now + FORGOTTEN_AFTER;
    row::Model {
        key_hash: key,
        account_hash: guessed.account.to_vec(),
        attempt_id: Uuid::now_v7(),
        failures,
        open_at: now + delay(failures),
        expires_at: own.map_or(forgotten, |own| own.expires_at.max(forgotten)),
    }
}

/// How long the attempt after so many failures has to wait.
fn delay(failures: i32) -> Duration {
    let Ok(doublings) = u32::try_from(failures - FREE) else {
        return Duration::ZERO;
    };
    FIRST_DELAY.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_DELAY)
}

fn is_taken(error: &DbErr) -> bool {
    violated_constraint(error).is_some_and(|name| KEY_TAKEN.contains(&name.as_str()))
}

/// SHA-256 of the parts, each with its length, so that two cannot pass for one.
fn hash(parts: &[&str]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_begin_late_double_and_end_at_a_quarter_of_an_hour() {
        let seconds = |failures| delay(failures).as_secs();
        assert_eq!((0..FREE).map(seconds).max(), Some(0));
        assert_eq!([10, 11, 12, 18, 19].map(seconds), [1, 2, 4, 256, 512]);
        assert_eq!([20, 21, 100, i32::MAX].map(seconds), [900, 900, 900, 900]);
    }

    #[test]
    fn accounts_networks_and_kinds_of_guesses_are_told_apart() {
        let login = |address, network| Guessed::login(address, network);
        let ada = login("Ada@example.org", Some("192.0.2.7"));
        let same = login("ada@EXAMPLE.org", Some("192.0.2.7"));
        assert_eq!((ada.account, ada.shared, ada.own), (same.account, same.shared, same.own));
        let elsewhere = login("ada@example.org", Some("192.0.2.8"));
        assert_eq!((ada.account, ada.shared), (elsewhere.account, elsewhere.shared));
        assert_ne!(ada.own, elsewhere.own);
        assert_ne!(ada.shared, login("eve@example.org", None).shared);
        assert_ne!(
            Guessed::proof(Uuid::nil()).shared,
            login(&Uuid::nil().to_string(), None).shared
        );
    }
}
