//! The catalogue as a page for people, in Markdown: what stands in `docs/telemetry.md`.

use std::fmt::{self, Write};

use super::{
    Catalogue, EventRow, Field, Label, LineRow, MetricKind, MetricRow, SpanRow, Values, VariableRow,
};

/// What comes before the tables, and after them.
const LEAD: &str = include_str!("lead.md");
const NOTES: &str = include_str!("notes.md");
/// What comes before and after the table of variables.
const VARIABLES: &str = include_str!("variables.md");
const UNREAD: &str = include_str!("unread.md");

impl Catalogue {
    /// The whole page.
    pub fn page(&self) -> String {
        let mut page = LEAD.to_owned();
        // Writing to a string does not fail.
        let _ = self.write(&mut page);
        page + "\n" + NOTES
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        metrics(out, &self.metrics)?;
        labels(out, &self.metrics)?;
        spans(out, &self.every_span, &self.spans)?;
        lines(out, &self.every_line, &self.lines)?;
        events(out, &self.events)?;
        variables(out, &self.variables)
    }
}

fn metrics(out: &mut String, rows: &[MetricRow]) -> fmt::Result {
    writeln!(out, "\n## Metrics\n")?;
    table(out, &["name", "type", "unit", "labels", "meaning"])?;
    for row in rows {
        let names: Vec<String> = row.labels.iter().map(|label| code(label.name)).collect();
        let unit = row.unit().unwrap_or_default();
        let cells = [&code(row.name), kind(row.kind), unit, &names.join(", "), row.help];
        cells_of_row(out, &cells)?;
    }
    Ok(())
}

fn kind(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram { exemplars: false, .. } => "histogram",
        MetricKind::Histogram { exemplars: true, .. } => "histogram, exemplars",
        MetricKind::Info => "info",
    }
}

/// Each label once: where two metrics share a name, they mostly share the values.
fn labels(out: &mut String, rows: &[MetricRow]) -> fmt::Result {
    writeln!(out, "\n## Labels\n")?;
    table(out, &["label", "of", "values"])?;
    let mut known: Vec<(&Label, String, String)> = Vec::new();
    for row in rows {
        for label in row.labels {
            let values = values(label.values);
            let same = known.iter_mut().find(|(l, v, _)| l.name == label.name && *v == values);
            match same {
                Some((_, _, metrics)) => write!(metrics, ", {}", code(row.name))?,
                None => known.push((label, values, code(row.name))),
            }
        }
    }
    for (label, values, metrics) in known {
        cells_of_row(out, &[&code(label.name), &metrics, &values])?;
    }
    Ok(())
}

fn values(values: Values) -> String {
    match values {
        Values::Of(values) => values.iter().map(|v| code(v)).collect::<Vec<_>>().join(", "),
        Values::Like(words) => words.to_owned(),
    }
}

fn spans(out: &mut String, every: &[Field], rows: &[SpanRow]) -> fmt::Result {
    writeln!(out, "\n## Spans\n")?;
    table(out, &["name", "kind", "when"])?;
    for row in rows {
        cells_of_row(out, &[&code(row.name), row.kind, row.when])?;
    }
    writeln!(out, "\n### Attributes of every span\n")?;
    fields(out, every)?;
    for row in rows.iter().filter(|row| !row.attributes.is_empty()) {
        writeln!(out, "\n### Attributes of {}\n", code(row.name))?;
        fields(out, row.attributes)?;
    }
    Ok(())
}

fn lines(out: &mut String, every: &[Field], rows: &[LineRow]) -> fmt::Result {
    writeln!(out, "\n## Log lines\n\nOn every line:\n")?;
    fields(out, every)?;
    for row in rows {
        writeln!(out, "\n### The line {}\n", code(row.message))?;
        writeln!(out, "Level {}: {}.\n", row.level, row.when)?;
        fields(out, row.fields)?;
    }
    Ok(())
}

fn fields(out: &mut String, rows: &[Field]) -> fmt::Result {
    table(out, &["name", "type", "stands", "meaning"])?;
    for row in rows {
        let when = row.when.map_or_else(|| "always".to_owned(), |when| format!("if {when}"));
        cells_of_row(out, &[&code(row.name), row.kind, &when, row.meaning])?;
    }
    Ok(())
}

fn events(out: &mut String, rows: &[EventRow]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Security events\n")?;
    writeln!(out, "Values of `event.name` on the line, and of `event` on `auth_events_total`.\n")?;
    table(out, &["name", "level", "meaning"])?;
    for row in rows {
        cells_of_row(out, &[&code(row.name), row.level, row.meaning])?;
    }
    Ok(())
}

fn variables(out: &mut String, rows: &[VariableRow]) -> fmt::Result {
    out.push_str(VARIABLES);
    table(out, &["variable", "values", "default", "meaning"])?;
    for row in rows {
        let names: Vec<String> = row.names.iter().map(|name| code(name)).collect();
        cells_of_row(out, &[&names.join(", "), row.values, row.default, row.meaning])?;
    }
    out.push_str(UNREAD);
    Ok(())
}

fn table(out: &mut String, heads: &[&str]) -> fmt::Result {
    cells_of_row(out, heads)?;
    cells_of_row(out, &vec!["---"; heads.len()])
}

fn cells_of_row(out: &mut String, cells: &[&str]) -> fmt::Result {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(out, "| {} |", cells.join(" | "))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::catalogue::catalogue;

    #[test]
    fn a_row_tells_name_type_unit_labels_and_meaning() {
        let page = catalogue().page();
        let row = "| `db_client_operation_duration_seconds` | histogram, exemplars | seconds | \
                   `db_system_name`, `db_operation_name`, `db_collection_name`, `error_type` | \
                   Duration of database statements, waiting for a connection included. |";
        assert!(page.contains(row), "{page}");
        let label = "| `operation` | `password_hash_duration_seconds`, `password_hash_rejected_total` | `hash`, `verify` |";
        assert!(page.contains(label), "{page}");
        let field =
            "| `http.route` | string | if the path has one | template of the OpenAPI document |";
        assert!(page.contains(field), "{page}");
    }

    #[test]
    fn a_bar_in_a_cell_ends_no_cell() {
        let mut row = String::new();
        cells_of_row(&mut row, &["a|b", "c"]).unwrap_or_default();
        assert_eq!(row, "| a\\|b | c |\n");
    }
}
