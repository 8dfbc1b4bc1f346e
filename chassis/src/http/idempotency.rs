//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): the caller's name for one request, by
//! which its repetitions are known.
//!
//! Here a key is parsed, bound to its caller and operation, and made into what may be stored. Where
//! answers are stored, and for how long, is the service's matter.

use aws_lc_rs::{digest, hmac};
use poem::Request;
use poem::http::{HeaderName, HeaderValue, Method};
use poem_openapi::registry::MetaSchema;

use super::exchange::Exchange;
use super::parameter::header_parameter;
use crate::privacy::Secret;
use crate::problem::{Problem, ProblemType};

/// The name of the header.
pub const NAME: HeaderName = HeaderName::from_static("idempotency-key");
/// A UUID has 36 characters, an HMAC in hexadecimal 64.
const KEY_MAX: usize = 255;
/// One that has an escape before each character.
const QUOTED_MAX: usize = 2 * KEY_MAX + 2;
/// Either form, as a regular expression.
const PATTERN: &str = r#"^([!#-+\--:<-\[\]-~]{1,255}|"([ !#-\[\]-~]|\\["\\]){1,255}")$"#;

/// `Idempotency-Key`, if the request has one: a string of RFC 8941 with 1 to 255 characters, such as
/// `"8e03978e-40d5-43dd-bc93-6894a57f9324"`. Most clients leave the quotation marks out; so a bare word of
/// visible ASCII without `"`, `,`, `;` and `\` is taken as the same key. Anything else is answered 400.
pub struct IdempotencyKey(Option<Sent>);

/// A key that is bound to its caller and operation. What it makes of itself and of the request may be
/// stored: neither leads back to the key, or to the request for whoever lacks the key.
pub struct ScopedKey {
    hash: [u8; 32],
    key: hmac::Key,
}

struct Sent {
    method: Method,
    route: String,
    key: Secret,
}

impl IdempotencyKey {
    /// The key as this caller's for this operation; `None` where the request has no key. Callers whom
    /// nobody knows share their keys, so these must not be guessable.
    pub fn of_caller(&self, caller: Option<&str>) -> Option<ScopedKey> {
        let Sent { method, route, key } = self.0.as_ref()?;
        let caller = caller.map_or_else(String::new, |id| format!("caller {id}"));
        Some(ScopedKey::new([caller.as_str(), method.as_str(), route], key))
    }

    fn of(request: &Request) -> Result<Self, Problem> {
        let mut lines = request.headers().get_all(&NAME).iter();
        let Some(line) = lines.next() else {
            return Ok(Self(None));
        };
        let key = parse(line).filter(|_| lines.next().is_none());
        let key = key.ok_or_else(|| {
            Problem::new(&ProblemType::BAD_REQUEST).detail(format!(
                "the header {NAME} must come once, as 1 to {KEY_MAX} printable ASCII characters in quotation marks"
            ))
        })?;
        let exchange = Exchange::of(request);
        let route = exchange.as_ref().map_or_else(
            || request.uri().path().to_owned(),
            |exchange| exchange.route_template().to_owned(),
        );
        Ok(Self(Some(Sent { method: request.method().clone(), route, key })))
    }
}

impl ScopedKey {
    /// A key within a scope: whose it is, and what for.
    pub fn new<'a>(scope: impl IntoIterator<Item = &'a str>, key: &Secret) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut add = |part: &str| {
            context.update(&length(part));
            context.update(part.as_bytes());
        };
        scope.into_iter().for_each(&mut add);
        add(key.expose());
        let hash = bytes(context.finish().as_ref());
        Self { hash, key: hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes()) }
    }

    /// SHA-256 of the key within its scope.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// HMAC-SHA256 of the parts of a request under the key: tells whether a repetition is one. Leave
    /// passwords out: this is fast to compute, and who knows the key could try them.
    pub fn fingerprint<'a>(&self, parts: impl IntoIterator<Item = Option<&'a str>>) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&[u8::from(part.is_some())]);
            let part = part.unwrap_or_default();
            context.update(&length(part));
            context.update(part.as_bytes());
        }
        bytes(context.sign().as_ref())
    }
}

header_parameter!(
    IdempotencyKey,
    MetaSchema {
        min_length: Some(1),
        max_length: Some(QUOTED_MAX),
        // Without an example: Swagger UI would send it with every request that is tried out.
        pattern: Some(PATTERN.to_owned()),
        ..MetaSchema::new("string")
    },
    request => Self::of(request)
);

/// A string of RFC 8941, section 3.3.3, without parameters, of which the draft knows none; or a bare word.
fn parse(line: &HeaderValue) -> Option<Secret> {
    let line = line.to_str().ok()?.trim_matches([' ', '\t']);
    let key = match line.strip_prefix('"') {
        Some(rest) => unescape(rest.strip_suffix('"')?)?,
        None if line.chars().all(is_bare) => line.to_owned(),
        None => return None,
    };
    // Only ASCII is left, so bytes are characters.
    (1..=KEY_MAX).contains(&key.len()).then(|| Secret::new(key))
}

fn unescape(quoted: &str) -> Option<String> {
    let mut key = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        key.push(match c {
            '\\' => chars.next().filter(|escaped| matches!(escaped, '"' | '\\'))?,
            '"' => return None,
            ' '..='~' => c,
            _ => return None,
        });
    }
    Some(key)
}

fn is_bare(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | ',' | ';' | '\\')
}

/// So that two parts cannot pass for one, or for two others.
fn length(part: &str) -> [u8; 8] {
    u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()
}

fn bytes(of_a_hash: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(of_a_hash);
    bytes
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::testing::hold;

    #[test]
    fn a_key_is_a_quoted_string_or_a_bare_word() {
        for (line, key) in [
            ("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            (" \"a b\" ", "a b"),
            (r#""a\"b\\c""#, "a\"b\\c"),
            ("a:b/c+d=", "a:b/c+d="),
        ] {
            assert_eq!(parsed(line).as_deref(), Some(key), "{line}");
        }
        assert!(parsed(&"k".repeat(255)).is_some());
        assert!(parsed(&format!("\"{}\"", "\\\"".repeat(255))).is_some());
    }

    #[test]
    fn anything_else_is_no_key() {
        let long = "k".repeat(256);
        for line in [
            "",
            " ",
            "\"\"",
            "\"",
            "\"a",
            "a\"",
            "\"a\"b",
            "\"a\", \"b\"",
            "\"a\";p=1",
            "a,b",
            "a b",
            "a;b",
            "a\\b",
            r#""a\b""#,
            r#""a\""#,
            "\"a\tb\"",
            &long,
            &format!("\"{long}\""),
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
        assert!(parse(&HeaderValue::from_bytes(b"\"\xc3\xa4\"").unwrap()).is_none());
    }

    #[test]
    fn a_key_counts_within_its_scope() {
        let hash = |scope: [&str; 3], key: &str| ScopedKey::new(scope, &Secret::new(key)).hash();
        let first = hash(["ada", "POST", "/users"], "k");
        assert_eq!(first, hash(["ada", "POST", "/users"], "k"));
        for (scope, key) in [
            (["eve", "POST", "/users"], "k"),
            (["ada", "PUT", "/users"], "k"),
            (["ada", "POST", "/orders"], "k"),
            (["ada", "POST", "/users"], "l"),
            (["adaP", "OST", "/users"], "k"),
        ] {
            assert_ne!(first, hash(scope, key), "{scope:?} {key}");
        }
    }

    #[test]
    fn a_fingerprint_tells_each_part_and_depends_on_the_key() {
        let print = |key: &str, parts: &[Option<&str>]| {
            ScopedKey::new([""], &Secret::new(key)).fingerprint(parts.iter().copied())
        };
        let first = print("k", &[Some("ada"), None]);
        assert_eq!(first, print("k", &[Some("ada"), None]));
        assert_ne!(first, print("l", &[Some("ada"), None]));
        for other in [&[Some("ada"), Some("")], &[Some("ad"), Some("a")], &[None, Some("ada")]] {
            assert_ne!(first, print("k", other), "{other:?}");
        }
    }

    fn parsed(line: &str) -> Option<String> {
        parse(&HeaderValue::from_str(line).unwrap()).map(|key| key.expose().to_owned())
    }

    #[test]
    fn what_the_document_describes_is_a_key_and_nothing_is_a_panic() {
        // Here a pattern is for the whole text anyway.
        hold(PATTERN.trim_matches(['^', '$']), |line| assert!(parsed(&line).is_some(), "{line:?}"));
        hold("[ -~\t]{0,300}", |line| {
            let key = parsed(&line);
            assert!(key.is_none_or(|key| (1..=KEY_MAX).contains(&key.len())));
        });
    }

    #[test]
    fn a_key_comes_back_from_its_quotation_marks() {
        hold("[ -~]{1,255}", |key| {
            let quoted = key.replace('\\', "\\\\").replace('"', "\\\"");
            assert_eq!(parsed(&format!("\"{quoted}\"")), Some(key));
        });
    }
}
