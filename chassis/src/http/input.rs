//! JSON request bodies that are checked whole: every unacceptable field is reported at once.
//!
//! poem-openapi's own `Json` stops at the first error and tells it in free text. Here a body is
//! taken apart field by field, so that the answer can name each one with a JSON Pointer.

use std::error::Error as StdError;
use std::marker::PhantomData;

use mime::Mime;
use poem::http::{HeaderValue, header};
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::{MaybeUndefined, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::{Map, Value};

use super::limits::TooLarge;
use super::members::members;
use crate::problem::{FieldError, Problem, ProblemType};

pub(super) const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// A caller that has so much wrong needs no more to begin with, and must not get a megabyte of answer
/// for one of nonsense.
pub(super) const ERRORS_MAX: usize = 64;

/// A JSON object as a request body.
pub struct Body<T>(pub T);

/// A JSON Merge Patch (RFC 7396) as a request body; plain `application/json` is taken as one too.
pub struct MergePatch<T>(pub T);

/// A JSON object as a request body that is checked by the handler, because some rule is known only
/// there: a limit from the settings, for example.
pub struct Draft<T> {
    members: Map<String, Value>,
    target: PhantomData<fn() -> T>,
}

/// A type that a JSON object can be turned into, field by field.
pub trait FromFields: Type + Sized {
    /// Members that answers carry and requests may not set; naming one is an error of its own.
    const READ_ONLY: &'static [&'static str] = &[];

    /// Takes the fields that it knows; `None` when one of them was not acceptable.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

/// A value of one field.
pub trait Field: Sized {
    /// The value, or what is allowed instead. `value` is never JSON's `null`.
    fn parse(value: Value) -> Result<Self, String>;
}

/// The members of a JSON object, with the complaints about them so far. No `Debug`: members may be
/// passwords.
pub struct Fields {
    members: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl<'a, T: FromFields> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(request_meta::<T>(&[JSON]))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self(Fields::check(read(request, body, &[JSON]).await?)?))
    }
}

impl<'a, T: FromFields> ApiExtractor<'a> for MergePatch<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(request_meta::<T>(&[MERGE_PATCH, JSON]))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let members = read(request, body, &[MERGE_PATCH, JSON]).await?;
        Ok(Self(Fields::check(members)?))
    }
}

impl<'a, T: Type> ApiExtractor<'a> for Draft<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(request_meta::<T>(&[JSON]))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self { members: read(request, body, &[JSON]).await?, target: PhantomData })
    }
}

impl<T> Draft<T> {
    /// The members, for a handler that takes them one by one.
    pub fn fields(self) -> Fields {
        Fields::new(self.members)
    }

    /// Checks the whole object: what `take` takes, and that nothing is left over.
    pub fn check(
        self,
        read_only: &[&str],
        take: impl FnOnce(&mut Fields) -> Option<T>,
    ) -> Result<T, Problem> {
        Fields::check_with(self.members, read_only, take)
    }
}

impl Fields {
    /// Checks a whole object: what `T` takes, and that nothing is left over.
    pub fn check<T: FromFields>(members: Map<String, Value>) -> Result<T, Problem> {
        Self::check_with(members, T::READ_ONLY, T::from_fields)
    }

    /// Checks a whole object whose rules are known only here: what `take` takes, and that nothing is left over.
    pub fn check_with<T>(
        members: Map<String, Value>,
        read_only: &[&str],
        take: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, Problem> {
        let mut fields = Self::new(members);
        let value = take(&mut fields);
        fields.finish(read_only, value)
    }

    /// What was taken, unless there was a complaint or something is left over.
    pub fn finish<T>(mut self, read_only: &[&str], value: Option<T>) -> Result<T, Problem> {
        self.refuse_the_rest(read_only);
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Problem::invalid_fields(self.errors)),
        }
    }

    /// A field that must be there.
    pub fn required<T: Field>(&mut self, name: &'static str) -> Option<T> {
        match self.members.remove(name) {
            None => self.reject(name, "is required"),
            Some(Value::Null) => self.reject(name, "must not be null"),
            Some(value) => self.parse(name, value),
        }
    }

    /// A field that may be absent or null, which mean the same.
    pub fn optional<T: Field>(&mut self, name: &'static str) -> Option<Option<T>> {
        match self.members.remove(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => self.parse(name, value).map(Some),
        }
    }

    /// A field of a patch whose value can be replaced, not removed.
    pub fn replaced<T: Field>(&mut self, name: &'static str) -> Option<Option<T>> {
        match self.members.remove(name) {
            None => Some(None),
            Some(Value::Null) => self.reject(name, "can be replaced but not removed"),
            Some(value) => self.parse(name, value).map(Some),
        }
    }

    /// A field of a patch whose value can be replaced or, with null, removed.
    pub fn patched<T: Field>(&mut self, name: &'static str) -> Option<MaybeUndefined<T>> {
        match self.members.remove(name) {
            None => Some(MaybeUndefined::Undefined),
            Some(Value::Null) => Some(MaybeUndefined::Null),
            Some(value) => self.parse(name, value).map(MaybeUndefined::Value),
        }
    }

    /// Records a complaint about a field, also about how several go together.
    pub fn reject<T>(&mut self, name: &str, detail: impl Into<String>) -> Option<T> {
        self.errors.push(FieldError::new(name, detail));
        None
    }

    fn new(members: Map<String, Value>) -> Self {
        Self { members, errors: Vec::new() }
    }

    fn parse<T: Field>(&mut self, name: &str, value: Value) -> Option<T> {
        match T::parse(value) {
            Ok(value) => Some(value),
            Err(allowed) => self.reject(name, allowed),
        }
    }

    fn refuse_the_rest(&mut self, read_only: &[&str]) {
        for name in std::mem::take(&mut self.members).keys() {
            let detail = if read_only.contains(&name.as_str()) {
                "is read-only"
            } else {
                "is not a known field"
            };
            self.errors.push(FieldError::new(&shown(name), detail));
            if self.errors.len() >= ERRORS_MAX {
                return;
            }
        }
    }
}

impl Field for String {
    fn parse(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err("must be a string".to_owned()),
        }
    }
}

fn request_meta<T: Type>(content_types: &'static [&'static str]) -> MetaRequest {
    let content = content_types
        .iter()
        .map(|content_type| MetaMediaType { content_type, schema: T::schema_ref() });
    MetaRequest { description: None, content: content.collect(), required: true }
}

async fn read(
    request: &Request,
    body: &mut RequestBody,
    content_types: &'static [&'static str],
) -> Result<Map<String, Value>, Problem> {
    check_content_type(request, content_types)?;
    let body = body.take().map_err(Problem::internal)?;
    let bytes = body.into_bytes().await.map_err(unreadable)?;
    members(&bytes)
}

/// Refuses a body that says to be something else.
pub(super) fn check_content_type(
    request: &Request,
    allowed: &'static [&'static str],
) -> Result<(), Problem> {
    // Of two, each reader along the way may believe another one.
    let mut lines = request.headers().get_all(header::CONTENT_TYPE).iter();
    let sent = lines.next().filter(|_| lines.next().is_none());
    let mime = sent.and_then(|line| line.to_str().ok()?.parse::<Mime>().ok());
    let acceptable = mime.is_some_and(|mime| {
        let utf8 = mime.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8);
        utf8 && allowed.contains(&mime.essence_str())
    });
    if acceptable {
        return Ok(());
    }
    let expected = allowed.join(" or ");
    let problem = Problem::new(&ProblemType::UNSUPPORTED_MEDIA_TYPE)
        .detail(format!("the Content-Type must be {expected}, in UTF-8"));
    // RFC 5789, section 2.2, for PATCH; RFC 9110, section 12.5.1, for the others.
    let hint = match *request.method() {
        poem::http::Method::PATCH => header::HeaderName::from_static("accept-patch"),
        _ => header::ACCEPT,
    };
    Err(match HeaderValue::from_str(&allowed.join(", ")) {
        Ok(value) => problem.header(hint, value),
        Err(_) => problem,
    })
}

fn unreadable(error: poem::error::ReadBodyError) -> Problem {
    let mut source: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<TooLarge>() {
            return error.into();
        }
        // `io::Error::source` skips the error that it wraps and goes on to that one's source.
        source = match cause.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => cause.source(),
        };
    }
    bad("the body ended before it was complete").cause(error)
}

pub(super) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(&ProblemType::BAD_REQUEST).detail(detail)
}

/// The names that callers make up are echoed only as far as they help.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}
