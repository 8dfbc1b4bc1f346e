//! Every error becomes a problem, whatever produced it: handlers, poem's parsers, a panic.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use poem::error::{MethodNotAllowedError, NotFoundError, ParsePathError as RawPathError};
use poem::http::{HeaderValue, StatusCode, header};
use poem::{Endpoint, Error, Request, Response, Result};
use poem_openapi::error::{ParseParamError, ParsePathError};

use super::exchange::Exchange;
use crate::problem::{CONTENT_TYPE, Problem, ProblemType};

/// Turns a panic below it into an error, so that one broken request costs no other.
pub(super) struct CatchPanic<E>(pub E);

/// Turns every error below it into its answer.
pub(super) struct RenderProblems<E>(pub E);

impl<E: Endpoint> Endpoint for CatchPanic<E> {
    type Output = E::Output;

    async fn call(&self, request: Request) -> Result<E::Output> {
        // Nothing is seen again of what the panic left behind: the request and its handler end here.
        match AssertUnwindSafe(self.0.call(request)).catch_unwind().await {
            Ok(result) => result,
            Err(panic) => Err(panicked(panic.as_ref()).into()),
        }
    }
}

impl<E: Endpoint> Endpoint for RenderProblems<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let exchange = Exchange::of(&request);
        let problem = match self.0.call(request).await {
            Ok(output) => {
                let response = poem::IntoResponse::into_response(output);
                if !is_bare_error(&response) {
                    return Ok(response);
                }
                Problem::from_status(response.status())
            }
            Err(error) => {
                let template = exchange.as_ref().map_or("", |exchange| exchange.route_template());
                problem_of(error, template)
            }
        };
        let occurrence = exchange.map(|exchange| exchange.occurrence()).unwrap_or_default();
        let mut response = problem.render(occurrence);
        challenge(&mut response);
        Ok(response)
    }
}

/// What poem and poem-openapi fail with, in our words: theirs name types, and parameters `param0`.
fn problem_of(error: Error, template: &str) -> Problem {
    let error = match error.downcast::<Problem>() {
        Ok(problem) => return problem,
        Err(error) => error,
    };
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        return bad_parameter(error.name, &error.reason);
    }
    if let Some(error) = error.downcast_ref::<ParsePathError>() {
        return bad_parameter(declared(error.name, template), &error.reason);
    }
    if error.is::<RawPathError>() {
        return Problem::new(&ProblemType::BAD_REQUEST).detail("the path is not valid UTF-8");
    }
    if error.is::<NotFoundError>() {
        return Problem::new(&ProblemType::NOT_FOUND);
    }
    if error.is::<MethodNotAllowedError>() {
        return Problem::new(&ProblemType::METHOD_NOT_ALLOWED);
    }
    match error.status() {
        status if status.is_client_error() => Problem::from_status(status),
        _ => Problem::internal(error),
    }
}

/// poem-openapi knows the parameters of a path by their numbers only.
fn declared<'a>(name: &'a str, template: &'a str) -> &'a str {
    let number = name.strip_prefix("param").map(str::parse::<usize>);
    let mut names =
        template.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    match number {
        Some(Ok(number)) => names.nth(number).unwrap_or(name),
        _ => name,
    }
}

fn bad_parameter(name: &str, reason: &str) -> Problem {
    // poem-openapi wraps a type's own complaint in `failed to parse "type": …`, and adds the types
    // around it behind.
    let complaint = reason.split_once("\": ").map_or(reason, |(_, complaint)| complaint);
    let complaint = complaint
        .split_once(" (occurred while parsing")
        .map_or(complaint, |(complaint, _)| complaint);
    Problem::new(&ProblemType::BAD_REQUEST).detail(format!("parameter {name}: {complaint}"))
}

fn is_bare_error(response: &Response) -> bool {
    let problem =
        response.content_type().is_some_and(|content_type| content_type.starts_with(CONTENT_TYPE));
    response.status() >= StatusCode::BAD_REQUEST && !problem
}

/// RFC 9110, section 15.5.2: a 401 says how to authenticate.
fn challenge(response: &mut Response) {
    if response.status() == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        response.headers_mut().entry(header::WWW_AUTHENTICATE).or_insert(bearer);
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Problem {
    // A formatted message may quote what a caller sent; only a literal of the source is safe.
    let cause = match panic.downcast_ref::<&'static str>() {
        Some(text) => format!("panicked: {text}"),
        None => "panicked".to_owned(),
    };
    Problem::internal(cause).error_type("panic")
}
