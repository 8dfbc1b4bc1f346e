//! Which format a scraper asks for: content negotiation (RFC 9110, section 12.5.1) between three.

use super::Format;

/// What we can write, the best first.
const OFFERS: [(Format, &str, &str, &str); 3] = [
    (Format::OpenMetrics1, "application", "openmetrics-text", "1.0.0"),
    (Format::OpenMetrics0, "application", "openmetrics-text", "0.0.1"),
    (Format::Text, "text", "plain", "0.0.4"),
];

/// One element of `Accept`.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    version: Option<&'a str>,
    weight: f32,
}

/// How exactly a range names an offer; a wildcard for everything names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Anything,
    Kind,
    MediaType,
    Version,
}

/// The format with the greatest weight. Among equals the one that was asked for more exactly, then
/// the better one; but whoever takes anything, or nothing that we have, gets the text format.
pub(super) fn choose<'a>(accept: impl Iterator<Item = &'a str>) -> Format {
    let ranges: Vec<Range<'_>> = accept.flat_map(|line| line.split(',')).map(Range::of).collect();
    let mut best = (0.0, Precision::Anything, Format::Text);
    for (format, kind, subtype, version) in OFFERS {
        let matching = ranges
            .iter()
            .filter_map(|range| Some((range.precision(kind, subtype, version)?, range.weight)));
        // The most exact range decides, also where it excludes.
        let decisive = matching.max_by_key(|(precision, _)| *precision);
        if let Some((precision, weight)) = decisive
            && weight > 0.0
            && (weight, precision) > (best.0, best.1)
        {
            best = (weight, precision, format);
        }
    }
    if best.1 == Precision::Anything { Format::Text } else { best.2 }
}

impl<'a> Range<'a> {
    fn of(element: &'a str) -> Self {
        let mut parts = element.split(';').map(str::trim);
        let (kind, subtype) = parts.next().and_then(|t| t.split_once('/')).unwrap_or_default();
        let mut range = Self { kind, subtype, version: None, weight: 1.0 };
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim() {
                name if name.eq_ignore_ascii_case("version") => range.version = Some(value),
                name if name.eq_ignore_ascii_case("q") => {
                    range.weight = value.parse().unwrap_or(0.0);
                }
                _ => {}
            }
        }
        range
    }

    fn precision(&self, kind: &str, subtype: &str, version: &str) -> Option<Precision> {
        let is = |said: &str, name: &str| said.eq_ignore_ascii_case(name);
        match (self.kind, self.subtype, self.version) {
            ("*", "*", _) => Some(Precision::Anything),
            (k, "*", _) if is(k, kind) => Some(Precision::Kind),
            (k, s, None) if is(k, kind) && is(s, subtype) => Some(Precision::MediaType),
            (k, s, Some(v)) if is(k, kind) && is(s, subtype) && v == version => {
                Some(Precision::Version)
            }
            _ => None,
        }
    }
}
