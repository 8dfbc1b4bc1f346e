//! Requests that try to forge lines, sent to the real binary: whatever they say, each is one line.

use std::fmt::Write;
use std::net::SocketAddr;

use chassis::testing::{Hostile, object};
use serde_json::{Map, Value};
use syslog_rfc5424::parse_message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::outputs::address_in_the_file;
use crate::support::process::{Binary, End};

const REQUESTS: usize = 300;

/// Sends raw bytes on connections of their own, as some of them are the last that a server hears.
async fn send(address: SocketAddr, seed: u64) {
    let mut hostile = Hostile::new(seed);
    for number in 0..REQUESTS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Refused before it is sent whole, as a rule for good reasons.
        let _ = stream.write_all(&request(&mut hostile, number)).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
    }
}

fn request(hostile: &mut Hostile, number: usize) -> Vec<u8> {
    let text = hostile.text();
    let mut encoded = String::new();
    for byte in text.bytes().take(3000) {
        write!(encoded, "%{byte:02X}").unwrap();
    }
    let raw: String = text.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')).collect();
    let (target, agent, body) = match hostile.below(6) {
        0 => (format!("/{encoded}"), raw.as_str(), ""),
        1 => ("/%FF%FE%0A%0D%1B".to_owned(), "a\tb \"c\" \u{85}\u{2028}", ""),
        2 => (format!("/?q={encoded}"), "plain", ""),
        3 => (format!("/{}", "x".repeat(60_000)), "plain", ""),
        4 => ("/auth/login".to_owned(), raw.as_str(), text.as_str()),
        _ => (format!("/{raw}"), "plain", ""),
    };
    let method = if body.is_empty() { "GET" } else { "POST" };
    let mut request = format!(
        "{method} {target} HTTP/1.1\r\nhost: a\r\nx-request-id: h-{number}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(b"user-agent: \xff\xfe\x80");
    request.extend_from_slice(agent.as_bytes());
    request.extend_from_slice(b"\r\n\r\n");
    request.extend_from_slice(body.as_bytes());
    request
}

async fn serve(format: &str) -> End {
    let binary = Binary::new()
        .variable("APP_RATE_LIMIT__ENABLED", "false")
        .variable("APP_LOG__FILE", "belvedere.log")
        .variable("APP_LOG__FORMAT", format);
    let process = binary.serve();
    // The format of the file is always JSON.
    send(address_in_the_file(&binary).await, 7).await;
    let end = process.stop().await.expect(0);
    assert!(!end.stdout.trim_end_matches('\n').contains(|c: char| c != '\n' && c.is_control()));
    assert!(!end.stdout.contains(['\u{2028}', '\u{2029}', '\u{202e}']));
    end
}

#[tokio::test]
async fn every_json_line_is_one_object_and_every_request_one_line() {
    let end = serve("json").await;
    let lines: Vec<_> = end.stdout.lines().map(object).collect();
    let requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
    assert_eq!(requests.len(), REQUESTS, "{:?}", missing(&requests));
    assert!(requests.iter().all(|line| line["level"] == "INFO"), "nobody forges an error");
    let longest = end.stdout.lines().map(str::len).max().unwrap();
    assert!((4096..16 * 1024).contains(&longest), "{longest}");
}

#[tokio::test]
async fn every_syslog_line_is_a_message_and_every_request_one_line() {
    let end = serve("syslog").await;
    let messages = end
        .stdout
        .lines()
        .map(|line| parse_message(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    let requests = messages.filter(|message| message.msg == "\u{feff}request");
    assert_eq!(requests.count(), REQUESTS);
}

#[tokio::test]
async fn every_pretty_line_begins_with_a_time_and_every_request_is_one_line() {
    let end = serve("pretty").await;
    for line in end.stdout.lines() {
        let time = line.split(' ').next().unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{line}");
    }
    let requests = end.stdout.lines().filter(|line| line.contains(" chassis::http: request "));
    assert_eq!(requests.count(), REQUESTS);
}

fn missing(requests: &[&Map<String, Value>]) -> Vec<String> {
    let ids = (0..REQUESTS).map(|number| format!("h-{number}"));
    ids.filter(|id| requests.iter().all(|line| line["request_id"] != id.as_str())).collect()
}
