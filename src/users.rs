//! The user directory: what can be done with users, whoever asks for it.
//!
//! Requests come in through [`api`], the command line calls [`Users`]. Who may do what is decided in
//! `api`; statements are in [`store`] alone.

use std::sync::Arc;

use belvedere_entity::user::{self, PasswordHash};
use chassis::database::Database;
use chassis::password::{PasswordHasher, PasswordSettings, Verdict};
use chassis::problem::ProblemType;

use self::model::{NewPassword, NewUser, Password, Role};

pub mod api;
mod error;
pub mod model;
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
    /// What stands before the path in `Location` and `Link`.
    base: String,
}

impl Users {
    /// A directory in this database. Without a `public_url` the links in its answers are relative.
    pub fn new(
        database: Database,
        hasher: PasswordHasher,
        limits: PasswordSettings,
        public_url: Option<&str>,
    ) -> Self {
        let base = public_url.unwrap_or_default().trim_end_matches('/');
        Self(Arc::new(Parts { database, hasher, limits, base: base.to_owned() }))
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
        format!("{}{path}", self.0.base)
    }

    /// Creates a user.
    pub async fn create(&self, new: NewUser, role: Role) -> Result<user::Model, UserError> {
        let hash = self.0.hasher.hash(new.password.secret().clone()).await?;
        store::create(self.database(), new, role, PasswordHash::new(hash)).await
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

    /// Gives the user a new password and ends its sessions; `row` is what the old one was verified
    /// against.
    pub async fn set_password(&self, row: &user::Model, new: NewPassword) -> Result<(), UserError> {
        let hash = self.0.hasher.hash(new.secret().clone()).await?;
        store::set_password(self.database(), row, PasswordHash::new(hash)).await
    }
}
