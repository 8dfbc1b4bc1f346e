//! `/metrics` as a scraper reads it: a parser of the text format 0.0.4 and of OpenMetrics 1.0, strict
//! enough to notice what Prometheus would refuse.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::App;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One scrape.
pub(super) struct Exposition {
    pub(super) families: BTreeMap<String, Family>,
}

/// All series of one name.
#[derive(Default)]
pub(super) struct Family {
    pub(super) kind: String,
    pub(super) help: String,
    pub(super) unit: String,
    /// The labels and their values, `le` left out.
    pub(super) labels: BTreeMap<String, BTreeSet<String>>,
    /// Values by series as it is written: `name{label="value"}`.
    pub(super) series: BTreeMap<String, f64>,
    /// Exemplars by series, as they are written.
    pub(super) exemplars: BTreeMap<String, String>,
}

impl Exposition {
    pub(super) async fn scrape(app: &App) -> Self {
        let answer = app.client.get("/metrics").send().await.expect(200);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
        assert_eq!(answer.header("vary"), "accept");
        let text = answer.text();
        assert!(text.ends_with('\n'));
        Self::parse(&text)
    }

    pub(super) async fn scrape_open(app: &App) -> Self {
        let call = app.client.get("/metrics").header("accept", OPEN_METRICS);
        let answer = call.send().await.expect(200);
        assert_eq!(answer.header("content-type"), OPEN_METRICS);
        assert_eq!(answer.header("vary"), "accept");
        let text = answer.text();
        Self::parse(text.strip_suffix("# EOF\n").expect("an end"))
    }

    fn parse(text: &str) -> Self {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(described) = line.strip_prefix("# ") {
                let (what, described) = described.split_once(' ').expect(line);
                let (name, said) = described.split_once(' ').expect(line);
                if name != current {
                    assert!(!families.contains_key(name), "a second family {name}");
                    name.clone_into(&mut current);
                }
                families.entry(current.clone()).or_default().describe(what, said, line);
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
    fn describe(&mut self, what: &str, said: &str, line: &str) {
        assert!(self.series.is_empty() && !said.is_empty(), "{line}");
        let place = match what {
            "HELP" => &mut self.help,
            "TYPE" => &mut self.kind,
            "UNIT" => &mut self.unit,
            _ => panic!("{line}"),
        };
        assert!(place.is_empty(), "twice: {line}");
        said.clone_into(place);
    }

    fn add(&mut self, name: &str, line: &str) {
        assert!(!self.kind.is_empty() && !self.help.is_empty(), "{line}");
        let (sample, exemplar) = line.split_once(" # ").unwrap_or((line, ""));
        let (series, value) = sample.rsplit_once(' ').expect(line);
        let (sample, labels) = match series.split_once('{') {
            Some((sample, labels)) => (sample, labels.strip_suffix('}').expect(line)),
            None => (series, ""),
        };
        let suffix = sample.strip_prefix(name).expect(line);
        let known: &[&str] = match self.kind.as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            "counter" if !name.ends_with("_total") => &["_total"],
            "info" => &["_info"],
            _ => &[""],
        };
        assert!(known.contains(&suffix), "{line} under {name}");
        for (label, value) in labels_of(labels) {
            self.labels.entry(label).or_default().insert(value);
        }
        let value = value.parse().expect(line);
        let before = self.series.insert(series.to_owned(), value);
        assert!(before.is_none(), "twice: {series}");
        if !exemplar.is_empty() {
            assert_eq!(suffix, "_bucket", "{line}");
            self.exemplars.insert(series.to_owned(), exemplar.to_owned());
        }
    }
}

/// The pairs out of `a="x",b="y"`; values may hold anything, quotes escaped.
fn labels_of(labels: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = labels;
    while let Some((name, quoted)) = rest.split_once("=\"") {
        let mut escaped = false;
        let end = quoted.find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        let end = end.expect(labels);
        if name != "le" {
            pairs.push((name.to_owned(), quoted[..end].to_owned()));
        }
        rest = &quoted[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    assert!(rest.is_empty(), "{labels}");
    pairs
}

#[test]
fn the_parser_reads_what_scrapers_read() {
    let text = "# HELP a_seconds Some.\n# TYPE a_seconds histogram\n\
                a_seconds_bucket{x=\"1,\\\"{}\",le=\"+Inf\"} 2\na_seconds_sum{x=\"1,\\\"{}\"} 0.5\na_seconds_count{x=\"1,\\\"{}\"} 2\n\
                # HELP b One.\n# TYPE b gauge\nb 1\n";
    let exposition = Exposition::parse(text);
    let family = &exposition.families["a_seconds"];
    assert_eq!((family.kind.as_str(), family.help.as_str()), ("histogram", "Some."));
    let values = BTreeSet::from(["1,\\\"{}".to_owned()]);
    assert_eq!(family.labels, BTreeMap::from([("x".to_owned(), values)]));
    assert_eq!((family.series.len(), exposition.series().len()), (3, 4));
    assert!((exposition.value("b") - 1.0).abs() < f64::EPSILON);
    assert!(exposition.value("c").abs() < f64::EPSILON);
}

#[test]
fn the_parser_reads_open_metrics_too() {
    let text = "# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n# HELP a_seconds Some.\n\
                a_seconds_bucket{le=\"+Inf\"} 2 # {trace_id=\"1f\"} 0.5 1.0\na_seconds_count 2\na_seconds_sum 0.5\n\
                # TYPE b counter\n# HELP b One.\nb_total 1.0\n";
    let exposition = Exposition::parse(text);
    let family = &exposition.families["a_seconds"];
    assert_eq!(family.unit, "seconds");
    let exemplar = &family.exemplars["a_seconds_bucket{le=\"+Inf\"}"];
    assert_eq!(exemplar, "{trace_id=\"1f\"} 0.5 1.0");
    assert!((exposition.value("b_total") - 1.0).abs() < f64::EPSILON);
}
