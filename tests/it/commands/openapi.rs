//! `belvedere openapi`

use chassis::testing::Client;
use serde_json::{Value, json};

use crate::support::process::Binary;

#[tokio::test]
async fn the_document_is_the_one_that_the_service_serves() {
    for (public_url, servers) in [
        ("", &["/"][..]),
        ("https://api.example.com", &["https://api.example.com", "/"]),
        ("https://api.example.com/base/", &["https://api.example.com/base", "/"]),
    ] {
        let binary = Binary::new().variable("APP_SERVER__PUBLIC_URL", public_url);
        let mut process = binary.serve();
        let client = Client::new(process.ready().await);
        for (format, path) in [("json", "/openapi.json"), ("yaml", "/openapi.yaml")] {
            let printed = binary.run(&["openapi", "--format", format]).await.expect(0).stdout;
            let served = client.get(path).send().await.expect(200).text();
            assert_eq!(printed.trim_end(), served.trim_end(), "{format}");
        }
        let served = client.get("/openapi.json").send().await.json();
        let servers: Vec<_> = servers.iter().map(|url| json!({ "url": url })).collect();
        assert_eq!(served["servers"], json!(servers));
    }
}

#[tokio::test]
async fn the_document_needs_no_settings() {
    let binary = Binary::new().variable("APP_ENVIRONMENT", "production");
    let document = binary.run(&["openapi"]).await.expect(0).stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["servers"], json!([{ "url": "/" }]));
}

#[tokio::test]
async fn json_is_the_default_and_yaml_says_the_same() {
    let binary = Binary::new();
    let json = binary.run(&["openapi"]).await.expect(0).stdout;
    let yaml = binary.run(&["openapi", "--format", "yaml"]).await.expect(0).stdout;
    let document: Value = serde_json::from_str(&json).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    assert!(yaml.starts_with("openapi: "), "{yaml}");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/users"));
    for path in paths.keys() {
        assert!(yaml.contains(&format!("\n  {path}:\n")), "{path}");
    }
}
