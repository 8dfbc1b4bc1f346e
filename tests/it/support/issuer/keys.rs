//! The keys of the issuer, made anew in each process.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub(super) struct IssuerKey {
    pub(super) id: String,
    pub(super) jwk: Value,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl IssuerKey {
    /// For `RS256`, `ES256` or `EdDSA`.
    pub(super) fn generate(id: &str, algorithm: &str) -> Self {
        let (private, mut jwk) = match algorithm {
            "RS256" => rsa(),
            "ES256" => p256(),
            "EdDSA" => ed25519(),
            other => panic!("{other}"),
        };
        jwk["kid"] = json!(id);
        jwk["alg"] = json!(algorithm);
        jwk["use"] = json!("sig");
        Self { id: id.to_owned(), jwk, algorithm: algorithm.parse().unwrap(), private }
    }

    /// A token with these claims; `header` has members that replace the usual ones.
    pub(super) fn sign(&self, claims: &Value, header: &Value) -> String {
        let mut usual = json!({ "typ": "at+jwt", "alg": self.algorithm, "kid": self.id });
        extend(&mut usual, header);
        let header: Header = serde_json::from_value(usual).unwrap();
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }
}

/// Sets these members; null takes one away.
pub(super) fn extend(object: &mut Value, members: &Value) {
    let object = object.as_object_mut().unwrap();
    for (name, value) in members.as_object().into_iter().flatten() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
}

fn rsa() -> (EncodingKey, Value) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public: RsaPublicKeyComponents<Vec<u8>> = pair.public_key().into();
    let pkcs8: Pkcs8V1Der<'static> = pair.as_der().unwrap();
    // As DER the library wants PKCS#1, which it takes out of PEM by itself.
    let pem = BASE64_STANDARD.encode(pkcs8.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
    let private = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    (private, json!({ "kty": "RSA", "n": encoded(&public.n), "e": encoded(&public.e) }))
}

fn p256() -> (EncodingKey, Value) {
    let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(signing, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8.as_ref()).unwrap();
    // A byte that says that both coordinates follow.
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y) });
    (EncodingKey::from_ec_der(pkcs8.as_ref()), jwk)
}

fn ed25519() -> (EncodingKey, Value) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key().as_ref()) });
    (EncodingKey::from_ed_der(pair.to_pkcs8().unwrap().as_ref()), jwk)
}

fn encoded(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
