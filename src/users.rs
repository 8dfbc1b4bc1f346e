//! The user directory: what can be done with users, whoever asks for it.
//!
//! Requests come in through [`api`], the command line calls [`Users`]. Who may do what is decided in
//! `api`; statements are in [`store`] alone.

use std::sync::Arc;

use belvedere_entity::user::{self, PasswordHash};
use chassis::database::Database;
use chassis::http::conditional::Versions;
use chassis::http::idempotency::ScopedKey;
use chassis::http::settings::link;
use chassis::password::{PasswordHasher, PasswordSettings, Verdict};
use chassis::problem::ProblemType;

use sea_orm::TransactionSession;
use uuid::Uuid;

use self::model::{NewPassword, NewUser, Password, Role, UserPatch};
use self::store::Granted;
use crate::auth::attempts;
use crate::idempotency::{self, About, Answer, Begun, Idempotency, KeyError, Stored};

pub mod api;
mod error;
pub mod model;
pub mod outdated;
mod page;
pub mod store;

pub use error::UserError;
pub use page::{Cursor, PageQuery};

/// The problem types that requests about users meet beside the chassis's.
pub const PROBLEM_TYPES: &[&ProblemType] = &[&error::ADDRESS_TAKEN];

/// The directory, with what it needs to work. Cheap to clone.
#[derive(Clone)]
pub struct Users(Arc<Parts>);

struct Parts {
    database: Database,
    hasher: PasswordHasher,
    limits: PasswordSettings,
    idempotency: Idempotency,
    public_url: Option<String>,
}

/// A request with an `Idempotency-Key` that was done, now or before.
pub struct Once {
    /// What to answer.
    pub answer: Answer,
    /// Whom it created, unless that was done before.
    pub created: Option<Uuid>,
}

impl Users {
    /// A directory in this database. Without a `public_url` the links in its answers are relative.
    pub fn new(
        database: Database,
        hasher: PasswordHasher,
        limits: PasswordSettings,
        idempotency: Idempotency,
        public_url: Option<&str>,
    ) -> Self {
        let public_url = public_url.map(str::to_owned);
        Self(Arc::new(Parts { database, hasher, limits, idempotency, public_url }))
    }

    /// The database that the users are in.
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// The limits of new passwords.
    pub fn password_limits(&self) -> &PasswordSettings {
        &self.0.limits
    }

    /// A path of this service as a reference for callers.
    pub fn link(&self, path: &str) -> String {
        link(self.0.public_url.as_deref(), path)
    }

    /// Creates a user.
    pub async fn create(&self, new: NewUser, role: Role) -> Result<user::Model, UserError> {
        let row = self.hashed(new, role).await?;
        self.database().retrying(|| store::create(self.database(), &row)).await?;
        Ok(row)
    }

    /// Creates a user with the role `user`, unless a request with this key and the same fields has done so
    /// within a day: then its answer is given again.
    pub async fn create_once(
        &self,
        new: NewUser,
        key: &ScopedKey,
        answer: impl Fn(&user::Model) -> Answer,
    ) -> Result<Once, UserError> {
        let fingerprint = key.fingerprint(new.open_fields());
        let claim = match self.0.idempotency.begin(key, fingerprint).await? {
            Begun::Claimed(claim) => claim,
            Begun::Answered(stored) => return self.again(stored, &new.password).await,
        };
        let work = async {
            let row = self.hashed(new, Role::User).await?;
            let answer = answer(&row);
            let about = About { subject: row.id, secret: Some(&row.password_hash) };
            let db = self.database();
            let store = || async {
                let transaction = db.begin_write().await?;
                store::create(&transaction, &row).await?;
                claim.keep(&transaction, &answer, &about).await?;
                transaction.commit().await.map_err(UserError::from)
            };
            db.retrying(store).await?;
            Ok(Once { answer, created: Some(row.id) })
        };
        match work.await {
            Ok(once) => {
                claim.settle();
                Ok(once)
            }
            Err(error) => {
                // A database that did not answer in time is not waited for again: the claim is dropped.
                if !matches!(error, UserError::Database(_) | UserError::Key(_)) {
                    claim.release().await;
                }
                Err(error)
            }
        }
    }

    /// Changes a user that has one of these versions.
    pub async fn change(
        &self,
        id: Uuid,
        patch: &UserPatch,
        versions: &Versions,
    ) -> Result<user::Model, UserError> {
        let db = self.database();
        db.retrying(|| store::change(db, id, patch.clone(), versions)).await
    }

    /// Gives a user that has one of these versions a role.
    pub async fn set_role(
        &self,
        id: Uuid,
        role: Role,
        versions: &Versions,
    ) -> Result<Granted, UserError> {
        let db = self.database();
        db.retrying(|| store::set_role(db, id, role, versions)).await
    }

    /// Lets a user that has one of these versions sign in, or no longer; then its sessions end.
    pub async fn set_enabled(
        &self,
        id: Uuid,
        enabled: bool,
        versions: &Versions,
    ) -> Result<Granted, UserError> {
        let db = self.database();
        db.retrying(|| store::set_enabled(db, id, enabled, versions)).await
    }

    /// Ends every session of a user.
    pub async fn sign_out(&self, id: Uuid) -> Result<(), UserError> {
        let db = self.database();
        db.retrying(|| store::sign_out(db, id)).await.map(drop)
    }

    /// Deletes a user that has one of these versions, the stored answers that tell of it, and the
    /// guesses at its password.
    pub async fn delete(&self, id: Uuid, versions: &Versions) -> Result<(), UserError> {
        let db = self.database();
        let delete = || async {
            let transaction = db.begin_write().await?;
            let row = store::find(&transaction, id).await?;
            store::delete(&transaction, id, versions).await?;
            if let Some(row) = row {
                attempts::forget(&transaction, row.email.expose(), id).await?;
            }
            idempotency::forget(&transaction, id).await?;
            transaction.commit().await.map_err(UserError::from)
        };
        db.retrying(delete).await
    }

    /// Whether this is the password of the user that `row` was read for.
    pub async fn is_password(
        &self,
        row: &user::Model,
        password: Password,
    ) -> Result<bool, UserError> {
        let stored = Some(row.password_hash.expose());
        let verdict = self.0.hasher.verify(password.0, stored).await?;
        Ok(verdict != Verdict::Wrong)
    }

    /// Gives the user a new password, ends its sessions and forgets the stored answers that tell of it,
    /// since the hash of the old one is beside them; `row` is what that was verified against.
    pub async fn set_password(&self, row: &user::Model, new: NewPassword) -> Result<(), UserError> {
        let hash = self.0.hasher.hash(new.secret().clone()).await?;
        let (db, hash) = (self.database(), PasswordHash::new(hash));
        let change = || async {
            let transaction = db.begin_write().await?;
            store::set_password(&transaction, row, hash.clone()).await?;
            idempotency::forget(&transaction, row.id).await?;
            transaction.commit().await.map_err(UserError::from)
        };
        db.retrying(change).await
    }

    async fn hashed(&self, new: NewUser, role: Role) -> Result<user::Model, UserError> {
        let hash = self.0.hasher.hash(new.password.secret().clone()).await?;
        Ok(store::new_row(new, role, PasswordHash::new(hash)))
    }

    /// The other fields are the same; so the same password makes it the same request.
    async fn again(&self, stored: Stored, password: &NewPassword) -> Result<Once, UserError> {
        let hash = stored.secret.as_ref().map(PasswordHash::expose);
        match self.0.hasher.verify(password.secret().clone(), hash).await? {
            Verdict::Wrong => Err(KeyError::Reused.into()),
            Verdict::Right | Verdict::RightButOutdated => {
                Ok(Once { answer: stored.answer, created: None })
            }
        }
    }
}
