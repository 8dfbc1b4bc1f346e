//! Which user an issuer means by a subject: every statement about identities.
//!
//! Nothing is looked for before it is written: whether a subject or a user is linked already, the
//! constraints say.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belvedere_entity::{identity, user};
use chassis::database::{Database, now, violated_constraint};
use chassis::privacy::Pii;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, JoinType, QueryFilter,
    QuerySelect, RelationTrait, SqlErr,
};
use uuid::Uuid;

use crate::users::UserError;

/// The constraints of the table, as the databases name them: this subject, or this user, is linked.
const LINKED: [&str; 3] = ["identities_pkey", "PRIMARY", "identities_user_id_issuer_unique"];

/// A subject of an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) struct SubjectKey([u8; 32]);

impl SubjectKey {
    pub(super) fn new(issuer: &str, subject: &str) -> Self {
        let mut hash = Context::new(&SHA256);
        // With its length before it no part of one can pass for a part of the other.
        hash.update(&u64::try_from(issuer.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(issuer.as_bytes());
        hash.update(subject.as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(hash.finish().as_ref());
        Self(key)
    }

    /// A name for the caller that is no user's id.
    pub(in crate::auth) fn name(self) -> String {
        format!("subject {}", URL_SAFE_NO_PAD.encode(self.0))
    }

    /// The same as short as an id; that two are alike is as unlikely as with ids.
    pub(in crate::auth) fn short(self) -> Uuid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0[..16]);
        Uuid::from_bytes(bytes)
    }
}

/// The user that is meant.
pub(super) async fn find(
    db: &impl ConnectionTrait,
    key: SubjectKey,
) -> Result<Option<user::Model>, UserError> {
    let found = user::Entity::find()
        .join_rev(JoinType::InnerJoin, identity::Relation::User.def())
        .filter(identity::Column::KeyHash.eq(key.0.to_vec()));
    Ok(found.one(db).await?)
}

/// Links a subject with a user. False where one of the two is linked already, or the user is gone.
pub(super) async fn link(
    db: &Database,
    key: SubjectKey,
    (issuer, subject): (&str, &str),
    user_id: Uuid,
) -> Result<bool, UserError> {
    let row = identity::Model {
        key_hash: key.0.to_vec(),
        issuer: issuer.to_owned(),
        subject: Pii::new(subject.to_owned()),
        user_id,
        created_at: now(),
    };
    let insert = || identity::Entity::insert(row.clone().into_active_model());
    match db.retrying(|| insert().exec_without_returning(db)).await {
        Ok(_) => Ok(true),
        Err(error) if is_refused(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_refused(error: &DbErr) -> bool {
    let linked = violated_constraint(error).is_some_and(|name| LINKED.contains(&name.as_str()));
    linked || matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_of_each_issuer_has_a_key_of_its_own() {
        let key = SubjectKey::new("https://id.example.com", "ada");
        assert_eq!(key, SubjectKey::new("https://id.example.com", "ada"));
        for (issuer, subject) in [
            ("https://id.example.com", "Ada"),
            ("https://id.example.com", "ada "),
            ("https://id.example.coma", "da"),
            ("https://id.example.com/", "ada"),
        ] {
            assert_ne!(key, SubjectKey::new(issuer, subject), "{issuer} {subject}");
        }
    }
}
