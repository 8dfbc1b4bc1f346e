//! What is told of texts that callers make up: without e-mail addresses and tokens. Clients put them
//! into paths and `User-Agent`, where they do not belong, and logs and traces are read by many.
//!
//! There is no list of what tokens look like, because it would lack the next one. Long text that is
//! too mixed for words is taken for one, such as random bytes in base64.

use std::borrow::Cow;
use std::iter;

use percent_encoding::percent_decode;

use crate::privacy::REDACTED;

/// Text is decoded this often; what is encoded more often is meant to be hidden.
const DECODINGS: usize = 3;

/// The shortest token where nobody knows the path. Names of assets with their hash are shorter.
const TOKEN_ANYWHERE: usize = 24;

/// The shortest token where an id may stand, and in `User-Agent`: longer than ULID, Nano ID and the like.
const TOKEN_FOR_ID: usize = 32;

/// A path with `[redacted]` for each segment that tells too much. What stands in its route's template
/// does not; UUIDs never do.
pub(super) fn path<'a>(path: &'a str, template: Option<&str>) -> Cow<'a, str> {
    let shortest = if template.is_some() { TOKEN_FOR_ID } else { TOKEN_ANYWHERE };
    let segments = || {
        let known = template.unwrap_or_default().split('/').map(Some);
        path.split('/').zip(known.chain(iter::repeat(None)))
    };
    let tells = |(segment, known): &(&str, Option<&str>)| {
        *known != Some(*segment) && is_telling(segment, shortest, |text| text.contains(&b'@'))
    };
    if !segments().any(|segment| tells(&segment)) {
        return path.into();
    }
    let told = segments().map(|segment| if tells(&segment) { REDACTED } else { segment.0 });
    told.collect::<Vec<_>>().join("/").into()
}

/// `User-Agent` with `[redacted]` for each word that tells too much.
pub(super) fn user_agent(text: &str) -> Cow<'_, str> {
    let ends_word = |c: char| c.is_whitespace() || "()<>;,:\"".contains(c);
    // An `@` alone makes no address here: names of packages have one, and of elements of syslog.
    let tells = |word: &str| is_telling(word, TOKEN_FOR_ID, has_domain);
    if !text.split(ends_word).any(tells) {
        return text.into();
    }
    let words = text.split_inclusive(ends_word).flat_map(|part| {
        let word = part.trim_end_matches(ends_word);
        let told = if tells(word) { REDACTED } else { word };
        [told, &part[word.len()..]]
    });
    words.collect::<String>().into()
}

/// Whether a name with a dot follows an `@`.
fn has_domain(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'@').skip(1).any(|after| after.contains(&b'.'))
}

/// Whether there is an address or a token in it, however it is encoded.
fn is_telling(text: &str, shortest: usize, has_address: impl Fn(&[u8]) -> bool) -> bool {
    let mut text = Cow::Borrowed(text.as_bytes());
    for _ in 0..=DECODINGS {
        if has_address(&text) || has_web_token(&text) || has_token(&text, shortest) {
            return true;
        }
        match Cow::from(percent_decode(&text)) {
            Cow::Borrowed(_) => return false,
            Cow::Owned(decoded) => text = Cow::Owned(decoded),
        }
    }
    true
}

/// A JSON Web Token, or JSON in base64 alone: both begin with `{"`.
fn has_web_token(text: &[u8]) -> bool {
    let ends_run = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"-_.".contains(byte);
    text.split(ends_run).any(|run| {
        let start = run.windows(3).position(|three| three == b"eyJ");
        start.is_some_and(|start| {
            let token = &run[start..];
            token.len() >= 20 || token.split(|byte| *byte == b'.').nth(2).is_some()
        })
    })
}

fn has_token(text: &[u8], shortest: usize) -> bool {
    let ends_run = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"-_+=~".contains(byte);
    text.split(ends_run).any(|run| run.len() >= shortest && is_token(run, shortest))
}

/// Words are written with hyphens between them, and change between letters and digits, or from case to
/// case, far more rarely than chance does. What has one case is told: hashes and ids are written so, and a
/// line that does not tell them could not be found by them.
fn is_token(run: &[u8], shortest: usize) -> bool {
    let run = without_uuids(run);
    let cases = [u8::is_ascii_lowercase, u8::is_ascii_uppercase];
    let changes = run.windows(2).filter(|pair| is_change(pair[0], pair[1])).count();
    run.len() >= shortest
        && cases.iter().all(|case| run.iter().any(case))
        && changes * 6 >= run.len()
        && run.iter().any(u8::is_ascii_digit)
}

fn is_change(one: u8, other: u8) -> bool {
    let class = |byte: u8| (byte.is_ascii_digit(), byte.is_ascii_uppercase());
    one.is_ascii_alphanumeric() && other.is_ascii_alphanumeric() && class(one) != class(other)
}

/// Every id of ours is one, and so are those of most others.
fn without_uuids(mut run: &[u8]) -> Vec<u8> {
    const LENGTH: usize = 36;
    let mut rest = Vec::new();
    while let Some((first, after)) = run.split_first() {
        if run.get(..LENGTH).is_some_and(is_uuid) {
            run = &run[LENGTH..];
        } else {
            rest.push(*first);
            run = after;
        }
    }
    rest
}

fn is_uuid(text: &[u8]) -> bool {
    text.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0190b5a4-7d3e-7c6a-9c5e-3a1f2b4c5d6e";
    const OPAQUE: &str = "bvr_q7Zt0hX-3kPm_W9sLd2RvYc8BnJ4fGaUe6TiOoKxEyA";
    const WEB_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.e30.c2ln";

    #[test]
    fn what_is_no_secret_stays_readable() {
        for path in [
            "/",
            "/users/0190",
            &format!("/users/{UUID}"),
            &format!("/USERS/{}", UUID.to_uppercase()),
            &format!("/orders/order-{UUID}/items"),
            "/eyJust/a.word",
            "/blog/how-to-install-windows-11-on-your-old-laptop-in-2024.html",
            "/wp-content/plugins/a_rather_long_name_of_a_plugin/readme.txt",
            "/assets/main.3f9ab8c2d1e0f4a5b6c7.js",
            "/assets/index-BX3kd92a.css",
            "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
            "/a%20b/100%25/%E4%BD%A0%E5%A5%BD",
            &format!("/nowhere-{}", UUID.replace('-', "")),
            "/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "/TheQuickBrownFoxJumpsOverTheLazyDog",
            &format!("/{}", "k".repeat(4000)),
        ] {
            assert_eq!(super::path(path, None), path);
        }
    }

    #[test]
    fn addresses_and_tokens_in_a_path_are_not_told() {
        for secret in [
            "ada@example.org",
            "ada%40example.org",
            "ada%2540example.org",
            "ada%25252540example.org",
            "ada%2525252525252540example.org",
            WEB_TOKEN,
            &format!("Bearer%20{WEB_TOKEN}"),
            &format!("reset-{WEB_TOKEN}"),
            &format!("x={WEB_TOKEN}"),
            &WEB_TOKEN.replace('.', "%2E"),
            &WEB_TOKEN.replace('e', "%65"),
            "eyJ1c2VyIjoiYWRhIn0aaaa",
            OPAQUE,
            &format!("token={OPAQUE};v=1"),
            &OPAQUE.replace('_', "%5F"),
        ] {
            let path = format!("/x/{secret}/y");
            assert_eq!(super::path(&path, None), "/x/[redacted]/y", "{secret}");
        }
    }

    #[test]
    fn a_template_and_the_ids_that_it_asks_for_are_told() {
        let asset = format!("/docs/{OPAQUE}.js");
        assert_eq!(path(&asset, Some(&asset)), asset);
        for (id, told) in [
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            (UUID, UUID),
            (OPAQUE, "[redacted]"),
            ("ada@example.org", "[redacted]"),
            ("{user_id}", "{user_id}"),
        ] {
            let told = format!("/users/{told}/role");
            assert_eq!(path(&format!("/users/{id}/role"), Some("/users/{user_id}/role")), told);
        }
    }

    #[test]
    fn a_user_agent_is_told_without_addresses_and_tokens() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0";
        for (agent, told) in [
            (firefox, firefox),
            ("kestrel/1.0 \"q\" ", "kestrel/1.0 \"q\" "),
            ("[fields@32473 a=\"b\"]", "[fields@32473 a=\"b\"]"),
            (&format!("fields@{OPAQUE}"), "[redacted]"),
            (&format!("{OPAQUE}@fields"), "[redacted]"),
            ("bot (+mailto:ada@example.org)", "bot (+mailto:[redacted])"),
            ("bot <ada%40example.org>; x", "bot <[redacted]>; x"),
            (&format!("app/1 {WEB_TOKEN}, y"), "app/1 [redacted], y"),
            (&format!("app/{OPAQUE}"), "[redacted]"),
            ("é ada@example.org\u{a0}é", "é [redacted]\u{a0}é"),
        ] {
            assert_eq!(user_agent(agent), told);
        }
    }
}
