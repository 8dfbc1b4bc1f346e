//! A server that is gone while it is needed, and comes back.

use std::time::{Duration, Instant};

use super::load::{Load, Told};
use super::{
    ANSWER_LIMIT, Day, READINESS_LIMIT, Times, answers_again, is_unavailable, pool_gauge,
    pool_is_idle, readiness_is, unavailable_in_time,
};
use crate::support::eventually;

#[tokio::test]
async fn a_server_that_is_lost_under_load_comes_back_without_a_restart() {
    let Some(day) = Day::begin("lost under load").await else {
        return;
    };
    outage(day, |proxy| {
        proxy.refuse();
        proxy.cut();
    })
    .await;
}

#[tokio::test]
async fn a_server_that_hangs_under_load_comes_back_without_a_restart() {
    let Some(day) = Day::begin("hangs under load").await else {
        return;
    };
    outage(day, |proxy| proxy.stall()).await;
}

#[tokio::test]
async fn a_server_that_hangs_and_then_breaks_off_comes_back_without_a_restart() {
    let Some(mut day) = Day::begin("hangs, then breaks off").await else {
        return;
    };
    let mut times = Times::default();
    day.proxy.stall();
    times.answer = Some(unavailable_in_time(day.client().get(&day.person.path())).await);
    day.proxy.cut();
    day.proxy.restore();
    let restored = Instant::now();
    let path = day.person.path();
    times.recovery = Some(answers_again(day.client(), &path, restored).await);
    times.pool = Some(pool_is_idle(day.client(), restored).await);
    times.tell(day.case);
}

#[tokio::test]
async fn nobody_notices_that_a_server_was_restarted_while_nothing_was_asked() {
    let Some(day) = Day::begin("restarted while idle").await else {
        return;
    };
    day.proxy.cut();
    eventually("the connections are gone", async || day.proxy.connections() == 0).await;
    // Connections that were in use a moment ago are taken for alive.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    // Each of the four that the pool may have could be a broken one, were they not looked at.
    for _ in 0..5 {
        let _ = day.client().get(&day.person.path()).send().await.expect(200);
    }
}

#[tokio::test]
async fn one_broken_connection_makes_the_others_suspect() {
    let Some(day) = Day::begin("all connections broken off").await else {
        return;
    };
    let path = day.person.path();
    let calls = (0..16).map(|_| tokio::spawn(day.client().get(&path).send()));
    for call in calls.collect::<Vec<_>>() {
        let _ = call.await.unwrap().expect(200);
    }
    day.proxy.cut();
    let mut failed = 0;
    for _ in 0..8 {
        failed += usize::from(day.client().get(&path).send().await.status != 200);
    }
    assert!(failed <= 1, "{failed}");
}

/// From good to bad and back, with callers all the time.
async fn outage(mut day: Day, strike: impl FnOnce(&mut chassis::testing::Proxy)) {
    let (client, path) = (day.client().clone(), day.person.path());
    let load = Load::on(&day);
    load.has(20, 200, Instant::now()).await;
    load.has(2, 201, Instant::now()).await;

    strike(&mut day.proxy);
    let lost = Instant::now();
    let not_ready = readiness_is(&client, 503, lost).await;
    assert!(not_ready < READINESS_LIMIT, "{not_ready:?}");
    load.has(8, 503, lost).await;
    unavailable_in_time(client.get(&path)).await;
    let _ = client.get("/livez").send().await.expect(200);

    let restored = Instant::now();
    day.proxy.restore();
    let recovery = answers_again(&client, &path, restored).await;
    readiness_is(&client, 200, restored).await;
    load.has(20, 200, Instant::now()).await;
    load.has(2, 201, Instant::now()).await;
    let told = load.end().await;
    let ended = Instant::now();
    let pool = pool_is_idle(&client, ended).await;
    // No more than it may have, and the one for health checks.
    assert!(pool_gauge(&client, "idle").await <= 4);
    eventually("no connection is left over", async || day.proxy.connections() <= 5).await;

    let meanwhile = told.iter().filter(|told| told.asked >= lost && told.answered <= restored);
    let waits = meanwhile.map(|told| {
        is_unavailable(&told.answer);
        told.answered - told.asked
    });
    let answer = waits.max().unwrap();
    assert!(answer < ANSWER_LIMIT, "{answer:?}");
    nothing_else_was_told(&told);
    acknowledged_users_exist(&day, &told).await;
    let [answer, not_ready, recovery, pool] = [answer, not_ready, recovery, pool].map(Some);
    Times { answer, not_ready, recovery, pool }.tell(day.case);
}

/// Whatever happened, callers had one of these answers.
fn nothing_else_was_told(told: &[Told]) {
    for Told { answer, .. } in told {
        let status = answer.status.as_u16();
        assert!([200, 201, 503].contains(&status), "{status} {}", answer.text());
    }
}

/// A user whose creation was answered 201 is there.
async fn acknowledged_users_exist(day: &Day, told: &[Told]) {
    let admin = day.app.admin().await.client;
    for told in told.iter().filter(|told| told.answer.status == 201) {
        let location = told.answer.header("location");
        let _ = admin.get(location).send().await.expect(200);
    }
}
