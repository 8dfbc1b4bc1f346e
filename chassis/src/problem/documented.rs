//! Problems in the `OpenAPI` document: each operation lists the statuses that it can answer with.

use std::fmt;
use std::marker::PhantomData;

use poem::http::StatusCode;
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;

use super::{CONTENT_TYPE, Problem, ProblemBody, ProblemType};

/// What any operation can answer, because the stack around it can: limits, faults, overload.
const ALWAYS: &[u16] = &[400, 406, 429, 500, 503];

/// The error statuses of one operation; made by [`statuses!`](crate::statuses).
pub trait Statuses: Send + Sync + 'static {
    /// Beside 400, 406, 429, 500 and 503, which every operation has.
    const STATUSES: &'static [u16];
}

/// Declares the error statuses of operations: `statuses! { ReadFails = 400, 401, 404 }`.
#[macro_export]
macro_rules! statuses {
    ($($(#[$meta:meta])* $vis:vis $name:ident = $($status:literal),+ ;)+) => {
        $(
            $(#[$meta])*
            #[derive(Debug)]
            $vis enum $name {}

            impl $crate::problem::Statuses for $name {
                const STATUSES: &'static [u16] = &[$($status),+];
            }
        )+
    };
}

/// The error side of a handler's `Result`: a [`Problem`] whose status the operation documents.
pub struct Fails<S> {
    problem: Problem,
    statuses: PhantomData<S>,
}

impl<S: Statuses, E: Into<Problem>> From<E> for Fails<S> {
    fn from(error: E) -> Self {
        let problem = error.into();
        debug_assert!(
            documented::<S>().any(|status| status == problem.status().as_u16()),
            "the operation does not document status {}",
            problem.status()
        );
        Self { problem, statuses: PhantomData }
    }
}

impl<S> From<Fails<S>> for poem::Error {
    fn from(fails: Fails<S>) -> Self {
        fails.problem.into()
    }
}

impl<S> fmt::Debug for Fails<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl<S: Statuses> ApiResponse for Fails<S> {
    fn meta() -> MetaResponses {
        let mut statuses: Vec<u16> = documented::<S>().collect();
        statuses.sort_unstable();
        statuses.dedup();
        MetaResponses { responses: statuses.into_iter().map(response).collect() }
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}

fn documented<S: Statuses>() -> impl Iterator<Item = u16> {
    S::STATUSES.iter().chain(ALWAYS).copied()
}

fn response(status: u16) -> MetaResponse {
    let kind = StatusCode::from_u16(status).map_or(&ProblemType::INTERNAL, ProblemType::for_status);
    MetaResponse {
        description: kind.title,
        status: Some(status),
        status_range: None,
        content: vec![MetaMediaType {
            content_type: CONTENT_TYPE,
            schema: ProblemBody::schema_ref(),
        }],
        headers: Vec::new(),
    }
}
