//! The innermost layer: hands a request to what answers it, or says why nothing does.
//!
//! OPTIONS, 404, 405 with `Allow`, 406 and encoded bodies are the same for every route, so they are
//! settled here from the table of routes. poem sends 405 without `Allow` and knows no OPTIONS.

use std::collections::HashMap;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use poem::endpoint::BoxEndpoint;
use poem::http::uri::PathAndQuery;
use poem::http::{HeaderValue, Method, StatusCode, Uri, header};
use poem::{Endpoint, Request, Response, Result};

use super::exchange::Exchange;
use super::negotiate::accepts_any;
use super::routes::{Route, without_slash};
use crate::problem::{Problem, ProblemType};

/// Pages by template, and the API for every other route of the table.
pub(super) struct Dispatch {
    /// Answers every route of the `OpenAPI` document.
    pub api: BoxEndpoint<'static>,
    /// Answers the routes beside it.
    pub pages: HashMap<Arc<str>, BoxEndpoint<'static>>,
    /// What can be done with any of them, for `OPTIONS *`.
    pub allow: HeaderValue,
}

impl Endpoint for Dispatch {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let exchange = Exchange::of(&request);
        if request.method() == Method::OPTIONS && request.uri().path() == "*" {
            return Ok(options(&self.allow));
        }
        let Some(route) = exchange.as_ref().and_then(|exchange| exchange.route.as_ref()) else {
            return Err(Problem::new(&ProblemType::NOT_FOUND).into());
        };
        if request.method() == Method::OPTIONS && !route.allows(&Method::OPTIONS) {
            return Ok(options(route.allow()));
        }
        check(route, &request)?;
        trim_slash(&mut request);
        // Its content is left out further up.
        if request.method() == Method::HEAD {
            request.set_method(Method::GET);
        }
        let endpoint = self.pages.get(route.template()).unwrap_or(&self.api);
        endpoint.call(request).await
    }
}

fn check(route: &Route, request: &Request) -> Result<(), Problem> {
    if !route.allows(request.method()) {
        let problem = Problem::new(&ProblemType::METHOD_NOT_ALLOWED);
        return Err(problem.header(header::ALLOW, route.allow().clone()));
    }
    if !accepts_any(request.headers(), route.produces(request.method())) {
        let produced = route.produces(request.method()).join(", ");
        return Err(Problem::new(&ProblemType::NOT_ACCEPTABLE)
            .detail(format!("the answer can be had as {produced}")));
    }
    // poem drops such parameters of the path and misses them then; those of the query it makes others of.
    let uri = request.uri();
    for (part, text) in [("path", uri.path()), ("query", uri.query().unwrap_or_default())] {
        if percent_decode_str(text).decode_utf8().is_err() {
            let problem = Problem::new(&ProblemType::BAD_REQUEST);
            return Err(problem.detail(format!("the {part} is not valid UTF-8")));
        }
    }
    if let Some(name) = repeated_parameter(route, request) {
        return Err(Problem::new(&ProblemType::BAD_REQUEST)
            .detail(format!("parameter {name} is given more than once")));
    }
    // Decoding would let a small body grow without bound; nobody needs it for JSON of this size.
    if route.takes_body(request.method()) && is_encoded(request) {
        let problem = Problem::new(&ProblemType::UNSUPPORTED_MEDIA_TYPE)
            .detail("bodies must not be compressed");
        return Err(problem.header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    Ok(())
}

/// poem takes the first of several, where a gateway may have looked at the last.
fn repeated_parameter<'a>(route: &'a Route, request: &Request) -> Option<&'a String> {
    let single = route.single_parameters(request.method());
    if single.is_empty() || request.uri().query().is_none() {
        return None;
    }
    let given: Vec<(String, String)> = request.params().ok()?;
    let times = |name: &String| given.iter().filter(|(key, _)| key == name).count();
    single.iter().find(|name| times(name) > 1)
}

/// In any line of the header, and in any element of its list.
fn is_encoded(request: &Request) -> bool {
    let mut lines = request.headers().get_all(header::CONTENT_ENCODING).iter();
    lines.any(|line| !line.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn options(allow: &HeaderValue) -> Response {
    let response = Response::builder().status(StatusCode::NO_CONTENT);
    response.header(header::ALLOW, allow.clone()).finish()
}

/// poem knows its routes without the slash at the end.
fn trim_slash(request: &mut Request) {
    let path = request.uri().path();
    let trimmed = without_slash(path);
    if trimmed.len() == path.len() {
        return;
    }
    let target = match request.uri().query() {
        Some(query) => format!("{trimmed}?{query}"),
        None => trimmed.to_owned(),
    };
    if let Ok(target) = target.parse::<PathAndQuery>() {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(target);
        // The parts came from a valid URI; only its path has become shorter.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
}
