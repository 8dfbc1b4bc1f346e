//! Comments that tell the database whose statement it runs, in the format of sqlcommenter: a slow
//! statement in the server's own lists leads to its trace and its request.

use std::borrow::Cow;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sea_orm::Statement;

use crate::telemetry::RequestScope;

/// RFC 3986, section 2.3: what needs no encoding.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The setting `database.sql_comments`.
#[derive(Clone, Copy)]
pub(super) struct Comments {
    pub(super) enabled: bool,
}

impl Comments {
    /// The statement as it is sent: called where the statement's span is the current one.
    pub(super) fn on(self, mut statement: Statement) -> Statement {
        if let Cow::Owned(sql) = self.on_text(&statement.sql) {
            statement.sql = sql;
        }
        statement
    }

    /// The same for a text.
    pub(super) fn on_text(self, sql: &str) -> Cow<'_, str> {
        if !self.enabled {
            return Cow::Borrowed(sql);
        }
        Context::map_current(|context| {
            RequestScope::with_current(|scope| {
                let request_id = scope.map(|scope| &**scope.request_id());
                commented(sql, context.span().span_context(), request_id)
            })
        })
    }
}

/// The text with its comment. As sqlcommenter has it, one that has a comment already stays as it is;
/// so does one outside of a trace.
fn commented<'a>(sql: &'a str, span: &SpanContext, request_id: Option<&str>) -> Cow<'a, str> {
    if !span.is_valid() || sql.contains("/*") || sql.contains("--") {
        return Cow::Borrowed(sql);
    }
    let is_end = |c: char| c == ';' || c.is_ascii_whitespace();
    let (statement, end) = sql.split_at(sql.trim_end_matches(is_end).len());
    let request_id = request_id.map_or_else(String::new, |id| {
        format!("request_id='{}',", utf8_percent_encode(id, RESERVED))
    });
    let (trace, span, flags) = (span.trace_id(), span.span_id(), span.trace_flags().to_u8());
    // The keys are in the order of the alphabet.
    let comment = format!("/*{request_id}traceparent='00-{trace}-{span}-{flags:02x}'*/");
    Cow::Owned(format!("{statement} {comment}{end}"))
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    const PARENT: &str = "traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'";

    fn span() -> SpanContext {
        SpanContext::new(
            TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c),
            SpanId::from(0xb7ad_6b71_6920_3331),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        )
    }

    #[test]
    fn it_names_the_request_and_the_span_in_the_order_of_the_alphabet() {
        let text = commented("SELECT 1", &span(), Some("r-1"));
        assert_eq!(text, format!("SELECT 1 /*request_id='r-1',{PARENT}*/"));
        let text = commented("SELECT 1", &span(), None);
        assert_eq!(text, format!("SELECT 1 /*{PARENT}*/"));
    }

    #[test]
    fn nothing_breaks_out_of_it() {
        let text = commented("SELECT 1", &span(), Some("a'*/; DROP TABLE users --"));
        let id = "a%27%2A%2F%3B%20DROP%20TABLE%20users%20--";
        assert_eq!(text, format!("SELECT 1 /*request_id='{id}',{PARENT}*/"));
    }

    #[test]
    fn it_stands_before_the_end_of_the_statement() {
        let text = commented("SELECT 1;\n", &span(), None);
        assert_eq!(text, format!("SELECT 1 /*{PARENT}*/;\n"));
    }

    #[test]
    fn a_statement_outside_of_a_trace_or_with_a_comment_stays_as_it_is() {
        assert_eq!(commented("SELECT 1", &SpanContext::NONE, Some("r-1")), "SELECT 1");
        for sql in ["SELECT 1 /* all */", "SELECT 1 -- one"] {
            assert_eq!(commented(sql, &span(), Some("r-1")), sql);
        }
    }
}
