//! The sample configuration: complete, true to the defaults, and with examples that work.

use std::fs;
use std::path::{Path, PathBuf};

use belvedere::settings::Settings;
use chassis::settings::{Environ, Environment, Key, known_keys, table};
use tempfile::TempDir;

use crate::support::process::signing_key;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/belvedere.toml");
/// Where the sample expects secrets.
const SECRETS: &str = "/run/secrets";

/// Where the manifests mount them.
const MOUNTED: &str = "/run/secrets/belvedere";

/// A key as the sample has it.
#[derive(Debug)]
struct Entry {
    /// Section and key, without the `_file` of a secret.
    name: String,
    /// Whether it is only an example.
    commented: bool,
    /// Whether the line before says something about it.
    explained: bool,
}

/// The entries of the sample. A comment that reads like `key = value` is an example.
fn entries(sample: &str) -> Vec<Entry> {
    let (mut section, mut entries, mut explained) = (String::new(), Vec::new(), false);
    for line in sample.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((commented, key)) = key(line) {
            let name = secret_of(&format!("{section}{key}"));
            entries.push(Entry { name, commented, explained });
        }
        explained = line.starts_with("# ") && key(line).is_none();
    }
    entries
}

fn key(line: &str) -> Option<(bool, &str)> {
    let example = line.strip_prefix("# ");
    let (key, _) = example.unwrap_or(line).split_once(" = ")?;
    let is_key = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_key.then_some((example.is_some(), key))
}

/// A secret may be given by its file.
fn secret_of(name: &str) -> String {
    let keys = known_keys::<Settings>();
    let of_file = |key: &&Key| key.secret && name == format!("{}_file", key.name);
    keys.iter().find(of_file).map_or_else(|| name.to_owned(), |key| key.name.clone())
}

fn sample() -> String {
    fs::read_to_string(SAMPLE).unwrap()
}

/// What the real loader makes of this file.
fn load(file: PathBuf) -> String {
    let loaded =
        Settings::load(Some(file), Environ::default()).unwrap_or_else(|error| panic!("{error}"));
    format!("{:#?}", loaded.settings)
}

#[test]
fn the_sample_changes_nothing() {
    assert_eq!(load(SAMPLE.into()), format!("{:#?}", Settings::default()));
}

#[test]
fn operators_read_a_table_of_the_present_settings() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md");
    let document = fs::read_to_string(document).unwrap();
    let present = table(&known_keys::<Settings>());
    assert!(
        document.ends_with(&format!("\n\n{present}")),
        "docs/operating.md does not end with what `cargo run --example settings` prints"
    );
}

#[test]
fn the_sample_has_every_key_in_order_and_no_other() {
    let names: Vec<_> = entries(&sample()).into_iter().map(|entry| entry.name).collect();
    let known: Vec<_> = known_keys::<Settings>().into_iter().map(|key| key.name).collect();
    assert_eq!(names, known);
}

#[test]
fn what_has_a_default_is_set_and_the_rest_an_example() {
    for (entry, key) in entries(&sample()).iter().zip(known_keys::<Settings>()) {
        assert_eq!(entry.commented, key.default.is_none(), "{}", key.name);
    }
}

#[test]
fn every_key_is_explained() {
    for entry in entries(&sample()) {
        assert!(entry.explained, "nothing is said about {}", entry.name);
    }
}

#[test]
fn every_example_works() {
    let directory = TempDir::new().unwrap();
    let lines: Vec<_> = sample().lines().map(|line| uncommented(line).to_owned()).collect();
    let text = with_secrets(&lines.join("\n"), directory.path());
    let file = directory.path().join("examples.toml");
    fs::write(&file, text).unwrap();
    let settings = load(file);
    assert_eq!(settings.matches("[redacted]").count(), secrets());
}

#[test]
fn what_the_manifests_set_is_accepted() {
    let directory = TempDir::new().unwrap();
    for file in ["ops_token", "database_password", "signing_key"] {
        fs::write(directory.path().join(file), signing_key()).unwrap();
    }
    let places = ["base", "overlays/minikube", "overlays/production"];
    for file in places.iter().flat_map(|place| ["belvedere", "migrate"].map(|job| (place, job))) {
        let path = format!("{}/k8s/{}/{}.toml", env!("CARGO_MANIFEST_DIR"), file.0, file.1);
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace(MOUNTED, directory.path().to_str().unwrap());
        let copy = directory.path().join("settings.toml");
        fs::write(&copy, text).unwrap();
        let settings = match file.1 {
            // It has no secret but the database's.
            "migrate" => Settings::load_for_command(Some(copy), Environ::default()),
            _ => Settings::load(Some(copy), Environ::default()).map(|loaded| loaded.settings),
        };
        let settings = settings.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(settings.environment, Environment::Production, "{path}");
        assert_ne!(settings.database.migrate_on_start, Some(true), "{path}");
    }
}

fn uncommented(line: &str) -> &str {
    match key(line) {
        Some((true, _)) => &line[2..],
        _ => line,
    }
}

/// Puts secrets where the text says that they are.
fn with_secrets(text: &str, directory: &Path) -> String {
    for file in ["ops_token", "database_password", "signing_key.pem", "previous_keys.pem", "pepper"]
    {
        // Every other secret may be any text.
        fs::write(directory.join(file), signing_key()).unwrap();
    }
    for file in ["database_ca.pem", "database_client.pem", "issuer_ca.pem"] {
        fs::write(directory.join(file), certificate()).unwrap();
    }
    fs::write(directory.join("database_client_key.pem"), signing_key()).unwrap();
    fs::write(directory.join("database_read_url"), "postgres://db-2.example.com/users").unwrap();
    let names = ["users.example.com".to_owned()];
    let server = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(directory.join("server.pem"), server.cert.pem()).unwrap();
    fs::write(directory.join("server_key.pem"), server.signing_key.serialize_pem()).unwrap();
    fs::write(directory.join("redis_url"), "redis://redis.example.com/0").unwrap();
    text.replace(SECRETS, directory.to_str().unwrap())
}

fn certificate() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["db.example.com".to_owned()];
    rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem()
}

fn secrets() -> usize {
    known_keys::<Settings>().iter().filter(|key| key.secret).count()
}
