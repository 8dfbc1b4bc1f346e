//! Hundreds of different events, sent by us and, as OpenTelemetry's logger would have them, by
//! opentelemetry-otlp: both say the same.
//!
//! Two differences are on purpose, and tests of their own show them: the SDK knows no limits of log
//! records, so the reference never cuts a value nor counts attributes that it dropped.

use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{LogRecord as _, Logger, LoggerProvider, Severity};
use opentelemetry_sdk::logs::{LogBatch, SdkLogRecord, SdkLogger, SdkLoggerProvider};

use super::*;
use crate::telemetry::export::reference::{self, Dice};

/// Requests, and events in each: every level with every shape.
const REQUESTS: usize = 8;
const EVENTS: usize = 60;
const LEVELS: [(Level, Severity, &str); 5] = [
    (Level::TRACE, Severity::Trace, "one"),
    (Level::DEBUG, Severity::Debug, "two"),
    (Level::INFO, Severity::Info, "one"),
    (Level::WARN, Severity::Warn, "three"),
    (Level::ERROR, Severity::Error, "one"),
];

/// What is logged, and where.
struct Told {
    level: usize,
    shape: usize,
    flag: bool,
    int: i64,
    float: f64,
    text: String,
    list: Vec<i64>,
    ids: Option<SpanContext>,
    request_id: Option<&'static str>,
}

/// A callsite has its level and target in its text, so there is one for each.
macro_rules! at_each_level {
    ($told:ident, $($fields:tt)*) => {
        match $told.level {
            0 => tracing::trace!(target: "one", $($fields)*),
            1 => tracing::debug!(target: "two", $($fields)*),
            2 => tracing::info!(target: "one", $($fields)*),
            3 => tracing::warn!(target: "three", $($fields)*),
            _ => tracing::error!(target: "one", $($fields)*),
        }
    };
}

#[test]
fn records_are_sent_as_the_reference_sends_them() {
    let mut dice = Dice::new();
    let logger = SdkLoggerProvider::builder().build().logger("");
    let scope = InstrumentationScope::builder("").build();
    let limits = AttributeLimits { count: 128, length: None };
    for _ in 0..REQUESTS {
        let told: Vec<_> = (0..EVENTS).map(|n| Told::any(n, &mut dice)).collect();
        let ours = records(limits, || told.iter().for_each(Told::log));
        let expected: Vec<_> = told.iter().map(|told| told.record(&logger)).collect();
        let batch: Vec<_> = expected.iter().map(|record| (record, &scope)).collect();
        let theirs = by_scope(reference::logs(LogBatch::new(&batch)));
        assert_same(ours, theirs);
    }
}

/// As texts, because no NaN is the same as another. The order of scopes says nothing.
#[track_caller]
fn assert_same(mut ours: Vec<(String, LogRecord)>, mut theirs: Vec<(String, LogRecord)>) {
    ours.sort_by(|a, b| a.0.cmp(&b.0));
    theirs.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!([ours.len(), theirs.len()], [EVENTS; 2]);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(format!("{ours:#?}"), format!("{theirs:#?}"));
    }
}

impl Told {
    fn any(n: usize, dice: &mut Dice) -> Self {
        Self {
            level: n % LEVELS.len(),
            shape: n % 3,
            flag: dice.flag(),
            int: dice.int(),
            float: dice.float(),
            text: dice.text(),
            list: dice.some(Dice::int),
            ids: n.is_multiple_of(2).then(|| ids(dice)),
            request_id: (n % 4 < 2).then_some("r-1"),
        }
    }

    fn log(&self) {
        let Self { flag, int, float, text, list, .. } = self;
        let (flag, int, float, text) = (*flag, *int, *float, text.as_str());
        let mut context = Context::new();
        if let Some(id) = self.request_id {
            context = context.with_value(RequestScope::new(id.into()));
        }
        if let Some(ids) = &self.ids {
            context = context.with_remote_span_context(ids.clone());
        }
        let _attached = context.attach();
        let none: Option<&str> = None;
        match self.shape {
            0 => at_each_level!(self, flag, int, float, text, list = ?list, "{text}: {int}"),
            1 => {
                at_each_level!(self, { event.name = "sys_startup", shown = %text, none }, "began");
            }
            _ => at_each_level!(self, int, text),
        }
    }

    /// The same as a program would have the logger say it.
    fn record(&self, logger: &SdkLogger) -> SdkLogRecord {
        let mut record = logger.create_log_record();
        let time = UNIX_EPOCH + Duration::new(1_700_000_000, 5);
        record.set_timestamp(time);
        record.set_observed_timestamp(time);
        let (level, severity, target) = LEVELS[self.level];
        record.set_severity_number(severity);
        record.set_severity_text(level.as_str());
        record.set_target(target);
        if let Some(ids) = &self.ids {
            record.set_trace_context(ids.trace_id(), ids.span_id(), Some(ids.trace_flags()));
        }
        record.add_attributes(self.request_id.map(|id| ("request_id", id)));
        self.say(&mut record);
        record
    }

    fn say(&self, record: &mut SdkLogRecord) {
        let Self { flag, int, float, text, list, .. } = self;
        match self.shape {
            0 => {
                record.set_body(format!("{text}: {int}").into());
                record.add_attribute("flag", *flag);
                record.add_attribute("int", *int);
                record.add_attribute("float", *float);
                record.add_attribute("text", text.clone());
                record.add_attribute("list", format!("{list:?}"));
            }
            1 => {
                record.set_event_name("sys_startup");
                record.set_body("began".into());
                record.add_attribute("shown", text.clone());
            }
            _ => {
                record.add_attribute("int", *int);
                record.add_attribute("text", text.clone());
            }
        }
    }
}

fn ids(dice: &mut Dice) -> SpanContext {
    let id = u128::from(dice.number()) << 64 | u128::from(dice.number());
    let flags = TraceFlags::new(dice.one_of(&[0, 1, 3]));
    let span = SpanId::from(dice.number());
    SpanContext::new(TraceId::from(id), span, flags, true, TraceState::default())
}
