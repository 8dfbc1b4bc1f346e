//! How a registry becomes text for a scraper: in Prometheus' text format 0.0.4, or in OpenMetrics with
//! exemplars for those who ask. Which it is to be is told from `Accept` in `accept`.

mod accept;
mod open_metrics;

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

/// How an exposition is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 0.0.1, which older scrapers ask for; for what we write, the same as 1.0.0.
    OpenMetrics0,
    /// OpenMetrics 1.0.0.
    OpenMetrics1,
}

impl Format {
    /// What the client asked for with its `Accept` header lines; the text format where it did not.
    pub fn accepted<'a>(accept: impl Iterator<Item = &'a str>) -> Self {
        accept::choose(accept)
    }

    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => TEXT_FORMAT,
            Self::OpenMetrics0 => "application/openmetrics-text; version=0.0.1; charset=utf-8",
            Self::OpenMetrics1 => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What every family says at this moment.
pub fn expose(metrics: &Metrics, format: Format) -> prometheus::Result<Exposition> {
    let families = metrics.gather();
    let body = match format {
        Format::Text => {
            let mut body = Vec::new();
            TextEncoder::new().encode(&families, &mut body)?;
            body
        }
        Format::OpenMetrics0 | Format::OpenMetrics1 => {
            open_metrics::encode(&families, &metrics.with_exemplar_slots()).into_bytes()
        }
    };
    Ok(Exposition { content_type: format.content_type(), body })
}

#[cfg(test)]
mod tests;
