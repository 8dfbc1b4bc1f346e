//! What the service asks of the table `users`, on whichever database.

use belvedere_entity::user::{ActiveModel, Column, Entity, Model, PasswordHash, Role};
use chassis::database::{Database, is_unavailable, violated_constraint};
use chrono::{SubsecRound, Utc};
use sea_orm::prelude::Expr;
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set, TransactionSession,
};
use uuid::Uuid;

use crate::support::on_a_database;

fn user(name: &str) -> Model {
    // Microseconds are what all databases keep.
    let now = Utc::now().trunc_subsecs(6);
    let email = format!("{name}@Example.org");
    Model {
        id: Uuid::now_v7(),
        name: name.to_owned().into(),
        name_key: name.to_lowercase().into(),
        email_key: email.to_lowercase().into(),
        email: email.into(),
        phone_number: Some("+4930123456".to_owned().into()),
        address: None,
        role: Role::User,
        password_hash: PasswordHash::new("$argon2id$..."),
        version: 1,
        token_version: 0,
        disabled_at: None,
        created_at: now,
        updated_at: now,
    }
}

async fn insert(database: &impl ConnectionTrait, user: Model) -> Result<Model, DbErr> {
    user.into_active_model().insert(database).await
}

pub(crate) async fn insert_all(database: &Database, names: &[&str]) {
    for name in names {
        insert(database, user(name)).await.unwrap();
    }
}

#[tokio::test]
async fn a_user_comes_back_as_it_was_stored() {
    on_a_database(async |database: &Database| {
        let stored = user("Ada Löwenherz 🦁");
        assert_eq!(insert(database, stored.clone()).await.unwrap(), stored);
        let found = Entity::find_by_id(stored.id).one(database).await.unwrap();
        assert_eq!(found, Some(stored));
        assert_eq!(Entity::find_by_id(Uuid::nil()).one(database).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_address_exists_once_whatever_its_case() {
    on_a_database(async |database: &Database| {
        insert(database, user("Ada")).await.unwrap();
        let error = insert(database, user("ADA")).await.unwrap_err();
        assert_eq!(violated_constraint(&error).as_deref(), Some("users_email_key_unique"));
        assert!(!is_unavailable(&error));

        let other = insert(database, user("Bob")).await.unwrap();
        let email_key = Set("ada@example.org".to_owned().into());
        let change = ActiveModel { email_key, ..other.into_active_model() };
        let error = change.update(database).await.unwrap_err();
        assert_eq!(violated_constraint(&error).as_deref(), Some("users_email_key_unique"));
    })
    .await;
}

#[tokio::test]
async fn letters_with_and_without_accent_are_different() {
    on_a_database(async |database: &Database| {
        insert_all(database, &["rene", "rené"]).await;
        assert_eq!(Entity::find().count(database).await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_id_that_exists_violates_the_primary_key() {
    on_a_database(async |database: &Database| {
        let first = insert(database, user("Ada")).await.unwrap();
        let error = insert(database, Model { id: first.id, ..user("Bob") }).await.unwrap_err();
        let constraint = violated_constraint(&error).unwrap();
        assert!(["users_pkey", "PRIMARY"].contains(&constraint.as_str()), "{constraint}");
    })
    .await;
}

#[tokio::test]
async fn the_database_knows_the_roles() {
    on_a_database(async |database: &Database| {
        insert(database, Model { role: Role::Admin, ..user("Ada") }).await.unwrap();
        let update = Entity::update_many().col_expr(Column::Role, Expr::val("root"));
        update.exec(database).await.unwrap_err();
    })
    .await;
}

#[tokio::test]
async fn pages_follow_each_other_in_the_order_of_creation() {
    on_a_database(async |database: &Database| {
        let names = ["d", "b", "a", "e", "c"];
        insert_all(database, &names).await;
        let (mut seen, mut after) = (Vec::new(), Uuid::nil());
        loop {
            let page = Entity::find().filter(Column::Id.gt(after)).order_by_asc(Column::Id);
            let page = page.limit(2).all(database).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.id;
            seen.extend(page.into_iter().map(|user| user.name.into_exposed()));
        }
        assert_eq!(seen, names);
    })
    .await;
}

#[tokio::test]
async fn a_range_of_keys_is_a_search_by_the_start_of_the_name() {
    on_a_database(async |database: &Database| {
        insert_all(database, &["Ada", "adam", "Adrian", "ad", "Ádám", "bob", "a_a"]).await;
        let starts = async |from: &str, to: &str| {
            let range = Column::NameKey.gte(from).and(Column::NameKey.lt(to));
            let found = Entity::find().filter(range).order_by_asc(Column::NameKey);
            let found = found.all(database).await.unwrap();
            found.into_iter().map(|user| user.name_key.into_exposed()).collect::<Vec<_>>()
        };
        assert_eq!(starts("ada", "adb").await, ["ada", "adam"]);
        assert_eq!(starts("a", "b").await, ["a_a", "ad", "ada", "adam", "adrian"]);
        assert_eq!(starts("á", "â").await, ["ádám"]);
    })
    .await;
}

#[tokio::test]
async fn a_change_needs_the_version_that_it_was_made_for() {
    on_a_database(async |database: &Database| {
        let stored = insert(database, user("Ada")).await.unwrap();
        let rename = async |name: &str| {
            let update = Entity::update_many()
                .col_expr(Column::Name, Expr::val(name))
                .col_expr(Column::Version, Expr::col(Column::Version).add(1))
                .filter(Column::Id.eq(stored.id))
                .filter(Column::Version.eq(stored.version));
            update.exec(database).await.unwrap().rows_affected
        };
        assert_eq!(rename("Ada King").await, 1);
        assert_eq!(rename("Augusta").await, 0);
        let found = Entity::find_by_id(stored.id).one(database).await.unwrap().unwrap();
        assert_eq!((found.name.expose().as_str(), found.version), ("Ada King", 2));
    })
    .await;
}

#[tokio::test]
async fn a_transaction_is_seen_by_others_when_it_is_committed() {
    on_a_database(async |database: &Database| {
        let transaction = database.begin_write().await.unwrap();
        let stored = insert(&transaction, user("Ada")).await.unwrap();
        assert_eq!(Entity::find_by_id(stored.id).one(database).await.unwrap(), None);
        transaction.commit().await.unwrap();
        assert_eq!(Entity::find_by_id(stored.id).one(database).await.unwrap(), Some(stored));
    })
    .await;
}

#[tokio::test]
async fn a_deleted_user_is_gone() {
    on_a_database(async |database: &Database| {
        let stored = insert(database, user("Ada")).await.unwrap();
        let deleted = Entity::delete_by_id(stored.id).exec(database).await.unwrap();
        assert_eq!(deleted.rows_affected, 1);
        assert_eq!(Entity::find().count(database).await.unwrap(), 0);
    })
    .await;
}
