//! A pool whose connections are all busy in a database that is well.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, TransactionSession};

use super::abandoned::running;
use super::{Day, Times, answers_again, pool_gauge, pool_is_idle, unavailable_in_time};
use crate::support::eventually;

/// Results of the health check after which it would have turned, twice over.
const CHECKS: usize = 5;

#[tokio::test]
async fn a_pool_that_is_exhausted_costs_requests_and_not_the_replica() {
    let Some(day) = Day::begin("pool exhausted").await else {
        return;
    };
    let (client, path) = (day.client().clone(), day.person.path());
    let onlooker = day.app.connection().await;
    let holder = onlooker.begin_write().await.unwrap();
    holder.execute_unprepared("UPDATE users SET version = version + 1").await.unwrap();
    let waiting = (0..4).map(|_| {
        let (client, path) = (client.clone(), path.clone());
        tokio::spawn(async move {
            client.patch(&path).json(&serde_json::json!({ "name": "Grace" })).send().await
        })
    });
    let waiting: Vec<_> = waiting.collect();
    let wait = async || running(&onlooker, "UPDATE%users%").await == 4;
    eventually("all are busy", wait).await;
    assert_eq!(pool_gauge(&client, "used").await, 4);

    let answer = unavailable_in_time(client.get(&path)).await;
    let mut seen = 0;
    let mut last = f64::MAX;
    while seen < CHECKS {
        let _ = client.get("/readyz").send().await.expect(200);
        let health = client.get("/health").send().await.expect(200).json();
        let age = health["checks"]["database"]["age_seconds"].as_f64().unwrap();
        seen += usize::from(age < last);
        last = age;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    unavailable_in_time(client.get(&path)).await;

    let released = Instant::now();
    holder.rollback().await.unwrap();
    let recovery = answers_again(&client, &path, released).await;
    for waiting in waiting {
        let _ = waiting.await.unwrap().expect(200);
    }
    let pool = pool_is_idle(&client, released).await;
    let (answer, recovery, pool) = (Some(answer), Some(recovery), Some(pool));
    Times { answer, not_ready: None, recovery, pool }.tell(day.case);
    onlooker.close().await;
}
