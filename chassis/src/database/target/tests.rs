//! What URLs and parts amount to, and which are refused. Nothing is connected to.
#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

use std::fs;
use std::path::PathBuf;

use sea_orm::sqlx::ConnectOptions;
use tempfile::TempDir;

use super::super::tls::TlsMode;
use super::*;
use crate::settings::{Environ, Secret, Sources};

/// Certificate and key, and a file with neither.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        fs::write(directory.path().join("key.pem"), key.serialize_pem()).unwrap();
        fs::write(directory.path().join("text.pem"), "nothing of the kind").unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn url(text: &str) -> DatabaseSettings {
    DatabaseSettings { url: Some(Secret::new(text)), ..DatabaseSettings::default() }
}

fn server(scheme: &str, host: &str) -> DatabaseSettings {
    DatabaseSettings {
        scheme: Some(scheme.to_owned()),
        host: Some(host.to_owned()),
        name: Some("x".to_owned()),
        ..DatabaseSettings::default()
    }
}

/// What the driver would connect to, as a URL.
fn driver_url(settings: &DatabaseSettings) -> String {
    match Target::from_settings(settings).unwrap() {
        Target::Sqlite { options, .. } => options.to_url_lossy().to_string(),
        Target::Postgres(options) => options.to_url_lossy().to_string(),
        Target::MySql(options) => options.to_url_lossy().to_string(),
    }
}

fn complaint(settings: &DatabaseSettings) -> String {
    let sources = Sources { file: None, environ: Environ::default(), prefix: "APP_", aliases: &[] };
    let loaded = sources.load::<DatabaseSettings>(|_, report| settings.check(report));
    loaded.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn a_password_of_parts_is_taken_as_it_is() {
    let password = "p@ss:w/ö?#%20&=+ \"'\\";
    let encoded = "p%40ss%3Aw%2F%C3%B6%3F%23%2520%26%3D%2B%20%22%27%5C";
    for scheme in ["postgres", "mysql"] {
        let parts = DatabaseSettings {
            port: Some(7000),
            name: Some("users".to_owned()),
            user: Some("ada".to_owned()),
            password: Some(Secret::new(password)),
            ..server(scheme, "db.example.com")
        };
        let same = url(&format!("{scheme}://ada:{encoded}@db.example.com:7000/users"));
        assert_eq!(driver_url(&parts), driver_url(&same));
        assert!(driver_url(&parts).contains(encoded), "{}", driver_url(&parts));
    }
}

#[test]
fn addresses_and_sockets_of_all_forms_are_understood() {
    for (settings, told) in [
        (url("postgres://u@[::1]:7000/x"), "the database server [::1]:7000"),
        (url("mysql://u@[::1]:7000/x"), "the database server [::1]:7000"),
        (server("postgres", "::1"), "the database server [::1]:5432"),
        (server("mysql", "fe80::1"), "the database server [fe80::1]:3306"),
        (server("postgres", "db"), "the database server db:5432"),
        (url("mysql://u@127.0.0.1/x"), "the database server 127.0.0.1:3306"),
        (url("postgres:///x?host=/run/pg"), "the database server at /run/pg"),
        (url("postgres://u@%2Frun%2Fpg/x"), "the database server at /run/pg"),
        (server("postgres", "/run/pg"), "the database server at /run/pg"),
        (url("mysql://u@localhost/x?socket=/run/m.sock"), "the database server at /run/m.sock"),
        (server("mysql", "/run/m.sock"), "the database server at /run/m.sock"),
    ] {
        let target = Target::from_settings(&settings).unwrap();
        assert_eq!(target.to_string(), told);
        let (host, _) = target.address().unwrap_or_default();
        assert!(!host.contains(['[', '/']), "{host}");
    }
}

#[test]
fn each_degree_of_tls_can_be_said_by_parts_and_by_url() {
    for (tls, postgres, mysql) in [
        (TlsMode::Disable, "disable", "DISABLED"),
        (TlsMode::Prefer, "prefer", "PREFERRED"),
        (TlsMode::Require, "require", "REQUIRED"),
        (TlsMode::VerifyCa, "verify-ca", "VERIFY_CA"),
        (TlsMode::VerifyFull, "verify-full", "VERIFY_IDENTITY"),
    ] {
        for (scheme, said) in
            [("postgres", format!("sslmode={postgres}")), ("mysql", format!("ssl-mode={mysql}"))]
        {
            let parts = DatabaseSettings { tls: Some(tls), ..server(scheme, "db") };
            assert!(driver_url(&parts).contains(&said), "{}", driver_url(&parts));
            let given = url(&format!("{scheme}://db/x?{said}"));
            assert!(driver_url(&given).contains(&said), "{}", driver_url(&given));
        }
    }
    let silent = driver_url(&server("postgres", "db"));
    assert!(silent.contains("sslmode=prefer"), "{silent}");
}

#[test]
fn the_files_of_tls_reach_the_driver() {
    let files = Files::new();
    let (ca, key) = (files.path("ca.pem"), files.path("key.pem"));
    for scheme in ["postgres", "mysql"] {
        let parts = DatabaseSettings {
            tls: Some(TlsMode::VerifyFull),
            tls_ca_file: Some(ca.clone()),
            tls_cert_file: Some(ca.clone()),
            tls_key_file: Some(key.clone()),
            ..server(scheme, "db")
        };
        assert_eq!(complaint(&parts), "");
        let told = driver_url(&parts);
        assert_eq!((told.matches("ca.pem").count(), told.matches("key.pem").count()), (2, 1));
        let mode = if scheme == "mysql" { "VERIFY_IDENTITY" } else { "verify-full" };
        let (ca, key) = (ca.display(), key.display());
        let files = format!("ssl-mode={mode}&ssl-ca={ca}&ssl-cert={ca}&ssl-key={key}");
        assert_eq!(driver_url(&url(&format!("{scheme}://db/x?{files}"))), told);
    }
}

#[test]
fn what_would_not_do_what_it_seems_to_is_refused() {
    let files = Files::new();
    let (ca, text) = (files.path("ca.pem"), files.path("text.pem"));
    let verified = DatabaseSettings { tls: Some(TlsMode::VerifyFull), ..server("postgres", "db") };
    let at = |path: &PathBuf| Some(path.clone());
    let missing = files.path("missing.pem");
    let ca_url = |query: &str| url(&format!("postgres://db/x?{query}{}", ca.display()));
    for (settings, key, words) in [
        (url("postgres://db/x?sslmod=require"), "database.url", "parameters about TLS"),
        (url("mysql://db/x?tls=true"), "database.url", "parameters about TLS"),
        (url("postgres://db/x?sslmode=always"), "database.url", "a valid URL"),
        (ca_url("sslmode=require&sslrootcert="), "database.url", "verify_full"),
        (ca_url("sslrootcert="), "database.url", "verify_full"),
        (ca_url("sslmode=verify-full&sslcert="), "database.url", "other half"),
        (
            DatabaseSettings { tls_ca_file: at(&missing), ..verified.clone() },
            "database.tls_ca_file",
            "PEM file with a certificate",
        ),
        (
            DatabaseSettings { tls_ca_file: at(&text), ..verified.clone() },
            "database.tls_ca_file",
            "there is none in it",
        ),
        (
            DatabaseSettings { tls: None, tls_ca_file: at(&ca), ..verified.clone() },
            "database.tls_ca_file",
            "verify_full",
        ),
        (
            DatabaseSettings { tls_key_file: at(&ca), ..verified.clone() },
            "database.tls_key_file",
            "other half",
        ),
        (
            DatabaseSettings {
                tls_cert_file: at(&ca),
                tls_key_file: at(&text),
                ..verified.clone()
            },
            "database.tls_key_file",
            "private key",
        ),
        (
            DatabaseSettings { scheme: Some("sqlite".to_owned()), host: None, ..verified.clone() },
            "database.tls",
            "absent",
        ),
        (
            DatabaseSettings { scheme: Some("sqlite".to_owned()), ..verified },
            "database.host",
            "absent",
        ),
        (
            DatabaseSettings { tls: Some(TlsMode::Require), ..url("postgres://db/x") },
            "database.url",
            "not both (database.tls)",
        ),
        (url("mysql://u@db"), "database.url", "names a database"),
        (url("mysql://u@db:3306/"), "database.url", "names a database"),
        (
            DatabaseSettings { name: None, ..server("mysql", "db") },
            "database.name",
            "the name of a database",
        ),
    ] {
        let told = complaint(&settings);
        assert!(told.contains(key) && told.contains(words), "{key} {words}: {told}");
    }
}

#[test]
fn a_replica_is_of_the_same_kind() {
    let with = |primary: &str, replica: &str| DatabaseSettings {
        read_url: Some(Secret::new(replica)),
        ..url(primary)
    };
    assert_eq!(complaint(&with("postgres://db-1/x", "postgresql://db-2/x")), "");
    for (primary, replica, words) in [
        ("postgres://db-1/x", "mysql://db-2/x", "same kind"),
        ("sqlite://a.db", "postgres://db-2/x", "same kind"),
        ("postgres://db-1/x", "db-2.hunter2", "begins with"),
        ("postgres://db-1/x", "postgres://u:hunter2/x@db-2", "a valid URL"),
    ] {
        let told = complaint(&with(primary, replica));
        assert!(told.contains("database.read_url") && told.contains(words), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
