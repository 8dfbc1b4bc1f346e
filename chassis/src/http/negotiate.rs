//! What a client accepts (RFC 9110, section 12.5), as far as this service needs to know.

use poem::http::{HeaderMap, HeaderName, header};

/// Whether the client takes one of these media types. No `Accept` takes everything.
pub(super) fn accepts_any(headers: &HeaderMap, produced: &[String]) -> bool {
    let mut ranges = list(headers, &header::ACCEPT).peekable();
    if ranges.peek().is_none() || produced.is_empty() {
        return true;
    }
    let ranges: Vec<(&str, bool)> = ranges.collect();
    produced.iter().any(|media_type| accepts(&ranges, essence(media_type)))
}

/// Whether the client decodes gzip.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let codings: Vec<(&str, bool)> = list(headers, &header::ACCEPT_ENCODING).collect();
    let said = |name: &str| codings.iter().find(|(coding, _)| coding.eq_ignore_ascii_case(name));
    said("gzip").or_else(|| said("*")).is_some_and(|(_, wanted)| *wanted)
}

/// The most specific range decides, so that `application/json;q=0, */*` excludes JSON.
fn accepts(ranges: &[(&str, bool)], media_type: &str) -> bool {
    let kind = media_type.split('/').next().unwrap_or_default();
    let said = |wanted: &str| ranges.iter().find(|(range, _)| range.eq_ignore_ascii_case(wanted));
    let specific = said(media_type).or_else(|| said(&format!("{kind}/*")));
    specific.or_else(|| said("*/*")).is_some_and(|(_, wanted)| *wanted)
}

/// The elements of a list field, each with whether its weight is above 0.
fn list<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = (&'a str, bool)> + use<'a> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    let elements = lines.flat_map(|line| line.split(',')).map(str::trim);
    elements
        .filter(|element| !element.is_empty())
        .map(|element| (essence(element), is_wanted(element)))
}

fn essence(element: &str) -> &str {
    element.split(';').next().unwrap_or_default().trim()
}

fn is_wanted(element: &str) -> bool {
    let mut parameters = element.split(';').skip(1).map(str::trim);
    let weight = parameters.find_map(|parameter| {
        parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))
    });
    weight.is_none_or(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::testing::hold;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn the_most_specific_range_decides() {
        let json = ["application/json; charset=utf-8".to_owned()];
        let accepts = |accept| accepts_any(&headers(header::ACCEPT, accept), &json);
        for accept in [
            "*/*",
            "application/*",
            "application/json",
            "text/html, application/JSON;q=0.1",
            "text/html, */*;q=0.8",
        ] {
            assert!(accepts(accept), "{accept}");
        }
        for accept in
            ["text/html", "application/json;q=0, */*", "application/xml, text/*", "*/*;q=0"]
        {
            assert!(!accepts(accept), "{accept}");
        }
        assert!(accepts_any(&HeaderMap::new(), &json));
        assert!(accepts_any(&headers(header::ACCEPT, "text/html"), &[]));
    }

    #[test]
    fn gzip_is_used_only_where_it_is_wanted() {
        let accepts = |accept| accepts_gzip(&headers(header::ACCEPT_ENCODING, accept));
        assert!(accepts("gzip, deflate, br"));
        assert!(accepts("*"));
        assert!(!accepts("gzip;q=0, *"));
        assert!(!accepts("br"));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn any_accept_has_an_answer_and_one_that_takes_everything_takes_json() {
        let json = ["application/json".to_owned()];
        hold("[ -~]{0,60}", |value| {
            let _ = accepts_any(&headers(header::ACCEPT, &value), &json);
            let _ = accepts_gzip(&headers(header::ACCEPT_ENCODING, &value));
        });
        hold("[b-z]{1,8}/[b-z]{1,8}(;q=(0|0\\.[0-9]))?", |range| {
            assert!(accepts_any(&headers(header::ACCEPT, &format!("{range}, */*")), &json));
        });
    }
}
