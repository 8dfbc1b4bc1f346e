//! The two settings that make the public listener speak TLS: what they take, what they refuse, and how the
//! service is probed then.

use std::net::SocketAddr;

use chassis::testing::Client;
use chassis::tls::connect_unverified;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::process::Binary;

/// A binary that is to find these in the files.
fn with_files(certificate: &str, key: &str) -> Binary {
    let binary = Binary::new();
    let certificate = binary.file("tls.crt", certificate).display().to_string();
    let key = binary.file("tls.key", key).display().to_string();
    binary
        .variable("APP_SERVER__TLS_CERT_FILE", certificate)
        .variable("APP_SERVER__TLS_KEY_FILE", key)
}

/// A certificate for a name that no test asks for, and its key.
fn made() -> (String, String) {
    let names = ["users.example.org".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

async fn get(address: SocketAddr, target: &str) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = connect_unverified("users.example.org", stream).await.unwrap();
    let request = format!("GET {target} HTTP/1.0\r\nhost: users.example.org\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn with_both_the_service_speaks_https() {
    let (certificate, key) = made();
    let binary = with_files(&certificate, &key);
    let mut process = binary.serve();
    let line = process.line("ready").await;
    let address: SocketAddr = line["address"].as_str().unwrap().parse().unwrap();
    assert_eq!(line["docs"], format!("https://{address}/docs"));
    let answer = get(address, "/").await;
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=63072000"), "{answer}");
    let metrics = get(address, "/metrics").await;
    let expiry = metrics.lines().find(|it| it.starts_with("tls_certificate_expiry_timestamp"));
    let seconds = expiry.unwrap().split(' ').next_back().unwrap();
    assert!(seconds.parse::<f64>().unwrap() > 0.0, "{seconds}");
    let end = process.stop().await.expect(0);
    assert!(!end.stdout.contains("PRIVATE"), "{}", end.stdout);
}

#[tokio::test]
async fn a_probe_asks_over_tls_and_does_not_mind_the_name() {
    let (certificate, key) = made();
    let binary = with_files(&certificate, &key);
    let mut process = binary.serve();
    let address = process.ready().await;
    for url in [format!("https://{address}"), format!("https://localhost:{}/", address.port())] {
        let end = Binary::new().run(&["health", "--url", &url]).await.expect(0);
        assert_eq!(end.stdout, "ok\n");
    }
    // In the middle of a replacement the files may hold anything; the service lives all the same.
    let prober = with_files("half of a cer", "").variable("APP_SERVER__ADDR", address.to_string());
    assert_eq!(prober.run(&["health"]).await.expect(0).stdout, "ok\n");
    let plain = format!("http://{address}");
    Binary::new().run(&["health", "--url", &plain]).await.expect(1).complains_of(&["speak HTTP"]);
}

#[tokio::test]
async fn a_probe_over_tls_of_a_plain_service_fails() {
    let binary = Binary::new();
    let mut process = binary.serve();
    let url = format!("https://{}", process.ready().await);
    Binary::new()
        .run(&["health", "--url", &url])
        .await
        .expect(1)
        .complains_of(&["cannot reach", &url]);
}

#[tokio::test]
async fn an_operators_listener_stays_plain() {
    let (certificate, key) = made();
    let service = with_files(&certificate, &key).variable("APP_OPS__ADDR", "127.0.0.1:0");
    let mut process = service.serve();
    let line = process.line("ready").await;
    let address = line["ops.address"].as_str().unwrap();
    let ops = Client::new(address.parse().unwrap());
    let _ = ops.get("/livez").send().await.expect(200);
    let prober = with_files("", "").variable("APP_OPS__ADDR", address);
    assert_eq!(prober.run(&["health"]).await.expect(0).stdout, "ok\n");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_settings_that_cannot_be_used() {
    let (certificate, key) = made();
    let (_, another) = made();
    let (cert_file, key_file) = ("server.tls_cert_file: expected", "server.tls_key_file: expected");
    for (certificate, key, complaints) in [
        ("", "", vec!["2 problems", cert_file, key_file]),
        ("nonsense", &*key, vec!["1 problem", cert_file, "PEM file with a certificate"]),
        (&*certificate, "nonsense", vec!["1 problem", key_file, "PEM file with a private key"]),
        (
            &*certificate,
            &*another,
            vec!["1 problem", key_file, "the key of the certificate in server.tls_cert_file"],
        ),
    ] {
        let binary = with_files(certificate, key);
        for command in ["serve", "config"] {
            binary.run(&[command]).await.expect(2).complains_of(&complaints);
        }
    }
    let missing = Binary::new()
        .variable("APP_SERVER__TLS_CERT_FILE", "missing.crt")
        .variable("APP_SERVER__TLS_KEY_FILE", "missing.key");
    let complaints = [
        "server.tls_cert_file: expected the path of a PEM file with a certificate (No such file",
        "got \"missing.crt\" (environment APP_SERVER__TLS_CERT_FILE)",
        "server.tls_key_file: expected the path of a PEM file with a private key",
        "got \"missing.key\"",
    ];
    missing.run(&["serve"]).await.expect(2).complains_of(&complaints);
    // Who serves nobody need not have them.
    missing.run(&["migrate", "up"]).await.expect(0);
}

#[tokio::test]
async fn one_file_without_the_other_is_no_setting() {
    for (variable, name) in [
        ("APP_SERVER__TLS_CERT_FILE", "server.tls_cert_file"),
        ("APP_SERVER__TLS_KEY_FILE", "server.tls_key_file"),
    ] {
        let binary = Binary::new().variable(variable, "tls.pem");
        let complaint =
            format!("{name}: expected together with the other half of certificate and key");
        binary.run(&["serve"]).await.expect(2).complains_of(&["1 problem", &complaint]);
    }
}
