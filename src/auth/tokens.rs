//! Access tokens: JWTs that this service signs with Ed25519 and verifies (RFC 9068, RFC 8725).
//!
//! A token says who its bearer is, never what the bearer may do: that is looked up, so that a new
//! role, a new password or a deletion counts at once.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::settings::Secret;
use chrono::Utc;
use jsonwebtoken::errors::Error as JwtError;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::settings::AuthSettings;

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

/// A key that signs, with the public part that others verify with.
pub(super) struct SigningKey {
    key: EncodingKey,
    public: VerifyingKey,
}

/// The public part of a key. Its id is the JWK thumbprint (RFC 7638), the same on every replica.
#[derive(Clone)]
struct VerifyingKey {
    id: String,
    key: DecodingKey,
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
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not PEM, or not of Ed25519.
    #[error("the signing key is no Ed25519 key as PKCS#8 in PEM")]
    Pem(#[source] JwtError),
    /// The PEM holds no usable key.
    #[error("the signing key is damaged")]
    Rejected(#[source] KeyRejected),
    /// No key could be made.
    #[error("no signing key could be generated")]
    Generate(#[source] Unspecified),
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
    /// Not a token, altered, expired, or meant for somebody else.
    #[error("the token is not valid")]
    Invalid(#[from] JwtError),
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
    /// The user's token version.
    ver: i64,
}

impl Tokens {
    /// Takes the key from the settings, or makes one that lasts as long as the process.
    pub fn new(settings: &AuthSettings) -> Result<Self, KeyError> {
        let signing = match &settings.signing_key {
            Some(pem) => SigningKey::from_pem(pem)?,
            None => SigningKey::generate()?,
        };
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Ok(Self {
            verifying: vec![signing.public.clone()],
            signing,
            validation,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            ttl: settings.access_ttl,
        })
    }

    /// Signs a token for this bearer.
    pub fn issue(&self, access: Access) -> Result<Issued, JwtError> {
        let token = self.sign(&self.header(), &self.claims(access))?;
        Ok(Issued { token: Secret::new(token), expires_in: self.ttl })
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
        let claims: Claims = jsonwebtoken::decode(token, &key.key, &self.validation)?.claims;
        if claims.iat > now() + LEEWAY {
            return Err(TokenError::Early);
        }
        Ok(Access { user_id: claims.sub, token_version: claims.ver })
    }

    fn header(&self) -> Header {
        Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(self.signing.public.id.clone()),
            ..Header::new(Algorithm::EdDSA)
        }
    }

    fn claims(&self, access: Access) -> Claims {
        let iat = now();
        Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: access.user_id,
            client_id: CLIENT.to_owned(),
            iat,
            exp: iat + self.ttl.as_secs(),
            jti: Uuid::now_v7(),
            ver: access.token_version,
        }
    }

    fn sign(&self, header: &Header, claims: &impl Serialize) -> Result<String, JwtError> {
        jsonwebtoken::encode(header, claims, &self.signing.key)
    }
}

impl SigningKey {
    /// Reads PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    pub(super) fn from_pem(pem: &Secret) -> Result<Self, KeyError> {
        let key = EncodingKey::from_ed_pem(pem.expose().as_bytes()).map_err(KeyError::Pem)?;
        let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes()).map_err(KeyError::Rejected)?;
        Ok(Self { public: VerifyingKey::new(pair.public_key().as_ref()), key })
    }

    fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(KeyError::Generate)?;
        let pkcs8 = pair.to_pkcs8().map_err(KeyError::Generate)?;
        Ok(Self {
            public: VerifyingKey::new(pair.public_key().as_ref()),
            key: EncodingKey::from_ed_der(pkcs8.as_ref()),
        })
    }
}

impl VerifyingKey {
    fn new(public: &[u8]) -> Self {
        // RFC 7638, section 3: the required members of the JWK, in this order, without spaces.
        let x = URL_SAFE_NO_PAD.encode(public);
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Self {
            id: URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes())),
            key: DecodingKey::from_ed_der(public),
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
