//! Reads one variable after the other. By the specification an empty one is unset, names of values
//! are taken in any case, and only `true` is true.

use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;
use opentelemetry_otlp::Compression;
use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;

use super::{Batch, Exporter, Ignored, Otlp};
use crate::settings::Environ;
use crate::telemetry::target::{ExportTarget, Protocol};

/// The specification's defaults.
const EXPORT_TIMEOUT_MS: u64 = 10_000;
const SCHEDULE_DELAY_MS: u64 = 5_000;
pub(super) const QUEUE_SIZE: usize = 2_048;
const BATCH_SIZE: usize = 512;

/// The two names of a variable of the OTLP exporter: for traces alone, and for all signals.
type Names = [&'static str; 2];

macro_rules! otlp {
    ($suffix:literal) => {
        [concat!("OTEL_EXPORTER_OTLP_TRACES_", $suffix), concat!("OTEL_EXPORTER_OTLP_", $suffix)]
    };
}

pub(super) struct Reader<'a> {
    pub(super) environ: &'a Environ,
    pub(super) ignored: Vec<Ignored>,
}

impl Reader<'_> {
    pub(super) fn resource_attributes(&mut self) -> Vec<(String, String)> {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let Some(text) = self.environ.get(NAME) else {
            return Vec::new();
        };
        // The specification (resource/sdk) wants the whole value discarded on any error.
        let pairs: Option<Vec<_>> = members(text).map(pair).collect();
        pairs.unwrap_or_else(|| {
            self.ignore(NAME, "allowed is key=value,... with percent-encoded values");
            Vec::new()
        })
    }

    pub(super) fn exporter(&mut self, disabled: bool) -> Exporter {
        const NAME: &str = "OTEL_TRACES_EXPORTER";
        let kind = self.lowercase(NAME);
        match kind.as_deref() {
            _ if disabled => return Exporter::None,
            Some("none") => return Exporter::None,
            Some("console") => return Exporter::Console,
            None | Some("otlp") => {}
            Some(_) => self.ignore(NAME, "allowed are otlp, console, none"),
        }
        let protocol = self.protocol();
        self.endpoint(protocol).map_or(Exporter::None, Exporter::Otlp)
    }

    fn protocol(&mut self) -> Protocol {
        for name in otlp!("PROTOCOL") {
            match self.lowercase(name).as_deref() {
                Some("grpc") => return Protocol::Grpc,
                Some("http/protobuf") => return Protocol::HttpProtobuf,
                Some(_) => self.ignore(name, "allowed are grpc, http/protobuf"),
                None => {}
            }
        }
        Protocol::HttpProtobuf
    }

    fn endpoint(&mut self, protocol: Protocol) -> Option<ExportTarget> {
        let [own, shared] = otlp!("ENDPOINT");
        for name in [own, shared] {
            let Some(text) = self.environ.get(name) else {
                continue;
            };
            let Some(url) = self.url(text.trim(), protocol) else {
                self.ignore(name, "allowed is a URL with http or https");
                continue;
            };
            // The shared one is a base, the own one is used as it is (protocol/exporter).
            let base = protocol == Protocol::HttpProtobuf && name == shared;
            let path = if base { "/v1/traces" } else { "" };
            let url = if base { url.trim_end_matches('/') } else { &url };
            return Some(ExportTarget::new(format!("{url}{path}"), protocol));
        }
        None
    }

    fn url(&mut self, text: &str, protocol: Protocol) -> Option<String> {
        let url = match protocol {
            // Only gRPC knows endpoints without a scheme.
            Protocol::Grpc if !text.contains("://") => {
                let insecure =
                    otlp!("INSECURE").into_iter().find(|n| self.environ.get(n).is_some());
                let plain = insecure.is_some_and(|name| self.flag(name));
                format!("{}://{text}", if plain { "http" } else { "https" })
            }
            _ => text.to_owned(),
        };
        let uri = Uri::from_str(&url).ok()?;
        let spoken = matches!(uri.scheme_str(), Some("http" | "https"));
        (spoken && uri.host().is_some_and(|h| !h.is_empty())).then_some(url)
    }

    pub(super) fn otlp(&mut self) -> Otlp {
        let [certificate, key] = [otlp!("CLIENT_CERTIFICATE"), otlp!("CLIENT_KEY")];
        let client = match (self.path(certificate), self.path(key)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                self.ignore(certificate[1], "certificate and key are needed together");
                None
            }
        };
        Otlp {
            headers: self.headers(),
            timeout: self.timeout(),
            compression: self.compression(),
            certificate: self.path(otlp!("CERTIFICATE")),
            client,
        }
    }

    /// The exporter's limit for a batch, retries included; the batch processor's own variable, which
    /// the SDK does not follow, can only make it shorter.
    fn timeout(&mut self) -> Duration {
        let exporter = self.first(otlp!("TIMEOUT")).unwrap_or(EXPORT_TIMEOUT_MS);
        let processor = self.number("OTEL_BSP_EXPORT_TIMEOUT").unwrap_or(exporter);
        Duration::from_millis(exporter.min(processor))
    }

    fn headers(&mut self) -> HashMap<String, String> {
        let [own, shared] = otlp!("HEADERS");
        let name = if self.environ.get(own).is_some() { own } else { shared };
        let text = self.environ.get(name).unwrap_or_default();
        let mut headers = HashMap::new();
        for member in members(text) {
            match pair(member).filter(|(key, value)| is_header(key, value)) {
                Some((key, value)) => drop(headers.insert(key.to_ascii_lowercase(), value)),
                None => self.ignore(name, "an entry is not key=value with a header's characters"),
            }
        }
        headers
    }

    fn compression(&mut self) -> Option<Compression> {
        for name in otlp!("COMPRESSION") {
            match self.lowercase(name).as_deref() {
                Some("gzip") => return Some(Compression::Gzip),
                Some("none") => return None,
                Some(_) => self.ignore(name, "allowed are gzip, none"),
                None => {}
            }
        }
        None
    }

    pub(super) fn sampler(&mut self, disabled: bool) -> Sampler {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        if disabled {
            return Sampler::AlwaysOff;
        }
        let text = self.lowercase(NAME).unwrap_or_default();
        let (parent_based, root) = match text.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, text.as_str()),
        };
        let root = match root {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(self.ratio()),
            unknown => {
                if !unknown.is_empty() {
                    self.ignore(NAME, "allowed are always_on, always_off, traceidratio, each also with parentbased_ before it");
                }
                return Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
            }
        };
        if parent_based {
            return Sampler::ParentBased(Box::new(root));
        }
        root
    }

    fn ratio(&mut self) -> f64 {
        const NAME: &str = "OTEL_TRACES_SAMPLER_ARG";
        let ratio = self.number::<f64>(NAME).unwrap_or(1.0);
        if (0.0..=1.0).contains(&ratio) {
            return ratio;
        }
        self.ignore(NAME, "allowed is a number from 0 to 1");
        1.0
    }

    /// Whether `traceparent` is honoured, also by a disabled SDK. Baggage is known and not read.
    pub(super) fn trace_context(&mut self) -> bool {
        const NAME: &str = "OTEL_PROPAGATORS";
        let Some(text) = self.lowercase(NAME) else {
            return true;
        };
        let mut honoured = false;
        for name in members(&text) {
            match name {
                "tracecontext" => honoured = true,
                "baggage" | "none" => {}
                _ => self.ignore(NAME, "allowed are tracecontext, baggage, none"),
            }
        }
        honoured
    }

    pub(super) fn batch(&mut self) -> Batch {
        let queue = self.at_least_one("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_SIZE);
        let delay = self.number("OTEL_BSP_SCHEDULE_DELAY");
        Batch {
            delay: Duration::from_millis(delay.unwrap_or(SCHEDULE_DELAY_MS)),
            size: self.at_least_one("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_SIZE).min(queue),
            queue,
        }
    }

    fn at_least_one(&mut self, name: &'static str, default: usize) -> usize {
        match self.number(name) {
            Some(0) => {
                self.ignore(name, "allowed is a number from 1");
                default
            }
            other => other.unwrap_or(default),
        }
    }

    /// True only for `true`, as the specification says of all booleans.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        let text = self.lowercase(name);
        if !matches!(text.as_deref(), None | Some("true" | "false")) {
            self.ignore(name, "allowed are true, false");
        }
        text.as_deref() == Some("true")
    }

    pub(super) fn first<T: FromStr>(&mut self, names: Names) -> Option<T> {
        names.into_iter().find_map(|name| self.number(name))
    }

    fn number<T: FromStr>(&mut self, name: &'static str) -> Option<T> {
        let parsed = self.environ.get(name)?.trim().parse().ok();
        if parsed.is_none() {
            self.ignore(name, "allowed is a number");
        }
        parsed
    }

    fn path(&self, names: Names) -> Option<PathBuf> {
        let given = names.into_iter().find_map(|name| self.environ.get(name));
        given.map(PathBuf::from)
    }

    fn lowercase(&self, name: &str) -> Option<String> {
        self.environ.get(name).map(|text| text.trim().to_ascii_lowercase())
    }

    fn ignore(&mut self, variable: &'static str, reason: &str) {
        self.ignored.push(Ignored { variable, reason: reason.to_owned() });
    }
}

fn members(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|member| !member.is_empty())
}

fn pair(member: &str) -> Option<(String, String)> {
    let (key, value) = member.split_once('=')?;
    Some((decode(key.trim())?, decode(value.trim())?)).filter(|(key, _)| !key.is_empty())
}

fn decode(text: &str) -> Option<String> {
    let broken = text.match_indices('%').any(|(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

fn is_header(key: &str, value: &str) -> bool {
    key.parse::<hyper::header::HeaderName>().is_ok()
        && value.parse::<hyper::header::HeaderValue>().is_ok()
}
