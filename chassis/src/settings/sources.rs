//! Puts the layers on top of each other, fills a section from them, and shows what came of it.

use super::layers::{Document, Given, Layer, Reader};
use super::report::{Effective, Report, SettingsError, Source};
use super::{Environ, Section, Value, Visitor, known_keys};
use std::path::PathBuf;

/// Where settings come from; each source overrides the ones before it, the first are the built-in defaults.
#[derive(Clone, Debug)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// The environment: first the aliases, then the variables with the prefix.
    pub environ: Environ,
    /// What the variables named after keys start with: with `APP_`, `APP_SECTION__KEY` sets `section.key`.
    pub prefix: &'static str,
    /// Variables with names of their own, each with the key that it sets.
    pub aliases: &'static [(&'static str, &'static str)],
}

/// Settings that passed every check.
#[derive(Clone, Debug)]
pub struct Loaded<S> {
    /// The settings.
    pub settings: S,
    effective: Vec<Effective>,
}

/// Fills a section key by key.
struct Filler<'a> {
    given: Layer<'a>,
    report: &'a mut Report,
}

impl Sources {
    /// Reads all sources, fills `S` and has it checked. A value that a higher source overrides is not looked at.
    ///
    /// The error names everything at once: `check` also runs when values could not be read, which then have their defaults
    /// (see [`Report::is_readable`]). Only when the whole file is unusable it does not run, for it would judge settings that
    /// nobody chose.
    pub fn load<S: Section>(
        &self,
        check: impl FnOnce(&S, &mut Report),
    ) -> Result<Loaded<S>, SettingsError> {
        let mut report = Report::default();
        let keys = known_keys::<S>();
        let path = self.file.as_deref();
        let document = path.and_then(|path| Document::read(path, &mut report));

        let mut reader = Reader { keys: &keys, report: &mut report };
        let mut given = document.as_ref().map(|document| reader.file(document)).unwrap_or_default();
        given.extend(reader.aliases(&self.environ, self.aliases));
        given.extend(reader.variables(&self.environ, self.prefix));

        let mut settings = S::default();
        let mut filler = Filler { given, report: &mut report };
        settings.visit("", "", &mut filler);
        if !report.has_problem(None) {
            check(&settings, &mut report);
        }
        let effective = report.into_result()?;
        Ok(Loaded { settings, effective })
    }
}

impl<S> Loaded<S> {
    /// The effective settings as TOML with every key and the source of each value; secrets are redacted, unset keys
    /// and the defaults of secrets are comments.
    pub fn to_toml(&self) -> String {
        // TOML wants the keys of no table first.
        let mut tables = vec![("", String::new())];
        for effective in &self.effective {
            let name = effective.name.as_str();
            let (table, key) = name.rsplit_once('.').unwrap_or(("", name));
            match tables.iter_mut().find(|(name, _)| *name == table) {
                Some((_, lines)) => lines.push_str(&line(key, effective)),
                None => tables.push((table, format!("[{table}]\n{}", line(key, effective)))),
            }
        }
        tables.retain(|(_, lines)| !lines.is_empty());
        let tables: Vec<String> = tables.into_iter().map(|(_, lines)| lines).collect();
        tables.join(
            "
",
        )
    }
}

impl Visitor for Filler<'_> {
    fn key<T: Value>(&mut self, name: &str, _doc: &'static str, value: &mut T) {
        let given = self.given.remove(name);
        match given.as_ref().map(Given::read) {
            Some(Ok(read)) => *value = read,
            Some(Err(message)) => self.report.add(name, source_of(given.as_ref()), message),
            None => {}
        }
        self.report.effective.push(Effective {
            name: name.to_owned(),
            value: value.render(),
            secret: T::SECRET,
            source: source_of(given.as_ref()),
            readable: !self.report.has_problem(Some(name)),
        });
    }
}

fn line(key: &str, effective: &Effective) -> String {
    match &effective.value {
        // Redacted it is not the default any more; as a comment it leaves the default in force.
        Some(value) if effective.secret && matches!(effective.source, Source::Default) => {
            format!("# {key} = {value}  # {}\n", effective.source)
        }
        Some(value) => format!("{key} = {value}  # {}\n", effective.source),
        None => format!("# {key} =  # {}, unset\n", effective.source),
    }
}

fn source_of(given: Option<&Given<'_>>) -> Source {
    given.map_or(Source::Default, |given| given.source.clone())
}
