//! Which tokens of an outside issuer are access tokens for this service, and what they say of their
//! bearer (RFC 9068, RFC 8725).
//!
//! Outside issuers do not all call an access token one: `typ` may be `JWT`, or absent. What keeps other
//! tokens of theirs out is the audience, which must be ours, and claims that only others have.

use jsonwebtoken::errors::Error as JwtError;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::settings::AuthSettings;

/// Tokens of outside issuers carry groups and more; those of real ones stay well below.
const TOKEN_MAX: usize = 8192;
/// How far the clocks of issuer and service may differ, in seconds.
const LEEWAY: u32 = 30;
/// `OpenID` Connect Core, section 2.
const SUBJECT_MAX: usize = 255;
/// What `typ` may be beside absent, without the prefix of the media type.
const TYPES: [&str; 2] = ["at+jwt", "jwt"];
/// Claims of ID tokens, of logout tokens and other events, and of tokens that are worth nothing without
/// a proof which is not asked for here (RFC 7800): accepted, they would be worth more than they should.
const OF_OTHERS: [&str; 5] = ["at_hash", "c_hash", "s_hash", "events", "cnf"];
/// The names that Keycloak and Cognito have for ID tokens, which may be called JWT like all others.
const KINDS: [(&str, &str); 2] = [("typ", "ID"), ("token_use", "id")];

/// Judges tokens by what the settings say.
pub(super) struct Judge {
    issuer: String,
    audience: String,
    role_claim: String,
    admin_role: String,
}

/// What a valid token says of its bearer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bearer {
    /// What the issuer calls them.
    pub(super) subject: String,
    /// Whether they are administrators.
    pub(super) is_admin: bool,
    /// An address that is theirs, as the issuer has made sure.
    pub(super) verified_email: Option<String>,
}

/// Why a token is not accepted. Callers are not told which.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Longer than any that is sensible.
    #[error("the token is too long")]
    TooLong,
    /// Not an access token.
    #[error("the token is of another kind")]
    Kind,
    /// Issued in the future.
    #[error("the token is not valid yet")]
    Early,
    /// Of nobody.
    #[error("the token has no subject")]
    Subject,
    /// Not a token, altered, expired, or meant for somebody else.
    #[error("the token is not valid")]
    Invalid(#[from] JwtError),
}

#[derive(Deserialize)]
struct Claims {
    /// A list would be accepted by the validation.
    #[serde(rename = "iss")]
    _issuer: String,
    sub: String,
    iat: Option<f64>,
    email: Option<Value>,
    email_verified: Option<Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Judge {
    pub(super) fn new(settings: &AuthSettings, issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: settings.audience.clone(),
            role_claim: settings.oidc_role_claim.clone(),
            admin_role: settings.oidc_admin_role.clone(),
        }
    }

    /// What a token says of itself, unless it says that it is none of ours.
    pub(super) fn header(token: &str) -> Result<Header, Refusal> {
        if token.len() > TOKEN_MAX {
            return Err(Refusal::TooLong);
        }
        let header = jsonwebtoken::decode_header(token)?;
        // `crit` names extensions that must be understood; none are (RFC 7515, section 4.1.11).
        if !is_access_token(header.typ.as_deref()) || header.crit.is_some() {
            return Err(Refusal::Kind);
        }
        // No key of an issuer's is for these: nobody is to be asked for one.
        if header.alg.family() == AlgorithmFamily::Hmac {
            return Err(Refusal::Kind);
        }
        Ok(header)
    }

    /// The bearer of a token that this key has signed, for us and for now.
    pub(super) fn bearer(
        &self,
        token: &str,
        algorithm: Algorithm,
        key: &DecodingKey,
    ) -> Result<Bearer, Refusal> {
        let validation = self.validation(algorithm);
        let claims: Claims = jsonwebtoken::decode(token, key, &validation)?.claims;
        if claims.iat.is_some_and(is_in_the_future) {
            return Err(Refusal::Early);
        }
        if claims.is_of_another_kind() {
            return Err(Refusal::Kind);
        }
        if claims.sub.is_empty() || claims.sub.chars().count() > SUBJECT_MAX {
            return Err(Refusal::Subject);
        }
        Ok(Bearer {
            is_admin: self.is_admin(&claims),
            verified_email: claims.verified_email(),
            subject: claims.sub,
        })
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY.into();
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation
    }

    fn is_admin(&self, claims: &Claims) -> bool {
        let role = self.admin_role.as_str();
        match member(&claims.others, &self.role_claim) {
            Some(Value::String(text)) => text.split(' ').any(|word| word == role),
            Some(Value::Array(roles)) => roles.iter().any(|value| value == role),
            _ => false,
        }
    }
}

impl Claims {
    fn is_of_another_kind(&self) -> bool {
        let has = |name: &str| self.others.contains_key(name);
        let is = |(name, kind): &(&str, &str)| self.others.get(*name).is_some_and(|it| it == kind);
        OF_OTHERS.iter().any(|name| has(name)) || KINDS.iter().any(is)
    }

    /// The text `"true"` is no promise.
    fn verified_email(&self) -> Option<String> {
        let verified = self.email_verified == Some(Value::Bool(true));
        let email = self.email.as_ref().and_then(Value::as_str);
        email.filter(|_| verified).map(str::to_owned)
    }
}

/// A time of a JWT may have decimals.
#[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
fn is_in_the_future(seconds: f64) -> bool {
    seconds > jsonwebtoken::get_current_timestamp() as f64 + f64::from(LEEWAY)
}

/// RFC 9068, section 4: with or without the prefix of the media type, in any case.
fn is_access_token(typ: Option<&str>) -> bool {
    let Some(typ) = typ.map(str::to_ascii_lowercase) else {
        return true;
    };
    TYPES.contains(&typ.strip_prefix("application/").unwrap_or(&typ))
}

/// The claim at this path. A dot leads into an object, unless it belongs to a name, as in a URL.
fn member<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let inside = |(at, _)| {
        let object: &Map<String, Value> = claims.get(&path[..at])?.as_object()?;
        member(object, &path[at + 1..])
    };
    claims.get(path).or_else(|| path.match_indices('.').find_map(inside))
}

#[cfg(test)]
mod tests;
