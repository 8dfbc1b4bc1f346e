//! Documents that come, and everything else that servers do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use hyper::header::{CACHE_CONTROL, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(20);
const LIMIT: usize = 1024;

/// Answers one request with these bytes, and gives what was asked.
async fn server(answer: String) -> (Uri, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/document?key=canary", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(stream.read_u8().await.unwrap());
        }
        // Whoever has heard enough hangs up.
        let _ = stream.write_all(answer.as_bytes()).await;
        String::from_utf8(asked).unwrap()
    });
    (uri.parse().unwrap(), served)
}

async fn fetched(answer: impl Into<String>) -> Result<Fetched, FetchError> {
    let (uri, _served) = server(answer.into()).await;
    Fetcher::new(None, TIMEOUT, LIMIT).unwrap().get(&uri).await
}

#[tokio::test]
async fn a_document_comes_as_it_is_and_says_how_long_it_may_be_kept() {
    let head =
        "HTTP/1.1 200 OK\r\ncache-control: public, max-age=\"60\"\r\ncontent-length: 2\r\n\r\n";
    let (uri, served) = server(format!("{head}{{}}")).await;
    let document = Fetcher::new(None, TIMEOUT, LIMIT).unwrap().get(&uri).await.unwrap();
    assert_eq!((&document.body[..], document.max_age), (&b"{}"[..], Some(Duration::from_mins(1))));
    let asked = served.await.unwrap();
    assert!(asked.starts_with("GET /document?key=canary HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("accept: application/json"), "{asked}");
}

#[tokio::test]
async fn only_200_is_a_document_and_no_redirect_is_followed() {
    for status in ["301 Moved\r\nlocation: /elsewhere", "404 Not Found", "503 No", "204 Empty"] {
        let answer = fetched(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
        assert!(matches!(answer, Err(FetchError::Status(_))), "{status}: {answer:?}");
    }
}

#[tokio::test]
async fn a_document_beyond_the_limit_is_not_read() {
    let long = "x".repeat(LIMIT + 1);
    let told = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}", long.len());
    let untold = format!("HTTP/1.1 200 OK\r\n\r\n{long}");
    let most = format!("HTTP/1.1 200 OK\r\n\r\n{}", &long[1..]);
    for answer in [told, untold] {
        assert!(matches!(fetched(answer).await, Err(FetchError::Body(_))));
    }
    assert_eq!(fetched(most).await.unwrap().body.len(), LIMIT);
}

#[tokio::test]
async fn what_is_no_answer_is_a_failure() {
    for answer in ["", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"] {
        let failed = fetched(answer).await;
        assert!(matches!(failed, Err(FetchError::Network(_) | FetchError::Body(_))), "{answer}");
    }
}

#[tokio::test]
async fn whoever_does_not_answer_in_time_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let fetcher = Fetcher::new(None, Duration::from_millis(50), LIMIT).unwrap();
    assert!(matches!(fetcher.get(&uri).await, Err(FetchError::Timeout(_))));
}

#[test]
fn a_file_without_certificates_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    assert!(Fetcher::new(Some(&file), TIMEOUT, LIMIT).is_err());
    for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(&file, text).unwrap();
        assert!(Fetcher::new(Some(&file), TIMEOUT, LIMIT).is_err(), "{text}");
    }
}

#[test]
fn the_shortest_age_counts() {
    for (value, age) in [
        ("max-age=300", Some(300)),
        ("no-store, max-age=300", Some(0)),
        ("MAX-AGE=5, public", Some(5)),
        ("s-maxage=7", None),
        ("max-age=soon", None),
    ] {
        let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(value))]);
        assert_eq!(max_age(&headers), age.map(Duration::from_secs), "{value}");
    }
}
