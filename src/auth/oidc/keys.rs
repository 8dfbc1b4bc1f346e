//! The keys of an issuer, out of a JWK Set (RFC 7517): those that sign tokens, and of each what it may
//! sign. What cannot be used here is passed over, as section 5 wants it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// An issuer has one key or two for each algorithm.
const KEYS_MAX: usize = 50;
/// Of RSA in bytes: shorter is broken, longer costs more than it is worth.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;
/// Of RSA; 65537 in practice. What is longer costs time with every token.
const EXPONENT: std::ops::RangeInclusive<u128> = 3..=(1 << 33) - 1;

/// The keys that an issuer signs with.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    kind: Kind,
    /// The only algorithm that it is for, if the issuer says so.
    algorithm: Option<Algorithm>,
    public: DecodingKey,
}

/// Why a document is no set of keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeySetError {
    /// Not a JSON object with the member `keys`.
    #[error("the keys are no JWK Set")]
    Json(#[from] serde_json::Error),
    /// More than an issuer has.
    #[error("there are {0} keys; {KEYS_MAX} are the most")]
    TooMany(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

impl KeySet {
    /// Reads a JWK Set.
    pub(super) fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        let document: Document = serde_json::from_slice(document)?;
        if document.keys.len() > KEYS_MAX {
            return Err(KeySetError::TooMany(document.keys.len()));
        }
        let mut set = Self::default();
        let read = document.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        for key in read.filter_map(|jwk: Jwk| Key::of(&jwk)) {
            // Two of one name and kind would be a matter of luck: the first one is meant.
            if !set.0.iter().any(|known| known.id == key.id && known.kind == key.kind) {
                set.0.push(key);
            }
        }
        Ok(set)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key that a token names, if it may sign with this algorithm. A token that names none is of the
    /// only key that may (`OpenID` Connect Core, section 10.1).
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let named = |key: &&Key| id.is_none() || key.id.as_deref() == id;
        let mut fitting = self.0.iter().filter(named).filter(|key| key.signs_with(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Some(&key.public),
            _ => None,
        }
    }
}

impl Key {
    /// None where it is for something else, or not as strong as it must be.
    fn of(jwk: &Jwk) -> Option<Self> {
        let for_signing = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
        let verifies = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
        if !for_signing || !jwk.key_ops.as_ref().is_none_or(verifies) {
            return None;
        }
        let kind = Kind::of(jwk)?;
        let algorithm = match jwk.alg.as_deref() {
            None => None,
            // RFC 9864 calls it by the curve.
            Some("Ed25519") => Some(Algorithm::EdDSA),
            Some(name) => Some(name.parse().ok()?),
        };
        let key = Self { id: jwk.kid.clone(), kind, algorithm, public: kind.public(jwk)? };
        algorithm.is_none_or(|algorithm| key.signs_with(algorithm)).then_some(key)
    }

    fn signs_with(&self, algorithm: Algorithm) -> bool {
        self.kind.signs_with(algorithm) && self.algorithm.is_none_or(|only| only == algorithm)
    }
}

impl Kind {
    fn of(jwk: &Jwk) -> Option<Self> {
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", None) => Some(Self::Rsa),
            ("EC", Some("P-256")) => Some(Self::P256),
            ("EC", Some("P-384")) => Some(Self::P384),
            ("OKP", Some("Ed25519")) => Some(Self::Ed25519),
            _ => None,
        }
    }

    /// Which algorithms are for this kind of key; no symmetric one is for any.
    fn signs_with(self, algorithm: Algorithm) -> bool {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match self {
            Self::Rsa => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            Self::P256 => algorithm == ES256,
            Self::P384 => algorithm == ES384,
            Self::Ed25519 => algorithm == EdDSA,
        }
    }

    fn public(self, jwk: &Jwk) -> Option<DecodingKey> {
        match self {
            Self::Rsa => rsa(&decoded(&jwk.n)?, &decoded(&jwk.e)?),
            Self::P256 => point(jwk, 32),
            Self::P384 => point(jwk, 48),
            Self::Ed25519 => {
                let x = decoded(&jwk.x).filter(|x| x.len() == 32)?;
                Some(DecodingKey::from_ed_der(&x))
            }
        }
    }
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<DecodingKey> {
    let length = modulus.iter().skip_while(|byte| **byte == 0).count();
    let significant = exponent.iter().skip_while(|byte| **byte == 0);
    let value = significant
        .fold(0_u128, |value, byte| value.saturating_mul(256).saturating_add((*byte).into()));
    let sane = MODULUS.contains(&length) && EXPONENT.contains(&value) && value % 2 == 1;
    sane.then(|| DecodingKey::from_rsa_raw_components(modulus, exponent))
}

fn point(jwk: &Jwk, length: usize) -> Option<DecodingKey> {
    let whole = |coordinate: &str| decoded(coordinate).is_some_and(|bytes| bytes.len() == length);
    if !whole(&jwk.x) || !whole(&jwk.y) {
        return None;
    }
    DecodingKey::from_ec_components(&jwk.x, &jwk.y).ok()
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests;
