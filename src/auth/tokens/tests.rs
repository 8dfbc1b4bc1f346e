//! Tokens that pass, and every kind that must not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chassis::testing::hold;
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

use super::*;

const BEARER: Access =
    Access { user_id: Uuid::from_u128(7), token_version: 3, session_id: Uuid::from_u128(9) };
const TTL: Duration = Duration::from_mins(15);

#[test]
fn a_token_names_its_bearer_and_nothing_personal() {
    let tokens = tokens();
    let issued = tokens.issue(BEARER, in_a_month()).unwrap();
    assert_eq!(tokens.verify(issued.token.expose()).unwrap(), BEARER);
    assert_eq!(issued.expires_in, Duration::from_mins(15));
    let header = jsonwebtoken::decode_header(issued.token.expose()).unwrap();
    assert_eq!((header.typ.as_deref(), header.alg), (Some("at+jwt"), Algorithm::EdDSA));
    let claims = serde_json::to_value(tokens.claims(BEARER, TTL)).unwrap();
    let mut names: Vec<_> = claims.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["aud", "client_id", "exp", "iat", "iss", "jti", "sid", "sub", "ver"]);
}

#[test]
fn the_type_may_be_written_as_a_media_type() {
    let tokens = tokens();
    for typ in ["AT+JWT", "application/at+jwt"] {
        let header = Header { typ: Some(typ.to_owned()), ..tokens.header() };
        let token = tokens.sign(&header, &tokens.claims(BEARER, TTL)).unwrap();
        assert!(tokens.verify(&token).is_ok(), "{typ}");
    }
}

#[test]
fn a_token_of_another_type_is_refused() {
    let tokens = tokens();
    for typ in [None, Some("JWT"), Some("id+jwt"), Some("application/jwt")] {
        let header = Header { typ: typ.map(str::to_owned), ..tokens.header() };
        let token = tokens.sign(&header, &tokens.claims(BEARER, TTL)).unwrap();
        assert!(matches!(tokens.verify(&token), Err(TokenError::Kind)), "{typ:?}");
    }
}

#[test]
fn critical_extensions_are_refused() {
    let tokens = tokens();
    let header = Header { crit: Some(vec!["b64".to_owned()]), ..tokens.header() };
    let token = tokens.sign(&header, &tokens.claims(BEARER, TTL)).unwrap();
    assert!(matches!(tokens.verify(&token), Err(TokenError::Kind)));
}

#[test]
fn a_token_without_signature_is_refused() {
    let tokens = tokens();
    let kid = &tokens.signing.public.id;
    let claims = json!(tokens.claims(BEARER, TTL));
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
    let token = jsonwebtoken::encode(&header, &tokens.claims(BEARER, TTL), &key).unwrap();
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
        ("sid", json!("mine")),
        ("ver", json!("3")),
    ];
    for (claim, value) in cases {
        let mut claims = json!(tokens.claims(BEARER, TTL));
        claims[claim] = value.clone();
        let token = tokens.sign(&tokens.header(), &claims).unwrap();
        assert!(tokens.verify(&token).is_err(), "{claim} = {value}");
    }
}

/// Clients do it every quarter of an hour, and nobody is to be alarmed.
#[test]
fn a_token_that_has_expired_is_told_from_a_forged_one() {
    let tokens = tokens();
    let mut claims = json!(tokens.claims(BEARER, TTL));
    claims["exp"] = json!(now() - LEEWAY - 1);
    let token = tokens.sign(&tokens.header(), &claims).unwrap();
    assert!(matches!(tokens.verify(&token), Err(TokenError::Expired)));
}

#[test]
fn every_claim_is_needed() {
    let tokens = tokens();
    for claim in ["aud", "client_id", "exp", "iat", "iss", "jti", "sid", "sub", "ver"] {
        let mut claims = json!(tokens.claims(BEARER, TTL));
        claims.as_object_mut().unwrap().remove(claim);
        let token = tokens.sign(&tokens.header(), &claims).unwrap();
        assert!(tokens.verify(&token).is_err(), "{claim}");
    }
}

#[test]
fn a_claim_given_twice_is_refused() {
    let tokens = tokens();
    let claims = json!(tokens.claims(BEARER, TTL)).to_string();
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
    let issued = tokens.issue(BEARER, in_a_month()).unwrap();
    let parts: Vec<&str> = issued.token.expose().split('.').collect();
    let mut claims = tokens.claims(BEARER, TTL);
    claims.sub = Uuid::from_u128(8);
    let forged = encoded(&json!(claims));
    let token = [parts[0], &forged, parts[2]].join(".");
    assert_eq!(refusal(&tokens, &token), ErrorKind::InvalidSignature);
}

#[test]
fn a_token_of_an_unknown_key_is_refused() {
    let (tokens, others) = (tokens(), tokens());
    let theirs = others.issue(BEARER, in_a_month()).unwrap();
    assert!(matches!(tokens.verify(theirs.token.expose()), Err(TokenError::Key)));
    let pretending = others.sign(&tokens.header(), &others.claims(BEARER, TTL)).unwrap();
    assert_eq!(refusal(&tokens, &pretending), ErrorKind::InvalidSignature);
    let header = Header { kid: None, ..tokens.header() };
    let anonymous = tokens.sign(&header, &tokens.claims(BEARER, TTL)).unwrap();
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
fn a_token_ends_with_its_session() {
    let tokens = tokens();
    for (left, expires_in) in [(60, 60), (3600, 900), (-5, 1)] {
        let ends_at =
            Utc::now() + chrono::Duration::seconds(left) + chrono::Duration::milliseconds(500);
        let issued = tokens.issue(BEARER, ends_at).unwrap();
        assert_eq!(issued.expires_in.as_secs(), expires_in, "{left}");
    }
}

#[test]
fn a_key_that_is_listed_verifies_before_it_signs_and_after() {
    let [old, new] = std::array::from_fn(|_| private_key());
    let with = |signing: &str, others: Vec<Secret>| {
        let signing_key = Some(Secret::new(signing));
        let settings =
            AuthSettings { signing_key, previous_keys: Some(others), ..AuthSettings::default() };
        Tokens::new(&settings).unwrap()
    };
    let replicas = [
        with(&old, Vec::new()),
        with(&old, vec![Secret::new(public_key(&new))]),
        with(&new, vec![Secret::new(old.as_str())]),
        with(&new, Vec::new()),
    ];
    let accepts = |verifier: &Tokens, issuer: &Tokens| {
        let issued = issuer.issue(BEARER, in_a_month()).unwrap();
        verifier.verify(issued.token.expose()).is_ok()
    };
    // In each step all that run at the same time accept each other's tokens.
    for pair in replicas.windows(2) {
        assert!(accepts(&pair[0], &pair[1]) && accepts(&pair[1], &pair[0]));
    }
    assert!(!accepts(&replicas[0], &replicas[2]));
    let all = vec![Secret::new(format!("{old}{}", public_key(&new))), Secret::new(old.as_str())];
    assert_eq!(with(&old, all).jwks(), replicas[1].jwks(), "each is listed once");
    let listed: Vec<usize> = replicas.iter().map(|tokens| tokens.jwks().len()).collect();
    assert_eq!(listed, [1, 2, 2, 1]);
    assert_eq!(replicas[1].jwks()[1], replicas[2].jwks()[0]);
}

#[test]
fn previous_keys_may_stand_together_in_one_text() {
    let keys = [private_key(), public_key(&private_key()), public_key(&private_key())];
    let together = VerifyingKey::from_pem(&Secret::new(keys.concat())).unwrap();
    let ids: Vec<_> = together.iter().map(|key| key.jwk().id).collect();
    assert_eq!(ids.len(), 3);
    for key in keys {
        let [alone] = &VerifyingKey::from_pem(&Secret::new(key)).unwrap()[..] else { panic!() };
        assert!(ids.contains(&alone.jwk().id));
    }
    let short = pem("PUBLIC KEY", &[0x30, 0x2a, 0x30, 0x05]);
    for text in ["", "key", &short, &format!("{}{short}", private_key())] {
        assert!(VerifyingKey::from_pem(&Secret::new(text)).is_err(), "{text}");
    }
}

/// What others have to go by: the set of keys alone.
#[test]
fn a_token_verifies_with_the_published_key() {
    let tokens = tokens();
    let issued = tokens.issue(BEARER, in_a_month()).unwrap();
    let [jwk] = &tokens.jwks()[..] else { panic!() };
    let key = jsonwebtoken::DecodingKey::from_ed_components(&jwk.x).unwrap();
    let token = issued.token.expose();
    assert_eq!(jsonwebtoken::decode_header(token).unwrap().kid.as_ref(), Some(&jwk.id));
    let claims: Claims = jsonwebtoken::decode(token, &key, &tokens.validation).unwrap().claims;
    assert_eq!(claims.sub, BEARER.user_id);
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
    let token = tokens.issue(BEARER, in_a_month()).unwrap().token.expose().to_owned();
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

fn private_key() -> String {
    pem("PRIVATE KEY", Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap().as_ref())
}

fn public_key(private: &str) -> String {
    let key = EncodingKey::from_ed_pem(private.as_bytes()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes()).unwrap();
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    pem("PUBLIC KEY", &[&prefix, pair.public_key().as_ref()].concat())
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn in_a_month() -> DateTime<Utc> {
    Utc::now() + chrono::Duration::days(30)
}

fn tokens() -> Tokens {
    Tokens::new(&AuthSettings::default()).unwrap()
}

fn refusal(tokens: &Tokens, token: &str) -> ErrorKind {
    match tokens.verify(token) {
        Err(TokenError::Forged(error)) => error.into_kind(),
        other => panic!("not refused by the verifier: {other:?}"),
    }
}

fn encoded(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}
