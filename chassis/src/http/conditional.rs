//! Entity tags and the preconditions that name them (RFC 9110, sections 8.8.3 and 13.1).
//!
//! A tag is the version of a row, so that a precondition can be checked where the row is written.

use poem::Request;
use poem::http::{HeaderName, HeaderValue, header};
use poem_openapi::registry::MetaSchema;
use poem_openapi::types::ToHeader;

use super::parameter::header_parameter;
use crate::problem::{Problem, ProblemType};
use crate::schema_type;

/// More tags than a client has seen of one resource are not a precondition but an attack.
const TAGS_MAX: usize = 32;
/// What both headers may be, as a regular expression: `*`, or up to [`TAGS_MAX`] tags, with empty
/// elements between them as RFC 9110, section 5.6.1.2, allows.
const PATTERN: &str = r#"^[ \t]*(\*|[, \t]*(W/)?"[!#-~\u0080-\u00FF]*"([ \t]*,[, \t]*(W/)?"[!#-~\u0080-\u00FF]*"){0,31}[, \t]*)[ \t]*$"#;

/// The strong entity tag of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag(pub i64);

/// `If-Match`: the request counts only for these versions. Weak tags match none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfMatch(Condition);

/// `If-None-Match`: the caller has these versions already. Weak tags match like strong ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfNoneMatch(Condition);

/// The versions at which a request is to be worked on, for whoever writes the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    only: Option<Vec<i64>>,
    except: Vec<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Absent,
    Any,
    Listed(Vec<Tag>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    opaque: Vec<u8>,
}

impl IfMatch {
    /// The versions that the request counts for; `None` when any will do.
    pub fn versions(&self) -> Option<Vec<i64>> {
        match &self.0 {
            Condition::Absent | Condition::Any => None,
            Condition::Listed(tags) => {
                let strong = tags.iter().filter(|tag| !tag.weak);
                Some(strong.filter_map(Tag::version).collect())
            }
        }
    }

    /// Whether the request counts for this version.
    pub fn holds(&self, version: i64) -> bool {
        self.versions().is_none_or(|versions| versions.contains(&version))
    }

    /// The versions at which a request that writes may do so. Both headers have to hold, and either that
    /// does not is answered 412, so that nobody sees which was looked at first (RFC 9110, section 13.2.2).
    pub fn and(&self, known: &IfNoneMatch) -> Versions {
        let (only, except) = (self.versions(), Vec::new());
        match &known.0 {
            Condition::Absent => Versions { only, except },
            // No version of what exists will do.
            Condition::Any => Versions { only: Some(Vec::new()), except },
            Condition::Listed(tags) => {
                Versions { only, except: tags.iter().filter_map(Tag::version).collect() }
            }
        }
    }
}

impl IfNoneMatch {
    /// Whether the caller has this version.
    pub fn has(&self, version: i64) -> bool {
        match &self.0 {
            Condition::Absent => false,
            Condition::Any => true,
            Condition::Listed(tags) => tags.iter().any(|tag| tag.version() == Some(version)),
        }
    }

    /// Whether the answer may be in what the caller has: without a condition it never is.
    pub fn is_given(&self) -> bool {
        !matches!(self.0, Condition::Absent)
    }
}

impl Versions {
    /// Whatever version there is.
    pub const ANY: Self = Self { only: None, except: Vec::new() };

    /// Those of which it has to be one; `None` when any will do but [`Self::except`].
    pub fn only(&self) -> Option<&[i64]> {
        self.only.as_deref()
    }

    /// Those of which it must be none.
    pub fn except(&self) -> &[i64] {
        &self.except
    }

    /// Whether it may be any.
    pub fn is_any(&self) -> bool {
        self.only.is_none() && self.except.is_empty()
    }

    /// Whether it may be this one.
    pub fn hold(&self, version: i64) -> bool {
        let listed = self.only().is_none_or(|only| only.contains(&version));
        listed && !self.except.contains(&version)
    }
}

impl Tag {
    fn version(&self) -> Option<i64> {
        let text = std::str::from_utf8(&self.opaque).ok()?;
        let version: i64 = text.parse().ok()?;
        // Tags are opaque: `"07"` is another tag than `"7"`.
        (version.to_string() == text).then_some(version)
    }
}

schema_type!(
    ETag,
    "string_etag",
    MetaSchema { example: Some("\"7\"".into()), ..MetaSchema::new("string") }
);

impl ToHeader for ETag {
    fn to_header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("\"{}\"", self.0)).ok()
    }
}

header_parameter!(IfMatch, schema(), request => condition(request, &header::IF_MATCH).map(Self));
header_parameter!(
    IfNoneMatch,
    schema(),
    request => condition(request, &header::IF_NONE_MATCH).map(Self)
);

fn schema() -> MetaSchema {
    // Without an example: Swagger UI would send it with every request that is tried out.
    MetaSchema { pattern: Some(PATTERN.to_owned()), ..MetaSchema::new("string") }
}

fn condition(request: &Request, name: &HeaderName) -> Result<Condition, Problem> {
    let lines: Vec<&[u8]> =
        request.headers().get_all(name).iter().map(HeaderValue::as_bytes).collect();
    parse(&lines).ok_or_else(|| {
        Problem::new(&ProblemType::BAD_REQUEST).detail(format!(
            "the header {name} must be * or a list of at most {TAGS_MAX} entity tags, such as \"7\""
        ))
    })
}

/// Several lines of a header are one list (RFC 9110, section 5.3).
fn parse(lines: &[&[u8]]) -> Option<Condition> {
    match lines {
        [] => return Some(Condition::Absent),
        [line] if line.trim_ascii() == b"*" => return Some(Condition::Any),
        _ => {}
    }
    let mut tags = Vec::new();
    for line in lines {
        parse_list(line, &mut tags)?;
    }
    (1..=TAGS_MAX).contains(&tags.len()).then_some(Condition::Listed(tags))
}

fn parse_list(line: &[u8], tags: &mut Vec<Tag>) -> Option<()> {
    let mut rest = line.trim_ascii();
    while !rest.is_empty() {
        // Empty elements are allowed, RFC 9110, section 5.6.1.2.
        if let Some(after) = rest.strip_prefix(b",") {
            rest = after.trim_ascii_start();
            continue;
        }
        let (tag, after) = parse_tag(rest)?;
        tags.push(tag);
        rest = after.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
    }
    Some(())
}

fn parse_tag(text: &[u8]) -> Option<(Tag, &[u8])> {
    let strong = text.strip_prefix(b"W/");
    let inner = strong.unwrap_or(text).strip_prefix(b"\"")?;
    let end = inner.iter().position(|&c| c == b'"')?;
    let (opaque, after) = inner.split_at(end);
    // etagc of RFC 9110, section 8.8.3: what is visible, and what is not ASCII.
    if opaque.iter().any(|&c| c <= b' ' || c == 0x7F) {
        return None;
    }
    let tag = Tag { weak: strong.is_some(), opaque: opaque.to_vec() };
    Some((tag, &after[1..]))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::testing::hold;

    #[test]
    fn if_match_compares_strongly() {
        assert_eq!(if_match(&["\"7\""]).versions(), Some(vec![7]));
        assert_eq!(if_match(&["\"6\", W/\"7\" ,, \"x,y\"", "\"8\""]).versions(), Some(vec![6, 8]));
        assert_eq!(if_match(&["W/\"7\""]).versions(), Some(vec![]));
        assert_eq!(if_match(&["\"07\", \"+7\", \"\u{e9}\""]).versions(), Some(vec![]));
    }

    #[test]
    fn without_tags_any_version_will_do() {
        assert_eq!(if_match(&[]).versions(), None);
        assert_eq!(if_match(&[" * "]).versions(), None);
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let header = |lines: &[&str]| IfNoneMatch(parsed(lines).unwrap());
        assert!(header(&["\"6\", W/\"7\""]).has(7));
        assert!(header(&["*"]).has(7));
        assert!(!header(&["\"6\""]).has(7));
        assert!(!header(&[]).has(7));
    }

    #[test]
    fn a_request_that_writes_depends_on_both_headers() {
        let versions = |expected: &[&str], known: &[&str]| {
            if_match(expected).and(&IfNoneMatch(parsed(known).unwrap()))
        };
        assert!(versions(&[], &[]).is_any() && versions(&["*"], &[]).is_any());
        for (expected, known, held) in [
            ("*", "\"7\"", [true, false, true]),
            ("*", "W/\"7\", \"8\"", [true, false, false]),
            ("*", "*", [false; 3]),
            ("\"6\", \"7\"", "\"7\"", [true, false, false]),
            ("\"7\"", "\"x\"", [false, true, false]),
            ("\"7\"", "*", [false; 3]),
        ] {
            let versions = versions(&[expected], &[known]);
            assert_eq!([6, 7, 8].map(|version| versions.hold(version)), held, "{versions:?}");
        }
    }

    #[test]
    fn what_is_not_a_list_of_tags_is_refused() {
        let many = vec!["\"1\""; TAGS_MAX + 1].join(",");
        for line in ["", ",", "7", "\"7", "\"7\" \"8\"", "w/\"7\"", "*, \"7\"", "\"a b\"", &many] {
            assert_eq!(parsed(&[line]), None, "{line}");
        }
    }

    #[test]
    fn a_tag_is_the_quoted_version() {
        assert_eq!(ETag(7).to_header().unwrap(), "\"7\"");
    }

    fn if_match(lines: &[&str]) -> IfMatch {
        IfMatch(parsed(lines).unwrap())
    }

    fn parsed(lines: &[&str]) -> Option<Condition> {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        parse(&lines)
    }

    #[test]
    fn what_the_document_describes_is_a_list_of_tags_and_no_bytes_are_a_panic() {
        // Here a pattern is for the whole text anyway.
        hold(PATTERN.trim_matches(['^', '$']), |line| {
            assert!(parse(&[line.as_bytes()]).is_some(), "{line:?}");
        });
        hold(proptest::collection::vec(0_u8..=255, 0..64), |line| {
            let _ = parse(&[&line]);
        });
    }

    #[test]
    fn versions_come_back_from_their_tags() {
        hold(proptest::collection::vec(0..=i64::MAX, 1..=TAGS_MAX), |versions| {
            let tags: Vec<_> = versions.iter().map(|version| format!("\"{version}\"")).collect();
            assert_eq!(if_match(&[&tags.join(", ")]).versions(), Some(versions));
        });
    }
}
