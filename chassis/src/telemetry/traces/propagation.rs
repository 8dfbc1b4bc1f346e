//! The caller's span out of W3C's `traceparent` and `tracestate` headers, strictly as Trace Context
//! level 2 has them. Whether it is believed is the setting `tracing.trust_incoming`.

use std::str::FromStr;

use hyper::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// `00-` and the two ids and the flags: the length of version 00, and the part of every later
/// version that is read.
const LENGTH: usize = 55;
/// Bit 0 says sampled, bit 1 that the trace id is random; no other has a meaning yet.
const KNOWN_FLAGS: u8 = 0b11;

pub(super) fn remote_parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut values = headers.get_all("traceparent").iter();
    let parent = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (trace_id, span_id, flags) = parse(parent.trim_matches([' ', '\t']))?;
    Some(SpanContext::new(trace_id, span_id, flags, true, state(headers)))
}

fn parse(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (known, later) = text.split_at_checked(LENGTH)?;
    let mut parts = known.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace_id = hex(parts.next()?, 32).and_then(|t| TraceId::from_hex(t).ok())?;
    let span_id = hex(parts.next()?, 16).and_then(|s| SpanId::from_hex(s).ok())?;
    let flags = hex(parts.next()?, 2).and_then(|f| u8::from_str_radix(f, 16).ok())?;
    let length_fits = match version {
        "ff" => false,
        "00" => later.is_empty(),
        _ => later.is_empty() || later.starts_with('-'),
    };
    let valid = length_fits && trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
    valid.then(|| (trace_id, span_id, TraceFlags::new(flags & KNOWN_FLAGS)))
}

/// Lower case only, as the grammar has it.
fn hex(text: &str, length: usize) -> Option<&str> {
    let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (digits && text.len() == length).then_some(text)
}

/// A malformed state is dropped; it never costs the parent.
fn state(headers: &HeaderMap) -> TraceState {
    let lines = headers.get_all("tracestate").iter();
    let lines: Option<Vec<_>> = lines.map(|line| line.to_str().ok()).collect();
    let text = lines.unwrap_or_default().join(",");
    TraceState::from_str(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;
    use crate::testing::hold;

    const IDS: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

    fn parent(lines: &[&str]) -> Option<SpanContext> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("traceparent", line.parse().unwrap());
        }
        remote_parent(&headers)
    }

    #[test]
    fn a_valid_parent_is_taken_over_with_its_flags() {
        let context = parent(&[&format!("00-{IDS}-01")]).unwrap();
        assert_eq!(context.trace_id().to_string(), &IDS[..32]);
        assert_eq!(context.span_id().to_string(), &IDS[33..]);
        assert!(context.is_sampled() && context.is_remote());
        assert!(!parent(&[&format!("00-{IDS}-00")]).unwrap().is_sampled());
    }

    #[test]
    fn unknown_flags_are_cleared_and_the_random_flag_stays() {
        let flags = |text: &str| parent(&[&format!("00-{IDS}-{text}")]).unwrap().trace_flags();
        assert_eq!(flags("03").to_u8(), 3);
        assert_eq!(flags("ff").to_u8(), 3);
        assert_eq!(flags("08").to_u8(), 0);
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        assert!(parent(&[&format!("cc-{IDS}-01")]).is_some());
        assert!(parent(&[&format!("cc-{IDS}-01-what-the-future-holds")]).is_some());
        assert!(parent(&[&format!("cc-{IDS}-01.what")]).is_none());
    }

    #[test]
    fn malformed_parents_are_ignored_as_a_whole() {
        let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let zero_span = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16));
        let cases = [
            String::new(),
            "nonsense".to_owned(),
            format!("ff-{IDS}-01"),
            format!("00-{IDS}-01-more"),
            format!("00-{IDS}-1"),
            format!("00-{IDS}-0x"),
            format!("0-{IDS}-001"),
            format!("00-{}-01", IDS.to_uppercase()),
            format!("00-{}-01", IDS.replace('-', "_")),
            format!("0Á-{IDS}-01").replace('Á', "%"),
            zero_trace,
            zero_span,
        ];
        for case in cases {
            assert_eq!(parent(&[&case]), None, "{case}");
        }
    }

    #[test]
    fn two_parents_are_none() {
        let line = format!("00-{IDS}-01");
        assert_eq!(parent(&[&line, &line]), None);
    }

    #[test]
    fn the_state_is_joined_and_a_broken_one_does_not_cost_the_parent() {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", format!("00-{IDS}-01").parse().unwrap());
        headers.append("tracestate", "a=1".parse().unwrap());
        headers.append("tracestate", "b=2".parse().unwrap());
        let context = remote_parent(&headers).unwrap();
        assert_eq!(context.trace_state().header(), "a=1,b=2");
        headers.append("tracestate", "no state at all".parse().unwrap());
        let context = remote_parent(&headers).unwrap();
        assert_eq!(context.trace_state().header(), "");
    }

    #[test]
    fn every_parent_of_the_grammar_is_taken_and_no_other() {
        hold("00-[0-9a-f]{31}[1-9a-f]-[0-9a-f]{15}[1-9a-f]-[0-9a-f]{2}", |line| {
            let context = parent(&[&line]).unwrap();
            assert_eq!(format!("{}-{}", context.trace_id(), context.span_id()), line[3..52]);
        });
        hold("[0-9a-f-]{50,60}|[ -~]{0,80}", |line| {
            if let Some(context) = parent(&[&line]) {
                assert!(context.is_valid() && line.contains(&context.trace_id().to_string()));
            }
        });
    }

    #[test]
    fn no_state_costs_the_parent() {
        hold("[ -~]{0,600}", |state| {
            let mut headers = HeaderMap::new();
            headers.append("traceparent", format!("00-{IDS}-01").parse().unwrap());
            headers.append("tracestate", state.parse().unwrap());
            assert!(remote_parent(&headers).is_some());
        });
    }
}
