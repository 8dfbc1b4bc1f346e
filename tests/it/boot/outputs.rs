//! Outputs of the log that fail: nobody reads stdout, or nobody is left to, or the disk is full. The
//! service goes on, and says how much was lost.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Stdio};
use std::thread;

use chassis::testing::{Client, object};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::eventually;
use crate::support::process::Binary;

/// Killed when dropped.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Service {
    fn start(binary: &Binary) -> (Self, ChildStdout) {
        let mut command = binary.command(&["serve"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        (Self(child), stdout)
    }
}

fn logging_to_a_file() -> Binary {
    Binary::new().variable("APP_LOG__FILE", "belvedere.log")
}

/// The lines of the file that have this message, as far as they are whole.
fn told(binary: &Binary, message: &str) -> Vec<Value> {
    let text = fs::read_to_string(binary.path("belvedere.log")).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let lines = whole.map(|line| Value::Object(object(line)));
    lines.filter(|line| line["message"] == message).collect()
}

/// Waits for the ready line.
pub(super) async fn address_in_the_file(binary: &Binary) -> SocketAddr {
    eventually("ready", async || !told(binary, "ready").is_empty()).await;
    told(binary, "ready")[0]["address"].as_str().unwrap().parse().unwrap()
}

async fn lost(client: &Client, output: &str) -> u64 {
    let text = client.get("/metrics").send().await.expect(200).text();
    let series = format!("log_lines_dropped_total{{output=\"{output}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_stdout_that_is_closed_costs_lines_and_no_request() {
    let binary = logging_to_a_file();
    let (_service, stdout) = Service::start(&binary);
    // As `head -1` does.
    BufReader::new(stdout).read_line(&mut String::new()).unwrap();
    let client = Client::new(address_in_the_file(&binary).await);
    for _ in 0..20 {
        let _ = client.get("/").send().await.expect(200);
    }
    let count = async || lost(&client, "stdout").await >= 20;
    eventually("every line is counted", count).await;
    assert_eq!(lost(&client, "file").await, 0);
    let warned = async || !told(&binary, "log lines were lost").is_empty();
    eventually("the file tells", warned).await;
    let lines = told(&binary, "log lines were lost");
    assert_eq!(lines.len(), 1, "once a minute: {lines:?}");
    assert_eq!((&lines[0]["level"], &lines[0]["log.output"]), (&"WARN".into(), &"stdout".into()));
    assert!(lines[0]["log.lines_lost"].as_u64().unwrap() > 0);
}

/// More lines than a pipe and the queue behind it hold: 12 MB.
const REQUESTS: usize = 3000;

#[tokio::test]
async fn a_stdout_that_nobody_reads_costs_lines_and_no_request() {
    let binary = logging_to_a_file().variable("APP_RATE_LIMIT__ENABLED", "false");
    let (_service, mut stdout) = Service::start(&binary);
    let address = address_in_the_file(&binary).await;
    let client = Client::new(address);
    flood(address).await;
    let count = async || lost(&client, "stdout").await > 0;
    eventually("lines are lost", count).await;
    let warned = async || told(&binary, "log lines were lost").len() == 1;
    eventually("the file tells", warned).await;
    assert_eq!(lost(&client, "file").await, 0);

    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    thread::spawn(move || {
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stdout.read(&mut buffer) {
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            while let Some(end) = text.find('\n') {
                let _ = sender.send(text.drain(..=end).collect::<String>());
            }
        }
    });
    let mut answered = 0;
    let recovered = loop {
        let line = lines.recv().await.unwrap();
        let line = Value::Object(object(&line));
        answered += usize::from(line["message"] == "request");
        if line["message"] == "log lines are written again" {
            break line;
        }
    };
    let lost = lost(&client, "stdout").await;
    assert_eq!(recovered["log.lines_lost"], lost);
    assert_eq!(answered as u64 + lost, REQUESTS as u64, "every line is written or counted");
}

/// Requests with long paths, all on one connection.
async fn flood(address: SocketAddr) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let sending = tokio::spawn(async move {
        let path = "x".repeat(4000);
        for number in 1..=REQUESTS {
            let close = if number == REQUESTS { "connection: close\r\n" } else { "" };
            let request = format!("GET /{path} HTTP/1.1\r\nhost: a\r\n{close}\r\n");
            writer.write_all(request.as_bytes()).await.unwrap();
        }
        writer
    });
    let mut answers = Vec::new();
    reader.read_to_end(&mut answers).await.unwrap();
    drop(sending.await.unwrap());
    let answered = answers.windows(12).filter(|window| window == b"HTTP/1.1 404").count();
    assert_eq!(answered, REQUESTS, "every request is answered");
}

#[tokio::test]
async fn a_disk_that_is_full_costs_lines_of_the_file_and_no_request() {
    let binary = Binary::new().variable("APP_LOG__FILE", "/dev/full");
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    for _ in 0..20 {
        let _ = client.get("/").send().await.expect(200);
    }
    let count = async || lost(&client, "file").await >= 20;
    eventually("every line is counted", count).await;
    assert_eq!(lost(&client, "stdout").await, 0);
    let end = process.stop().await.expect(0);
    let lines = end.lines();
    let warnings: Vec<_> =
        lines.iter().filter(|line| line["message"] == "log lines were lost").collect();
    assert_eq!(warnings.len(), 1, "once a minute: {warnings:?}");
    assert_eq!(warnings[0]["log.output"], "file");
}

#[tokio::test]
async fn a_log_file_that_was_taken_away_is_made_anew() {
    let binary = logging_to_a_file();
    let mut process = binary.serve();
    let client = Client::new(process.ready().await);
    eventually("written", async || !told(&binary, "ready").is_empty()).await;
    fs::rename(binary.path("belvedere.log"), binary.path("moved.log")).unwrap();
    let anew = async || {
        let _ = client.get("/").send().await.expect(200);
        !told(&binary, "request").is_empty()
    };
    eventually("lines in the new file", anew).await;
    process.stop().await.expect(0);
    assert_eq!(told(&binary, "stopped").len(), 1);
}
