//! The ready line, and where settings come from.

use std::net::{SocketAddr, TcpListener};

use chassis::testing::Client;
use serde_json::Value;

use crate::support::process::Binary;

#[tokio::test]
async fn the_ready_line_says_where_and_how_fast() {
    let binary = Binary::with_database().await;
    let mut process = binary.serve();
    let line = process.line("ready").await;
    let address: SocketAddr = line["address"].as_str().unwrap().parse().unwrap();
    assert_ne!(address.port(), 0);
    assert_eq!(line["ops.address"], line["address"]);
    assert_eq!(line["docs"], format!("http://{address}/docs"));
    assert!(
        ["sqlite", "postgresql", "mysql", "mariadb"].contains(&line["database"].as_str().unwrap())
    );
    assert!(line["startup_ms"].as_f64().unwrap() > 0.0);
    assert!(line.get("traces").is_none(), "nothing is exported: {line}");
    let _ = Client::new(address).get("/").send().await.expect(200);
}

#[tokio::test]
async fn the_ready_line_names_the_operators_listener() {
    let binary = Binary::new()
        .variable("APP_OPS__ADDR", "127.0.0.1:0")
        .variable("APP_DOCS__ENABLED", "false");
    let mut process = binary.serve();
    let line = process.line("ready").await;
    assert_ne!(line["ops.address"], line["address"]);
    assert!(line.get("docs").is_none(), "{line}");
    let ops = Client::new(line["ops.address"].as_str().unwrap().parse().unwrap());
    let public = Client::new(line["address"].as_str().unwrap().parse().unwrap());
    let _ = ops.get("/livez").send().await.expect(200);
    let _ = public.get("/livez").send().await.expect(404);
}

#[tokio::test]
async fn a_service_that_lets_everyone_in_warns_of_it_once() {
    for (mode, warnings) in [("off", 1), ("local", 0)] {
        let binary = Binary::new().variable("APP_AUTH__MODE", mode);
        let mut process = binary.serve();
        process.ready().await;
        let lines = process.stop().await.expect(0).lines();
        let about_mode = |line: &&Value| {
            line["level"] == "WARN" && line["message"].as_str().unwrap().contains("auth.mode")
        };
        assert_eq!(lines.iter().filter(about_mode).count(), warnings, "{mode}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["APP_SERVER__ADDR", "APP_OPS__ADDR"] {
        let end = Binary::new().variable(key, &address).run(&["serve"]).await.expect(1);
        end.complains_of(&[&format!("cannot listen on {address}"), "in use"]);
        let lines = end.lines();
        let last = lines.iter().find(|line| line["level"] == "ERROR").unwrap();
        assert_eq!(last["message"], "cannot start");
        assert!(last["error"].as_str().unwrap().contains(&address));
    }
}

#[tokio::test]
async fn the_aliases_of_other_tools_are_honoured() {
    let binary = Binary::new();
    let path = binary.path("other.db");
    let binary = binary
        .variable("DATABASE_URL", format!("sqlite://{}?mode=rwc", path.display()))
        .variable("RUST_LOG", "info,chassis::health=off");
    let mut process = binary.serve();
    process.ready().await;
    let end = process.stop().await.expect(0);
    assert!(path.exists());
    assert!(end.lines().iter().all(|line| line["target"] != "chassis::health"), "{}", end.stdout);
}

#[tokio::test]
async fn a_variable_beats_the_file_and_the_file_the_default() {
    let binary = Binary::new().variable("APP_AUTH__ISSUER", "from-the-environment");
    let file =
        binary.file("a.toml", "[auth]\nissuer = \"from-the-file\"\naudience = \"from-the-file\"\n");
    let end = binary.run(&["config", "--config", file.to_str().unwrap()]).await.expect(0);
    let path = file.display();
    for line in [
        "issuer = \"from-the-environment\"  # environment APP_AUTH__ISSUER".to_owned(),
        format!("audience = \"from-the-file\"  # file {path}, line 3"),
        "access_ttl = \"15m\"  # default".to_owned(),
    ] {
        assert!(end.stdout.contains(&line), "{line} is not in\n{}", end.stdout);
    }
}
