//! A replica that is behind, cut off, silent, or was never there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::settings::Secret;
use chassis::testing::{Proxy, TestDatabase};
use sea_orm::ConnectionTrait;

use super::{NAME, World};
use crate::support::App;
use crate::support::nobody::Refusing;

const OF_PRIMARY: &str = "Ada Lovelace";

fn in_use(app: &App) -> i64 {
    app.witness.metrics().db_replica_in_use.get()
}

/// Statements say which server they were for.
fn assert_port_on_spans(world: &World, port: u16) {
    let spans = world.app.witness.spans();
    let mut ports = spans
        .iter()
        .flat_map(|span| &span.attributes)
        .filter(|pair| pair.key.as_str() == "server.port" && pair.value == i64::from(port).into());
    assert!(ports.next().is_some());
}

#[tokio::test]
async fn a_replica_whose_schema_is_behind_is_left_alone_until_it_has_caught_up() {
    let world = World::start().await;
    let rename = |from: &str, to: &str| format!("ALTER TABLE {from} RENAME TO {to}");
    world.replica.execute_unprepared(&rename("seaql_migrations", "aside")).await.unwrap();
    world.until_read(OF_PRIMARY).await;
    assert_eq!(in_use(&world.app), 0);
    let _ = world.app.client.get("/readyz").send().await.expect(200);
    world.replica.execute_unprepared(&rename("aside", "seaql_migrations")).await.unwrap();
    world.until_read(NAME).await;
    assert_eq!(in_use(&world.app), 1);
    let lines = world.app.witness.lines();
    let gone = |line: &&serde_json::Value| {
        line["message"] == "the replica is gone: reads go to the primary"
            && line["reason"].as_str().unwrap().contains("pending")
    };
    let gone: Vec<_> = lines.iter().filter(gone).collect();
    assert_eq!((gone.len(), &gone[0]["level"]), (1, &"WARN".into()));
    let back = lines.iter().filter(|line| line["message"] == "reads go to the replica");
    assert!(back.clone().count() >= 2 && back.clone().all(|line| line["level"] == "INFO"));
}

/// Both ways in which a server goes: its connections end, or nothing comes from them any more.
#[tokio::test]
async fn requests_are_answered_by_the_primary_when_the_replica_goes() {
    for stalls in [false, true] {
        let place = Arc::new(TestDatabase::create().await);
        // A file cannot go.
        let Some(mut proxy) = Proxy::before(&place).await else { return };
        let world = World::with_url(Arc::clone(&place), proxy.url().to_owned()).await;
        assert_port_on_spans(&world, proxy.address().port());
        if stalls {
            proxy.stall();
        } else {
            proxy.refuse();
            proxy.cut();
        }
        let path = world.ada.path();
        let asked = Instant::now();
        let call = || tokio::spawn(world.admin.client.get(&path).send());
        let calls: Vec<_> = (0..16).map(|_| call()).collect();
        for answer in calls {
            assert_eq!(answer.await.unwrap().expect(200).json()["name"], OF_PRIMARY);
        }
        // Who waited for the replica as for a primary would take the 30 s of `acquire_timeout`.
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
        world.until_read(OF_PRIMARY).await;
        for probe in ["/readyz", "/livez"] {
            let _ = world.app.client.get(probe).send().await.expect(200);
        }
        proxy.restore();
        world.until_read(NAME).await;
        assert_eq!(in_use(&world.app), 1);
    }
}

#[tokio::test]
async fn a_replica_that_is_not_there_keeps_no_service_from_starting() {
    let refusing = Refusing::new();
    let database = TestDatabase::create().await;
    let url = match database.url().split_once("://").unwrap() {
        ("sqlite", _) => "sqlite:///nowhere/replica.db".to_owned(),
        (scheme, _) => format!("{scheme}://nobody@{}/nowhere", refusing.address()),
    };
    let app = App::on(database, |settings| settings.database.read_url = Some(Secret::new(url)));
    let app = app.await;
    let ada = app.person().await;
    let _ = ada.client.get("/users/me").send().await.expect(200);
    let _ = app.client.get("/readyz").send().await.expect(200);
    assert_eq!(in_use(&app), 0);
}
