//! Where somebody is signed in, and ending it: one session, or all of them.

use belvedere_entity::session;
use chassis::http::id::Id;
use chassis::privacy::Pii;
use chassis::problem::{Fails, Problem};
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi};
use uuid::Uuid;

use super::{AuthContext, Tag};
use crate::auth::{Caller, Event};
use crate::users::model::Timestamp;
use crate::users::{UserError, Users};

/// The sessions of users.
pub struct SessionsApi;

/// Somebody is signed in somewhere.
#[derive(Object)]
#[oai(example)]
struct Session {
    /// Its id, which access tokens have as `sid`.
    id: Uuid,
    /// Whether the token of this request is of this session.
    current: bool,
    /// What the client called itself at login.
    #[oai(nullable, validator(max_length = 200))]
    user_agent: Option<Pii<String>>,
    /// When somebody logged in.
    created_at: Timestamp,
    /// When its refresh token was used last.
    used_at: Timestamp,
    /// When it is over, unless it goes on before.
    expires_at: Timestamp,
}

/// Where somebody is signed in, last used first.
#[derive(Object)]
#[oai(example)]
struct SessionList {
    /// The sessions.
    #[oai(validator(max_items = 100))]
    items: Vec<Session>,
}

#[derive(ApiResponse)]
enum Listed {
    /// The sessions.
    #[oai(status = 200)]
    Sessions(Json<SessionList>),
}

#[derive(ApiResponse)]
enum Ended {
    /// It is over, and so are its tokens.
    #[oai(status = 204)]
    Done,
}

chassis::statuses! {
    /// What can go wrong with the list.
    ListFails = 400, 401, 403, 404;
    /// What can go wrong with ending sessions.
    EndFails = 400, 401, 403, 404;
}

#[OpenApi(tag = "Tag::Authentication")]
impl SessionsApi {
    /// List your sessions
    ///
    /// Where you are signed in.
    #[oai(path = "/users/me/sessions", method = "get", operation_id = "list_sessions")]
    async fn list(
        &self,
        caller: Caller,
        context: Data<&AuthContext>,
    ) -> Result<Listed, Fails<ListFails>> {
        caller.require_local()?;
        let row = caller.row().ok_or(UserError::NotFound)?;
        let sessions = context.sessions().list(row).await.map_err(UserError::from)?;
        let shown = |session| Session::shown(session, caller.session());
        let items = sessions.into_iter().map(shown).collect();
        Ok(Listed::Sessions(Json(SessionList { items })))
    }

    /// End one of your sessions
    ///
    /// Its tokens end at once, also where it is the session of this request.
    #[oai(path = "/users/me/sessions/:session_id", method = "delete", operation_id = "end_session")]
    async fn end(
        &self,
        caller: Caller,
        context: Data<&AuthContext>,
        /// The session's id.
        session_id: Path<Id>,
    ) -> Result<Ended, Fails<EndFails>> {
        caller.require_local()?;
        let user = caller.id().ok_or(UserError::NotFound)?;
        let ended = context.sessions().end(user, session_id.0.0).await;
        if !ended.map_err(UserError::from)? {
            return Err(Problem::from(UserError::NoSession).into());
        }
        caller.record(Event::TokenRevoked, Some(user));
        Ok(Ended::Done)
    }

    /// Sign a user out everywhere
    ///
    /// Ends every session of the user: oneself; administrators may of everyone.
    #[oai(path = "/users/:user_id/sessions", method = "delete", operation_id = "end_all_sessions")]
    async fn end_all(
        &self,
        caller: Caller,
        users: Data<&Users>,
        /// The user's id.
        user_id: Path<Id>,
    ) -> Result<Ended, Fails<EndFails>> {
        caller.require_self_or_admin(user_id.0.0)?;
        caller.require_local()?;
        users.sign_out(user_id.0.0).await?;
        caller.record(Event::TokenRevoked, Some(user_id.0.0));
        Ok(Ended::Done)
    }
}

impl Session {
    fn shown(row: session::Model, current: Option<Uuid>) -> Self {
        Self {
            id: row.id,
            current: current == Some(row.id),
            user_agent: row.user_agent,
            created_at: Timestamp(row.created_at),
            used_at: Timestamp(row.used_at),
            expires_at: Timestamp(row.expires_at),
        }
    }
}

impl Example for Session {
    fn example() -> Self {
        let created = Timestamp::example();
        Self {
            id: Uuid::from_u128(0x01a1_fd8c_697b_7c1e_9d53_2b6f_0a4e_7d12),
            current: true,
            user_agent: Some("curl/8.14".to_owned().into()),
            created_at: created,
            used_at: created,
            expires_at: Timestamp(created.0 + chrono::Duration::days(14)),
        }
    }
}

impl Example for SessionList {
    fn example() -> Self {
        Self { items: vec![Session::example()] }
    }
}
