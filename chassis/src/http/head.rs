//! HEAD: what GET would be answered, without the content (RFC 9110, section 9.3.2).
//!
//! hyper leaves the content out over HTTP/1.1 only. Over HTTP/2 it would be sent, and a client that
//! gets some resets the stream.

use http_body_util::combinators::BoxBody;
use hyper::body::Body as _;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response, Result};

/// Leaves the content out of whatever is answered to HEAD below it.
pub(super) struct WithoutContent<E>(pub E);

impl<E: Endpoint<Output = Response>> Endpoint for WithoutContent<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let head = request.method() == Method::HEAD;
        let response = self.0.call(request).await?;
        Ok(if head { without_content(response) } else { response })
    }
}

/// The same headers as GET has, its length included.
pub(super) fn without_content(mut response: Response) -> Response {
    let body: BoxBody<_, _> = response.take_body().into();
    // These two never have content, and a length would be that of another answer (section 8.6).
    let empty = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if let Some(length) = body.size_hint().exact().filter(|_| !empty) {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}
