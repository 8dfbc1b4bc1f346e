//! Where spans are sent, and in which protocol.

use std::fmt;

/// Where spans are sent.
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

    /// The URL without the user and password that it may carry.
    pub fn endpoint(&self) -> String {
        let Some((scheme, rest)) = self.endpoint.split_once("://") else {
            return self.endpoint.clone();
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
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
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_tells_no_password() {
        let target = ExportTarget::new("http://me:s3cret@host:1/p@q".to_owned(), Protocol::Grpc);
        assert_eq!(target.to_string(), "grpc to http://host:1/p@q");
    }
}
