//! `/metrics` as a scraper reads it: a parser of the text format 0.0.4, strict enough to notice what
//! Prometheus would refuse.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::App;

/// One scrape.
pub(super) struct Exposition {
    pub(super) families: BTreeMap<String, Family>,
}

/// All series of one name.
#[derive(Default)]
pub(super) struct Family {
    pub(super) kind: String,
    /// The names of the labels, `le` left out.
    pub(super) labels: BTreeSet<String>,
    /// Values by series as it is written: `name{label="value"}`.
    pub(super) series: BTreeMap<String, f64>,
}

impl Exposition {
    pub(super) async fn scrape(app: &App) -> Self {
        let answer = app.client.get("/metrics").send().await.expect(200);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
        let text = answer.text();
        assert!(text.ends_with('\n'));
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, about) = help.split_once(' ').expect(line);
                assert!(!about.is_empty(), "{line}");
                name.clone_into(&mut current);
                let before = families.insert(current.clone(), Family::default());
                assert!(before.is_none(), "a second family {name}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect(line);
                assert_eq!(name, current, "a type without its help");
                kind.clone_into(&mut families.get_mut(name).unwrap().kind);
            } else {
                families.get_mut(&current).expect(line).add(&current, line);
            }
        }
        Self { families }
    }

    /// Every series of every family.
    pub(super) fn series(&self) -> BTreeSet<&str> {
        let series = self.families.values().flat_map(|f| f.series.keys());
        series.map(String::as_str).collect()
    }

    /// The value of one series, as it is written; 0 for one that is not there.
    pub(super) fn value(&self, series: &str) -> f64 {
        let mut values = self.families.values().filter_map(|f| f.series.get(series));
        values.next().copied().unwrap_or_default()
    }
}

impl Family {
    fn add(&mut self, name: &str, line: &str) {
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (sample, labels) = match series.split_once('{') {
            Some((sample, labels)) => (sample, labels.strip_suffix('}').expect(line)),
            None => (series, ""),
        };
        let suffix = sample.strip_prefix(name).expect(line);
        let known = match self.kind.as_str() {
            "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
            _ => suffix.is_empty(),
        };
        assert!(known, "{line} under {name}");
        self.labels.extend(label_names(labels));
        let value = value.parse().expect(line);
        let before = self.series.insert(series.to_owned(), value);
        assert!(before.is_none(), "twice: {series}");
    }
}

/// The names out of `a="x",b="y"`; values may hold anything, quotes escaped.
fn label_names(labels: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = labels;
    while let Some((name, quoted)) = rest.split_once("=\"") {
        if name != "le" {
            names.push(name.to_owned());
        }
        let mut escaped = false;
        let end = quoted.find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        rest = &quoted[end.expect(labels) + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    assert!(rest.is_empty(), "{labels}");
    names
}

#[test]
fn the_parser_reads_what_scrapers_read() {
    let text = "# HELP a_seconds Some.\n# TYPE a_seconds histogram\n\
                a_seconds_bucket{x=\"1,\\\"{}\",le=\"+Inf\"} 2\na_seconds_sum{x=\"1,\\\"{}\"} 0.5\na_seconds_count{x=\"1,\\\"{}\"} 2\n\
                # HELP b One.\n# TYPE b gauge\nb 1\n";
    let exposition = Exposition::parse(text);
    let family = &exposition.families["a_seconds"];
    assert_eq!(family.kind, "histogram");
    assert_eq!(family.labels, BTreeSet::from(["x".to_owned()]));
    assert_eq!((family.series.len(), exposition.series().len()), (3, 4));
    assert!((exposition.value("b") - 1.0).abs() < f64::EPSILON);
    assert!(exposition.value("c").abs() < f64::EPSILON);
}
