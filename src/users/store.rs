//! Every statement about users, and what its failure means.
//!
//! Versions are checked where rows are written, never between a read and a write. An address that is
//! taken shows in the constraint's name, never by looking first.

use belvedere_entity::session;
use belvedere_entity::user::{self, Column, Entity, PasswordHash};
use chassis::database::{Database, now, violated_constraint};
use chassis::http::conditional::Versions;
use chassis::privacy::Pii;
use poem_openapi::types::MaybeUndefined;
use sea_orm::ActiveValue::{self, Set};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    TransactionSession, UpdateMany,
};
use uuid::Uuid;

use super::UserError;
use super::model::{Address, Email, NewUser, PhoneNumber, Role, UserPatch};
use crate::sessions;

mod listing;
mod outdated;

pub use listing::{Page, page};
pub use outdated::count_outdated;

/// The name that the migration gave to the constraint.
const EMAIL_UNIQUE: &str = "users_email_key_unique";

/// A user that has what it was to have: a role, say.
pub struct Granted {
    /// The user, as it is now.
    pub row: user::Model,
    /// Whether that was otherwise before.
    pub changed: bool,
}

/// A user that is to be added.
pub fn new_row(new: NewUser, role: Role, password_hash: PasswordHash) -> user::Model {
    let now = now();
    user::Model {
        id: Uuid::now_v7(),
        name_key: key(new.name.expose()).into(),
        name: new.name.into_pii(),
        email_key: key(new.email.expose()).into(),
        email: new.email.into_pii(),
        phone_number: new.phone_number.map(PhoneNumber::into_pii),
        address: new.address.map(Address::into_pii),
        role: role.into(),
        password_hash,
        version: 1,
        token_version: 1,
        disabled_at: None,
        created_at: now,
        updated_at: now,
    }
}

/// Adds a user.
pub async fn create(db: &impl ConnectionTrait, row: &user::Model) -> Result<(), UserError> {
    let insert = Entity::insert(row.clone().into_active_model());
    insert.exec_without_returning(db).await.map_err(refused)?;
    Ok(())
}

/// The user with this id.
pub async fn find(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<user::Model>, UserError> {
    Ok(Entity::find_by_id(id).one(db).await?)
}

/// The user with this token version, while this session of it lives.
pub async fn find_signed_in(
    db: &impl ConnectionTrait,
    id: Uuid,
    token_version: i64,
    session_id: Uuid,
) -> Result<Option<user::Model>, UserError> {
    let session = Query::select()
        .expr(Expr::value(1))
        .from(session::Entity)
        .and_where(session::Column::Id.eq(session_id))
        .and_where(session::Column::UserId.eq(id))
        .and_where(session::Column::TokenVersion.eq(token_version))
        .and_where(session::Column::ExpiresAt.gt(now()))
        .take();
    let found = Entity::find_by_id(id)
        .filter(Column::TokenVersion.eq(token_version))
        .filter(Column::DisabledAt.is_null())
        .filter(Expr::exists(session));
    Ok(found.one(db).await?)
}

/// The user with this address, in whatever case it is written.
pub async fn find_by_email(
    db: &impl ConnectionTrait,
    email: &Email,
) -> Result<Option<user::Model>, UserError> {
    let found = Entity::find().filter(Column::EmailKey.eq(key(email.expose())));
    Ok(found.one(db).await?)
}

/// Changes a user that has one of these versions, and returns it as it is then. In one
/// transaction: where the user could not be read, nothing has changed.
pub async fn change(
    db: &Database,
    id: Uuid,
    patch: UserPatch,
    versions: &Versions,
) -> Result<user::Model, UserError> {
    if patch.is_empty() {
        return unchanged(db, id, versions).await;
    }
    let update = at_version(touch(id), versions).set(columns(patch));
    let transaction = db.begin_write().await?;
    let result = update.exec(&transaction).await.map_err(refused)?;
    if result.rows_affected == 0 {
        return Err(missed(&transaction, id).await);
    }
    let row = find(&transaction, id).await?.ok_or(UserError::NotFound)?;
    transaction.commit().await?;
    Ok(row)
}

/// Sets the hash of a new password and ends every session; `row` is what the old password was
/// verified against, and must still hold.
pub async fn set_password(
    db: &impl ConnectionTrait,
    row: &user::Model,
    password_hash: PasswordHash,
) -> Result<(), UserError> {
    let update = end_sessions(touch(row.id))
        .col_expr(Column::PasswordHash, Expr::value(password_hash))
        // Another hash of the same password, which a login may have made meanwhile, changes nothing.
        .filter(Column::TokenVersion.eq(row.token_version));
    match update.exec(db).await?.rows_affected {
        // The password, or the role, has changed meanwhile: the proof is void.
        0 => Err(UserError::WrongPassword),
        _ => Ok(sessions::end_all(db, row.id).await?),
    }
}

/// Replaces a hash by one of the same password with other parameters, unless the password has
/// changed meanwhile. Nothing that a caller can see changes: the version stays.
pub async fn set_hash(
    db: &impl ConnectionTrait,
    row: &user::Model,
    password_hash: PasswordHash,
) -> Result<(), UserError> {
    let update = Entity::update_many()
        .col_expr(Column::PasswordHash, Expr::value(password_hash))
        .filter(Column::Id.eq(row.id))
        .filter(Column::PasswordHash.eq(row.password_hash.clone()));
    update.exec(db).await?;
    Ok(())
}

/// Gives a user that has one of these versions a role and, if that is another than before, ends its
/// sessions. In one transaction, as [`change`].
pub async fn set_role(
    db: &Database,
    id: Uuid,
    role: Role,
    versions: &Versions,
) -> Result<Granted, UserError> {
    let role = user::Role::from(role);
    let columns = user::ActiveModel { role: Set(role), ..Default::default() };
    let update = touch(id).set(columns).filter(Column::Role.ne(role));
    grant(db, id, update, versions, |row| row.role == role).await
}

/// Lets a user that has one of these versions sign in, or no longer: then its sessions end. In one
/// transaction, as [`change`].
pub async fn set_enabled(
    db: &Database,
    id: Uuid,
    enabled: bool,
    versions: &Versions,
) -> Result<Granted, UserError> {
    let (before, disabled_at) = if enabled {
        (Column::DisabledAt.is_not_null(), None)
    } else {
        (Column::DisabledAt.is_null(), Some(now()))
    };
    let columns = user::ActiveModel { disabled_at: Set(disabled_at), ..Default::default() };
    // Nothing that the user's own representation shows has changed: the version stays.
    let update = Entity::update_many().set(columns).filter(Column::Id.eq(id)).filter(before);
    grant(db, id, update, versions, |row| row.disabled_at.is_none() == enabled).await
}

/// Ends every session of a user.
pub async fn sign_out(db: &Database, id: Uuid) -> Result<Granted, UserError> {
    let update = Entity::update_many().filter(Column::Id.eq(id));
    grant(db, id, update, &Versions::ANY, |_| true).await
}

/// Makes a change after which the user has to sign in again, unless it `is_so` already.
async fn grant(
    db: &Database,
    id: Uuid,
    update: UpdateMany<Entity>,
    versions: &Versions,
    is_so: impl Fn(&user::Model) -> bool,
) -> Result<Granted, UserError> {
    let update = at_version(end_sessions(update), versions);
    let transaction = db.begin_write().await?;
    let changed = update.exec(&transaction).await?.rows_affected > 0;
    if changed {
        sessions::end_all(&transaction, id).await?;
    }
    let row = find(&transaction, id).await?.ok_or(UserError::NotFound)?;
    // What is not so now was of another version then, whatever it is of by now.
    let held = changed || versions.is_any() || (versions.hold(row.version) && is_so(&row));
    if !held {
        return Err(UserError::Changed);
    }
    transaction.commit().await?;
    Ok(Granted { row, changed })
}

/// Removes a user that has one of these versions, and its sessions.
pub async fn delete(
    db: &impl ConnectionTrait,
    id: Uuid,
    versions: &Versions,
) -> Result<(), UserError> {
    let delete = at_version(Entity::delete_many().filter(Column::Id.eq(id)), versions);
    match delete.exec(db).await?.rows_affected {
        0 => Err(missed(db, id).await),
        _ => Ok(sessions::end_all(db, id).await?),
    }
}

/// What every visible change does to a row.
fn touch(id: Uuid) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .col_expr(Column::UpdatedAt, Expr::value(now()))
        .filter(Column::Id.eq(id))
}

fn end_sessions(update: UpdateMany<Entity>) -> UpdateMany<Entity> {
    update.col_expr(Column::TokenVersion, Expr::col(Column::TokenVersion).add(1))
}

fn at_version<S: QueryFilter>(statement: S, versions: &Versions) -> S {
    let statement = match versions.only() {
        Some(only) => statement.filter(Column::Version.is_in(only.iter().copied())),
        None => statement,
    };
    match versions.except() {
        [] => statement,
        except => statement.filter(Column::Version.is_not_in(except.iter().copied())),
    }
}

fn columns(patch: UserPatch) -> user::ActiveModel {
    let mut row = user::ActiveModel {
        phone_number: replacement(patch.phone_number, PhoneNumber::into_pii),
        address: replacement(patch.address, Address::into_pii),
        ..Default::default()
    };
    if let Some(name) = patch.name {
        row.name_key = Set(key(name.expose()).into());
        row.name = Set(name.into_pii());
    }
    if let Some(email) = patch.email {
        row.email_key = Set(key(email.expose()).into());
        row.email = Set(email.into_pii());
    }
    row
}

fn replacement<T>(
    value: MaybeUndefined<T>,
    text: impl FnOnce(T) -> Pii<String>,
) -> ActiveValue<Option<Pii<String>>> {
    match value {
        MaybeUndefined::Undefined => ActiveValue::NotSet,
        MaybeUndefined::Null => Set(None),
        MaybeUndefined::Value(value) => Set(Some(text(value))),
    }
}

async fn unchanged(
    db: &impl ConnectionTrait,
    id: Uuid,
    versions: &Versions,
) -> Result<user::Model, UserError> {
    let row = find(db, id).await?.ok_or(UserError::NotFound)?;
    if versions.hold(row.version) { Ok(row) } else { Err(UserError::Changed) }
}

/// Why a statement found no row to write.
async fn missed(db: &impl ConnectionTrait, id: Uuid) -> UserError {
    match find(db, id).await {
        Ok(Some(_)) => UserError::Changed,
        Ok(None) => UserError::NotFound,
        Err(error) => error,
    }
}

fn refused(error: DbErr) -> UserError {
    match violated_constraint(&error).as_deref() {
        Some(EMAIL_UNIQUE) => UserError::AddressTaken,
        _ => error.into(),
    }
}

/// The form in which upper and lower case are alike. Each character is taken by itself, so that the
/// key of a prefix begins the key of the text; `str::to_lowercase` writes a sigma by what follows it.
fn key(text: &str) -> String {
    let lower = text.chars().flat_map(char::to_lowercase);
    lower.map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_upper_and_lower_case_alike() {
        assert_eq!(key("ÖRN@Example.ORG"), key("örn@example.org"));
        assert_eq!(key("ΣΙΣΥΦΟΣ"), key("σισυφος"));
    }

    #[test]
    fn the_key_of_a_prefix_begins_the_key_of_the_text() {
        for (prefix, text) in [("ΣΙΣ", "Σισυφος"), ("İs", "İstanbul")] {
            assert!(key(text).starts_with(&key(prefix)), "{prefix} {text}");
        }
    }
}
