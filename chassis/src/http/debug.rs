//! Requests with a debug header: each is checked, and a valid one has its request told in full.
//! How the header is made is in `telemetry::debug_header`.

use std::net::IpAddr;

use chrono::Utc;
use poem::http::HeaderMap;

use crate::telemetry::Telemetry;
use crate::telemetry::debug_header::{DebugKey, DebugPass, NAME, Refused};

/// Checks the debug headers of one service.
pub(super) struct DebugHeaders {
    key: Option<DebugKey>,
    telemetry: Telemetry,
}

/// What one header is worth.
pub(super) struct Verdict(Result<DebugPass, Refused>);

impl DebugHeaders {
    /// Without a key every header is ignored.
    pub(super) fn new(key: Option<DebugKey>, telemetry: Telemetry) -> Self {
        Self { key, telemetry }
    }

    /// What the request's header is worth, if it has one. Nothing is told yet: the ids that belong on
    /// such a line depend on the verdict.
    pub(super) fn verify(&self, headers: &HeaderMap) -> Option<Verdict> {
        let value = headers.get(NAME)?;
        let key = self.key.as_ref()?;
        let text = value.to_str().map_err(|_| Refused::Signature);
        Some(Verdict(text.and_then(|text| key.verify(text, Utc::now()))))
    }

    /// Acts on the verdict, in the context of its request. After a valid header the log lets DEBUG
    /// events of such requests through, until the header has expired.
    pub(super) fn follow(&self, verdict: &Verdict, client: Option<IpAddr>) {
        match &verdict.0 {
            Ok(pass) => self.accept(pass, client),
            Err(reason) => self.telemetry.audit().debug_header_refused(*reason, client),
        }
    }

    fn accept(&self, pass: &DebugPass, client: Option<IpAddr>) {
        if self.telemetry.log_filter().debug_requests_until(pass.expires_at) {
            self.telemetry.audit().debug_header_accepted(&pass.id, pass.expires_at, client);
        }
    }
}

impl Verdict {
    /// The id of a valid header.
    pub(super) fn id(&self) -> Option<&str> {
        self.0.as_ref().ok().map(|pass| pass.id.as_str())
    }
}
