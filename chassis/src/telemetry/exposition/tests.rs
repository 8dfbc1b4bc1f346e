//! What scrapers are sent, letter by letter.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeSet;

use opentelemetry::trace::{SpanId, TraceId};
use prometheus::core::Collector;
use prometheus::{Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, Opts, Registry};

use super::*;
use crate::telemetry::metrics::exemplars::{Exemplar, ExemplarFilter};

/// Suffixes that promtool takes for abbreviated units, and its words for types.
const UNWANTED: [&str; 6] = ["_ms", "_s", "_mb", "_gauge", "_counter", "_histogram"];

fn exemplar(request_id: Option<&str>) -> Exemplar<'_> {
    Exemplar {
        trace_id: TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap(),
        span_id: SpanId::from_hex("b7ad6b7169203331").unwrap(),
        request_id,
    }
}

/// The registry of these families as OpenMetrics.
fn open(collectors: Vec<Box<dyn Collector>>) -> String {
    let registry = Registry::new();
    for collector in collectors {
        registry.register(collector).unwrap();
    }
    open_metrics::encode(&registry.gather(), &[])
}

/// The lines of one family in an OpenMetrics exposition, exemplars' timestamps cut off.
fn lines(metrics: &Metrics, start: &str) -> Vec<String> {
    let body = expose(metrics, Format::OpenMetrics1).unwrap().body;
    let text = String::from_utf8(body).unwrap();
    let lines = text.lines().filter(|line| line.starts_with(start));
    let untimed = lines.map(|line| match line.split_once(" # ") {
        Some((sample, exemplar)) => {
            let (exemplar, time) = exemplar.rsplit_once(' ').unwrap();
            assert!(time.parse::<f64>().unwrap() > 1.7e9, "{time}");
            assert_eq!(time.split_once('.').unwrap().1.len(), 3, "{time}");
            format!("{sample} # {exemplar}")
        }
        None => line.to_owned(),
    });
    untimed.collect()
}

#[test]
fn text_is_of_version_0_0_4_and_ends_with_a_line_feed() {
    let exposition = expose(&Metrics::new().unwrap(), Format::Text).unwrap();
    assert_eq!(exposition.content_type, "text/plain; version=0.0.4");
    assert_eq!(exposition.body.last(), Some(&b'\n'));
}

#[tokio::test]
async fn names_and_helps_are_as_promtool_wants_them() {
    let metrics = Metrics::new().unwrap();
    for family in metrics.gather() {
        let name = family.name();
        let counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
        assert_eq!(counter, name.ends_with("_total"), "{name}");
        assert!(!family.help().is_empty(), "{name}");
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
            "{name}"
        );
        assert!(!UNWANTED.iter().any(|u| name.ends_with(u)), "{name}");
    }
}

#[test]
fn a_family_of_each_type_is_written_as_open_metrics_has_it() {
    let counter = Counter::new("work_seconds_total", "Time \"spent\"\nat \\ work.").unwrap();
    counter.inc_by(2.0);
    let gauge = GaugeVec::new(Opts::new("depth", "Depth."), &["sea"]).unwrap();
    gauge.with_label_values(&["b"]).set(-0.25);
    gauge.with_label_values(&["a"]).set(1e21);
    let info = Gauge::with_opts(Opts::new("build_info", "Build.").const_label("v", "1")).unwrap();
    info.set(1.0);
    let opts = HistogramOpts::new("size_bytes", "Size.").buckets(vec![0.0, 1.5]);
    let histogram = Histogram::with_opts(opts).unwrap();
    histogram.observe(1.0);
    histogram.observe(7.0);
    let text = open(vec![Box::new(counter), Box::new(gauge), Box::new(info), Box::new(histogram)]);
    let expected = r#"# TYPE build info
# HELP build Build.
build_info{v="1"} 1.0
# TYPE depth gauge
# HELP depth Depth.
depth{sea="a"} 1e21
depth{sea="b"} -0.25
# TYPE size_bytes histogram
# UNIT size_bytes bytes
# HELP size_bytes Size.
size_bytes_bucket{le="0.0"} 0
size_bytes_bucket{le="1.5"} 1
size_bytes_bucket{le="+Inf"} 2
size_bytes_count 2
size_bytes_sum 8.0
# TYPE work_seconds counter
# UNIT work_seconds seconds
# HELP work_seconds Time \"spent\"\nat \\ work.
work_seconds_total 2.0
# EOF
"#;
    assert_eq!(text, expected);
}

#[test]
fn what_is_no_number_is_spelt_as_open_metrics_wants_it() {
    for (value, spelt) in [
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (f64::NAN, "NaN"),
        (0.000_000_1, "1e-7"),
    ] {
        let gauge = Gauge::new("a", "A.").unwrap();
        gauge.set(value);
        let text = open(vec![Box::new(gauge)]);
        assert_eq!(text, format!("# TYPE a gauge\n# HELP a A.\na {spelt}\n# EOF\n"));
    }
}

#[test]
fn no_two_families_get_the_same_name() {
    let counter = Counter::new("jobs_total", "Jobs done.").unwrap();
    let gauge = Gauge::new("jobs", "Jobs at hand.").unwrap();
    let bare = Counter::new("clicks", "A counter that is called like none.").unwrap();
    let text = open(vec![Box::new(counter), Box::new(gauge), Box::new(bare)]);
    let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let expected = ["# TYPE clicks unknown", "# TYPE jobs gauge", "# TYPE jobs_total unknown"];
    assert_eq!(types, expected);
    assert!(text.contains("\njobs_total 0.0\n") && text.contains("\nclicks 0.0\n"), "{text}");
}

#[test]
fn any_label_value_can_be_read_back() {
    let alphabet =
        ['\\', '"', '\n', 'n', '{', '}', ',', '=', '#', ' ', '\r', 'é', '\u{2028}', '😀'];
    let family = CounterVec::new(Opts::new("odd_total", "Odd."), &["value"]).unwrap();
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    let mut values = BTreeSet::from([String::new()]);
    for length in (0..400).map(|number| number % 20) {
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            alphabet[usize::try_from(seed % alphabet.len() as u64).unwrap()]
        };
        values.insert((0..length).map(|_| next()).collect());
    }
    for value in &values {
        family.with_label_values(&[value]).inc();
    }
    let text = open(vec![Box::new(family)]);
    let samples = text.split('\n').filter(|line| line.starts_with("odd_total"));
    let read: BTreeSet<String> = samples.map(|line| value_of(line).unwrap()).collect();
    assert_eq!(read, values);
}

/// Reads the quoted value as a scraper does: nothing where a quote ends it early.
fn value_of(line: &str) -> Option<String> {
    let quoted = line.strip_prefix("odd_total{value=\"")?.strip_suffix("\"} 1.0")?;
    let mut chars = quoted.chars();
    let mut value = String::new();
    while let Some(c) = chars.next() {
        value.push(match c {
            '"' => return None,
            '\\' => match chars.next()? {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            },
            c => c,
        });
    }
    Some(value)
}

#[test]
fn each_bucket_has_its_last_exemplar() {
    let metrics = Metrics::new().unwrap();
    let series = metrics.password_hash_duration.with_label_values(&["hash"]);
    series.observe_with(0.011, Some(&exemplar(Some("first"))));
    series.observe_with(0.02, Some(&exemplar(Some("second"))));
    series.observe_with(0.04, None);
    series.observe_with(60.0, Some(&exemplar(None)));
    metrics.password_hash_duration.with_label_values(&["verify"]).observe(0.02);
    let ids = "trace_id=\"0af7651916cd43dd8448eb211c80319c\",span_id=\"b7ad6b7169203331\"";
    let bucket = |le: &str, rest: &str| {
        format!("password_hash_duration_seconds_bucket{{operation=\"hash\",le=\"{le}\"}} {rest}")
    };
    let expected = [
        bucket("0.01", "0"),
        bucket("0.02", &format!("2 # {{{ids},request_id=\"second\"}} 0.02")),
        bucket("0.03", "2"),
        bucket("0.05", "3"),
        bucket("0.1", "3"),
        bucket("0.25", "3"),
        bucket("0.5", "3"),
        bucket("1.0", "3"),
        bucket("2.5", "3"),
        bucket("5.0", "3"),
        bucket("+Inf", &format!("4 # {{{ids}}} 60.0")),
    ];
    let start = "password_hash_duration_seconds_bucket{operation=\"hash\"";
    assert_eq!(lines(&metrics, start), expected);
    let others = lines(&metrics, "password_hash_duration_seconds_bucket{operation=\"verify\"");
    assert!(others.iter().all(|line| !line.contains(" # ")), "{others:?}");
    let text = expose(&metrics, Format::Text).unwrap().body;
    assert!(!String::from_utf8(text).unwrap().contains("trace_id"), "0.0.4 has no exemplars");
}

#[test]
fn a_request_id_stands_only_where_all_three_fit() {
    let metrics = Metrics::new().unwrap();
    for (length, told) in [(36, true), (55, true), (56, false), (128, false)] {
        let id = "x".repeat(length);
        let series = metrics.password_hash_duration.with_label_values(&["hash"]);
        series.observe_with(0.005, Some(&exemplar(Some(&id))));
        let lines = lines(&metrics, "password_hash_duration_seconds_bucket");
        let line = lines.iter().find(|line| line.contains("trace_id")).unwrap();
        assert_eq!(line.contains(&format!("request_id=\"{id}\"")), told, "{line}");
        // Names and values; what is between them does not count.
        let labels = line.split_once(" # {").unwrap().1.split_once('}').unwrap().0;
        let characters = labels.chars().filter(|c| !matches!(c, '=' | '"' | ',')).count();
        assert!(characters <= 128, "{characters} {line}");
    }
}

#[test]
fn the_filter_says_which_observations_are_exemplars() {
    for (filter, sampled, unsampled) in [
        (ExemplarFilter::TraceBased, true, false),
        (ExemplarFilter::AlwaysOn, true, true),
        (ExemplarFilter::AlwaysOff, false, false),
    ] {
        assert_eq!((filter.wants(true), filter.wants(false)), (sampled, unsampled), "{filter:?}");
    }
    assert_eq!(ExemplarFilter::default(), ExemplarFilter::TraceBased);
}

#[test]
fn a_scraper_gets_what_it_asks_for() {
    use Format::{OpenMetrics0, OpenMetrics1, Text};
    let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let with_protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (accept, format) in [
        (prometheus_2, OpenMetrics1),
        (prometheus_3, OpenMetrics1),
        (with_protobuf, OpenMetrics1),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", OpenMetrics1),
        ("Application/OpenMetrics-Text;Version=\"1.0.0\"", OpenMetrics1),
        ("application/openmetrics-text", OpenMetrics1),
        ("application/openmetrics-text;version=0.0.1", OpenMetrics0),
        ("application/openmetrics-text;version=0.0.1,text/plain;q=0.9", OpenMetrics0),
        ("application/openmetrics-text;version=2.0.0", Text),
        ("application/openmetrics-text;version=2.0.0,*/*;q=0.1", Text),
        ("application/openmetrics-text;q=0.4,text/plain;q=0.5", Text),
        ("application/openmetrics-text;version=1.0.0;q=0,*/*", Text),
        ("application/openmetrics-text;q=0", Text),
        ("application/openmetrics-text;version=1.0.0;q=nonsense", Text),
        ("application/*", OpenMetrics1),
        ("text/*;q=0.9,application/*;q=0.8", Text),
        ("text/plain,application/openmetrics-text", OpenMetrics1),
        ("text/plain;version=0.0.4,application/openmetrics-text", Text),
        ("*/*", Text),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Text),
        ("image/png", Text),
        ("nonsense;;=,,", Text),
        ("", Text),
    ] {
        assert_eq!(Format::accepted([accept].into_iter()), format, "{accept}");
    }
    assert_eq!(Format::accepted(std::iter::empty()), Text);
    let two_lines = ["text/plain;q=0.5", "application/openmetrics-text;version=1.0.0"];
    assert_eq!(Format::accepted(two_lines.into_iter()), OpenMetrics1);
}
