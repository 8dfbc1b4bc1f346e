//! What proxies write about whom they speak for: `X-Forwarded-For` and `Forwarded` (RFC 7239), read from
//! the right, since what stands on the left is what the proxy was sent itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use poem::http::{HeaderMap, HeaderValue, header};

/// Entries that are looked at: there are never so many proxies, and each look at a broken one may cost as
/// much as the header is long.
const ENTRIES_MAX: usize = 32;

crate::one_of! {
    /// Which header the trusted proxies write. A proxy passes the other one on as the client sent it.
    pub enum ForwardingHeader {
        /// Whichever is there; where they disagree, neither.
        Either = "either",
        /// `X-Forwarded-For`, and `X-Forwarded-Proto` and `X-Forwarded-Host` with it.
        XForwardedFor = "x-forwarded-for",
        /// `Forwarded` (RFC 7239).
        Forwarded = "forwarded",
    }
}

impl ForwardingHeader {
    /// What each of the two says, as far as it counts.
    pub(super) fn of<T>(
        self,
        listed: impl FnOnce() -> Option<T>,
        forwarded: impl FnOnce() -> Option<T>,
    ) -> (Option<T>, Option<T>) {
        match self {
            Self::Either => (listed(), forwarded()),
            Self::XForwardedFor => (listed(), None),
            Self::Forwarded => (None, forwarded()),
        }
    }
}

/// Entries of `X-Forwarded-For`, the nearest first; `None` for what is no address.
pub(super) fn listed(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    list(headers, "x-forwarded-for").map(|entry| address(entry?)).take(ENTRIES_MAX)
}

/// The last entry of `X-Forwarded-Proto`.
pub(super) fn listed_scheme(headers: &HeaderMap) -> Option<&str> {
    list(headers, "x-forwarded-proto").next().map(Option::unwrap_or_default)
}

/// The last entry of `X-Forwarded-Host`.
pub(super) fn listed_host(headers: &HeaderMap) -> Option<&str> {
    list(headers, "x-forwarded-host").next()?
}

/// `for` in the elements of `Forwarded`, the nearest first; `None` for what is no address, and where
/// there is none: the proxy that wrote this element has kept its client to itself.
pub(super) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    elements(headers).map(|element| address(&element?.single("for")?))
}

/// `proto` in the last element of `Forwarded`.
pub(super) fn forwarded_scheme(headers: &HeaderMap) -> Option<String> {
    elements(headers).next()?.and_then(|element| element.single("proto"))
}

/// `host` in the last element of `Forwarded`.
pub(super) fn forwarded_host(headers: &HeaderMap) -> Option<String> {
    elements(headers).next()?.and_then(|element| element.single("host"))
}

/// The pairs of one element of `Forwarded`, their values without quotation marks.
struct Element<'a>(Vec<(&'a str, String)>);

impl Element<'_> {
    /// The value of a parameter, unless it is given twice.
    fn single(&self, name: &str) -> Option<String> {
        let mut found = self.0.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let (_, value) = found.next()?;
        found.next().is_none().then(|| value.clone())
    }
}

/// Parts between commas from the right; `None` for one with bytes that no proxy writes.
fn list<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = Option<&'a str>> {
    let lines = headers.get_all(name).iter().rev();
    let parts = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    parts.map(|part| std::str::from_utf8(part).ok().map(str::trim))
}

/// Elements of `Forwarded` from the right; `None` for one that is not well-formed.
fn elements(headers: &HeaderMap) -> impl Iterator<Item = Option<Element<'_>>> {
    let mut lines = headers.get_all(header::FORWARDED).iter().rev();
    let mut rest = None;
    let mut looks = 0;
    std::iter::from_fn(move || {
        if rest.is_none() {
            rest = Some(lines.next().map(HeaderValue::to_str)?.ok()?);
        }
        let line = rest.take()?;
        // A comma may stand in quotation marks, and a client may send one mark alone to swallow what the
        // proxy adds. So an element is the shortest well-formed end: within quotation marks nothing is
        // one, for the marks in there are escaped and the last one would have no partner.
        for (comma, _) in line.rmatch_indices(',') {
            looks += 1;
            if looks > ENTRIES_MAX {
                return None;
            }
            if let Some(found) = element(&line[comma + 1..]) {
                rest = Some(&line[..comma]);
                return Some(Some(found));
            }
        }
        looks += 1;
        Some(element(line).filter(|_| looks <= ENTRIES_MAX))
    })
}

/// One element: pairs between semicolons, `token=token` or `token="quoted string"`.
fn element(text: &str) -> Option<Element<'_>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    loop {
        let (name, after) = rest.split_once('=')?;
        if !is_token(name) {
            return None;
        }
        let (value, after) = value(after)?;
        pairs.push((name, value));
        let after = after.trim_start();
        if after.is_empty() {
            return Some(Element(pairs));
        }
        rest = after.strip_prefix(';')?.trim_start();
    }
}

/// The value that a text begins with, and what comes after it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (token, after) = text.split_at(end);
        return is_node(token).then(|| (token.to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

/// A token, or an address with a port, which some proxies write without the quotation marks.
fn is_node(text: &str) -> bool {
    let is_bare = |byte: u8| !b"\"\\,;=".contains(&byte) && byte.is_ascii_graphic();
    !text.is_empty() && text.bytes().all(is_bare)
}

/// An address with or without port: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:_hidden`, `2001:db8::1`.
fn address(text: &str) -> Option<IpAddr> {
    let (address, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (v6, port) = bracketed.split_once(']')?;
        (v6.parse::<Ipv6Addr>().ok()?.into(), port)
    } else if let Ok(plain) = text.parse::<IpAddr>() {
        (plain, "")
    } else {
        let colon = text.find(':')?;
        (text[..colon].parse::<Ipv4Addr>().ok()?.into(), &text[colon..])
    };
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then(|| address.to_canonical())
}

/// A number, or a name that says nothing (RFC 7239, section 6.3).
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() || text.strip_prefix('_').is_some_and(is_token)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::FORWARDED, line.parse().unwrap());
        }
        let told = forwarded(&headers).map(|address| match address {
            Some(address) => address.to_string(),
            None => "-".to_owned(),
        });
        told.collect()
    }

    #[test]
    fn elements_are_read_from_the_right_whatever_stands_in_quotation_marks() {
        for (line, addresses) in [
            ("for=192.0.2.1", &["192.0.2.1"][..]),
            (
                "For=\"[2001:db8::1]:443\";proto=https , for=192.0.2.1:80",
                &["192.0.2.1", "2001:db8::1"],
            ),
            ("for=192.0.2.1;host=\"a,b;for=6.6.6.6\"", &["192.0.2.1"]),
            ("for=192.0.2.1;host=\"a, for=6.6.6.6;x=\\\"\"", &["192.0.2.1"]),
            ("for=\"192.0.2\\.1\"", &["192.0.2.1"]),
            ("for=\"[2001:db8::1]:_port\", for=192.0.2.1:_p", &["192.0.2.1", "2001:db8::1"]),
            ("for=_hidden, for=unknown", &["-", "-"]),
            ("proto=https;by=10.0.0.1", &["-"]),
            ("for=6.6.6.6;for=192.0.2.1", &["-"]),
            ("for=6.6.6.6, ", &["-"]),
            ("", &["-"]),
        ] {
            assert_eq!(read(&[line]), addresses, "{line}");
        }
        assert_eq!(read(&["for=6.6.6.6", "for=192.0.2.1"]), ["192.0.2.1", "6.6.6.6"]);
    }

    #[test]
    fn a_lone_quotation_mark_swallows_nothing_that_the_proxy_adds() {
        for sent in ["for=\"", "for=6.6.6.6;x=\"", "\"", "for=\"\\", "for=6.6.6.6;x=\"\\\""] {
            for added in ["for=192.0.2.1", "for=\"192.0.2.1\"", "for=\"192.0.2.1:1\";proto=http"] {
                assert_eq!(read(&[&format!("{sent}, {added}")])[0], "192.0.2.1", "{sent}");
            }
        }
    }

    #[test]
    fn what_is_too_long_to_be_true_is_not_read_to_its_end() {
        let many = vec!["\""; 30_000].join(",");
        assert!(read(&[&many]).len() <= ENTRIES_MAX + 1);
        assert!(read(&[&vec!["for=6.6.6.6"; 3_000].join(",")]).len() <= ENTRIES_MAX + 1);
    }

    #[test]
    fn only_addresses_are_addresses() {
        for text in [
            "",
            "[",
            "[]",
            "[[::1]]",
            "[192.0.2.1]",
            "::1]",
            "192.0.2.1:",
            "192.0.2.1:x",
            "[::1]80",
            "192.0.2.1:70000",
            "192.0.2.256",
            "fe80::1%eth0",
            "localhost",
            "192.0.2.1:_",
        ] {
            assert_eq!(address(text), None, "{text}");
        }
        assert_eq!(address("[::ffff:192.0.2.1]:1"), address("192.0.2.1"));
    }
}
