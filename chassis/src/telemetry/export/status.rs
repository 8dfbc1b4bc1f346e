//! What `/health` says of the export. A collector that is down never makes the service unready: its
//! callers have no part in that. Strangers may read it, so it says nothing of where telemetry goes.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::books::Progress;
use super::failure::ExportError;
use super::{Export, Outlet};

/// How both signals stand.
#[derive(Clone, Debug, Serialize)]
pub struct TelemetryStatus {
    /// Spans.
    pub traces: SignalStatus,
    /// Log records.
    pub logs: SignalStatus,
}

/// How one signal stands.
#[derive(Clone, Debug, Serialize)]
pub struct SignalStatus {
    /// Whether it is exported, and whether that works.
    pub state: ExportState,
    /// Items that the collector took.
    pub exported: u64,
    /// Items for which there was no room.
    pub dropped: u64,
    /// Items that the collector did not take.
    pub failed: u64,
    /// Items that wait.
    pub queued: usize,
    /// When the collector last took some, RFC 3339; none before the first time.
    pub last_success: Option<String>,
    /// What went wrong last, also when it goes well again.
    pub error: Option<ExportError>,
}

/// Whether a signal is exported, and whether that works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportState {
    /// Nothing is to be exported.
    Disabled,
    /// There was nothing to export yet.
    Idle,
    /// The collector took the last batch.
    Delivering,
    /// It did not.
    Failing,
}

impl Export {
    pub(in crate::telemetry) fn status(&self) -> TelemetryStatus {
        TelemetryStatus { traces: status(&self.traces), logs: status(&self.logs) }
    }
}

fn status(outlet: &Outlet) -> SignalStatus {
    let [exported, dropped, failed] = outlet.books.counts();
    let books = outlet.books.state();
    let state = match books.progress {
        _ if outlet.queue.is_none() => ExportState::Disabled,
        Progress::Idle => ExportState::Idle,
        Progress::Delivering => ExportState::Delivering,
        Progress::Failing => ExportState::Failing,
    };
    let time = |time| DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true);
    SignalStatus {
        state,
        exported,
        dropped,
        failed,
        queued: outlet.queue.as_ref().map_or(0, |queue| queue.len()),
        last_success: books.last_success.map(time),
        error: books.error,
    }
}
