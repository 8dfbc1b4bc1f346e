//! House rules that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// What is ours; `target` may hold anything.
const FOLDERS: [&str; 7] =
    ["src", "chassis", "entity", "migration", "tests", "benches", "examples"];
/// A file that is longer is two files.
const LINES_MAX: usize = 350;
/// Macros that nobody leaves behind on purpose.
const UNFINISHED: [&str; 4] = ["println", "dbg", "todo", "unimplemented"];

#[test]
fn every_file_says_first_what_it_is_for() {
    find_none(|text| Vec::from_iter((!text.starts_with("//! ")).then_some(1)));
}

#[test]
fn a_module_is_named_by_its_file() {
    let paths = sources().into_iter().map(|(path, _)| path);
    let generic: Vec<_> = paths.filter(|path| path.ends_with("/mod.rs")).collect();
    assert!(generic.is_empty(), "name.rs stands beside name/: {generic:?}");
}

#[test]
fn files_are_short_enough_to_be_read() {
    find_none(|text| {
        let lines = text.lines().count();
        Vec::from_iter((lines > LINES_MAX).then_some(lines))
    });
}

#[test]
fn nothing_is_left_from_trying_out() {
    find_none(|text| code(text, |line| UNFINISHED.iter().any(|name| calls(line, name))));
}

#[test]
fn lints_are_expected_not_allowed() {
    // Put together, so that this file does not break its own rule.
    let attributes = ["#", "#!"].map(|start| format!("{start}[allow("));
    find_none(|text| code(text, |line| attributes.iter().any(|allow| line.contains(allow))));
}

#[test]
fn the_chassis_knows_no_service() {
    let manifest = fs::read_to_string(Path::new(ROOT).join("chassis/Cargo.toml")).unwrap();
    for line in manifest.lines() {
        let names_ours = line.contains("belvedere") && line != "name = \"belvedere-chassis\"";
        assert!(!names_ours && !line.contains("path ="), "chassis/Cargo.toml: {line}");
    }
}

#[test]
fn entities_and_migrations_know_no_service_either() {
    for name in ["entity", "migration"] {
        let manifest = Path::new(ROOT).join(name).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        let service =
            |line: &&str| line.starts_with("belvedere.") || line.starts_with("belvedere =");
        assert_eq!(manifest.lines().find(service), None, "{name}");
    }
}

#[test]
fn whatever_security_md_is_shown_by_is_a_test() {
    let text = fs::read_to_string(Path::new(ROOT).join("SECURITY.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once("| "));
    let words = rows.flat_map(|(_, last)| last.split('`').skip(1).step_by(2));
    let is_name = |word: &&str| word.contains('_') && !word.contains(['/', '.', ' ', ':']);
    let named: Vec<&str> = words.filter(is_name).collect();
    assert!(named.len() > 50, "{named:?}");
    assert!(!text.contains(" @"), "a name is still to come");
    let sources = sources();
    let is_test = |name: &str| {
        let function = format!("fn {name}() {{");
        sources.iter().any(|(_, text)| text.contains(&function))
    };
    let missing: Vec<_> = named.into_iter().filter(|name| !is_test(name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Fails with every place, as `path:line`, that is found wrong in a text.
#[track_caller]
fn find_none(wrong: impl Fn(&str) -> Vec<usize>) {
    let mut places = Vec::new();
    for (path, text) in sources() {
        places.extend(wrong(&text).iter().map(|line| format!("{path}:{line}")));
    }
    assert!(places.is_empty(), "{}", places.join("\n"));
}

/// Every Rust file: its path from the root, and its text.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&Path::new(ROOT).join(folder), &mut files);
    }
    assert!(files.len() > 100, "the files were not found");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(ROOT).unwrap();
        (path.display().to_string(), text)
    };
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    // Not every folder has to be there.
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The numbers of lines that are no comments and of which this is true.
fn code(text: &str, wrong: impl Fn(&str) -> bool) -> Vec<usize> {
    let is_code = |line: &str| !line.trim_start().starts_with("//");
    let numbered = text.lines().zip(1..);
    let found = numbered.filter(|(line, _)| is_code(line) && wrong(line));
    found.map(|(_, number)| number).collect()
}

fn calls(line: &str, name: &str) -> bool {
    line.contains(&format!("{name}!("))
}
