//! What the requests do that takes more than a line: reading a user from the right place, changing one.

use belvedere_entity::user;
use chassis::http::conditional::{IfMatch, IfNoneMatch, Versions};
use chassis::problem::{Fails, Problem};
use poem::http::StatusCode;
use poem_openapi::types::ToJSON;
use uuid::Uuid;

use super::responses::{Changed, Read, ReadFails};
use crate::auth::{Caller, Event};
use crate::idempotency::Answer;
use crate::users::model::{User, UserPatch};
use crate::users::{UserError, Users, store};

/// Where a replica answers, it is not believed when it must be behind: a user whom it does not know, a
/// version older than the caller's own row, or none of those that the caller has from a write or from a
/// read of what was new then.
pub(super) async fn read(
    caller: &Caller,
    users: &Users,
    id: Uuid,
    (expected, known): (&IfMatch, &IfNoneMatch),
) -> Result<Read, Fails<ReadFails>> {
    let database = users.database();
    let own = caller.row().filter(|row| row.id == id);
    let reader = caller.reader(database);
    let row = match own {
        Some(own) if !reader.asks_replica() => Some(own.clone()),
        _ => store::find(&reader, id).await?,
    };
    let acceptable = |row: &user::Model| {
        let is_old = own.is_some_and(|own| row.version < own.version);
        !is_old && (!known.is_given() || known.has(row.version))
    };
    let row = match (row, own) {
        (Some(row), _) if !reader.may_lag() || acceptable(&row) => Some(row),
        (_, Some(own)) => Some(own.clone()),
        (None, None) if !reader.may_lag() => None,
        (_, None) => store::find(database, id).await?,
    };
    let row = row.ok_or(UserError::NotFound)?;
    // Before `If-None-Match` is looked at (RFC 9110, section 13.2.2). The reader was of the primary.
    if !expected.holds(row.version) {
        return Err(UserError::Changed.into());
    }
    Ok(Read::unless_known(row, known))
}

pub(super) fn created(users: &Users, row: &user::Model) -> Answer {
    Answer {
        status: StatusCode::CREATED.as_u16(),
        location: Some(users.link(&format!("/users/{}", row.id))),
        version: Some(row.version),
        body: Some(User::from(row.clone()).to_json_string().into()),
    }
}

pub(super) async fn change(
    caller: &Caller,
    users: &Users,
    id: Uuid,
    versions: &Versions,
    patch: UserPatch,
) -> Result<Changed, Problem> {
    caller.require_self_or_admin(id)?;
    let changes = !patch.is_empty();
    let row = users.change(id, &patch, versions).await?;
    if changes {
        caller.record(Event::UserUpdated, Some(id));
    }
    Ok(row.into())
}
