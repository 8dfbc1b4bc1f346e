//! Which traces are sampled, whose traces are continued, and what the resource is called.

use opentelemetry_sdk::trace::Sampler;

use super::reader::{Reader, members, pair};
use crate::telemetry::metrics::exemplars::ExemplarFilter;

impl Reader<'_> {
    pub(super) fn resource_attributes(&mut self) -> Vec<(String, String)> {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let Some(text) = self.get(NAME) else {
            return Vec::new();
        };
        // The specification (resource/sdk) wants the whole value discarded on any error.
        let pairs: Option<Vec<_>> = members(text).map(pair).collect();
        pairs.unwrap_or_else(|| {
            self.ignore(NAME, "allowed is key=value,... with percent-encoded values");
            Vec::new()
        })
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

    /// Which observations become exemplars; names as the specification (metrics/sdk) has them.
    pub(super) fn exemplar_filter(&mut self) -> ExemplarFilter {
        const NAME: &str = "OTEL_METRICS_EXEMPLAR_FILTER";
        match self.lowercase(NAME).as_deref() {
            None | Some("trace_based") => return ExemplarFilter::TraceBased,
            Some("always_on") => return ExemplarFilter::AlwaysOn,
            Some("always_off") => return ExemplarFilter::AlwaysOff,
            Some(_) => {}
        }
        self.ignore(NAME, "allowed are trace_based, always_on, always_off");
        ExemplarFilter::TraceBased
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
}
