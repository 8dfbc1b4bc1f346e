//! `belvedere health`: a probe for images that have no shell and no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use chassis::settings::SettingsError;
use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::print;
use crate::failure::Failure;
use crate::settings::Settings;

/// Container runtimes allow a probe some seconds; a healthy service answers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(3);
/// A status line is all that is looked at.
const ANSWER_LIMIT: u64 = 1024;

#[derive(Debug, Args)]
pub(super) struct Probe {
    /// Ask whether requests are welcome, not only whether the process lives.
    #[arg(long)]
    ready: bool,
    /// Where the operator's endpoints are; without it, where the settings have them.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl Probe {
    /// Reads the settings only without a URL: with one it must work whatever they are.
    pub(super) async fn run(
        self,
        settings: impl FnOnce() -> Result<Settings, SettingsError>,
    ) -> Result<ExitCode, Failure> {
        let url = match self.url {
            Some(url) => url,
            None => local_url(&settings()?)?,
        };
        let (authority, base) = target(&url)?;
        let path = format!("{base}{}", if self.ready { "/readyz" } else { "/livez" });
        let status = tokio::time::timeout(TIMEOUT, ask(&authority, &path)).await;
        let status =
            status.map_err(|_| failed(format!("no answer from {url} within {TIMEOUT:?}")))?;
        let status = status.map_err(|error| failed(format!("cannot reach {url}: {error}")))?;
        match status.as_str() {
            "200" => print("ok"),
            "" => Err(failed(format!("{url} does not speak HTTP"))),
            other => Err(failed(format!("{path} answered {other}"))),
        }
    }
}

/// Where a service with these settings has the operator's endpoints, seen from its own machine.
fn local_url(settings: &Settings) -> Result<String, Failure> {
    let address = settings.ops.addr.unwrap_or(settings.server.addr);
    if address.port() == 0 {
        return Err(Failure::Arguments(format!(
            "--url: needed where the settings leave the port to the system ({address})"
        )));
    }
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(format!("http://{}", SocketAddr::new(ip, address.port())))
}

/// Host with port, and the path that the endpoints stand below.
fn target(url: &str) -> Result<(String, String), Failure> {
    let unusable = || {
        Failure::Arguments(format!(
            "--url: an http URL such as http://127.0.0.1:8080 is expected, got {url}"
        ))
    };
    let uri: poem::http::Uri = url.parse().map_err(|_| unusable())?;
    if uri.scheme_str() != Some("http") {
        return Err(unusable());
    }
    let host = uri.host().ok_or_else(unusable)?;
    let authority = format!("{host}:{}", uri.port_u16().unwrap_or(80));
    Ok((authority, uri.path().trim_end_matches('/').to_owned()))
}

/// One request, HTTP/1.0: the answer ends with the connection, and its first line has the status.
async fn ask(authority: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let mut words = answer.split_whitespace();
    let http = words.next().is_some_and(|version| version.starts_with("HTTP/"));
    let status = words.next().filter(|_| http).unwrap_or_default();
    Ok(status.to_owned())
}

fn failed(text: String) -> Failure {
    Failure::Running(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_asked_on_this_machine() {
        for (ops, server, url) in [
            (None, "127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            (None, "0.0.0.0:8080", Some("http://127.0.0.1:8080")),
            (None, "[::]:8080", Some("http://[::1]:8080")),
            (None, "192.0.2.1:80", Some("http://192.0.2.1:80")),
            (Some("0.0.0.0:9090"), "0.0.0.0:8080", Some("http://127.0.0.1:9090")),
            (None, "0.0.0.0:0", None),
            (Some("127.0.0.1:0"), "127.0.0.1:8080", None),
        ] {
            let mut settings = Settings::default();
            settings.ops.addr = ops.and_then(|address| address.parse().ok());
            settings.server.addr = server.parse().unwrap_or(settings.server.addr);
            assert_eq!(local_url(&settings).ok().as_deref(), url, "{ops:?} {server}");
        }
    }
}
