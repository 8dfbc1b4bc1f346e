//! Where telemetry is sent, and in which protocol.

use std::fmt;

use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_PROTOCOL_GRPC as GRPC,
    OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF as HTTP_PROTOBUF,
};

/// Where a signal is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct ExportTarget {
    pub(super) endpoint: String,
    pub(super) protocol: Protocol,
}

/// The protocols of OTLP that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    HttpProtobuf,
}

impl ExportTarget {
    pub(super) fn new(endpoint: String, protocol: Protocol) -> Self {
        Self { endpoint, protocol }
    }

    /// `grpc` or `http/protobuf`.
    pub fn protocol(&self) -> &'static str {
        self.protocol.as_str()
    }

    /// The URL without the user, password and query that it may carry.
    pub fn endpoint(&self) -> String {
        let url = self.endpoint.split('?').next().unwrap_or_default();
        let Some((scheme, rest)) = url.split_once("://") else {
            return url.to_owned();
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let user = authority.rfind('@').map_or(0, |at| at + 1);
        format!("{scheme}://{}", &rest[user..])
    }
}

impl fmt::Debug for ExportTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ExportTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.protocol(), self.endpoint())
    }
}

impl Protocol {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => GRPC,
            Self::HttpProtobuf => HTTP_PROTOBUF,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_tells_no_secret() {
        let target =
            ExportTarget::new("http://me:s3cret@host:1/p@q?key=s3cret".to_owned(), Protocol::Grpc);
        assert_eq!(target.to_string(), "grpc to http://host:1/p@q");
    }
}
