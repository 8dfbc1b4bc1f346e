//! `belvedere health`

use crate::support::eventually;
use crate::support::nobody::Refusing;
use crate::support::process::{Binary, End};

async fn probe(binary: &Binary, url: &str, ready: bool) -> End {
    let arguments = ["health", "--url", url, "--ready"];
    binary.run(&arguments[..if ready { 4 } else { 3 }]).await
}

#[tokio::test]
async fn a_service_that_is_well_answers_both_probes() {
    let binary = Binary::with_database().await;
    let mut process = binary.serve();
    let address = process.ready().await;
    for url in [format!("http://{address}"), format!("http://localhost:{}/", address.port())] {
        assert_eq!(probe(&binary, &url, false).await.expect(0).stdout, "ok\n");
        eventually("ready", async || probe(&binary, &url, true).await.code == Some(0)).await;
    }
}

#[tokio::test]
async fn a_service_with_a_schema_behind_lives_and_is_not_ready() {
    let binary = Binary::with_database().await.in_production();
    let mut process = binary.serve();
    let url = format!("http://{}", process.ready().await);
    probe(&binary, &url, false).await.expect(0);
    probe(&binary, &url, true).await.expect(1).complains_of(&["/readyz answered 503"]);
}

#[tokio::test]
async fn a_service_that_is_not_there_fails_the_probe() {
    let nobody = Refusing::new();
    let url = format!("http://{}", nobody.address());
    for ready in [false, true] {
        let end = probe(&Binary::new(), &url, ready).await.expect(1);
        end.complains_of(&["cannot reach", &url]);
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_asked_is_an_argument_that_cannot_be_used() {
    for url in ["nonsense", "ftp://127.0.0.1:8080", "http://", "127.0.0.1:8080"] {
        let end = probe(&Binary::new(), url, false).await.expect(2);
        end.complains_of(&["--url", url]);
    }
}

#[tokio::test]
async fn settings_do_not_matter_to_a_probe_with_a_url() {
    let nobody = Refusing::new();
    let binary = Binary::new().variable("APP_NONSENSE", "1");
    probe(&binary, &format!("http://{}", nobody.address()), false).await.expect(1);
    binary.run(&["health"]).await.expect(2).complains_of(&["APP_NONSENSE"]);
}

#[tokio::test]
async fn a_probe_without_a_url_asks_where_the_settings_have_the_endpoints() {
    let service = Binary::new().variable("APP_OPS__ADDR", "127.0.0.1:0");
    let mut process = service.serve();
    let line = process.line("ready").await;
    let public = Binary::new().variable("APP_SERVER__ADDR", line["address"].as_str().unwrap());
    public.run(&["health"]).await.expect(1).complains_of(&["/livez answered 404"]);
    let file = format!("ops.addr = {}", line["ops.address"]);
    let file = public.file("ops.toml", &file.replace("127.0.0.1", "0.0.0.0"));
    let end = public.run(&["health", "--config", file.to_str().unwrap()]).await.expect(0);
    assert_eq!(end.stdout, "ok\n");
}

#[tokio::test]
async fn a_port_that_only_the_service_knows_must_be_told() {
    Binary::new().run(&["health"]).await.expect(2).complains_of(&["--url", "127.0.0.1:0"]);
}
