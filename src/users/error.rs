//! What can go wrong with users, and what the caller is told about it.

use chassis::database::{Conflict, QueryError};
use chassis::password::HashError;
use chassis::problem::{FieldError, Problem, ProblemType};
use poem::http::StatusCode;
use sea_orm::DbErr;

use crate::idempotency::KeyError;

/// How long a caller should wait for the database, in seconds: about as long as a request waits for
/// a connection before it gives up.
const DATABASE_RETRY: u64 = 2;
/// How long a caller should wait who lost against others again and again, in seconds: much longer than
/// their transactions take.
const CONFLICT_RETRY: u64 = 1;
/// How long a caller should wait for its own request in flight, in seconds.
const IN_FLIGHT_RETRY: u64 = 1;
/// How long a caller should wait for a turn at hashing, in seconds: a queue is gone sooner.
const HASH_RETRY: u64 = 1;

/// What is said of `current_password` where it is not that.
pub(super) const WRONG_PASSWORD: &str = "is not the current password";

/// 409 for an address that is in use.
pub(super) const ADDRESS_TAKEN: ProblemType = ProblemType {
    slug: "address-taken",
    title: "Address taken",
    status: StatusCode::CONFLICT,
    about: "Another user has this e-mail address, in this or another spelling of upper and lower case. Choose another, or log in with it.",
};

/// Why a user could not be read or written. Says nothing of the user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is none with this id, or none that the caller may know of.
    #[error("there is no such user")]
    NotFound,
    /// The user has no such session.
    #[error("there is no such session")]
    NoSession,
    /// The e-mail address belongs to another user.
    #[error("the e-mail address belongs to another user")]
    AddressTaken,
    /// The user has another version than the caller insists on.
    #[error("the user has another version")]
    Changed,
    /// The proof for a new password is wrong.
    #[error("the current password is wrong")]
    WrongPassword,
    /// The request has an `Idempotency-Key` with which it is not to be worked on.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A statement failed.
    #[error("the users could not be reached")]
    Database(#[source] QueryError),
    /// A password was not hashed.
    #[error("the password could not be processed")]
    Hash(#[from] HashError),
}

impl From<DbErr> for UserError {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}

impl Conflict for UserError {
    fn conflict(&self) -> Option<String> {
        match self {
            Self::Database(error) => error.conflict(),
            Self::Key(error) => error.conflict(),
            Self::NotFound
            | Self::NoSession
            | Self::AddressTaken
            | Self::Changed
            | Self::WrongPassword
            | Self::Hash(_) => None,
        }
    }
}

impl From<UserError> for Problem {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => {
                Self::new(&ProblemType::NOT_FOUND).detail("there is no such user")
            }
            UserError::NoSession => {
                Self::new(&ProblemType::NOT_FOUND).detail("there is no such session")
            }
            UserError::AddressTaken => {
                Self::new(&ADDRESS_TAKEN).detail("another user has this e-mail address")
            }
            UserError::Changed => Self::new(&ProblemType::PRECONDITION_FAILED)
                .detail("the user does not have a version that the request's If-Match and If-None-Match allow"),
            UserError::WrongPassword => {
                Self::invalid_fields(vec![FieldError::new("current_password", WRONG_PASSWORD)])
            }
            UserError::Key(KeyError::InFlight) => {
                Self::new(&ProblemType::REQUEST_IN_FLIGHT).retry_after(IN_FLIGHT_RETRY)
            }
            UserError::Key(KeyError::Reused) => Self::new(&ProblemType::IDEMPOTENCY_KEY_REUSED),
            UserError::Database(ref cause) | UserError::Key(KeyError::Database(ref cause))
                if cause.conflict().is_some() =>
            {
                Self::unavailable(CONFLICT_RETRY).error_type("database_conflict").cause(error)
            }
            UserError::Database(ref cause) | UserError::Key(KeyError::Database(ref cause))
                if cause.is_unavailable() =>
            {
                Self::unavailable(DATABASE_RETRY).error_type("database_unavailable").cause(error)
            }
            UserError::Hash(HashError::Overloaded) => {
                Self::unavailable(HASH_RETRY).error_type("password_hash_overloaded").cause(error)
            }
            UserError::Database(_) | UserError::Key(_) | UserError::Hash(_) => {
                Self::internal(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use sea_orm::ConnAcquireErr;

    use super::*;

    #[test]
    fn a_database_that_is_away_is_worth_another_try() {
        let error = UserError::from(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout));
        let problem = Problem::from(error);
        assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(problem.source().is_some());
    }

    #[test]
    fn another_fault_is_internal_and_tells_the_caller_nothing() {
        let problem = Problem::from(UserError::from(DbErr::Custom("users.email".to_owned())));
        assert_eq!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!problem.to_string().contains("email"));
    }

    #[test]
    fn a_full_hashing_queue_is_worth_another_try() {
        let problem = Problem::from(UserError::from(HashError::Overloaded));
        assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
