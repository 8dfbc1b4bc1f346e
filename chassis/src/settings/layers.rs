//! Reads the file and the environment into one layer each: which key is given, where, and as what. What a value means
//! belongs to its type, which layer wins to `sources`.

mod file;

pub(super) use file::Document;

use super::report::{Report, Source};
use super::{Environ, Key, Raw, Value, secret};
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::de::DeValue;

/// What one source gives, by the full name of the key.
pub(super) type Layer<'a> = BTreeMap<String, Given<'a>>;

/// One value as given.
pub(super) struct Given<'a> {
    pub(super) source: Source,
    content: Content<'a>,
    /// Whether the content is the path of a secret's file.
    is_path: bool,
}

enum Content<'a> {
    Toml(DeValue<'a>),
    Text(&'a str),
}

/// Reads layers for a set of known keys and reports what is unusable.
pub(super) struct Reader<'a> {
    pub(super) keys: &'a [Key],
    pub(super) report: &'a mut Report,
}

impl Given<'_> {
    /// The value, or what is wrong with it.
    pub(super) fn read<V: Value>(&self) -> Result<V, String> {
        let raw = match &self.content {
            Content::Toml(value) => Raw::Toml(value),
            Content::Text(text) => Raw::Text(text),
        };
        if self.is_path { read_file(raw) } else { read(raw) }
    }
}

impl<'a> Reader<'a> {
    /// The layer of variables with names of their own.
    pub(super) fn aliases<'e>(
        &mut self,
        environ: &'e Environ,
        aliases: &[(&str, &str)],
    ) -> Layer<'e> {
        let mut layer = Layer::new();
        for (variable, text) in environ.given() {
            if let Some((_, key)) = aliases.iter().find(|(alias, _)| *alias == variable) {
                self.put_variable(&mut layer, key, variable, text);
            }
        }
        layer
    }

    /// The layer of variables named after keys: with the prefix `APP_`, `APP_SECTION__KEY` is `section.key`.
    pub(super) fn variables<'e>(&mut self, environ: &'e Environ, prefix: &str) -> Layer<'e> {
        let mut layer = Layer::new();
        let names = self.names();
        for (variable, text) in environ.given() {
            let Some(rest) = variable.strip_prefix(prefix) else {
                continue;
            };
            if let Some(name) = names.iter().find(|name| variable_of(prefix, name) == variable) {
                self.put_variable(&mut layer, name, variable, text);
            } else {
                let name = rest.to_lowercase().replace("__", ".");
                let source = Source::Environment(variable.to_owned());
                self.unknown(&name, source, |known| {
                    format!("`{known}`, {}", variable_of(prefix, known))
                });
            }
        }
        layer
    }

    fn put_variable<'e>(
        &mut self,
        layer: &mut Layer<'e>,
        name: &str,
        variable: &str,
        text: Option<&'e str>,
    ) {
        let source = Source::Environment(variable.to_owned());
        match text {
            Some(text) => self.put(layer, name, source, Content::Text(text)),
            None => self.report.add(name, source, "expected UTF-8 text".to_owned()),
        }
    }

    fn put<'v>(&mut self, layer: &mut Layer<'v>, name: &str, source: Source, content: Content<'v>) {
        let Some(key) = self.key_of(name) else {
            return self.unknown(name, source, |known| format!("`{known}`"));
        };
        let key = key.name.as_str();
        if layer.contains_key(key) {
            let message = format!("given twice; give either `{key}` or `{key}_file`");
            return self.report.add(key, source, message);
        }
        let is_path = key != name;
        layer.insert(key.to_owned(), Given { source, content, is_path });
    }

    fn unknown(&mut self, name: &str, source: Source, show: impl Fn(&str) -> String) {
        let names = self.names();
        let nearest = names.iter().min_by_key(|known| strsim::damerau_levenshtein(known, name));
        let hint = nearest.map(|known| format!("; the nearest known key is {}", show(known)));
        self.report.add(name, source, format!("unknown key{}", hint.unwrap_or_default()));
    }

    /// The key that is given under this name: its own, or that of a secret's file.
    fn key_of(&self, name: &str) -> Option<&'a Key> {
        let secret = name.strip_suffix("_file");
        let of_file = |key: &&Key| key.secret && Some(key.name.as_str()) == secret;
        let own = self.keys.iter().find(|key| key.name == name);
        own.or_else(|| self.keys.iter().find(of_file))
    }

    /// Every name under which a value may be given.
    fn names(&self) -> Vec<String> {
        let own = self.keys.iter().map(|key| key.name.clone());
        let secrets = self.keys.iter().filter(|key| key.secret);
        own.chain(secrets.map(|key| format!("{}_file", key.name))).collect()
    }
}

fn read<V: Value>(raw: Raw<'_>) -> Result<V, String> {
    V::read(raw).ok_or_else(|| refusal::<V>(raw))
}

fn read_file<V: Value>(path: Raw<'_>) -> Result<V, String> {
    let Some(path) = PathBuf::read(path) else {
        return Err(format!("expected the path of a file, got {}", path.kind()));
    };
    let text = secret::content(&path).map_err(|error| {
        // What is no absolute path may be the secret itself, given under the wrong key.
        let shown =
            if path.is_absolute() { path.to_string_lossy() } else { "that it names".into() };
        format!("cannot read the file {}: {error}", shown.escape_debug())
    })?;
    V::read_file(&text, &path).ok_or_else(|| refusal::<V>(Raw::Text(&text)))
}

fn refusal<V: Value>(raw: Raw<'_>) -> String {
    let got = if V::SECRET { raw.kind().to_owned() } else { raw.to_string() };
    format!("expected {}, got {got}", V::allowed())
}

/// The variable that sets a key.
fn variable_of(prefix: &str, name: &str) -> String {
    format!("{prefix}{}", name.replace('.', "__").to_uppercase())
}
