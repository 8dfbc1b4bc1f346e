//! Tokens that pass, and every kind that must not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use jsonwebtoken::errors::ErrorKind;
use serde_json::{Value, json};

use super::*;
use crate::properties::hold;

const BEARER: Access = Access { user_id: Uuid::from_u128(7), token_version: 3 };

#[test]
fn a_token_names_its_bearer_and_nothing_personal() {
    let tokens = tokens();
    let issued = tokens.issue(BEARER).unwrap();
    assert_eq!(tokens.verify(issued.token.expose()).unwrap(), BEARER);
    assert_eq!(issued.expires_in, Duration::from_mins(15));
    let header = jsonwebtoken::decode_header(issued.token.expose()).unwrap();
    assert_eq!((header.typ.as_deref(), header.alg), (Some("at+jwt"), Algorithm::EdDSA));
    let claims = serde_json::to_value(tokens.claims(BEARER)).unwrap();
    let mut names: Vec<_> = claims.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["aud", "client_id", "exp", "iat", "iss", "jti", "sub", "ver"]);
}

#[test]
fn the_type_may_be_written_as_a_media_type() {
    let tokens = tokens();
    for typ in ["AT+JWT", "application/at+jwt"] {
        let header = Header { typ: Some(typ.to_owned()), ..tokens.header() };
        let token = tokens.sign(&header, &tokens.claims(BEARER)).unwrap();
        assert!(tokens.verify(&token).is_ok(), "{typ}");
    }
}

#[test]
fn a_token_of_another_type_is_refused() {
    let tokens = tokens();
    for typ in [None, Some("JWT"), Some("id+jwt"), Some("application/jwt")] {
        let header = Header { typ: typ.map(str::to_owned), ..tokens.header() };
        let token = tokens.sign(&header, &tokens.claims(BEARER)).unwrap();
        assert!(matches!(tokens.verify(&token), Err(TokenError::Kind)), "{typ:?}");
    }
}

#[test]
fn critical_extensions_are_refused() {
    let tokens = tokens();
    let header = Header { crit: Some(vec!["b64".to_owned()]), ..tokens.header() };
    let token = tokens.sign(&header, &tokens.claims(BEARER)).unwrap();
    assert!(matches!(tokens.verify(&token), Err(TokenError::Kind)));
}

#[test]
fn a_token_without_signature_is_refused() {
    let tokens = tokens();
    let kid = &tokens.signing.public.id;
    let claims = json!(tokens.claims(BEARER));
    for alg in ["none", "None", "NONE"] {
        let header = json!({ "alg": alg, "typ": TYPE, "kid": kid });
        let token = format!("{}.{}.", encoded(&header), encoded(&claims));
        assert!(tokens.verify(&token).is_err(), "{alg}");
    }
}

/// The classical confusion: the public key, which everyone has, taken for a secret of HMAC.
#[test]
fn a_token_of_another_algorithm_is_refused() {
    let tokens = tokens();
    let public = tokens.verifying[0].key.try_get_as_bytes().unwrap();
    let header = Header { alg: Algorithm::HS256, ..tokens.header() };
    let key = EncodingKey::from_secret(public);
    let token = jsonwebtoken::encode(&header, &tokens.claims(BEARER), &key).unwrap();
    assert_eq!(refusal(&tokens, &token), ErrorKind::InvalidAlgorithm);
}

#[test]
fn claims_that_are_not_ours_are_refused() {
    let tokens = tokens();
    let now = now();
    let cases = [
        ("exp", json!(now - LEEWAY - 1)),
        ("exp", json!("never")),
        ("exp", Value::Null),
        ("iss", json!("somebody else")),
        ("iss", json!(["belvedere"])),
        ("aud", json!("somebody else")),
        ("aud", json!(["belvedere", "somebody else"])),
        ("sub", json!("root")),
        ("nbf", json!(now + 60)),
        ("iat", json!(now + 60)),
        ("ver", json!("3")),
    ];
    for (claim, value) in cases {
        let mut claims = json!(tokens.claims(BEARER));
        claims[claim] = value.clone();
        let token = tokens.sign(&tokens.header(), &claims).unwrap();
        assert!(tokens.verify(&token).is_err(), "{claim} = {value}");
    }
}

#[test]
fn every_claim_is_needed() {
    let tokens = tokens();
    for claim in ["aud", "client_id", "exp", "iat", "iss", "jti", "sub", "ver"] {
        let mut claims = json!(tokens.claims(BEARER));
        claims.as_object_mut().unwrap().remove(claim);
        let token = tokens.sign(&tokens.header(), &claims).unwrap();
        assert!(tokens.verify(&token).is_err(), "{claim}");
    }
}

#[test]
fn a_claim_given_twice_is_refused() {
    let tokens = tokens();
    let claims = json!(tokens.claims(BEARER)).to_string();
    let twice = claims.replacen('{', r#"{"sub":"00000000-0000-0000-0000-000000000001","#, 1);
    let header = encoded(&json!(tokens.header()));
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(twice));
    let key = &tokens.signing.key;
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, Algorithm::EdDSA).unwrap();
    assert!(tokens.verify(&format!("{message}.{signature}")).is_err());
}

#[test]
fn an_altered_token_is_refused() {
    let tokens = tokens();
    let issued = tokens.issue(BEARER).unwrap();
    let parts: Vec<&str> = issued.token.expose().split('.').collect();
    let mut claims = tokens.claims(BEARER);
    claims.sub = Uuid::from_u128(8);
    let forged = encoded(&json!(claims));
    let token = [parts[0], &forged, parts[2]].join(".");
    assert_eq!(refusal(&tokens, &token), ErrorKind::InvalidSignature);
}

#[test]
fn a_token_of_an_unknown_key_is_refused() {
    let (tokens, others) = (tokens(), tokens());
    let theirs = others.issue(BEARER).unwrap();
    assert!(matches!(tokens.verify(theirs.token.expose()), Err(TokenError::Key)));
    let pretending = others.sign(&tokens.header(), &others.claims(BEARER)).unwrap();
    assert_eq!(refusal(&tokens, &pretending), ErrorKind::InvalidSignature);
    let header = Header { kid: None, ..tokens.header() };
    let anonymous = tokens.sign(&header, &tokens.claims(BEARER)).unwrap();
    assert!(matches!(tokens.verify(&anonymous), Err(TokenError::Key)));
}

#[test]
fn what_is_no_token_is_refused() {
    let tokens = tokens();
    for text in ["", ".", "..", "a.b.c", "a.b.c.d", "é.é.é"] {
        assert!(tokens.verify(text).is_err(), "{text}");
    }
    let long = "a".repeat(TOKEN_MAX + 1);
    assert!(matches!(tokens.verify(&long), Err(TokenError::TooLong)));
}

/// The key pair of RFC 8037, appendix A, with its thumbprint from A.3.
#[test]
fn the_key_id_is_the_thumbprint() {
    let pem = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";
    let key = SigningKey::from_pem(&Secret::new(pem)).unwrap();
    assert_eq!(key.public.id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn what_is_no_key_is_refused() {
    for pem in ["", "secret", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        assert!(SigningKey::from_pem(&Secret::new(pem)).is_err());
    }
}

#[test]
fn no_byte_of_a_token_can_be_changed_and_nothing_can_be_cut_or_added() {
    let tokens = tokens();
    let token = tokens.issue(BEARER).unwrap().token.expose().to_owned();
    hold((0..token.len(), "[ -~]"), |(at, byte)| {
        let mut changed = token.clone();
        changed.replace_range(at..=at, &byte);
        let same = changed == token;
        assert_eq!(tokens.verify(&changed).is_ok(), same, "{at} {byte:?}");
        assert!(tokens.verify(&token[..at]).is_err());
        let mut longer = token.clone();
        longer.insert_str(at, &byte);
        assert!(tokens.verify(&longer).is_err(), "{at} {byte:?}");
    });
}

#[test]
fn nothing_that_was_made_up_is_a_token() {
    let tokens = tokens();
    let header = encoded(&json!(tokens.header()));
    hold("[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,90}|[ -~]{0,200}", |text| {
        assert!(tokens.verify(&text).is_err(), "{text}");
        assert!(tokens.verify(&format!("{header}.{text}")).is_err(), "{text}");
    });
}

fn tokens() -> Tokens {
    Tokens::new(&AuthSettings::default()).unwrap()
}

fn refusal(tokens: &Tokens, token: &str) -> ErrorKind {
    match tokens.verify(token) {
        Err(TokenError::Invalid(error)) => error.into_kind(),
        other => panic!("not refused by the verifier: {other:?}"),
    }
}

fn encoded(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}
