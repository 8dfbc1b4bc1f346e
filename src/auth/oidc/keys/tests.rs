//! Which keys of a set are of use, and for what.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;

use super::super::testing::{TestKey, encoded, set_of};
use super::*;

const EVERY: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

fn usable(key: &TestKey) -> bool {
    KeySet::parse(&set_of([key])).unwrap().len() == 1
}

#[test]
fn each_kind_of_key_signs_with_its_algorithms_and_no_others() {
    let keys = TestKey::each();
    let set = KeySet::parse(&set_of(&keys)).unwrap();
    let names = |id| {
        let signs = |algorithm: &&Algorithm| set.find(Some(id), **algorithm).is_some();
        EVERY.iter().filter(signs).map(|algorithm| format!("{algorithm:?}")).collect::<Vec<_>>()
    };
    assert_eq!(names("rsa"), ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]);
    assert_eq!(names("p256"), ["ES256"]);
    assert_eq!(names("p384"), ["ES384"]);
    assert_eq!(names("ed25519"), ["EdDSA"]);
    assert!(names("unknown").is_empty() && names("").is_empty());
}

#[test]
fn a_key_that_is_for_one_algorithm_signs_with_no_other() {
    let key = TestKey::rsa("rsa").with("alg", json!("PS256"));
    let set = KeySet::parse(&set_of([&key])).unwrap();
    assert!(set.find(Some("rsa"), Algorithm::PS256).is_some());
    assert!(set.find(Some("rsa"), Algorithm::RS256).is_none());
    assert!(usable(&TestKey::ed25519("a").with("alg", json!("Ed25519"))));
}

#[test]
fn keys_for_something_else_are_passed_over() {
    let key = || TestKey::p256("a");
    assert!(usable(&key().with("use", json!("sig")).with("key_ops", json!(["verify"]))));
    for (member, value) in [
        ("use", json!("enc")),
        ("use", json!(1)),
        ("key_ops", json!(["encrypt"])),
        ("key_ops", json!("verify")),
        ("alg", json!("ECDH-ES")),
        ("alg", json!("ES384")),
        ("alg", json!("HS256")),
        ("kty", json!("RSA")),
        ("kty", json!("oct")),
        ("kty", json!("AKP")),
        ("crv", json!("P-384")),
        ("crv", json!("secp256k1")),
        ("x", json!("AA")),
        ("y", json!("")),
        ("y", json!("?")),
    ] {
        assert!(!usable(&key().with(member, value.clone())), "{member} = {value}");
    }
}

#[test]
fn rsa_keys_have_2048_to_8192_bits_and_a_sane_exponent() {
    let key = |bytes: usize, exponent: &[u8]| {
        let modulus = [&[0][..], &vec![0xff; bytes]].concat();
        let key = TestKey::ed25519("a");
        let jwk =
            json!({ "kty": "RSA", "kid": "a", "n": encoded(modulus), "e": encoded(exponent) });
        usable(&TestKey { jwk, ..key })
    };
    assert!(key(256, &[1, 0, 1]) && key(1024, &[0, 1, 0, 1]) && key(256, &[3]));
    for (bytes, exponent) in [
        (128, &[1, 0, 1][..]),
        (255, &[1, 0, 1]),
        (1025, &[1, 0, 1]),
        (256, &[]),
        (256, &[0]),
        (256, &[1]),
        (256, &[1, 0, 0]),
        (256, &[0xff; 32]),
    ] {
        assert!(!key(bytes, exponent), "{bytes} {exponent:?}");
    }
}

#[test]
fn a_secret_is_no_key_whatever_it_is_called() {
    let set = json!({ "keys": [{ "kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256" }] });
    assert_eq!(KeySet::parse(set.to_string().as_bytes()).unwrap().len(), 0);
}

#[test]
fn of_two_keys_with_one_name_the_first_counts_unless_they_are_of_different_kinds() {
    let (first, second, other) = (TestKey::p256("a"), TestKey::p256("a"), TestKey::rsa("a"));
    let set = KeySet::parse(&set_of([&first, &second, &other])).unwrap();
    assert_eq!(set.len(), 2);
    let only = KeySet::parse(&set_of([&first])).unwrap();
    let bytes = |set: &KeySet| {
        let key = set.find(Some("a"), Algorithm::ES256).unwrap();
        key.try_get_as_bytes().unwrap().to_vec()
    };
    assert_eq!(bytes(&set), bytes(&only));
    assert!(set.find(Some("a"), Algorithm::RS256).is_some());
}

#[test]
fn a_token_that_names_no_key_is_of_the_only_one_that_fits() {
    let keys = [TestKey::p256("a"), TestKey::p256("b"), TestKey::ed25519("c")];
    let set = KeySet::parse(&set_of(&keys)).unwrap();
    assert!(set.find(None, Algorithm::EdDSA).is_some());
    assert!(set.find(None, Algorithm::ES256).is_none());
    assert!(set.find(None, Algorithm::RS256).is_none());
}

#[test]
fn what_is_no_set_of_keys_is_refused_and_so_is_too_large_a_one() {
    for text in ["", "<html>", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":"#] {
        assert!(matches!(KeySet::parse(text.as_bytes()), Err(KeySetError::Json(_))), "{text}");
    }
    let many = |count| json!({ "keys": vec![Value::Null; count] }).to_string().into_bytes();
    assert_eq!(KeySet::parse(&many(KEYS_MAX)).unwrap().len(), 0);
    assert!(matches!(KeySet::parse(&many(KEYS_MAX + 1)), Err(KeySetError::TooMany(51))));
}
