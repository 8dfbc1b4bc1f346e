//! What requests about users are answered, and how the document tells it.

use belvedere_entity::user;
use chassis::http::conditional::{ETag, IfNoneMatch};
use poem_openapi::ApiResponse;
use poem_openapi::payload::Json;

use crate::users::model::{User, UserPage};

#[derive(ApiResponse)]
pub(super) enum Created {
    /// The user, as it was created.
    #[oai(status = 201)]
    User(
        Json<User>,
        /// The version of the user.
        #[oai(header = "ETag")]
        ETag,
        /// Where the user is found from now on.
        #[oai(header = "Location")]
        String,
    ),
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
    pub(super) ReadFails = 400, 401, 404;
    /// What can go wrong with changing one user.
    pub(super) ChangeFails = 400, 401, 404, 409, 412, 413, 415, 422;
    /// What can go wrong with deleting one user.
    pub(super) DeleteFails = 400, 401, 404, 412;
    /// What can go wrong with a new password or role.
    pub(super) GrantFails = 400, 401, 403, 404, 413, 415, 422;
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

impl From<user::Model> for Changed {
    fn from(row: user::Model) -> Self {
        let tag = ETag(row.version);
        Self::User(Json(row.into()), tag)
    }
}
