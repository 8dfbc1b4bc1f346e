//! The keys of access tokens: Ed25519 (RFC 8037), known by their thumbprints.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::settings::Secret;
use jsonwebtoken::errors::Error as JwtError;
use jsonwebtoken::{DecodingKey, EncodingKey};
use pem::PemError;

/// What stands before the 32 bytes of a public key in its `SubjectPublicKeyInfo` (RFC 8410, section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key that signs, with the public part that others verify with.
pub(in crate::auth) struct SigningKey {
    pub(super) key: EncodingKey,
    pub(super) public: VerifyingKey,
}

/// The public part of a key. Its id is the JWK thumbprint (RFC 7638), the same on every replica.
#[derive(Clone)]
pub(in crate::auth) struct VerifyingKey {
    pub(super) id: String,
    pub(super) key: DecodingKey,
    x: String,
}

/// A public key as others read it (RFC 7517, RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    /// `kid` of the tokens that it verifies.
    pub id: String,
    /// The public key, base64url.
    pub x: String,
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
    /// A list of keys that is no PEM.
    #[error("the previous keys are not in PEM")]
    List(#[source] PemError),
    /// A previous key that is none of Ed25519, neither private nor public.
    #[error("a previous key is no Ed25519 key, private as PKCS#8 or public")]
    Kind,
    /// No key could be made.
    #[error("no signing key could be generated")]
    Generate(#[source] Unspecified),
}

impl SigningKey {
    /// Reads PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    pub(in crate::auth) fn from_pem(pem: &Secret) -> Result<Self, KeyError> {
        let key = EncodingKey::from_ed_pem(pem.expose().as_bytes()).map_err(KeyError::Pem)?;
        let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes()).map_err(KeyError::Rejected)?;
        Ok(Self { public: VerifyingKey::of(&pair), key })
    }

    pub(super) fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(KeyError::Generate)?;
        let pkcs8 = pair.to_pkcs8().map_err(KeyError::Generate)?;
        Ok(Self { public: VerifyingKey::of(&pair), key: EncodingKey::from_ed_der(pkcs8.as_ref()) })
    }
}

impl VerifyingKey {
    /// Reads all keys of a text: private ones, of which only the public part is kept, and public ones, as
    /// `openssl pkey -pubout` writes them.
    pub(in crate::auth) fn from_pem(pem: &Secret) -> Result<Vec<Self>, KeyError> {
        let blocks = pem::parse_many(pem.expose()).map_err(KeyError::List)?;
        if blocks.is_empty() {
            return Err(KeyError::Kind);
        }
        blocks.iter().map(|block| Self::from_der(block.contents())).collect()
    }

    /// As others read it.
    pub(super) fn jwk(&self) -> Jwk {
        Jwk { id: self.id.clone(), x: self.x.clone() }
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        if let Some(public) = der.strip_prefix(&SPKI) {
            return if public.len() == 32 { Ok(Self::new(public)) } else { Err(KeyError::Kind) };
        }
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| KeyError::Kind)?;
        Ok(Self::of(&pair))
    }

    fn of(pair: &Ed25519KeyPair) -> Self {
        Self::new(pair.public_key().as_ref())
    }

    fn new(public: &[u8]) -> Self {
        // RFC 7638, section 3: the required members of the JWK, in this order, without spaces.
        let x = URL_SAFE_NO_PAD.encode(public);
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Self {
            id: URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes())),
            key: DecodingKey::from_ed_der(public),
            x,
        }
    }
}
