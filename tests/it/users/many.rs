//! A directory with more users than a test would register one by one, and pages of it.

use std::collections::BTreeSet;

use belvedere::users::model::Prefix;
use belvedere::users::{PageQuery, store};
use belvedere_entity::user::{ActiveModel, Entity, Model, PasswordHash, Role};
use chassis::database::Database;
use chrono::DateTime;
use sea_orm::{EntityTrait, IntoActiveModel};
use uuid::{ContextV7, Timestamp, Uuid};

use crate::support::App;

/// More than count as rare.
const COMMON: usize = 1200;
const RARE: usize = 30;

/// Stores these users, oldest first, without the service and its hashing; returns their ids.
pub(super) async fn fill(database: &Database, names: impl Iterator<Item = String>) -> Vec<Uuid> {
    let clock = ContextV7::new();
    let user = |(number, name): (usize, String)| {
        let time = DateTime::from_timestamp(1_790_000_000 + i64::try_from(number).unwrap(), 0);
        let time = time.unwrap();
        let email = format!("u{number}@example.org");
        let seconds = time.timestamp().unsigned_abs();
        Model {
            id: Uuid::new_v7(Timestamp::from_unix(&clock, seconds, 0)),
            name_key: name.to_lowercase().into(),
            name: name.into(),
            email_key: email.clone().into(),
            email: email.into(),
            phone_number: None,
            address: None,
            role: Role::User,
            password_hash: PasswordHash::new("none"),
            version: 1,
            token_version: 1,
            disabled_at: None,
            created_at: time,
            updated_at: time,
        }
    };
    let users: Vec<Model> = names.enumerate().map(user).collect();
    // SQLite takes some 32,000 values with a statement.
    for users in users.chunks(2000) {
        let rows = users.iter().cloned().map(Model::into_active_model);
        let insert = Entity::insert_many::<ActiveModel, _>(rows);
        insert.exec_without_returning(database).await.unwrap();
    }
    users.into_iter().map(|user| user.id).collect()
}

/// All users without a filter.
pub(super) fn everyone(limit: u64) -> PageQuery {
    PageQuery { limit, after: None, email: None, q: None }
}

/// Those whose name or address begins so.
pub(super) fn search(prefix: &str, limit: u64) -> PageQuery {
    PageQuery { q: Some(Prefix::parse(prefix.to_owned()).unwrap()), ..everyone(limit) }
}

/// Follows the pages to the last one.
async fn pages(database: &Database, mut query: PageQuery) -> Vec<Vec<Uuid>> {
    let mut pages = Vec::new();
    loop {
        let page = store::page(database, &query).await.unwrap();
        pages.push(page.rows.iter().map(|row| row.id).collect());
        query.after = page.next;
        if query.after.is_none() {
            return pages;
        }
    }
}

#[tokio::test]
async fn a_search_finds_all_in_the_order_of_creation_be_they_few_or_many() {
    let app = App::start().await;
    let database = app.connection().await;
    let kind = |number| match number % 41 {
        0 => "Rare",
        _ => "Common",
    };
    let names = (0..COMMON + RARE).map(|number| format!("{} {number}", kind(number)));
    let ids = fill(&database, names).await;
    let of_kind = |wanted| {
        let numbers = (0..ids.len()).filter(move |number| kind(*number) == wanted);
        numbers.map(|number| ids[number]).collect::<Vec<_>>()
    };
    for (prefix, expected) in
        [("rare", of_kind("Rare")), ("common", of_kind("Common")), ("u", ids.clone())]
    {
        assert_eq!(expected.len() > 1000, prefix != "rare", "{prefix}");
        for limit in [7, 10, 100] {
            let pages = pages(&database, search(prefix, limit)).await;
            let (last, full) = pages.split_last().unwrap();
            assert!(full.iter().all(|page| page.len() as u64 == limit), "{prefix} {limit}");
            assert!((1..=limit).contains(&(last.len() as u64)), "{prefix} {limit}");
            assert_eq!(pages.concat(), expected, "{prefix} {limit}");
        }
    }
    database.close().await;
}

/// By name and by address, but once.
#[tokio::test]
async fn a_user_is_found_once_though_name_and_address_begin_alike() {
    let app = App::start().await;
    let database = app.connection().await;
    for (prefix, count) in [("u1", 3), ("u", 1300)] {
        let ids = fill(&database, (0..count).map(|number| format!("U{number}"))).await;
        let found = pages(&database, search(prefix, 100)).await.concat();
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "{prefix}");
        assert!(found.contains(&ids[1]), "{prefix}");
        Entity::delete_many().exec(&database).await.unwrap();
    }
    database.close().await;
}

#[tokio::test]
async fn a_page_takes_one_statement_and_a_search_two_however_many_it_shows() {
    let app = App::start().await;
    let admin = app.admin().await.client;
    let database = app.connection().await;
    fill(&database, (0..COMMON).map(|number| format!("Common {number}"))).await;
    database.close().await;
    // One more reads the caller.
    for (target, queries) in [
        ("/users?limit=1", 2),
        ("/users?limit=100", 2),
        ("/users?q=common&limit=100", 3),
        ("/users?q=u11&limit=1", 3),
        ("/users?q=u11&limit=100", 3),
        ("/users?q=nobody", 2),
        ("/users?q=common&email=u1@example.org", 2),
    ] {
        let page = admin.get(target).send().await.expect(200);
        let line = app.witness.request_line(page.header("x-request-id"));
        assert_eq!(line["db.queries"], queries, "{target}");
    }
}
