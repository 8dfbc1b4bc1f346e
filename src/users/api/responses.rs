//! What requests about users are answered, and how the document tells it.

use std::borrow::Cow;
use std::marker::PhantomData;

use belvedere_entity::user;
use chassis::http::conditional::{ETag, IfNoneMatch};
use chassis::privacy::Pii;
use chassis::telemetry::RequestScope;
use poem_openapi::ApiResponse;
use poem_openapi::payload::Json;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use serde_json::Value;

use crate::users::Once;
use crate::users::model::{User, UserPage, UserStatus};

#[derive(ApiResponse)]
pub(super) enum Created {
    /// The user, as it was created.
    #[oai(status = 201)]
    User(
        Json<Stored<User>>,
        /// The version of the user.
        #[oai(header = "ETag")]
        ETag,
        /// Where the user is found from now on.
        #[oai(header = "Location")]
        String,
        /// `true` where this was answered before, to a request with the same `Idempotency-Key`.
        #[oai(header = "Idempotency-Replayed")]
        Option<bool>,
    ),
}

/// An answer's body in the form in which it is stored, so that it is the same each time.
pub(super) struct Stored<T> {
    text: Pii<String>,
    object: PhantomData<fn() -> T>,
}

#[derive(ApiResponse)]
pub(super) enum Listed {
    /// One page.
    #[oai(status = 200)]
    Page(
        Json<UserPage>,
        /// The next page, as `rel="next"`, if there is one (RFC 8288).
        #[oai(header = "Link")]
        Option<String>,
    ),
}

#[derive(ApiResponse)]
pub(super) enum Read {
    /// The user.
    #[oai(status = 200)]
    User(
        Json<User>,
        /// The version of the user.
        #[oai(header = "ETag")]
        ETag,
    ),
    /// The caller has this version already.
    #[oai(status = 304)]
    NotModified(
        /// The version of the user.
        #[oai(header = "ETag")]
        ETag,
    ),
}

#[derive(ApiResponse)]
pub(super) enum Changed {
    /// The user, as it is now.
    #[oai(status = 200)]
    User(
        Json<User>,
        /// The version of the user.
        #[oai(header = "ETag")]
        ETag,
    ),
}

#[derive(ApiResponse)]
pub(super) enum StatusTold {
    /// Whether the user may sign in, as it is now.
    #[oai(status = 200)]
    Status(Json<UserStatus>),
}

#[derive(ApiResponse)]
pub(super) enum Done {
    /// Done; there is nothing more to say.
    #[oai(status = 204)]
    Empty,
}

chassis::statuses! {
    /// What can go wrong with `POST /users`.
    pub(super) CreateFails = 400, 401, 403, 409, 413, 415, 422;
    /// What can go wrong with the list.
    pub(super) ListFails = 400, 401, 403, 422;
    /// What can go wrong with reading one user.
    pub(super) ReadFails = 400, 401, 404, 412;
    /// What can go wrong with changing one user.
    pub(super) ChangeFails = 400, 401, 404, 409, 412, 413, 415, 422;
    /// What can go wrong with deleting one user.
    pub(super) DeleteFails = 400, 401, 404, 412;
    /// What can go wrong with asking whether a user may sign in.
    pub(super) StatusFails = 400, 401, 403, 404;
    /// What can go wrong with a new password.
    pub(super) PasswordFails = 400, 401, 403, 404, 413, 415, 422;
    /// What can go wrong with a new role or status.
    pub(super) GrantFails = 400, 401, 403, 404, 412, 413, 415, 422;
}

impl Read {
    /// The user, or 304 where the caller has this version.
    pub(super) fn unless_known(row: user::Model, known: &IfNoneMatch) -> Self {
        let tag = ETag(row.version);
        if known.has(row.version) {
            return Self::NotModified(tag);
        }
        Self::User(Json(row.into()), tag)
    }
}

impl StatusTold {
    pub(super) fn of(row: &user::Model) -> Self {
        Self::Status(Json(UserStatus { status: row.into() }))
    }
}

impl From<Once> for Created {
    fn from(Once { answer, created }: Once) -> Self {
        let replayed = created.is_none();
        if replayed {
            RequestScope::with_current(|scope| {
                if let Some(scope) = scope {
                    scope.set_replayed();
                }
            });
        }
        let body = Stored { text: answer.body.unwrap_or_default(), object: PhantomData };
        let tag = ETag(answer.version.unwrap_or_default());
        Self::User(Json(body), tag, answer.location.unwrap_or_default(), replayed.then_some(true))
    }
}

/// Described as the object that it is the text of.
impl<T: Type> Type for Stored<T> {
    const IS_REQUIRED: bool = T::IS_REQUIRED;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<T: Type> ToJSON for Stored<T> {
    fn to_json(&self) -> Option<Value> {
        serde_json::from_str(self.text.expose()).ok()
    }

    fn to_json_string(&self) -> String {
        self.text.expose().clone()
    }
}

impl From<user::Model> for Changed {
    fn from(row: user::Model) -> Self {
        let tag = ETag(row.version);
        Self::User(Json(row.into()), tag)
    }
}
