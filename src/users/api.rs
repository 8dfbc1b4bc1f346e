//! The requests about users: who may send them, and what they are answered.

use belvedere_entity::user;
use chassis::http::conditional::{IfMatch, IfNoneMatch};
use chassis::http::id::Id;
use chassis::http::idempotency::IdempotencyKey;
use chassis::http::input::{Body, Draft, MergePatch};
use chassis::problem::Fails;
use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{OpenApi, Tags};

use self::actions::{change, created, read};
use self::responses::{
    ChangeFails, Changed, CreateFails, Created, DeleteFails, Done, GrantFails, ListFails, Listed,
    PasswordFails, Read, ReadFails, StatusFails, StatusTold,
};
use super::error::WRONG_PASSWORD;
use super::model::{
    Email, NewUser, PasswordChange, Prefix, READ_ONLY, Role, RoleChange, Status, StatusChange,
    User, UserChange, UserPage, UserPatch,
};
use super::page::{Cursor, Limit, PageQuery, Unchecked};
use super::{Once, UserError, Users, store};
use crate::auth::{Caller, Event, Registrar};

mod actions;
mod responses;

/// The requests under `/users`.
pub struct UsersApi;

#[derive(Tags)]
enum Tag {
    /// The people in the directory.
    Users,
}

#[OpenApi(tag = "Tag::Users")]
impl UsersApi {
    /// Create a user
    ///
    /// Anyone may, unless the operator reserved it to administrators or has an outside issuer. The new user has the role
    /// `user` and can log in at once. With an `Idempotency-Key` the request can be repeated until there is
    /// an answer: the user is created once, and for 24 hours every repetition gets the first answer. Where
    /// anyone may create users, a token that is not valid counts as none, but with an `Idempotency-Key`, which
    /// belongs to whoever is signed in.
    #[oai(path = "/users", method = "post", operation_id = "create_user")]
    async fn create(
        &self,
        registrar: Registrar,
        users: Data<&Users>,
        /// The caller's name for this request, used for no other: best a random UUID. It holds for this
        /// operation and for whoever is signed in; callers without a valid token share theirs.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
        body: Draft<NewUser>,
    ) -> Result<Created, Fails<CreateFails>> {
        let limits = users.password_limits();
        let new = body.check(READ_ONLY, |fields| NewUser::from_fields(fields, limits))?;
        let answer = |row: &user::Model| created(&users, row);
        let once = if let Some(key) = key.of_caller(registrar.id().as_deref()) {
            users.create_once(new, &key, answer).await?
        } else {
            let row = users.create(new, Role::User).await?;
            Once { answer: answer(&row), created: Some(row.id) }
        };
        if let Some(id) = once.created {
            registrar.record_created(id);
        }
        Ok(once.into())
    }

    /// List users
    ///
    /// For administrators. Oldest first; filters can be combined.
    #[oai(path = "/users", method = "get", operation_id = "list_users")]
    async fn list(
        &self,
        caller: Caller,
        users: Data<&Users>,
        /// How many users a page has at most.
        limit: Query<Option<Limit>>,
        /// Where the page begins: `next` of the page before.
        after: Query<Option<Cursor>>,
        /// Only the user with this address, in whatever case.
        email: Query<Option<Unchecked<Email>>>,
        /// Only users whose name or address begins with this, in whatever case.
        q: Query<Option<Unchecked<Prefix>>>,
    ) -> Result<Listed, Fails<ListFails>> {
        caller.require_admin()?;
        let query = PageQuery::check(limit.0, after.0, email.0, q.0)?;
        let page = store::page(&caller.reader(users.database()), &query).await?;
        let next = page.next.map(|next| users.link(&query.continued(next)));
        let body = UserPage {
            items: page.rows.into_iter().map(User::from).collect(),
            next: page.next.map(Cursor::encode),
        };
        Ok(Listed::Page(Json(body), next.map(|url| format!("<{url}>; rel=\"next\""))))
    }

    /// Read yourself
    ///
    /// The user whose token the request carries. With `If-Match` only one of these versions.
    #[oai(path = "/users/me", method = "get", operation_id = "read_current_user")]
    async fn me(
        &self,
        caller: Caller,
        users: Data<&Users>,
        /// Entity tags of the versions that the caller insists on.
        #[oai(name = "If-Match")]
        expected: IfMatch,
        /// Entity tags of versions that the caller has already.
        #[oai(name = "If-None-Match")]
        known: IfNoneMatch,
    ) -> Result<Read, Fails<ReadFails>> {
        let id = caller.id().ok_or(UserError::NotFound)?;
        read(&caller, &users, id, (&expected, &known)).await
    }

    /// Read a user
    ///
    /// Oneself; administrators read everyone. With `If-Match` only one of these versions.
    #[oai(path = "/users/:user_id", method = "get", operation_id = "read_user")]
    async fn read(
        &self,
        caller: Caller,
        users: Data<&Users>,
        /// The user's id.
        user_id: Path<Id>,
        /// Entity tags of the versions that the caller insists on.
        #[oai(name = "If-Match")]
        expected: IfMatch,
        /// Entity tags of versions that the caller has already.
        #[oai(name = "If-None-Match")]
        known: IfNoneMatch,
    ) -> Result<Read, Fails<ReadFails>> {
        caller.require_self_or_admin(user_id.0.0)?;
        read(&caller, &users, user_id.0.0, (&expected, &known)).await
    }

    /// Replace a user
    ///
    /// Sets name, address of e-mail, phone number and postal address; what is left out is emptied.
    /// With `If-Match` only if the user still has one of these versions, with `If-None-Match` only if
    /// it has none of them.
    #[oai(path = "/users/:user_id", method = "put", operation_id = "replace_user")]
    async fn replace(
        &self,
        caller: Caller,
        users: Data<&Users>,
        /// The user's id.
        user_id: Path<Id>,
        /// Entity tags of the versions that may be replaced.
        #[oai(name = "If-Match")]
        expected: IfMatch,
        /// Entity tags of versions that must not be replaced.
        #[oai(name = "If-None-Match")]
        known: IfNoneMatch,
        body: Body<UserChange>,
    ) -> Result<Changed, Fails<ChangeFails>> {
        let patch = UserPatch::from(body.0);
        Ok(change(&caller, &users, user_id.0.0, &expected.and(&known), patch).await?)
    }

    /// Change parts of a user
    ///
    /// A JSON Merge Patch (RFC 7396). With `If-Match` only if the user still has one of these
    /// versions, with `If-None-Match` only if it has none of them. An empty patch changes nothing, the
    /// version included.
    #[oai(path = "/users/:user_id", method = "patch", operation_id = "patch_user")]
    async fn patch(
        &self,
        caller: Caller,
        users: Data<&Users>,
        /// The user's id.
        user_id: Path<Id>,
        /// Entity tags of the versions that may be changed.
        #[oai(name = "If-Match")]
        expected: IfMatch,
        /// Entity tags of versions that must not be changed.
        #[oai(name = "If-None-Match")]
        known: IfNoneMatch,
        body: MergePatch<UserPatch>,
    ) -> Result<Changed, Fails<ChangeFails>> {
        Ok(change(&caller, &users, user_id.0.0, &expected.and(&known), body.0).await?)
    }

    /// Delete a user
    ///
    /// Its sessions end at once. With `If-Match` only if the user still has one of these versions, with
    /// `If-None-Match` only if it has none of them.
    #[oai(path = "/users/:user_id", method = "delete", operation_id = "delete_user")]
    async fn delete(
        &self,
        caller: Caller,
        users: Data<&Users>,
        /// The user's id.
        user_id: Path<Id>,
        /// Entity tags of the versions that may be deleted.
        #[oai(name = "If-Match")]
        expected: IfMatch,
        /// Entity tags of versions that must not be deleted.
        #[oai(name = "If-None-Match")]
        known: IfNoneMatch,
    ) -> Result<Done, Fails<DeleteFails>> {
        caller.require_self_or_admin(user_id.0.0)?;
        users.delete(user_id.0.0, &expected.and(&known)).await?;
        caller.record(Event::UserDeleted, Some(user_id.0.0));
        Ok(Done::Empty)
    }

    /// Change your password
    ///
    /// Nobody can do this for somebody else. Every session of the user ends, this one too. A wrong
    /// current password is a field that is not acceptable (422), and counts as a wrong login does: after ten
    /// in a row attempts have to wait (429).
    #[oai(path = "/users/:user_id/password", method = "put", operation_id = "change_password")]
    async fn change_password(
        &self,
        caller: Caller,
        users: Data<&Users>,
        /// The user's id.
        user_id: Path<Id>,
        body: Draft<PasswordChange>,
    ) -> Result<Done, Fails<PasswordFails>> {
        let row = caller.require_self(user_id.0.0)?;
        caller.require_local()?;
        let mut fields = body.fields();
        let change = PasswordChange::from_fields(&mut fields, users.password_limits(), row);
        if let Some(proof) = change.current_password
            && !caller.proves(&users, row, proof).await?
        {
            fields.reject::<()>("current_password", WRONG_PASSWORD);
        }
        let new = fields.finish(&[], change.new_password)?;
        users.set_password(row, new).await?;
        caller.record(Event::PasswordChange, Some(row.id));
        Ok(Done::Empty)
    }

    /// Say whether a user may sign in
    ///
    /// For administrators. The sessions of a user that is disabled end at once. The status is no part
    /// of the user's representation and changes no version; with `If-Match` it changes only while the user
    /// has one of these versions.
    #[oai(path = "/users/:user_id/status", method = "put", operation_id = "change_status")]
    async fn change_status(
        &self,
        caller: Caller,
        users: Data<&Users>,
        /// The user's id.
        user_id: Path<Id>,
        /// Entity tags of the versions at which the user may be changed.
        #[oai(name = "If-Match")]
        expected: IfMatch,
        /// Entity tags of versions at which the user must not be changed.
        #[oai(name = "If-None-Match")]
        known: IfNoneMatch,
        body: Body<StatusChange>,
    ) -> Result<StatusTold, Fails<GrantFails>> {
        caller.require_admin()?;
        let enabled = body.0.status == Status::Active;
        let granted = users.set_enabled(user_id.0.0, enabled, &expected.and(&known)).await?;
        if granted.changed && enabled {
            caller.record_because(Event::UserUpdated, "enabled", Some(user_id.0.0));
        } else if granted.changed {
            caller.record(Event::UserArchived, Some(user_id.0.0));
        }
        Ok(StatusTold::of(&granted.row))
    }

    /// Read whether a user may sign in
    ///
    /// For administrators.
    #[oai(path = "/users/:user_id/status", method = "get", operation_id = "read_status")]
    async fn read_status(
        &self,
        caller: Caller,
        users: Data<&Users>,
        /// The user's id.
        user_id: Path<Id>,
    ) -> Result<StatusTold, Fails<StatusFails>> {
        caller.require_admin()?;
        let row = store::find(users.database(), user_id.0.0).await?;
        Ok(StatusTold::of(&row.ok_or(UserError::NotFound)?))
    }

    /// Give a user a role
    ///
    /// For administrators. Where the role is another than before, the user's sessions end. With
    /// `If-Match` only if the user still has one of these versions.
    #[oai(path = "/users/:user_id/role", method = "put", operation_id = "change_role")]
    async fn change_role(
        &self,
        caller: Caller,
        users: Data<&Users>,
        /// The user's id.
        user_id: Path<Id>,
        /// Entity tags of the versions at which the user may be changed.
        #[oai(name = "If-Match")]
        expected: IfMatch,
        /// Entity tags of versions at which the user must not be changed.
        #[oai(name = "If-None-Match")]
        known: IfNoneMatch,
        body: Body<RoleChange>,
    ) -> Result<Changed, Fails<GrantFails>> {
        caller.require_admin()?;
        caller.require_local()?;
        let granted = users.set_role(user_id.0.0, body.0.role, &expected.and(&known)).await?;
        if granted.changed {
            caller.record(Event::RoleChange, Some(user_id.0.0));
        }
        Ok(granted.row.into())
    }
}

#[cfg(test)]
mod tests;
