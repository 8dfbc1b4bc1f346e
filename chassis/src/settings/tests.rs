//! The sources together: what wins, what is refused and how it is shown.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod properties;
mod refusals;

use super::*;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::NamedTempFile;

const DATABASE_URL: &[(&str, &str)] = &[("DATABASE_URL", "database.url"), ("RUST_LOG", "level")];

crate::settings! {
    /// Everything.
    struct Everything {
        /// What is logged.
        level: String = "info".to_owned(),
        /// The listener.
        server: ServerSettings = ServerSettings::default(),
        /// The database.
        database: DatabaseSettings = DatabaseSettings::default(),
        /// Declared last, and yet of no section.
        environment: Environment = Environment::Development,
    }
}

crate::settings! {
    /// The listener.
    struct ServerSettings {
        /// Where to listen;
        /// port 0 picks a free one.
        addr: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        /// Base of links.
        public_url: Option<String> = None,
        /// Largest body.
        body_limit: ByteSize = ByteSize::mib(1),
        /// For the whole request.
        request_timeout: Duration = Duration::from_secs(10),
        /// Networks that are believed.
        trusted_proxies: Vec<IpNet> = Vec::new(),
        /// Limits.
        rate: RateSettings = RateSettings::default(),
    }
}

crate::settings! {
    /// A section in a section.
    struct RateSettings {
        /// Requests at once.
        burst: u32 = 600,
    }
}

crate::settings! {
    /// The database.
    struct DatabaseSettings {
        /// Where it is.
        url: Option<Secret> = None,
        /// Former passwords.
        passwords: Vec<Secret> = vec![Secret::new("changeit")],
    }
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load_with(
    file: Option<&NamedTempFile>,
    environ: Environ,
    check: impl FnOnce(&Everything, &mut Report),
) -> Result<Loaded<Everything>, SettingsError> {
    let file = file.map(|file| file.path().to_owned());
    Sources { file, environ, prefix: "APP_", aliases: DATABASE_URL }.load(check)
}

fn load(
    file: Option<&NamedTempFile>,
    environ: Environ,
) -> Result<Loaded<Everything>, SettingsError> {
    load_with(file, environ, |_, _| ())
}

fn url(loaded: &Loaded<Everything>) -> &str {
    loaded.settings.database.url.as_ref().unwrap().expose()
}

#[test]
fn nothing_given_means_defaults() {
    let loaded = load(None, Environ::default()).unwrap();

    assert_eq!(loaded.settings.server.body_limit, ByteSize::mib(1));
    assert_eq!(loaded.settings.environment, Environment::Development);
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    let file = file(
        "environment = \"production\"\n[server]\nbody_limit = \"2MiB\"\nrequest_timeout = \"5s\"\nrate.burst = 7\n",
    );
    let environ = Environ::from([
        ("APP_SERVER__BODY_LIMIT", "3MiB"),
        ("APP_SERVER__PUBLIC_URL", ""),
        ("PATH", "/bin"),
    ]);
    let settings = load(Some(&file), environ).unwrap().settings;

    assert_eq!(settings.environment, Environment::Production);
    assert_eq!(settings.server.body_limit, ByteSize::mib(3));
    assert_eq!(settings.server.request_timeout, Duration::from_secs(5));
    assert_eq!(settings.server.rate.burst, 7);
    assert_eq!(settings.server.public_url, None);
    assert_eq!(settings.server.addr.port(), 8080);
}

#[test]
fn an_alias_overrides_the_file_and_yields_to_the_variable_of_the_key() {
    let file = file("level = \"warn\"\ndatabase.url = \"sqlite:file\"");

    let loaded =
        load(Some(&file), Environ::from([("DATABASE_URL", "sqlite:alias"), ("RUST_LOG", "")]))
            .unwrap();
    assert_eq!((url(&loaded), loaded.settings.level.as_str()), ("sqlite:alias", "warn"));

    let both =
        Environ::from([("DATABASE_URL", "sqlite:alias"), ("APP_DATABASE__URL", "sqlite:own")]);
    assert_eq!(url(&load(Some(&file), both).unwrap()), "sqlite:own");
}

#[test]
fn an_overridden_value_is_not_looked_at() {
    let file = file("[server]\nbody_limit = \"much\"\n[database]\nurl_file = \"/nowhere\"");
    let environ =
        Environ::from([("APP_SERVER__BODY_LIMIT", "3MiB"), ("DATABASE_URL", "sqlite:alias")]);

    assert_eq!(url(&load(Some(&file), environ).unwrap()), "sqlite:alias");
}

#[test]
fn a_secret_is_read_from_its_file_less_one_trailing_newline() {
    for (content, secret) in [
        ("s3cret", "s3cret"),
        ("s3cret\n", "s3cret"),
        ("s3cret\r\n", "s3cret"),
        (" s3cret\n\n", " s3cret\n"),
    ] {
        let secret_file = file(content);
        let path = secret_file.path().to_str().unwrap();

        let from_environ = load(None, Environ::from([("APP_DATABASE__URL_FILE", path)])).unwrap();
        assert_eq!(url(&from_environ), secret);

        let from_file =
            load(Some(&file(&format!("[database]\nurl_file = '{path}'"))), Environ::default())
                .unwrap();
        assert_eq!(url(&from_file), secret);
    }
}

#[test]
fn a_secret_is_never_shown() {
    let refused = load(
        None,
        Environ::from([("APP_DATABASE__PASSWORDS", "[\"hunter2\", 5]"), ("APP_HUNTER", "hunter2")]),
    );
    let refused = refused.unwrap_err();
    let wrong_type = file("[database]\nurl = [\"hunter2\"]");
    let wrong_type = load(Some(&wrong_type), Environ::default()).unwrap_err();

    let sources = Sources {
        file: None,
        environ: Environ::from([("DATABASE_URL", "hunter2")]),
        prefix: "APP_",
        aliases: DATABASE_URL,
    };
    let loaded = sources.load::<Everything>(|_, _| ()).unwrap();

    for shown in [
        format!("{refused} {refused:?}"),
        wrong_type.to_string(),
        format!("{sources:?} {loaded:?}"),
        loaded.to_toml(),
    ] {
        assert!(!shown.contains("hunter2") && !shown.contains("changeit"), "{shown}");
    }
}

#[test]
fn effective_settings_are_shown_with_their_sources() {
    let file = file("server.body_limit = \"1024KiB\"");
    let environ = Environ::from([("APP_ENVIRONMENT", "production"), ("DATABASE_URL", "hunter2")]);
    let toml = load(Some(&file), environ).unwrap().to_toml();

    let expected = "level = \"info\"  # default
environment = \"production\"  # environment APP_ENVIRONMENT

[server]
addr = \"127.0.0.1:8080\"  # default
# public_url =  # default, unset
body_limit = \"1MiB\"  # file FILE, line 1
request_timeout = \"10s\"  # default
trusted_proxies = []  # default

[server.rate]
burst = 600  # default

[database]
url = \"[redacted]\"  # environment DATABASE_URL
# passwords = [\"[redacted]\"]  # default
";
    assert_eq!(toml.replace(file.path().to_str().unwrap(), "FILE"), expected);
}

#[test]
fn effective_settings_can_be_loaded_again() {
    let environ = Environ::from([
        ("APP_LEVEL", "a \"quoted\"\nsecond line # no comment"),
        ("APP_SERVER__REQUEST_TIMEOUT", "1m 30s"),
        ("APP_SERVER__TRUSTED_PROXIES", "10.0.0.0/8,::1"),
    ]);
    let first = load(None, environ).unwrap();
    let second = load(Some(&file(&first.to_toml())), Environ::default()).unwrap();

    assert_eq!(format!("{:?}", first.settings), format!("{:?}", second.settings));
}

#[test]
fn known_keys_carry_their_documentation() {
    let keys = known_keys::<Everything>();
    let key = |name: &str| keys.iter().find(|key| key.name == name).unwrap();

    assert_eq!(key("server.addr").doc, "Where to listen; port 0 picks a free one.");
    assert_eq!(key("server.addr").default.as_deref(), Some("\"127.0.0.1:8080\""));
    assert_eq!(key("server.public_url").default, None);
    assert_eq!(key("server.rate.burst").allowed, "a whole number from 0 to 4294967295");
    assert!(key("database.url").secret && key("database.passwords").secret && !key("level").secret);
    assert_eq!(keys.len(), 10);
}
