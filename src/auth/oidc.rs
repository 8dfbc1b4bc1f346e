//! Tokens of an outside issuer (`auth.mode = "oidc"`): which are accepted, and who their bearers are here.
//!
//! The token says whether its bearer is an administrator. Which user it is, the table `identities` says:
//! a subject is linked once, by an address that the issuer has verified, and known by its subject from
//! then on, whatever becomes of the address.

use std::time::Duration;

use belvedere_entity::user;
use chassis::fetch::{FetchError, Fetcher};
use chassis::problem::{Problem, ProblemType};
use chassis::telemetry::{Metrics, RequestScope};

use self::cache::{Cache, NoKey};
use self::identities::SubjectKey;
use self::issuer::Issuer;
use self::token::{Bearer, Judge, Refusal};
use super::{AuthContext, AuthSettings, Event};
use crate::users::model::Email;
use crate::users::{UserError, store};

mod cache;
mod identities;
mod issuer;
mod keys;
mod settings;
#[cfg(test)]
mod testing;
mod token;

pub(super) use settings::check;

/// One document; the cache has a limit for both.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// Discovery documents have a few KiB, and so have keys.
const DOCUMENT_MAX: usize = 256 * 1024;
/// How long a caller should wait for the issuer, in seconds.
const ISSUER_RETRY: u64 = 5;

/// The issuer whose tokens are accepted.
pub(super) struct Oidc {
    name: String,
    judge: Judge,
    cache: Cache,
}

/// Somebody whom the issuer knows.
pub(super) struct Outsider {
    /// The user that it is here, as it is at this moment; whoever is linked with none has none.
    pub(super) row: Option<Box<user::Model>>,
    /// Whether the token says so.
    pub(super) is_admin: bool,
    /// Who it is, with or without a row.
    pub(super) key: SubjectKey,
}

/// Why tokens of the issuer cannot be accepted; the check of the settings has said it before.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// `auth.oidc_issuer` is missing, or no URL.
    #[error("auth.oidc_issuer is no URL of an issuer")]
    Issuer,
    /// `auth.oidc_ca_file` is no use.
    #[error("auth.oidc_ca_file cannot be used")]
    Authorities(#[from] FetchError),
}

impl Oidc {
    /// Begins to fetch the issuer's keys; that it cannot be reached yet is no failure.
    pub(super) fn start(settings: &AuthSettings, metrics: &Metrics) -> Result<Self, OidcError> {
        let name = settings.oidc_issuer.as_deref().unwrap_or_default();
        let issuer = Issuer::of(name).ok_or(OidcError::Issuer)?;
        let fetcher = fetcher(settings)?;
        Ok(Self {
            name: issuer.name().to_owned(),
            judge: Judge::new(settings, issuer.name()),
            cache: Cache::start(issuer, fetcher, metrics.clone()),
        })
    }

    async fn verify(&self, token: &str) -> Result<Bearer, TokenFault> {
        let header = Judge::header(token)?;
        // The key is one of the issuer's: what the header says of other keys (jwk, jku, x5u) is not read.
        let key = self.cache.find(header.kid.as_deref(), header.alg).await?;
        Ok(self.judge.bearer(token, header.alg, &key)?)
    }
}

/// Why a token leads to nobody.
#[derive(Debug, thiserror::Error)]
enum TokenFault {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    NoKey(#[from] NoKey),
}

impl AuthContext {
    /// Whoever bears this token of the outside issuer.
    pub(super) async fn outsider(&self, oidc: &Oidc, token: &str) -> Result<Outsider, Problem> {
        let bearer = match oidc.verify(token).await {
            Ok(bearer) => bearer,
            Err(TokenFault::NoKey(error @ NoKey::Unavailable)) => {
                let problem = Problem::unavailable(ISSUER_RETRY);
                return Err(problem.error_type("issuer_unavailable").cause(error));
            }
            Err(TokenFault::NoKey(NoKey::Unknown) | TokenFault::Refused(_)) => {
                return Err(super::caller::invalid());
            }
        };
        let key = SubjectKey::new(&oidc.name, &bearer.subject);
        let row = match identities::find(&self.0.database, key).await? {
            Some(row) => Some(row),
            None => self.link(oidc, key, &bearer).await?,
        };
        if let Some(row) = &row {
            if row.disabled_at.is_some() {
                return Err(super::caller::invalid());
            }
            RequestScope::with_current(|scope| {
                if let Some(scope) = scope {
                    scope.set_user(row.id.to_string());
                }
            });
        }
        Ok(Outsider { row: row.map(Box::new), is_admin: bearer.is_admin, key })
    }

    /// 403 where users, their passwords and their roles are the outside issuer's matter.
    pub(crate) fn require_local(&self) -> Result<(), Problem> {
        let Some(oidc) = &self.0.oidc else {
            return Ok(());
        };
        let detail = format!("access tokens, passwords and roles are those of {}", oidc.name);
        Err(Problem::new(&ProblemType::FORBIDDEN).detail(detail))
    }

    /// The user whose address the issuer has verified to be the bearer's, if it is nobody else's yet.
    async fn link(
        &self,
        oidc: &Oidc,
        key: SubjectKey,
        bearer: &Bearer,
    ) -> Result<Option<user::Model>, UserError> {
        let db = &self.0.database;
        let email = bearer.verified_email.clone().and_then(|email| Email::parse(email).ok());
        let Some(email) = email else {
            return Ok(None);
        };
        let Some(row) = store::find_by_email(db, &email).await? else {
            return Ok(None);
        };
        if identities::link(db, key, (&oidc.name, &bearer.subject), row.id).await? {
            self.events().record(Event::IdentityLinked, Some(row.id), Some(row.id));
            return Ok(Some(row));
        }
        // Another request of the same bearer may have been faster.
        identities::find(db, key).await
    }
}

fn fetcher(settings: &AuthSettings) -> Result<Fetcher, FetchError> {
    Fetcher::new(settings.oidc_ca_file.as_deref(), FETCH_TIMEOUT, DOCUMENT_MAX)
}
