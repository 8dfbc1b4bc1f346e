//! An issuer of the tests: keys of every kind, and what they sign.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub(super) const ISSUER: &str = "https://id.example.com/realms/one";
pub(super) const AUDIENCE: &str = "belvedere";

/// A key with both its parts.
pub(super) struct TestKey {
    pub(super) algorithm: Algorithm,
    pub(super) private: EncodingKey,
    /// The public part, as it stands in the issuer's set.
    pub(super) jwk: Value,
}

impl TestKey {
    pub(super) fn rsa(id: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'static> = pair.as_der().unwrap();
        let public = pair.public_key();
        let part = |number: aws_lc_rs::signature::RsaPublicKeyComponents<Vec<u8>>| {
            (encoded(&number.n), encoded(&number.e))
        };
        let (n, e) = part(public.into());
        Self {
            algorithm: Algorithm::RS256,
            private: EncodingKey::from_rsa_pem(pem(der.as_ref()).as_bytes()).unwrap(),
            jwk: json!({ "kty": "RSA", "kid": id, "n": n, "e": e }),
        }
    }

    pub(super) fn p256(id: &str) -> Self {
        Self::elliptic(id, Algorithm::ES256, "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(super) fn p384(id: &str) -> Self {
        Self::elliptic(id, Algorithm::ES384, "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    pub(super) fn ed25519(id: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = encoded(pair.public_key().as_ref());
        Self {
            algorithm: Algorithm::EdDSA,
            private: EncodingKey::from_ed_der(pair.to_pkcs8().unwrap().as_ref()),
            jwk: json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": x }),
        }
    }

    fn elliptic(
        id: &str,
        algorithm: Algorithm,
        curve: &str,
        signing: &'static EcdsaSigningAlgorithm,
    ) -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(signing, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8.as_ref()).unwrap();
        // Uncompressed: a byte that says so, then both coordinates.
        let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
        Self {
            algorithm,
            private: EncodingKey::from_ec_der(pkcs8.as_ref()),
            jwk: json!({ "kty": "EC", "crv": curve, "kid": id, "x": encoded(x), "y": encoded(y) }),
        }
    }

    /// One of each kind.
    pub(super) fn each() -> [Self; 4] {
        [Self::rsa("rsa"), Self::p256("p256"), Self::p384("p384"), Self::ed25519("ed25519")]
    }

    pub(super) fn id(&self) -> &str {
        self.jwk["kid"].as_str().unwrap()
    }

    /// The same with another member in its public part.
    pub(super) fn with(mut self, member: &str, value: Value) -> Self {
        self.jwk[member] = value;
        self
    }

    /// The head of a token of this key.
    pub(super) fn header(&self) -> Header {
        Header {
            typ: Some("at+jwt".to_owned()),
            kid: Some(self.id().to_owned()),
            ..Header::new(self.algorithm)
        }
    }

    pub(super) fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.private).unwrap()
    }
}

/// PKCS#8 in PEM, out of which the library takes the key: as DER it wants PKCS#1.
fn pem(pkcs8: &[u8]) -> String {
    let key = BASE64_STANDARD.encode(pkcs8);
    format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n")
}

/// A set of these keys.
pub(super) fn set_of<'a>(keys: impl IntoIterator<Item = &'a TestKey>) -> Vec<u8> {
    let keys: Vec<&Value> = keys.into_iter().map(|key| &key.jwk).collect();
    json!({ "keys": keys }).to_string().into_bytes()
}

/// The claims of a token that is accepted.
pub(super) fn claims() -> Value {
    let now = now();
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300 })
}

pub(super) fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

pub(super) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
