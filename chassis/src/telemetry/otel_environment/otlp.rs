//! What the variables of one signal say: whether, where to, how, and in which portions it is exported.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;
use opentelemetry_otlp::{
    Compression, OTEL_EXPORTER_OTLP_PROTOCOL_GRPC as GRPC,
    OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_JSON as HTTP_JSON,
    OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF as HTTP_PROTOBUF, OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT,
};

use super::names::Names;
use super::reader::{Reader, members, pair};
use super::{AttributeLimits, Batch, Exporter, Otlp, SignalEnvironment};
use crate::telemetry::target::{ExportTarget, Protocol};

/// The specification's default for a batch processor.
const BATCH_SIZE: usize = 512;
/// The specification's default for attributes of a span and of a log record.
const ATTRIBUTE_COUNT: u32 = 128;

impl Reader<'_> {
    pub(super) fn signal(&mut self, names: &Names, disabled: bool) -> SignalEnvironment {
        SignalEnvironment {
            exporter: self.exporter(names, disabled),
            otlp: self.otlp(names),
            batch: self.batch(names),
            attributes: AttributeLimits {
                count: self.first(names.attribute_count).unwrap_or(ATTRIBUTE_COUNT),
                length: self.first(names.attribute_length),
            },
        }
    }

    fn exporter(&mut self, names: &Names, disabled: bool) -> Exporter {
        let kind = self.lowercase(names.exporter);
        match kind.as_deref() {
            _ if disabled => return Exporter::None,
            Some("none") => return Exporter::None,
            Some("console") => return Exporter::Console,
            None | Some("otlp") => {}
            Some(_) => self.ignore(names.exporter, "allowed are otlp, console, none"),
        }
        let protocol = self.protocol(names);
        self.endpoint(names, protocol).map_or(Exporter::None, Exporter::Otlp)
    }

    fn protocol(&mut self, names: &Names) -> Protocol {
        for name in names.protocol {
            match self.lowercase(name).as_deref() {
                Some(GRPC) => return Protocol::Grpc,
                Some(HTTP_PROTOBUF) => return Protocol::HttpProtobuf,
                Some(HTTP_JSON) => {
                    self.ignore(name, "http/json is not spoken; allowed are grpc, http/protobuf");
                }
                Some(_) => self.ignore(name, "allowed are grpc, http/protobuf"),
                None => {}
            }
        }
        Protocol::HttpProtobuf
    }

    fn endpoint(&mut self, names: &Names, protocol: Protocol) -> Option<ExportTarget> {
        let [own, shared] = names.endpoint;
        for name in [own, shared] {
            let Some(text) = self.get(name) else {
                continue;
            };
            let Some(url) = self.url(names, text.trim(), protocol) else {
                self.ignore(name, "allowed is a URL with http or https");
                continue;
            };
            // The shared one is a base, the own one is used as it is (protocol/exporter).
            let base = protocol == Protocol::HttpProtobuf && name == shared;
            let path = if base { names.path } else { "" };
            let url = if base { url.trim_end_matches('/') } else { &url };
            return Some(ExportTarget::new(format!("{url}{path}"), protocol));
        }
        None
    }

    fn url(&mut self, names: &Names, text: &str, protocol: Protocol) -> Option<String> {
        let url = match protocol {
            // Only gRPC knows endpoints without a scheme.
            Protocol::Grpc if !text.contains("://") => {
                let insecure = names.insecure.into_iter().find(|n| self.get(n).is_some());
                let plain = insecure.is_some_and(|name| self.flag(name));
                format!("{}://{text}", if plain { "http" } else { "https" })
            }
            _ => text.to_owned(),
        };
        let uri = Uri::from_str(&url).ok()?;
        let spoken = matches!(uri.scheme_str(), Some("http" | "https"));
        (spoken && uri.host().is_some_and(|h| !h.is_empty())).then_some(url)
    }

    fn otlp(&mut self, names: &Names) -> Otlp {
        let client = match (self.path(names.client_certificate), self.path(names.client_key)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                let [own, shared] = names.client_certificate;
                let name = if self.get(own).is_some() { own } else { shared };
                self.ignore(name, "certificate and key are needed together");
                None
            }
        };
        Otlp {
            headers: self.headers(names),
            gzip: self.gzip(names),
            certificate: self.path(names.certificate),
            client,
        }
    }

    fn headers(&mut self, names: &Names) -> HashMap<String, String> {
        let [own, shared] = names.headers;
        let name = if self.get(own).is_some() { own } else { shared };
        let text = self.get(name).unwrap_or_default();
        let mut headers = HashMap::new();
        for member in members(text) {
            match pair(member).filter(|(key, value)| is_header(key, value)) {
                Some((key, value)) => drop(headers.insert(key.to_ascii_lowercase(), value)),
                None => self.ignore(name, "an entry is not key=value with a header's characters"),
            }
        }
        headers
    }

    fn gzip(&mut self, names: &Names) -> bool {
        for name in names.compression {
            match self.lowercase(name).as_deref() {
                None => {}
                Some("none") => return false,
                Some(text) => match text.parse() {
                    Ok(Compression::Gzip) => return true,
                    _ => self.ignore(name, "allowed are gzip, none"),
                },
            }
        }
        false
    }

    fn batch(&mut self, names: &Names) -> Batch {
        let queue = self.at_least_one(names.queue_size).unwrap_or(names.default_queue_size);
        let delay = self.number(names.schedule_delay).unwrap_or(names.default_delay_ms);
        Batch {
            // Without any delay, the exporter would look for items all the time.
            delay: Duration::from_millis(delay.max(1)),
            size: self.at_least_one(names.batch_size).unwrap_or(BATCH_SIZE).min(queue),
            queue,
            timeout: self.timeout(names),
        }
    }

    /// The shorter one of the exporter's and the batch processor's.
    fn timeout(&mut self, names: &Names) -> Duration {
        let own = self.at_least_one(names.timeout[0]);
        let exporter = own.or_else(|| self.at_least_one(names.timeout[1]));
        let exporter = exporter.map_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, Duration::from_millis);
        let processor = self.at_least_one(names.export_timeout).map(Duration::from_millis);
        processor.map_or(exporter, |processor| processor.min(exporter))
    }
}

fn is_header(key: &str, value: &str) -> bool {
    key.parse::<hyper::header::HeaderName>().is_ok()
        && value.parse::<hyper::header::HeaderValue>().is_ok()
}
