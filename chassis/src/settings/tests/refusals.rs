//! Every class of error, with the very text that an operator reads.

use super::*;

/// The problems in a file, one a line, with the path left out.
fn problems_in_file(text: &str) -> Vec<String> {
    let file = file(text);
    let error = load(Some(&file), Environ::default()).unwrap_err();
    lines(&error)
        .into_iter()
        .map(|line| line.replace(file.path().to_str().unwrap(), "FILE"))
        .collect()
}

fn problems_in_environ<const N: usize>(variables: [(&str, &str); N]) -> Vec<String> {
    lines(&load(None, Environ::from(variables)).unwrap_err())
}

fn lines(error: &SettingsError) -> Vec<String> {
    assert_eq!(error.to_string().lines().count(), error.problems().len() + 1);
    error.to_string().lines().skip(1).map(|line| line.trim_start().to_owned()).collect()
}

#[test]
fn a_secrets_file_that_is_missing_or_empty_is_refused() {
    let empty = file("\n");
    let environ = |path| [("APP_DATABASE__URL_FILE", path)];

    assert_eq!(
        problems_in_environ(environ("/nowhere/url")),
        [
            "database.url: cannot read the file /nowhere/url: No such file or directory (os error 2) \
          (environment APP_DATABASE__URL_FILE)"
        ]
    );
    assert_eq!(
        problems_in_environ(environ(empty.path().to_str().unwrap())),
        [
            "database.url: expected secret text that is not empty, got nothing (environment APP_DATABASE__URL_FILE)"
        ]
    );
    assert_eq!(
        problems_in_environ(environ("hunter2")),
        [
            "database.url: cannot read the file that it names: No such file or directory (os error 2) \
          (environment APP_DATABASE__URL_FILE)"
        ]
    );
    assert_eq!(
        problems_in_file("database.url_file = 5"),
        ["database.url: expected the path of a file, got integer (file FILE, line 1)"]
    );
}

#[test]
fn a_secret_and_its_file_in_one_layer_are_refused() {
    let twice = "database.url: given twice; give either `database.url` or `database.url_file`";

    assert_eq!(
        problems_in_file("[database]\nurl = \"x\"\nurl_file = \"/y\""),
        [format!("{twice} (file FILE, line 3)")]
    );
    assert_eq!(
        problems_in_environ([("APP_DATABASE__URL", "x"), ("APP_DATABASE__URL_FILE", "/y")]),
        [format!("{twice} (environment APP_DATABASE__URL_FILE)")]
    );
}

#[test]
fn a_key_that_is_no_secret_cannot_be_given_as_a_file() {
    assert_eq!(
        problems_in_file("level_file = \"/x\""),
        ["level_file: unknown key; the nearest known key is `level` (file FILE, line 1)"]
    );
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    assert_eq!(
        problems_in_file(
            "enviroment = \"production\"\n[server]\nadr = 1\n[sever]\nbody_limit = \"1MiB\"\n[empty]"
        ),
        [
            "empty: unknown key; the nearest known key is `level` (file FILE, line 6)",
            "enviroment: unknown key; the nearest known key is `environment` (file FILE, line 1)",
            "server.adr: unknown key; the nearest known key is `server.addr` (file FILE, line 3)",
            "sever.body_limit: unknown key; the nearest known key is `server.body_limit` (file FILE, line 5)",
        ]
    );
    assert_eq!(
        problems_in_environ([("APP_SERVER_ADDR", "x"), ("APP_DATABASE__URL_FLIE", "x")]),
        [
            "database.url_flie: unknown key; the nearest known key is `database.url_file`, APP_DATABASE__URL_FILE \
             (environment APP_DATABASE__URL_FLIE)",
            "server_addr: unknown key; the nearest known key is `server.addr`, APP_SERVER__ADDR \
             (environment APP_SERVER_ADDR)",
        ]
    );
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_what_is_allowed() {
    assert_eq!(
        problems_in_file(
            "environment = \"prod\"\n[server]\nrequest_timeout = 5\n\ntrusted_proxies = [\"10.0.0.0/8\", \"x\"]"
        ),
        [
            "server.request_timeout: expected a duration such as \"10s\", got integer 5 (file FILE, line 3)",
            "server.trusted_proxies: expected a list of which each item is a network such as \"10.0.0.0/8\", \
             got array [\"10.0.0.0/8\", \"x\"] (file FILE, line 5)",
            "environment: expected one of \"development\", \"production\", got \"prod\" (file FILE, line 1)",
        ]
    );
    assert_eq!(
        problems_in_environ([("APP_SERVER__ADDR", "localhost")]),
        [
            "server.addr: expected a socket address such as \"127.0.0.1:8080\", got \"localhost\" (environment APP_SERVER__ADDR)"
        ]
    );
}

#[test]
fn a_value_where_a_section_belongs_is_refused() {
    assert_eq!(
        problems_in_file("database = \"postgres://u:hunter2@db\""),
        ["database: expected a table `[database]`, got string (file FILE, line 1)"]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let sources = Sources {
        file: Some("/nowhere/x.toml".into()),
        environ: Environ::default(),
        prefix: "APP_",
        aliases: &[],
    };

    assert_eq!(
        lines(&sources.load::<Everything>(|_, _| ()).unwrap_err()),
        ["file /nowhere/x.toml: cannot be read: No such file or directory (os error 2)"]
    );
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_every_place_but_not_the_text() {
    assert_eq!(
        problems_in_file("level = \"info\"\n[database]\nurl = \"hunter2\n[server]\naddr = = 1"),
        [
            "file FILE, line 3: not TOML at column 15: invalid basic string, expected `\"`",
            "file FILE, line 5: not TOML at column 8: extra `=`, expected nothing",
        ]
    );
    for unquoted in ["hunter2", "2hunter", "'hunter2", "[hunter2", "2000-01-hunter", "\"\\hunter\""]
    {
        let problems = problems_in_file(&format!("[database]\nurl = {unquoted}")).concat();
        assert!(!problems.contains("hunter"), "{problems}");
    }
}

#[test]
fn every_problem_of_every_source_and_check_is_named_at_once() {
    let file = file("nonsense = 1\nserver.rate.burst = 0");
    let environ = Environ::from([
        ("APP_SERVER__ADDR", "x"),
        ("APP_NONSENSE", "1"),
        ("DATABASE_URL", "hunter2"),
    ]);
    let error = load_with(Some(&file), environ, |settings, report| {
        assert!(!report.is_readable("server.addr"));
        report.reject("server.addr", "never shown, because it has its problem already");
        report.reject("server.public_url", "a URL in production");
        report.reject("database.url", "a URL");
        report.reject("database.url", "a known scheme");
        if settings.server.rate.burst == 0 {
            report.reject("server.rate.burst", "at least 1");
        }
    });

    let problems = error.unwrap_err().to_string().replace(file.path().to_str().unwrap(), "FILE");
    let expected = "7 problems in the settings:
  nonsense: unknown key; the nearest known key is `level` (file FILE, line 1)
  nonsense: unknown key; the nearest known key is `level`, APP_LEVEL (environment APP_NONSENSE)
  server.addr: expected a socket address such as \"127.0.0.1:8080\", got \"x\" (environment APP_SERVER__ADDR)
  server.public_url: expected a URL in production, but it is unset (default)
  database.url: expected a URL (environment DATABASE_URL)
  database.url: expected a known scheme (environment DATABASE_URL)
  server.rate.burst: expected at least 1, got 0 (file FILE, line 2)";
    assert_eq!(problems, expected);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_refused() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let variable = |name: &str| (OsString::from(name), OsString::from_vec(b"sqlite:\xff".to_vec()));
    let environ =
        [variable("APP_LEVEL"), variable("DATABASE_URL"), variable("OTHER")].into_iter().collect();

    assert_eq!(
        lines(&load(None, environ).unwrap_err()),
        [
            "database.url: expected UTF-8 text (environment DATABASE_URL)",
            "level: expected UTF-8 text (environment APP_LEVEL)",
        ]
    );
}

#[test]
fn a_file_that_is_unusable_keeps_checks_from_judging_defaults() {
    let broken = file("environment = production");
    let environ = Environ::from([("APP_SERVER__ADDR", "0.0.0.0:80"), ("APP_LEVL", "warn")]);
    let error = load_with(Some(&broken), environ, |_, report| {
        report.reject("server.addr", "a loopback address in development");
    });

    let error = error.unwrap_err();
    let keys: Vec<_> = error.problems().iter().map(|problem| problem.key.as_deref()).collect();
    assert_eq!(keys, [None, Some("levl")]);
}
