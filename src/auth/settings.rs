//! The keys of the section `auth`.

use std::path::PathBuf;
use std::time::Duration;

use chassis::settings::{Environment, Report, Secret};

use super::oidc;
use super::tokens::{SigningKey, VerifyingKey};
use crate::sessions::Lifetimes;

/// A stolen token is good for so long: longer than a day is not an access token any more.
const ACCESS_TTL_MAX: Duration = Duration::from_hours(24);
/// NIST SP 800-63B-4 asks for a new login after 30 days; a year is for those who have weighed it.
const SESSION_TTL_MAX: Duration = Duration::from_hours(365 * 24);
/// A thief has so long to use what its victim has just spent.
const GRACE_MAX: Duration = Duration::from_mins(1);

chassis::one_of! {
    /// Who vouches for callers.
    pub enum AuthMode {
        /// This service: it issues the tokens that it accepts.
        Local = "local",
        /// The issuer that `auth.oidc_issuer` names: its tokens are accepted, and none are issued.
        Oidc = "oidc",
        /// Nobody: every caller is an administrator. For development.
        Off = "off",
    }
}

chassis::one_of! {
    /// Who may create users.
    pub enum Registration {
        /// Anyone.
        Open = "open",
        /// Administrators.
        Admin = "admin",
    }
}

chassis::settings! {
    /// Who callers are, and how they prove it.
    pub struct AuthSettings {
        /// Who vouches for callers; `off` makes everyone an administrator, for development only.
        pub mode: AuthMode = AuthMode::Local,
        /// Who may create users with `POST /users`.
        pub registration: Registration = Registration::Open,
        /// Ed25519 private key that signs the tokens, as PKCS#8 in PEM; generated in development.
        pub signing_key: Option<Secret> = None,
        /// Keys that signed before, or will sign soon: what they sign is accepted too. Ed25519 in PEM, private or public.
        pub previous_keys: Option<Vec<Secret>> = None,
        /// `iss` of the tokens.
        pub issuer: String = "belvedere".to_owned(),
        /// `aud` of the tokens.
        pub audience: String = "belvedere".to_owned(),
        /// How long an access token is valid.
        pub access_ttl: Duration = Duration::from_mins(15),
        /// A session whose refresh token is not used for so long is over.
        pub refresh_ttl: Duration = Duration::from_hours(14 * 24),
        /// A session is over after so long, however it is used.
        pub session_ttl: Duration = Duration::from_hours(30 * 24),
        /// A spent refresh token may come again for so long, from requests sent side by side, until its successor is used.
        pub refresh_grace: Duration = Duration::from_secs(5),
        /// URL of the issuer whose tokens are accepted with `auth.mode = "oidc"`, as its discovery document
        /// has it. `auth.audience` must be among the `aud` of the tokens.
        pub oidc_issuer: Option<String> = None,
        /// The claim that has the roles of a token's bearer; dots lead into objects.
        pub oidc_role_claim: String = "roles".to_owned(),
        /// The role that makes the bearer an administrator.
        pub oidc_admin_role: String = "admin".to_owned(),
        /// Certificates (PEM) that sign the issuer's, instead of those of public authorities.
        pub oidc_ca_file: Option<PathBuf> = None,
    }
}

impl AuthSettings {
    /// Rejects what cannot work, and in production what is not safe.
    pub fn check(&self, environment: Environment, report: &mut Report) {
        let production = environment == Environment::Production;
        if production && self.mode == AuthMode::Off {
            report.reject("auth.mode", "local or oidc; off is for development");
        }
        match &self.signing_key {
            None if production && self.mode == AuthMode::Local => {
                report.reject("auth.signing_key", "a key: in production none is generated");
            }
            Some(key) if SigningKey::from_pem(key).is_err() => {
                report.reject("auth.signing_key", "an Ed25519 private key as PKCS#8 in PEM");
            }
            _ => {}
        }
        if self.previous_keys.iter().flatten().any(|pem| VerifyingKey::from_pem(pem).is_err()) {
            let allowed = "Ed25519 keys in PEM, private as PKCS#8 or public";
            report.reject("auth.previous_keys", allowed);
        }
        for (key, value) in [("auth.issuer", &self.issuer), ("auth.audience", &self.audience)] {
            if value.is_empty() {
                report.reject(key, "a text that is not empty");
            }
        }
        oidc::check(self, environment, report);
        if self.access_ttl < Duration::from_secs(1) || self.access_ttl > ACCESS_TTL_MAX {
            report.reject("auth.access_ttl", "1s to 24h");
        }
        self.check_sessions(report);
    }

    /// How long sessions last.
    pub fn lifetimes(&self) -> Lifetimes {
        Lifetimes { idle: self.refresh_ttl, absolute: self.session_ttl, grace: self.refresh_grace }
    }

    fn check_sessions(&self, report: &mut Report) {
        if self.session_ttl < Duration::from_secs(1) || self.session_ttl > SESSION_TTL_MAX {
            report.reject("auth.session_ttl", "1s to 365d");
        }
        // Longer than auth.session_ttl, it is that which ends a session, and who shortens the one need not
        // know of the other.
        if self.refresh_ttl < Duration::from_secs(1) || self.refresh_ttl > SESSION_TTL_MAX {
            report.reject("auth.refresh_ttl", "1s to 365d");
        }
        if self.refresh_grace > GRACE_MAX {
            report.reject("auth.refresh_grace", "at most 1m");
        }
    }
}
