//! Files that can and cannot be used, and what becomes of those that change. Handshakes are tested from
//! outside.
#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

use std::fs;
use std::os::unix::fs::symlink;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, date_time_ymd,
};
use tempfile::TempDir;
use tracing::instrument::WithSubscriber;

use super::pair::{Standing, Validity};
use super::*;
use crate::settings::Environment;
use crate::telemetry::logs::LogSettings;
use crate::telemetry::{Captured, Identity};

const REFUSED: &str = "TLS certificate cannot be replaced";
const CHANGED: &str = "TLS certificate changed";
const WARNING: &str = "TLS certificate needs to be renewed";

/// A certificate for itself and its key, both PEM.
#[derive(Clone)]
struct Made {
    certificate: String,
    key: String,
}

/// Files, and what follows them.
struct Following {
    directory: TempDir,
    telemetry: Telemetry,
    captured: Captured,
    follower: Follower,
    config: watch::Receiver<Arc<ServerConfig>>,
}

impl Made {
    fn new() -> Self {
        Self::until(2099)
    }

    fn until(year: i32) -> Self {
        Self::with(&KeyPair::generate().unwrap(), year)
    }

    fn with(key: &KeyPair, year: i32) -> Self {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2024, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.self_signed(key).unwrap().pem();
        Self { certificate, key: key.serialize_pem() }
    }
}

impl Following {
    async fn start(made: &Made) -> Self {
        let directory = TempDir::new().unwrap();
        write(&directory, made);
        let identity = Identity {
            name: "test".to_owned(),
            version: "0".to_owned(),
            environment: Environment::Development,
        };
        let (telemetry, captured) = Telemetry::capture(&identity, &LogSettings::default()).unwrap();
        let tls = Tls::load(files(&directory)).unwrap();
        let metrics = telemetry.metrics().clone();
        let begin = async { Follower::new(tls, metrics) };
        let (follower, config) = begin.with_subscriber(telemetry.dispatch()).await;
        Self { directory, telemetry, captured, follower, config }
    }

    async fn look(&mut self) {
        self.follower.look().with_subscriber(self.telemetry.dispatch()).await;
    }

    /// Whether another certificate is in use since this was asked for the last time.
    fn has_changed(&mut self) -> bool {
        let changed = self.config.has_changed().unwrap();
        self.config.mark_unchanged();
        changed
    }

    fn count(&self, words: &str) -> usize {
        self.captured.text().matches(words).count()
    }
}

fn write(directory: &TempDir, made: &Made) {
    fs::write(directory.path().join("tls.crt"), &made.certificate).unwrap();
    fs::write(directory.path().join("tls.key"), &made.key).unwrap();
}

fn files(directory: &TempDir) -> TlsFiles {
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| directory.path().join(name));
    TlsFiles { certificate, key }
}

/// What is said of these two texts.
fn complaints(certificate: &str, key: &str) -> Vec<String> {
    let directory = TempDir::new().unwrap();
    let made = Made { certificate: certificate.to_owned(), key: key.to_owned() };
    write(&directory, &made);
    let TlsFiles { certificate, key } = files(&directory);
    check(Some(&certificate), Some(&key)).iter().map(ToString::to_string).collect()
}

/// A key that agrees on secrets and signs nothing.
fn x25519() -> String {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20];
    let mut key = head.to_vec();
    key.extend([7; 32]);
    let key = BASE64_STANDARD.encode(key);
    format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n")
}

#[test]
fn keys_of_every_usual_kind_are_taken() {
    for kind in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519, &PKCS_RSA_SHA256]
    {
        let made = Made::with(&KeyPair::generate_for(kind).unwrap(), 2099);
        assert_eq!(complaints(&made.certificate, &made.key), [""; 0], "{kind:?}");
    }
}

#[test]
fn what_cannot_be_used_is_told_with_its_key_and_the_reason() {
    let (made, other) = (Made::new(), Made::new());
    let no_certificate = "server.tls_cert_file: expected the path of a PEM file with a certificate";
    let no_key = "server.tls_key_file: expected the path of a PEM file with a private key";
    let truncated = &made.certificate[..made.certificate.len() / 2];
    let twisted = made.certificate.replacen("MII", "MIJ", 1).replacen("MIIB", "MIIC", 1);
    for (certificate, key, expected) in [
        ("", &*made.key, vec![no_certificate]),
        ("nonsense", "nonsense", vec![no_certificate, no_key]),
        (&*made.key, &*made.certificate, vec![no_certificate, no_key]),
        (truncated, &*made.key, vec![no_certificate]),
        (&*twisted, &*made.key, vec![no_certificate]),
        (
            &*made.certificate,
            &*other.key,
            vec![
                "server.tls_key_file: expected the key of the certificate in server.tls_cert_file",
            ],
        ),
        (&*made.certificate, &*x25519(), vec![no_key]),
    ] {
        let complaints = complaints(certificate, key);
        assert_eq!(complaints.len(), expected.len(), "{complaints:?}");
        for (complaint, start) in complaints.iter().zip(expected) {
            assert!(complaint.starts_with(start), "{complaint}");
            assert!(!complaint.contains("MI"), "{complaint}");
        }
    }
}

#[test]
fn files_that_are_not_there_and_one_without_the_other_are_told() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing.pem");
    let both = check(Some(&missing), Some(&missing));
    assert_eq!(both.iter().map(|it| it.key).collect::<Vec<_>>(), [CERTIFICATE, KEY]);
    assert!(both.iter().all(|it| it.allowed.contains("No such file")), "{both:?}");
    for (certificate, key, lonely) in
        [(Some(&*missing), None, CERTIFICATE), (None, Some(&*missing), KEY)]
    {
        let complaints = check(certificate, key);
        assert_eq!(complaints.len(), 1);
        assert_eq!(complaints[0].key, lonely);
        assert_eq!(complaints[0].allowed, "together with the other half of certificate and key");
    }
    assert!(check(None, None).is_empty());
}

#[test]
fn the_dates_are_those_of_the_certificate() {
    let directory = TempDir::new().unwrap();
    // From 2050 on a certificate writes its dates in another way.
    for (year, seconds) in [(2049, 2_493_072_000), (2050, 2_524_608_000), (9999, 253_370_764_800)] {
        write(&directory, &Made::until(year));
        let validity = Tls::load(files(&directory)).unwrap().pair.validity;
        let expected = Validity { not_before: 1_704_067_200, not_after: seconds };
        assert_eq!(validity, expected, "{year}");
    }
}

#[test]
fn the_last_fifth_of_a_life_is_its_end() {
    let validity = Validity { not_before: 1000, not_after: 2000 };
    for (now, standing) in [
        (999, Standing::NotYet),
        (1000, Standing::Good),
        (1800, Standing::Good),
        (1801, Standing::Ending),
        (2000, Standing::Ending),
        (2001, Standing::Over),
    ] {
        assert_eq!(validity.standing(now), standing, "{now}");
    }
}

#[test]
fn nothing_of_a_key_is_shown() {
    let directory = TempDir::new().unwrap();
    write(&directory, &Made::new());
    let shown = format!("{:?}", Tls::load(files(&directory)).unwrap());
    assert!(shown.starts_with("Tls { files: TlsFiles {") && shown.ends_with("}, .. }"), "{shown}");
}

#[tokio::test]
async fn a_pair_is_taken_when_it_was_found_twice() {
    let mut following = Following::start(&Made::new()).await;
    let metrics = following.telemetry.metrics().clone();
    assert_eq!(metrics.tls_certificate_expiry.get().to_string(), "4070908800");
    following.look().await;
    assert!(!following.has_changed());
    write(&following.directory, &Made::until(2098));
    following.look().await;
    assert!(!following.has_changed(), "it may not be whole yet");
    following.look().await;
    assert!(following.has_changed());
    assert_eq!(metrics.tls_certificate_expiry.get().to_string(), "4039372800");
    following.look().await;
    assert!(!following.has_changed());
    assert_eq!((following.count(CHANGED), following.count(REFUSED)), (1, 0));
    assert_eq!(following.count("2098-01-01T00:00:00+00:00"), 1);
}

#[tokio::test]
async fn a_certificate_that_comes_before_its_key_waits_for_it() {
    let old = Made::new();
    let mut following = Following::start(&old).await;
    let new = Made::new();
    write(&following.directory, &Made { certificate: new.certificate.clone(), key: old.key });
    following.look().await;
    write(&following.directory, &new);
    following.look().await;
    following.look().await;
    assert!(following.has_changed());
    assert_eq!(following.count(REFUSED), 0, "nobody was slow");
}

#[tokio::test]
async fn what_cannot_be_used_is_told_once_and_the_old_pair_stays() {
    let old = Made::new();
    let mut following = Following::start(&old).await;
    let nothing = || Made { certificate: String::new(), key: String::new() };
    let others_key = Made { key: Made::new().key, ..old.clone() };
    for (told, broken) in [nothing(), others_key, nothing()].iter().zip(1..).map(|(a, b)| (b, a)) {
        write(&following.directory, broken);
        for _ in 0..4 {
            following.look().await;
        }
        assert_eq!(following.count(REFUSED), told);
    }
    fs::remove_file(following.directory.path().join("tls.key")).unwrap();
    for _ in 0..4 {
        following.look().await;
    }
    assert_eq!(following.count(REFUSED), 4);
    assert!(!following.has_changed());
    // What is in use already is nothing new, and the next mistake is one of its own.
    write(&following.directory, &old);
    following.look().await;
    following.look().await;
    assert!(!following.has_changed());
    write(&following.directory, &nothing());
    following.look().await;
    following.look().await;
    assert_eq!(following.count(REFUSED), 5);
    write(&following.directory, &Made::new());
    following.look().await;
    following.look().await;
    assert!(following.has_changed());
    assert!(!following.captured.text().contains("MII"), "nothing of what was found is told");
}

#[tokio::test]
async fn a_mount_that_swaps_a_link_is_followed() {
    // As Kubernetes has it: files are links through `..data`, which a rename replaces.
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mount = |version: &str, made: &Made| {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("tls.crt"), &made.certificate).unwrap();
        fs::write(at(version).join("tls.key"), &made.key).unwrap();
        symlink(version, at("..next")).unwrap();
        fs::rename(at("..next"), at("..data")).unwrap();
    };
    mount("..1", &Made::new());
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), at(name)).unwrap();
    }
    let mut following = Following::start(&Made::new()).await;
    following.follower = {
        let tls = Tls::load(files(&directory)).unwrap();
        let (follower, config) = Follower::new(tls, following.telemetry.metrics().clone());
        following.config = config;
        follower
    };
    mount("..2", &Made::new());
    fs::remove_dir_all(at("..1")).unwrap();
    following.look().await;
    following.look().await;
    assert!(following.has_changed());
    assert_eq!(following.count(REFUSED), 0);
}

#[tokio::test]
async fn a_certificate_that_ends_is_warned_of_at_the_start_and_when_it_comes() {
    let mut following = Following::start(&Made::until(2025)).await;
    assert_eq!((following.count(WARNING), following.count("it has expired")), (1, 1));
    write(&following.directory, &Made::new());
    following.look().await;
    following.look().await;
    assert_eq!(following.count(WARNING), 1);
    write(&following.directory, &Made::until(2026));
    following.look().await;
    following.look().await;
    assert_eq!((following.count(WARNING), following.count("it has expired")), (2, 2));
}
