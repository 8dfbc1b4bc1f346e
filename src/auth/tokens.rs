//! Access tokens: JWTs that this service signs with Ed25519 and verifies (RFC 9068, RFC 8725).
//!
//! A token says who its bearer is, never what the bearer may do: that is looked up, so that a new
//! role, a new password or a deletion counts at once.

use std::time::Duration;

use chassis::settings::Secret;
use chrono::{DateTime, Utc};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::settings::AuthSettings;

mod keys;

pub use keys::{Jwk, KeyError};
pub(super) use keys::{SigningKey, VerifyingKey};

/// RFC 9068, section 2.1: keeps other JWTs of the same issuer from passing for access tokens.
const TYPE: &str = "at+jwt";
/// Our own tokens have some 500 bytes.
const TOKEN_MAX: usize = 4096;
/// How far the clocks of replicas may differ, in seconds.
const LEEWAY: u64 = 5;
/// `client_id` of RFC 9068: tokens are given to users themselves, not to clients on their behalf.
const CLIENT: &str = "belvedere-login";

/// Signs tokens with one key and verifies those of the keys that it knows.
pub struct Tokens {
    signing: SigningKey,
    verifying: Vec<VerifyingKey>,
    validation: Validation,
    issuer: String,
    audience: String,
    ttl: Duration,
}

/// A new token.
pub struct Issued {
    /// What the bearer sends.
    pub token: Secret,
    /// How long it is valid.
    pub expires_in: Duration,
}

/// What a valid token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Its bearer.
    pub user_id: Uuid,
    /// The user's token version when it was issued; an older one has ended.
    pub token_version: i64,
    /// The session that it was issued for, with which it ends.
    pub session_id: Uuid,
}

/// Why a token is not accepted. Callers are not told which.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Longer than any token that was issued.
    #[error("the token is too long")]
    TooLong,
    /// The header asks for what access tokens do not have.
    #[error("the token is of another kind")]
    Kind,
    /// Signed with a key that is not known here.
    #[error("the token's key is unknown")]
    Key,
    /// Issued in the future.
    #[error("the token is not valid yet")]
    Early,
    /// Not a token.
    #[error("the token is malformed")]
    Malformed(#[from] JwtError),
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Names a key of ours and does not hold: altered, made up, or meant for somebody else.
    #[error("the token is forged")]
    Forged(#[source] JwtError),
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    client_id: String,
    iat: u64,
    exp: u64,
    jti: Uuid,
    /// The session: a name that `OpenID` Connect registered.
    sid: Uuid,
    /// The user's token version.
    ver: i64,
}

impl Tokens {
    /// Takes the keys from the settings, or makes one that lasts as long as the process.
    pub fn new(settings: &AuthSettings) -> Result<Self, KeyError> {
        let signing = match &settings.signing_key {
            Some(pem) => SigningKey::from_pem(pem)?,
            None => SigningKey::generate()?,
        };
        let mut verifying = vec![signing.public.clone()];
        for pem in settings.previous_keys.iter().flatten() {
            for key in VerifyingKey::from_pem(pem)? {
                // A list that stays the same while keys change names the one that signs as well.
                if verifying.iter().all(|known: &VerifyingKey| known.id != key.id) {
                    verifying.push(key);
                }
            }
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Ok(Self {
            verifying,
            signing,
            validation,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            ttl: settings.access_ttl,
        })
    }

    /// Signs a token for this bearer, which ends with `session_ends_at` at the latest.
    pub fn issue(
        &self,
        access: Access,
        session_ends_at: DateTime<Utc>,
    ) -> Result<Issued, JwtError> {
        let left = (session_ends_at - Utc::now()).to_std().unwrap_or_default();
        // A session that is over was refused before; a token without time would say that it is not.
        let expires_in = self.ttl.min(left).max(Duration::from_secs(1));
        let token = self.sign(&self.header(), &self.claims(access, expires_in))?;
        Ok(Issued { token: Secret::new(token), expires_in })
    }

    /// The public keys that tokens of this service are to be verified with (RFC 7517), the one that signs
    /// first.
    pub fn jwks(&self) -> Vec<Jwk> {
        self.verifying.iter().map(VerifyingKey::jwk).collect()
    }

    /// The bearer of a token that was issued here for us and is in force.
    pub fn verify(&self, token: &str) -> Result<Access, TokenError> {
        if token.len() > TOKEN_MAX {
            return Err(TokenError::TooLong);
        }
        let header = jsonwebtoken::decode_header(token)?;
        // `crit` names extensions that must be understood; none are (RFC 7515, section 4.1.11).
        if !is_access_token(header.typ.as_deref()) || header.crit.is_some() {
            return Err(TokenError::Kind);
        }
        // The key is one of our own: what the header says of other keys (jwk, jku, x5u) is not read.
        let key = self.verifying.iter().find(|key| Some(&key.id) == header.kid.as_ref());
        let key = key.ok_or(TokenError::Key)?;
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.key, &self.validation);
        let claims = decoded.map_err(TokenError::of_known_key)?.claims;
        if claims.iat > now() + LEEWAY {
            return Err(TokenError::Early);
        }
        Ok(Access { user_id: claims.sub, token_version: claims.ver, session_id: claims.sid })
    }

    fn header(&self) -> Header {
        Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(self.signing.public.id.clone()),
            ..Header::new(Algorithm::EdDSA)
        }
    }

    fn claims(&self, access: Access, expires_in: Duration) -> Claims {
        let iat = now();
        Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: access.user_id,
            client_id: CLIENT.to_owned(),
            iat,
            exp: iat + expires_in.as_secs(),
            jti: Uuid::now_v7(),
            sid: access.session_id,
            ver: access.token_version,
        }
    }

    fn sign(&self, header: &Header, claims: &impl Serialize) -> Result<String, JwtError> {
        jsonwebtoken::encode(header, claims, &self.signing.key)
    }
}

impl TokenError {
    fn of_known_key(error: JwtError) -> Self {
        match error.kind() {
            ErrorKind::ExpiredSignature => Self::Expired,
            _ => Self::Forged(error),
        }
    }
}

/// RFC 9068, section 4: with or without the prefix of the media type, in any case.
fn is_access_token(typ: Option<&str>) -> bool {
    let typ = typ.unwrap_or_default().to_ascii_lowercase();
    typ.strip_prefix("application/").unwrap_or(&typ) == TYPE
}

fn now() -> u64 {
    u64::try_from(Utc::now().timestamp()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
