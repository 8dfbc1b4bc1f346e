//! Hashing of passwords with argon2id, bounded: so many at once, so many waiting, the rest refused at
//! once. Which passwords are accepted is decided by the service, with [`PasswordSettings::acceptable`].

mod budget;
mod common;
mod guess;
mod rules;
mod settings;
mod workers;

use std::sync::Arc;
use std::time::Instant;

use argon2::password_hash;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tracing::field::Empty;
use tracing::{Dispatch, Span, debug, dispatcher, info_span};

pub use rules::Known;
pub use settings::PasswordSettings;
pub use workers::Lost;
use workers::{Memory, Workers};

use crate::settings::Secret;
use crate::telemetry::Metrics;

/// The most that verifying a stored hash may cost, unless the settings ask for more: hashes can come
/// from an import, and each runs with the parameters written in it.
const MAX_STORED_MEMORY_KIB: u32 = 256 * 1024;
const MAX_STORED_ITERATIONS: u32 = 16;
const MAX_STORED_PARALLELISM: u32 = 16;

/// Hashes and verifies passwords. Cheap to clone; clones share the bounds.
#[derive(Clone)]
pub struct PasswordHasher(Arc<Shared>);

/// The answer to a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not this password, or there is no such account.
    Wrong,
    /// This password.
    Right,
    /// This password, hashed with other parameters than the settings ask for: hash it again.
    RightButOutdated,
}

/// Why a password could not be hashed or verified. Says nothing of the password.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// As many as allowed are running and waiting; trying again later helps.
    #[error("too many password hashes at once")]
    Overloaded,
    /// The stored hash is no PHC string.
    #[error("a stored password hash is malformed")]
    Malformed(#[source] password_hash::Error),
    /// The stored hash asks for more memory or time than is sane.
    #[error("a stored password hash is too costly to verify")]
    TooCostly,
    /// The settings or the machine do not allow hashing.
    #[error("password hashing failed")]
    Failed(#[source] password_hash::Error),
    /// The thread that hashed has panicked, or there is none.
    #[error("password hashing was interrupted")]
    Interrupted(#[source] Lost),
}

struct Shared {
    params: Params,
    pepper: Option<Secret>,
    /// One for each hash that runs.
    turns: Arc<Semaphore>,
    /// One for each hash that runs or waits.
    places: Arc<Semaphore>,
    workers: Workers,
    metrics: Metrics,
}

/// The right to run one hash, held until it is done even when the caller has gone.
struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

/// Counts one in the queue while it exists.
struct Waiting<'a>(&'a IntGauge);

/// What a hash is made with; argon2id of this version for those that are made now.
#[derive(Clone, Default)]
struct Setup {
    algorithm: Algorithm,
    version: Version,
    params: Params,
}

#[derive(Clone, Copy)]
enum Operation {
    Hash,
    Verify,
}

impl PasswordHasher {
    /// Fails where the parameters or the pepper are none that argon2 takes.
    pub fn new(settings: &PasswordSettings, metrics: &Metrics) -> Result<Self, HashError> {
        let params = settings.params().map_err(|error| HashError::Failed(error.into()))?;
        let turns = settings.turns();
        let shared = Shared {
            params,
            pepper: settings.pepper.clone(),
            turns: Arc::new(Semaphore::new(turns)),
            places: Arc::new(Semaphore::new(turns.saturating_add(settings.queue))),
            workers: Workers::new(turns),
            metrics: metrics.clone(),
        };
        shared.argon2(&Setup::default()).map_err(HashError::Failed)?;
        // An alert on its rate must see the first refusal, so the series begin at 0.
        for operation in [Operation::Hash, Operation::Verify] {
            metrics.password_hash_rejected.with_label_values(&[operation.name()]);
        }
        Ok(Self(Arc::new(shared)))
    }

    /// A PHC string with a new random salt.
    pub async fn hash(&self, password: Secret) -> Result<String, HashError> {
        self.run(Operation::Hash, move |shared, memory| shared.hash(&password, memory)).await
    }

    /// Compares with a stored PHC string. `None`, for an unknown account, costs the same and is wrong.
    pub async fn verify(
        &self,
        password: Secret,
        stored: Option<&str>,
    ) -> Result<Verdict, HashError> {
        let stored = stored.map(str::to_owned);
        let verdict = move |shared: &Shared, memory: &mut Memory| match &stored {
            Some(stored) => shared.verify(&password, stored, memory),
            // Hashing is all the work of a verification, with the parameters that hashes have now.
            None => shared.hash(&password, memory).map(|_| Verdict::Wrong),
        };
        self.run(Operation::Verify, verdict).await
    }

    /// Waits for a turn and works on a thread that is there for it.
    async fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl FnOnce(&Shared, &mut Memory) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let turn = self.turn(operation).await?;
        let shared = Arc::clone(&self.0);
        let span = operation.span();
        let dispatch = dispatcher::get_default(Dispatch::clone);
        let timed = move |memory: &mut Memory| {
            // A span that ends lets go of its parent through the subscriber of the thread that it ends
            // on: without one here, the request's span would never end.
            dispatcher::with_default(&dispatch, move || {
                let (_turn, _entered) = (turn, span.entered());
                shared.timed(operation, |shared| work(shared, memory))
            })
        };
        self.0.workers.run(timed).await.map_err(HashError::Interrupted)?
    }

    async fn turn(&self, operation: Operation) -> Result<Turn, HashError> {
        let Shared { turns, places, metrics, .. } = &*self.0;
        let place = Arc::clone(places).try_acquire_owned().map_err(|_| {
            metrics.password_hash_rejected.with_label_values(&[operation.name()]).inc();
            HashError::Overloaded
        })?;
        let turn = match Arc::clone(turns).try_acquire_owned() {
            Err(TryAcquireError::NoPermits) => {
                let _waiting = Waiting::new(&metrics.password_hash_queue);
                Arc::clone(turns).acquire_owned().await.map_err(|_| HashError::Overloaded)?
            }
            free => free.map_err(|_| HashError::Overloaded)?,
        };
        Ok(Turn { _place: place, _turn: turn })
    }
}

impl Shared {
    fn timed<T>(
        &self,
        operation: Operation,
        work: impl FnOnce(&Self) -> Result<T, HashError>,
    ) -> Result<T, HashError> {
        let started = Instant::now();
        let result = work(self);
        let duration = self.metrics.password_hash_duration.with_label_values(&[operation.name()]);
        let elapsed = started.elapsed().as_secs_f64();
        self.metrics.exemplars.with_current(|exemplar| duration.observe_with(elapsed, exemplar));
        debug!(operation = operation.name(), duration_ms = elapsed * 1000.0, "password hash");
        if result.is_err() {
            Span::current().record("otel.status_code", "ERROR");
        }
        result
    }

    fn hash(&self, password: &Secret, memory: &mut Memory) -> Result<String, HashError> {
        let fresh = Setup { params: self.params.clone(), ..Setup::default() };
        let salt = Salt::generate();
        let hash = self.compute(&fresh, password, &salt, memory).map_err(HashError::Failed)?;
        let params = ParamsString::try_from(&fresh.params).map_err(HashError::Failed)?;
        let hash = PasswordHash {
            algorithm: fresh.algorithm.ident(),
            version: Some(fresh.version.into()),
            params,
            salt: Some(salt),
            hash: Some(hash),
        };
        Ok(hash.to_string())
    }

    fn verify(
        &self,
        password: &Secret,
        stored: &str,
        memory: &mut Memory,
    ) -> Result<Verdict, HashError> {
        let stored =
            PasswordHash::new(stored).map_err(|error| HashError::Malformed(error.into()))?;
        let setup = Setup::of(&stored).map_err(HashError::Malformed)?;
        self.limit_cost(&setup.params)?;
        let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else {
            return Ok(Verdict::Wrong);
        };
        let hash = self.compute(&setup, password, salt, memory).map_err(HashError::Malformed)?;
        // In a time that does not tell how much of it is right: `Output` sees to that.
        Ok(match hash == *expected {
            true if self.is_current(&stored, &setup.params) => Verdict::Right,
            true => Verdict::RightButOutdated,
            false => Verdict::Wrong,
        })
    }

    fn compute(
        &self,
        setup: &Setup,
        password: &Secret,
        salt: &Salt,
        memory: &mut Memory,
    ) -> Result<Output, password_hash::Error> {
        let mut buffer = [0; Output::MAX_LENGTH];
        let length = setup.params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let out = buffer.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
        let memory = memory.of(&setup.params);
        let argon2 = self.argon2(setup)?;
        argon2.hash_password_into_with_memory(password.expose().as_bytes(), salt, out, memory)?;
        Ok(Output::new(out)?)
    }

    fn argon2(&self, setup: &Setup) -> Result<Argon2<'_>, password_hash::Error> {
        let Setup { algorithm, version, params } = setup.clone();
        match &self.pepper {
            None => Ok(Argon2::new(algorithm, version, params)),
            Some(pepper) => {
                let pepper = pepper.expose().as_bytes();
                Ok(Argon2::new_with_secret(pepper, algorithm, version, params)?)
            }
        }
    }

    fn limit_cost(&self, stored: &Params) -> Result<(), HashError> {
        let live = &self.params;
        let sane = stored.m_cost() <= live.m_cost().max(MAX_STORED_MEMORY_KIB)
            && stored.t_cost() <= live.t_cost().max(MAX_STORED_ITERATIONS)
            && stored.p_cost() <= live.p_cost().max(MAX_STORED_PARALLELISM);
        if sane { Ok(()) } else { Err(HashError::TooCostly) }
    }

    fn is_current(&self, stored: &PasswordHash, params: &Params) -> bool {
        let live = &self.params;
        stored.algorithm == Algorithm::Argon2id.ident()
            && stored.version == Some(Version::V0x13.into())
            && (params.m_cost(), params.t_cost(), params.p_cost())
                == (live.m_cost(), live.t_cost(), live.p_cost())
    }
}

impl Setup {
    fn of(stored: &PasswordHash) -> Result<Self, password_hash::Error> {
        Ok(Self {
            algorithm: Algorithm::try_from(stored.algorithm.as_str())?,
            version: stored.version.map(Version::try_from).transpose()?.unwrap_or_default(),
            params: Params::try_from(stored)?,
        })
    }
}

impl<'a> Waiting<'a> {
    fn new(queue: &'a IntGauge) -> Self {
        queue.inc();
        Self(queue)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Verify => "verify",
        }
    }

    fn span(self) -> Span {
        match self {
            Self::Hash => info_span!("password hash", otel.status_code = Empty),
            Self::Verify => info_span!("password verify", otel.status_code = Empty),
        }
    }
}

#[cfg(test)]
mod tests;
