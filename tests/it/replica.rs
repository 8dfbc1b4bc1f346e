//! `database.read_url`: what reads there, what never does, and what happens when it is gone.
//!
//! The replica of these tests is another database whose rows say so, and never catches up.

mod gone;

use std::sync::Arc;

use belvedere::users::store;
use belvedere_entity::user::{Entity, PasswordHash, Role};
use belvedere_migration as migration;
use chassis::database::Database;
use chassis::http::conditional::Versions;
use chassis::settings::Secret;
use chassis::testing::{Answer, Call, TestDatabase};
use poem::http::Method;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use serde_json::{Value, json};

use crate::support::{App, PASSWORD, Person, eventually, new_user};

const NAME: &str = "Name of the replica";
/// Of every row there; no row of the primary gets that far.
const TAG: &str = "\"70\"";

/// A service with a replica that has its own idea of Ada and of an administrator.
struct World {
    app: App,
    replica: Database,
    ada: Person,
    admin: Person,
    _place: Arc<TestDatabase>,
}

impl World {
    async fn start() -> Self {
        let place = Arc::new(TestDatabase::create().await);
        let url = place.url().to_owned();
        Self::with_url(place, url).await
    }

    /// The service finds the replica at this URL.
    async fn with_url(place: Arc<TestDatabase>, url: String) -> Self {
        let helper = App::on(Arc::clone(&place), |_| {}).await;
        let replica = helper.connection().await;
        migration::up(replica.connection()).await.unwrap();
        let app = App::with(|settings| settings.database.read_url = Some(Secret::new(url))).await;
        let (ada, admin) = (app.person().await, app.admin().await);
        let world = Self { app, replica, ada, admin, _place: place };
        world.copy(&world.ada).await;
        world.copy(&world.admin).await;
        world.until_read(NAME).await;
        world
    }

    /// Puts a user into the replica, under another name, and with a password that nobody has.
    async fn copy(&self, person: &Person) {
        let primary = self.app.connection().await;
        let row = store::find(&primary, person.id.parse().unwrap()).await.unwrap().unwrap();
        let mut row = row;
        row.name = NAME.to_owned().into();
        row.name_key = NAME.to_lowercase().into();
        row.version = 70;
        row.password_hash = PasswordHash::new("none");
        Entity::insert(row.into_active_model())
            .exec_without_returning(&self.replica)
            .await
            .unwrap();
        primary.close().await;
    }

    /// Waits until Ada reads herself under this name: probes may be late on a busy machine.
    async fn until_read(&self, name: &str) {
        let reads = async || self.ada.client.get("/users/me").send().await.json()["name"] == name;
        eventually(name, reads).await;
    }
}

/// The answer once it is the replica's.
async fn of_replica(call: impl Fn() -> Call, is_replicas: impl Fn(&Answer) -> bool) {
    let what = "the replica answers";
    eventually(what, async || is_replicas(&call().send().await)).await;
}

#[tokio::test]
async fn every_get_request_reads_from_the_replica() {
    let world = World::start().await;
    let (ada, admin, path) = (&world.ada.client, &world.admin.client, world.ada.path());
    let named = |answer: &Answer| answer.json()["name"] == NAME && answer.header("etag") == TAG;
    of_replica(|| ada.get("/users/me"), named).await;
    of_replica(|| ada.get(&path), named).await;
    of_replica(|| admin.get(&path), named).await;
    let listed = |answer: &Answer| {
        let page = answer.json();
        let items = page["items"].as_array().unwrap();
        items.len() == 2 && items.iter().all(|item| item["name"] == NAME)
    };
    of_replica(|| admin.get("/users"), listed).await;
    of_replica(|| admin.get("/users?q=name%20of"), listed).await;
    of_replica(|| ada.call(Method::HEAD, &path), |answer| answer.header("etag") == TAG).await;
    let unchanged = |answer: &Answer| answer.status == 304;
    of_replica(|| ada.get(&path).header("if-none-match", TAG), unchanged).await;
}

#[tokio::test]
async fn whatever_is_no_get_request_has_nothing_from_the_replica() {
    let world = World::start().await;
    let (ada, admin, path) = (&world.ada.client, &world.admin.client, world.ada.path());
    let whole = json!({ "name": "Ada King", "email": world.ada.email });
    for (call, status, tag) in [
        (ada.patch(&path).header("if-match", TAG).json(&json!({})), 412, ""),
        (ada.patch(&path).header("if-match", TAG).json(&json!({ "address": "x" })), 412, ""),
        (ada.put(&path).header("if-match", TAG).json(&whole), 412, ""),
        (ada.delete(&path).header("if-match", TAG), 412, ""),
        (ada.patch(&path).header("if-match", "\"1\"").json(&json!({})), 200, "\"1\""),
        (
            ada.patch(&path).header("if-match", "\"1\"").json(&json!({ "address": "x" })),
            200,
            "\"2\"",
        ),
        (ada.put(&path).header("if-match", "\"2\"").json(&whole), 200, "\"3\""),
        (admin.put(&format!("{path}/role")).json(&json!({ "role": "user" })), 200, "\"3\""),
    ] {
        let answer = call.send().await.expect(status);
        assert_eq!(answer.header("etag"), tag);
        assert_ne!(answer.json()["name"], NAME);
    }
    // The password's hash, for proof and for logging in.
    let next = "another heron by another weir";
    let change = json!({ "current_password": PASSWORD, "new_password": next });
    let _ = ada.put(&format!("{path}/password")).json(&change).send().await.expect(204);
    let _ = world.app.log_in(&world.ada.email, next).await.expect(200);
    // The old token ends for writing at once, whatever the replica says of it.
    let _ = ada.patch(&path).json(&json!({})).send().await.expect(401);
    let _ = admin.delete(&path).send().await.expect(204);
    // Her address is free again, but for the replica.
    let created = admin.post("/users").json(&new_user(&world.ada.email)).send().await.expect(201);
    assert_eq!(created.header("etag"), "\"1\"");
}

#[tokio::test]
async fn a_role_that_only_the_replica_knows_changes_nothing() {
    let world = World::start().await;
    let mut row =
        store::find(&world.replica, world.ada.id.parse().unwrap()).await.unwrap().unwrap();
    row.role = Role::Admin;
    let row = row.into_active_model().reset_all();
    Entity::update(row).exec(&world.replica).await.unwrap();
    let (ada, path) = (&world.ada.client, world.admin.path());
    let _ = ada.patch(&path).json(&json!({ "name": "Eve" })).send().await.expect(404);
    let _ =
        ada.put(&format!("{path}/role")).json(&json!({ "role": "user" })).send().await.expect(403);
    let _ = ada.delete(&path).send().await.expect(404);
}

#[tokio::test]
async fn what_the_replica_has_not_got_yet_is_asked_of_the_primary() {
    let world = World::start().await;
    let eve = world.app.person().await;
    for _ in 0..10 {
        for call in [
            eve.client.get("/users/me"),
            eve.client.get(&eve.path()),
            world.admin.client.get(&eve.path()),
        ] {
            assert_eq!(call.send().await.expect(200).json()["id"], Value::from(&*eve.id));
        }
        for client in [&eve.client, &world.admin.client] {
            let known = client.get(&eve.path()).header("if-none-match", "\"1\"");
            let _ = known.send().await.expect(304);
        }
    }
    // A new token, of which the replica has not heard.
    let change =
        json!({ "current_password": PASSWORD, "new_password": "a loud heron at the weir" });
    let path = format!("{}/password", world.ada.path());
    let _ = world.ada.client.put(&path).json(&change).send().await.expect(204);
    let answer = world.app.log_in(&world.ada.email, "a loud heron at the weir").await.expect(200);
    let ada = world.app.client.with_token(answer.json()["access_token"].as_str().unwrap());
    for _ in 0..10 {
        let _ = ada.get("/users/me").send().await.expect(200);
    }
}

#[tokio::test]
async fn a_version_that_the_caller_has_from_a_write_is_not_taken_back() {
    let world = World::start().await;
    let path = world.ada.path();
    let change = json!({ "address": "Ockham Park" });
    let written = world.ada.client.patch(&path).json(&change).send().await.expect(200);
    assert_eq!(written.header("etag"), "\"2\"");
    for _ in 0..10 {
        for (client, path) in [
            (&world.ada.client, "/users/me"),
            (&world.ada.client, &*path),
            (&world.admin.client, &*path),
        ] {
            let known = client.get(path).header("if-none-match", "\"2\"").send().await;
            let _ = known.expect(304);
            let known = client.get(path).header("if-none-match", "\"1\"").send().await.expect(200);
            assert_eq!(
                (known.header("etag"), &known.json()["address"]),
                ("\"2\"", &change["address"])
            );
        }
    }
}

#[tokio::test]
async fn whoever_has_written_reads_what_they_have_written() {
    let world = World::start().await;
    let (ada, admin, path) = (&world.ada.client, &world.admin.client, world.ada.path());
    let change = json!({ "name": "Ada King" });
    let _ = admin.patch(&path).json(&change).send().await.expect(200);
    for _ in 0..5 {
        assert_eq!(admin.get(&path).send().await.expect(200).json()["name"], "Ada King");
        let found = admin.get("/users?q=ada%20king").send().await.expect(200).json();
        assert_eq!(found["items"][0]["name"], "Ada King");
    }
    // Others still read the replica, which says that it is newer.
    of_replica(|| ada.get(&path), |answer| answer.json()["name"] == NAME).await;
}

#[tokio::test]
async fn a_replica_that_is_behind_the_callers_own_row_is_not_believed() {
    let world = World::start().await;
    let id = world.ada.id.parse().unwrap();
    let mut row = store::find(&world.replica, id).await.unwrap().unwrap();
    row.version = 1;
    Entity::update(row.into_active_model().reset_all()).exec(&world.replica).await.unwrap();
    // Changed elsewhere: this process has not seen her write.
    let primary = world.app.connection().await;
    let mut row = store::find(&primary, id).await.unwrap().unwrap();
    row.name = "Ada King".to_owned().into();
    row.version = 2;
    Entity::update(row.into_active_model().reset_all()).exec(&primary).await.unwrap();
    primary.close().await;
    for _ in 0..5 {
        let answer = world.ada.client.get("/users/me").send().await.expect(200);
        assert_eq!((answer.header("etag"), &answer.json()["name"]), ("\"2\"", &"Ada King".into()));
        let known = world.ada.client.get("/users/me").header("if-none-match", "\"1\"");
        let _ = known.send().await.expect(200);
    }
}

#[tokio::test]
async fn no_right_outlives_its_end_because_a_replica_lags() {
    let world = World::start().await;
    let (ada, eve) = (&world.ada.client, world.app.person().await);
    world.copy(&eve).await;
    let next = "another heron by another weir";
    let change = json!({ "current_password": PASSWORD, "new_password": next });
    let path = format!("{}/password", world.ada.path());
    let _ = ada.put(&path).json(&change).send().await.expect(204);
    let _ = world.admin.client.delete(&eve.path()).send().await.expect(204);
    let primary = world.app.connection().await;
    let admin = world.admin.id.parse().unwrap();
    store::set_role(&primary, admin, Role::User.into(), &Versions::ANY).await.unwrap();
    primary.close().await;
    for client in [ada, &eve.client, &world.admin.client] {
        for path in ["/users/me", "/users"] {
            let _ = client.get(path).send().await.expect(401);
        }
    }
}

#[tokio::test]
async fn a_read_under_a_condition_of_a_write_is_the_primarys() {
    let world = World::start().await;
    let read = |tag| world.admin.client.get(&world.ada.path()).header("if-match", tag).send();
    assert_eq!(read("\"1\"").await.expect(200).header("etag"), "\"1\"");
    read(TAG).await.problem(412);
}
