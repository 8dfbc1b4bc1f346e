//! How a registry becomes text for a scraper: Prometheus' text format 0.0.4.

use prometheus::{Encoder, TEXT_FORMAT, TextEncoder};

use super::Metrics;

/// The answer to one scrape.
#[derive(Debug)]
pub struct Exposition {
    /// For the `Content-Type` header.
    pub content_type: &'static str,
    /// The families in the order of their names.
    pub body: Vec<u8>,
}

/// What every family says at this moment, in the text format 0.0.4.
pub fn text(metrics: &Metrics) -> prometheus::Result<Exposition> {
    let mut body = Vec::new();
    TextEncoder::new().encode(&metrics.gather(), &mut body)?;
    Ok(Exposition { content_type: TEXT_FORMAT, body })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    /// Suffixes that promtool takes for abbreviated units, and its words for types.
    const UNWANTED: [&str; 6] = ["_ms", "_s", "_mb", "_gauge", "_counter", "_histogram"];

    #[test]
    fn is_text_of_version_0_0_4_and_ends_with_a_line_feed() {
        let exposition = text(&Metrics::new().unwrap()).unwrap();
        assert_eq!(exposition.content_type, "text/plain; version=0.0.4");
        assert_eq!(exposition.body.last(), Some(&b'\n'));
    }

    #[tokio::test]
    async fn names_and_helps_are_as_promtool_wants_them() {
        let metrics = Metrics::new().unwrap();
        metrics.log_events.with_label_values(&["info"]).inc();
        for family in metrics.gather() {
            let name = family.name();
            let counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
            assert_eq!(counter, name.ends_with("_total"), "{name}");
            assert!(!family.help().is_empty(), "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{name}"
            );
            assert!(!UNWANTED.iter().any(|u| name.ends_with(u)), "{name}");
        }
    }
}
