//! `belvedere health`: a probe for images that have no shell and no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use chassis::settings::{SettingsError, without_userinfo};
use chassis::tls::connect_unverified;
use clap::Args;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
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
    /// Where the operator's endpoints are; without it, where the settings have them. The certificate
    /// behind an https URL is not verified.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Where a probe asks.
struct Target {
    tls: bool,
    host: String,
    /// Host with port.
    authority: String,
    /// The path that the endpoints stand below.
    base: String,
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
        let target = target(&url)?;
        let url = without_userinfo(&url);
        let path = format!("{}{}", target.base, if self.ready { "/readyz" } else { "/livez" });
        let status = tokio::time::timeout(TIMEOUT, target.ask(&path)).await;
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
    let tls = settings.ops.addr.is_none() && settings.server.serves_tls();
    let scheme = if tls { "https" } else { "http" };
    Ok(format!("{scheme}://{}", SocketAddr::new(ip, address.port())))
}

/// What a URL leads to.
fn target(url: &str) -> Result<Target, Failure> {
    let unusable = || {
        Failure::Arguments(format!(
            "--url: an http or https URL such as http://127.0.0.1:8080 is expected, got {}",
            without_userinfo(url)
        ))
    };
    let uri: poem::http::Uri = url.parse().map_err(|_| unusable())?;
    let (tls, usual_port) = match uri.scheme_str() {
        Some("http") => (false, 80),
        Some("https") => (true, 443),
        _ => return Err(unusable()),
    };
    let host = uri.host().ok_or_else(unusable)?.to_owned();
    let authority = format!("{host}:{}", uri.port_u16().unwrap_or(usual_port));
    Ok(Target { tls, host, authority, base: uri.path().trim_end_matches('/').to_owned() })
}

impl Target {
    async fn ask(&self, path: &str) -> std::io::Result<String> {
        let stream = TcpStream::connect(&self.authority).await?;
        if self.tls {
            ask(connect_unverified(&self.host, stream).await?, &self.authority, path).await
        } else {
            ask(stream, &self.authority, path).await
        }
    }
}

/// One request, HTTP/1.0: the answer ends with the connection, and its first line has the status.
async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    authority: &str,
    path: &str,
) -> std::io::Result<String> {
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
            // Only the public listener has TLS.
            settings.server.tls_cert_file = Some("cert.pem".into());
            let scheme = if ops.is_none() { "https" } else { "http" };
            let url = url.map(|url| url.replace("http", scheme));
            assert_eq!(local_url(&settings).ok(), url, "{ops:?} {server}");
        }
    }
}
