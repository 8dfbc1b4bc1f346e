//! The findings about many requests side by side: a line for each, a column for each place.

use std::fmt;

use super::{Expected, Finding, PLACES, Story};

/// Filled row by row, then shown and judged as a whole.
#[derive(Debug)]
pub struct StoryTable {
    title: String,
    rows: Vec<(String, [Finding; 7])>,
}

impl StoryTable {
    /// An empty table.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new() }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Adds what is found of a request of this class.
    pub fn add(&mut self, class: &str, story: &Story, expected: &Expected<'_>) {
        self.rows.push((class.to_owned(), story.places(expected)));
    }

    /// Prints the table, for `--nocapture`; fails with everything that is wrong in it.
    #[track_caller]
    #[expect(clippy::print_stdout, reason = "people read the table, and paste it")]
    pub fn judge(&self) {
        print!("{self}");
        let mistakes = self.mistakes();
        assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (class, findings) in &self.rows {
            for (place, finding) in PLACES.iter().zip(findings) {
                if let Finding::Wrong(what) = finding {
                    mistakes.push(format!("{class}, {place}: {what}"));
                }
            }
        }
        mistakes
    }
}

/// A table of Markdown.
impl fmt::Display for StoryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self.rows.iter().map(|(class, _)| class.len()).max();
        let first = longest.unwrap_or_default().max(self.title.len());
        writeln!(f, "\n| {:first$} | {} |", self.title, PLACES.join(" | "))?;
        let dashes = PLACES.map(|place| "-".repeat(place.len()));
        writeln!(f, "| {} | {} |", "-".repeat(first), dashes.join(" | "))?;
        for (class, findings) in &self.rows {
            write!(f, "| {class:first$} |")?;
            for (place, finding) in PLACES.iter().zip(findings) {
                write!(f, " {:width$} |", finding.to_string(), width = place.len())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
