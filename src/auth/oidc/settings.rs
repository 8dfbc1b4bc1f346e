//! What is wrong with the keys `auth.oidc_…`.

use chassis::settings::{Environment, Report};

use super::super::settings::{AuthMode, AuthSettings};
use super::fetcher;
use super::issuer::Issuer;

/// As much as the table has room for.
const ISSUER_MAX: usize = 255;

/// Rejects what cannot work: all of it with `auth.mode = "oidc"`, else what is given in vain as well.
pub(in crate::auth) fn check(
    settings: &AuthSettings,
    environment: Environment,
    report: &mut Report,
) {
    const URL: &str = "the https URL of an issuer, as its discovery document has it (http only on this machine or in development)";
    match &settings.oidc_issuer {
        None if settings.mode == AuthMode::Oidc => report.reject("auth.oidc_issuer", URL),
        Some(name)
            if name.chars().count() > ISSUER_MAX || Issuer::parse(name, environment).is_none() =>
        {
            report.reject("auth.oidc_issuer", URL);
        }
        _ => {}
    }
    for (key, value) in [
        ("auth.oidc_role_claim", &settings.oidc_role_claim),
        ("auth.oidc_admin_role", &settings.oidc_admin_role),
    ] {
        if value.is_empty() || value.contains(' ') {
            report.reject(key, "a text that is not empty, without spaces");
        }
    }
    if let Err(error) = fetcher(settings) {
        let reason = chassis::problem::chain(&error);
        let expected = format!("the path of a PEM file with certificates ({reason})");
        report.reject("auth.oidc_ca_file", expected);
    }
}
