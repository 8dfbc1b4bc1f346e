//! Budgets that replicas share through Redis, and what is left of them without it.

use chassis::privacy::Secret;
use chassis::testing::Answer;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::redis::TestRedis;
use crate::support::{App, Settings, eventually};

const ERRORS: &str = "rate_limit_store_errors_total";
const GONE: &str = "Redis is gone: each replica keeps budgets of its own";
const SHARED: &str = "budgets are shared through Redis";

#[tokio::test]
async fn replicas_share_one_budget_of_each_client_and_policy() {
    let Some(redis) = TestRedis::find() else { return };
    let replicas = [replica(&redis, redis.url()).await, replica(&redis, redis.url()).await];
    for (i, remaining) in [2, 1, 0].into_iter().enumerate() {
        let answer = get(&replicas[i % 2]).await.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=3;w=3600");
        let told = answer.header("ratelimit");
        // An hour has three requests, and each comes free after twenty minutes.
        let seconds = 1200 * (3 - remaining);
        assert_eq!(told, format!("\"default\";r={remaining};t={seconds}"));
    }
    for app in &replicas {
        let answer = get(app).await;
        answer.problem(429);
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=1200).contains(&wait), "{wait}");
        assert_eq!(answer.header("ratelimit"), format!("\"default\";r=0;t={wait}"));
    }
    let _ = replicas[0].client.post("/login").send().await.expect(200);
    replicas[1].client.post("/login").send().await.problem(429);
}

#[tokio::test]
async fn keys_end_by_themselves_and_tell_no_address() {
    let Some(redis) = TestRedis::find() else { return };
    let app = replica(&redis, redis.url()).await;
    let _ = get(&app).await.expect(200);
    let _ = get(&app).await.expect(200);
    let _ = app.client.post("/login").send().await.expect(200);
    let mut keys = redis.keys();
    // The probe's key is gone within a second, or has not gone yet.
    keys.retain(|(key, _)| !key.ends_with(":probe"));
    keys.sort_unstable();
    let [(auth, auth_left), (default, default_left)] = &keys[..] else {
        panic!("{keys:?}");
    };
    for left in [auth_left, default_left] {
        assert!((1..=3_600_000).contains(left), "{keys:?}");
    }
    for (key, policy) in [(auth, "auth"), (default, "default")] {
        let hash = key.strip_prefix(&format!("{}:{policy}:", redis.prefix())).unwrap();
        // 128 bits of a keyed hash, and nothing else.
        assert_eq!(hash.len(), 22, "{key}");
    }
}

#[tokio::test]
async fn while_redis_is_gone_each_replica_has_a_limit_of_its_own() {
    let Some(redis) = TestRedis::find() else { return };
    let mut proxy = redis.proxy();
    let app = replica(&redis, proxy.url()).await;
    let _ = get(&app).await.expect(200);
    proxy.refuse();
    proxy.cut();
    for _ in 0..3 {
        let _ = get(&app).await.expect(200);
    }
    get(&app).await.problem(429);
    assert!(!is_shared(&app));
    assert_eq!(told(&app, GONE), 1);
    assert_eq!(app.witness.metric(ERRORS, &[("operation", "decide")]), 1.0);

    proxy.restore();
    eventually("Redis", || is_shared(&app)).await;
    assert_eq!((told(&app, GONE), told(&app, SHARED)), (1, 2));
    // Redis has not forgotten, and knows nothing of what was spent without it.
    let answer = get(&app).await.expect(200);
    assert!(answer.header("ratelimit").starts_with("\"default\";r=1;"));
}

#[tokio::test]
async fn only_the_first_requests_wait_for_a_redis_that_hangs() {
    let Some(redis) = TestRedis::find() else { return };
    let mut proxy = redis.proxy();
    let app = replica(&redis, proxy.url()).await;
    proxy.stall();
    let first: Vec<_> = (0..20)
        .map(|_| {
            let call = app.client.get("/plain");
            tokio::spawn(call.send())
        })
        .collect();
    for answer in first {
        assert!([200, 429].contains(&answer.await.unwrap().status.as_u16()));
    }
    assert!(!is_shared(&app));
    let failed = app.witness.metric(ERRORS, &[("operation", "decide")]);
    assert!((1.0..=20.0).contains(&failed), "{failed}");
    for _ in 0..50 {
        get(&app).await.problem(429);
    }
    assert_eq!(app.witness.metric(ERRORS, &[("operation", "decide")]), failed);
    assert_eq!(told(&app, GONE), 1);

    proxy.restore();
    eventually("Redis", || is_shared(&app)).await;
    assert_eq!(told(&app, SHARED), 2);
}

#[tokio::test]
async fn what_is_no_redis_or_no_use_costs_nothing_but_the_sharing() {
    let refusals: [&'static [u8]; 7] = [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"-NOAUTH Authentication required.\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"*2\r\n$1\r\na\r\n:1\r\n",
        b"*2\r\n:1\r\n:-5\r\n",
    ];
    for says in refusals {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let peer = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // To whatever it is asked; and then it has no more to say.
                let _ = stream.write_all(&says.repeat(8)).await;
            }
        });
        assert_limited_alone(&url).await;
        peer.abort();
    }
}

#[tokio::test]
async fn a_redis_that_never_answers_costs_nothing_but_the_sharing() {
    // Its connections are completed by the kernel, and nobody accepts them.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_limited_alone(&format!("redis://{}", listener.local_addr().unwrap())).await;
}

#[tokio::test]
async fn a_redis_that_is_nowhere_costs_nothing_but_the_sharing() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_limited_alone(&format!("redis://{nobody}")).await;
}

/// The service is there at once, and each client has the budget of this replica.
async fn assert_limited_alone(url: &str) {
    let app = App::with(|settings| three_an_hour(settings, url, "rate_limit")).await;
    for _ in 0..3 {
        let _ = get(&app).await.expect(200);
    }
    get(&app).await.problem(429);
    eventually("the failure", || told(&app, GONE) == 1).await;
    eventually("further attempts", || {
        app.witness.metric(ERRORS, &[("operation", "connect")]) >= 2.0
    })
    .await;
    assert_eq!((told(&app, GONE), told(&app, SHARED)), (1, 0), "{url}");
    assert!(!is_shared(&app));
}

/// A service that has found Redis.
async fn replica(redis: &TestRedis, url: &str) -> App {
    let app = App::with(|settings| three_an_hour(settings, url, redis.prefix())).await;
    eventually("Redis", || is_shared(&app)).await;
    app
}

fn three_an_hour(settings: &mut Settings, url: &str, prefix: &str) {
    let limits = &mut settings.stack.rate_limit;
    limits.default = "3/1h".parse().unwrap();
    limits.auth = "1/1h".parse().unwrap();
    limits.redis_url = Some(Secret::new(url));
    prefix.clone_into(&mut limits.redis_prefix);
}

async fn get(app: &App) -> Answer {
    app.client.get("/plain").send().await
}

fn is_shared(app: &App) -> bool {
    app.witness.metric("rate_limit_store_in_use", &[]) == 1.0
}

fn told(app: &App, message: &str) -> usize {
    app.witness.lines().iter().filter(|line| line["message"] == message).count()
}
