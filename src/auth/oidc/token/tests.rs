//! Tokens that pass, and every kind that must not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;

use super::super::keys::KeySet;
use super::super::testing::{AUDIENCE, ISSUER, TestKey, claims, encoded, now, set_of};
use super::*;

fn judge() -> Judge {
    let settings = AuthSettings { audience: AUDIENCE.to_owned(), ..AuthSettings::default() };
    Judge::new(&settings, ISSUER)
}

/// As `Oidc::verify` does, with keys that are there already.
fn verify(judge: &Judge, keys: &[&TestKey], token: &str) -> Result<Bearer, Refusal> {
    let set = KeySet::parse(&set_of(keys.iter().copied())).unwrap();
    let header = Judge::header(token)?;
    let key = set.find(header.kid.as_deref(), header.alg).ok_or(Refusal::Kind)?;
    judge.bearer(token, header.alg, key)
}

/// What is made of a token with this claim instead of the usual one.
fn with(claim: &str, value: Value) -> Result<Bearer, Refusal> {
    let key = TestKey::ed25519("a");
    let mut claims = claims();
    claims[claim] = value;
    verify(&judge(), &[&key], &key.sign(&key.header(), &claims))
}

/// Whether a bearer with these claims is an administrator.
fn is_admin(claim: &str, others: &Value) -> bool {
    let key = TestKey::ed25519("a");
    let mut all = claims();
    all.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    let settings = AuthSettings { oidc_role_claim: claim.to_owned(), ..AuthSettings::default() };
    let judge = Judge::new(&settings, ISSUER);
    verify(&judge, &[&key], &key.sign(&key.header(), &all)).unwrap().is_admin
}

#[test]
fn tokens_of_every_kind_of_key_pass() {
    for key in TestKey::each() {
        let bearer = verify(&judge(), &[&key], &key.sign(&key.header(), &claims())).unwrap();
        let ada = Bearer { subject: "ada".to_owned(), is_admin: false, verified_email: None };
        assert_eq!(bearer, ada, "{:?}", key.algorithm);
    }
    let key = TestKey { algorithm: Algorithm::PS256, ..TestKey::rsa("a") };
    assert!(verify(&judge(), &[&key], &key.sign(&key.header(), &claims())).is_ok());
}

#[test]
fn access_tokens_may_be_called_jwt_or_nothing_and_others_are_refused() {
    let key = TestKey::ed25519("a");
    let typed = |typ: Option<&str>| {
        let header = Header { typ: typ.map(str::to_owned), ..key.header() };
        verify(&judge(), &[&key], &key.sign(&header, &claims()))
    };
    for typ in [None, Some("JWT"), Some("jwt"), Some("application/at+jwt"), Some("AT+JWT")] {
        assert!(typed(typ).is_ok(), "{typ:?}");
    }
    for typ in ["id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "application/", ""] {
        assert!(matches!(typed(Some(typ)), Err(Refusal::Kind)), "{typ}");
    }
}

#[test]
fn id_tokens_logout_tokens_and_tokens_that_want_a_proof_are_refused() {
    for (claim, value) in [
        ("at_hash", json!("x")),
        ("c_hash", json!("x")),
        ("s_hash", json!("x")),
        ("typ", json!("ID")),
        ("token_use", json!("id")),
        ("events", json!({ "http://schemas.openid.net/event/backchannel-logout": {} })),
        ("cnf", json!({ "jkt": "x" })),
    ] {
        assert!(matches!(with(claim, value), Err(Refusal::Kind)), "{claim}");
    }
    assert!(with("typ", json!("Bearer")).is_ok() && with("token_use", json!("access")).is_ok());
}

#[test]
fn critical_extensions_are_refused() {
    let key = TestKey::ed25519("a");
    let header = Header { crit: Some(vec!["b64".to_owned()]), ..key.header() };
    let token = key.sign(&header, &claims());
    assert!(matches!(verify(&judge(), &[&key], &token), Err(Refusal::Kind)));
}

#[test]
fn a_token_without_signature_is_refused() {
    let key = TestKey::ed25519("a");
    for alg in ["none", "None", "NONE", ""] {
        let header = json!({ "alg": alg, "typ": "at+jwt", "kid": "a" }).to_string();
        let token = format!("{}.{}.", encoded(header), encoded(claims().to_string()));
        assert!(verify(&judge(), &[&key], &token).is_err(), "{alg}");
    }
    let signed = key.sign(&key.header(), &claims());
    let (unsigned, _) = signed.rsplit_once('.').unwrap();
    assert!(verify(&judge(), &[&key], &format!("{unsigned}.")).is_err());
}

/// The classical confusion: the public key, which everyone has, taken for a secret of HMAC.
#[test]
fn a_public_key_is_no_secret() {
    let key = TestKey::rsa("a");
    let public = key.jwk["n"].as_str().unwrap();
    for secret in [public.as_bytes(), &set_of([&key])] {
        let secret = jsonwebtoken::EncodingKey::from_secret(secret);
        let header = Header { alg: Algorithm::HS256, ..key.header() };
        let token = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
        assert!(matches!(Judge::header(&token), Err(Refusal::Kind)));
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_not_looked_at() {
    let (ours, theirs) = (TestKey::p256("a"), TestKey::p256("a"));
    let jwk = serde_json::from_value(theirs.jwk.clone()).unwrap();
    let url = Some("https://evil.example.com/keys".to_owned());
    let header = Header { jwk: Some(jwk), jku: url.clone(), x5u: url, ..theirs.header() };
    let forged = theirs.sign(&header, &claims());
    assert!(matches!(verify(&judge(), &[&ours], &forged), Err(Refusal::Invalid(_))));
}

#[test]
fn a_token_of_another_key_is_refused_whatever_key_it_names() {
    let keys = TestKey::each();
    let known: Vec<&TestKey> = keys.iter().collect();
    for stranger in TestKey::each() {
        for named in &keys {
            let header = Header { kid: Some(named.id().to_owned()), ..stranger.header() };
            let token = stranger.sign(&header, &claims());
            assert!(verify(&judge(), &known, &token).is_err(), "{}", named.id());
        }
        let header = Header { kid: None, ..stranger.header() };
        assert!(verify(&judge(), &known, &stranger.sign(&header, &claims())).is_err());
    }
}

#[test]
fn an_altered_token_is_refused() {
    let key = TestKey::p256("a");
    let token = key.sign(&key.header(), &claims());
    let parts: Vec<&str> = token.split('.').collect();
    let mut forged = claims();
    forged["roles"] = json!("admin");
    let forged = [parts[0], &encoded(forged.to_string()), parts[2]].join(".");
    assert!(verify(&judge(), &[&key], &token).is_ok());
    assert!(verify(&judge(), &[&key], &forged).is_err());
}

#[test]
fn claims_that_are_not_for_us_or_not_for_now_are_refused() {
    let now = now();
    let far = u64::from(LEEWAY) + 60;
    for (claim, value) in [
        ("exp", json!(now - far)),
        ("exp", json!("never")),
        ("exp", json!(-1)),
        ("exp", Value::Null),
        ("nbf", json!(now + far)),
        ("nbf", json!("soon")),
        ("iat", json!(now + far)),
        ("iat", json!("now")),
        ("iss", json!("https://id.example.com/realms/two")),
        ("iss", json!(format!("{ISSUER}/"))),
        ("iss", json!([ISSUER])),
        ("iss", Value::Null),
        ("aud", json!("account")),
        ("aud", json!(["account", "other"])),
        ("aud", json!([])),
        ("aud", json!("belvedere2")),
        ("aud", json!([["belvedere"]])),
        ("aud", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("x".repeat(SUBJECT_MAX + 1))),
        ("sub", Value::Null),
    ] {
        assert!(with(claim, value.clone()).is_err(), "{claim} = {value}");
    }
    for (claim, value) in [
        ("exp", json!(now - 1)),
        ("nbf", json!(now + 1)),
        ("iat", json!(now + 1)),
        ("iat", json!(0.5)),
        ("aud", json!(["account", "belvedere"])),
        ("sub", json!("é".repeat(SUBJECT_MAX))),
    ] {
        assert!(with(claim, value.clone()).is_ok(), "{claim} = {value}");
    }
}

#[test]
fn the_claims_that_are_needed_are_needed() {
    let key = TestKey::ed25519("a");
    for (claim, needed) in
        [("iss", true), ("aud", true), ("sub", true), ("exp", true), ("iat", false)]
    {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(claim);
        let verified = verify(&judge(), &[&key], &key.sign(&key.header(), &claims));
        assert_eq!(verified.is_err(), needed, "{claim}");
    }
}

#[test]
fn a_claim_given_twice_is_refused() {
    let key = TestKey::ed25519("a");
    let twice = claims().to_string().replacen('{', r#"{"sub":"eve","#, 1);
    let header = encoded(json!(key.header()).to_string());
    let message = format!("{header}.{}", encoded(twice));
    let signed = jsonwebtoken::crypto::sign(message.as_bytes(), &key.private, Algorithm::EdDSA);
    let token = format!("{message}.{}", signed.unwrap());
    assert!(verify(&judge(), &[&key], &token).is_err());
}

#[test]
fn what_is_no_token_is_refused() {
    let key = TestKey::ed25519("a");
    let signed = key.sign(&key.header(), &claims());
    for text in ["", ".", "..", "a.b.c", "a.b.c.d.e", "é.é.é", &format!("{signed}.")] {
        assert!(verify(&judge(), &[&key], text).is_err(), "{text}");
    }
    let mut claims = claims();
    claims["groups"] = json!("x".repeat(TOKEN_MAX));
    let long = key.sign(&key.header(), &claims);
    assert!(matches!(verify(&judge(), &[&key], &long), Err(Refusal::TooLong)));
}

#[test]
fn the_role_is_found_wherever_issuers_put_it() {
    let keycloak = json!({ "realm_access": { "roles": ["offline_access", "admin"] } });
    let by_url = json!({ "https://example.com/roles": ["admin"] });
    let inside = json!({ "a.b": { "c.d": "admin" } });
    assert!(is_admin("roles", &json!({ "roles": "admin" })));
    assert!(is_admin("roles", &json!({ "roles": "user admin" })));
    assert!(is_admin("roles", &json!({ "roles": ["user", "admin"] })));
    assert!(is_admin("realm_access.roles", &keycloak));
    assert!(is_admin("https://example.com/roles", &by_url));
    assert!(is_admin("a.b.c.d", &inside));
    for (claim, others) in [
        ("roles", json!({})),
        ("roles", json!({ "roles": "administrator" })),
        ("roles", json!({ "roles": "Admin" })),
        ("roles", json!({ "roles": ["user admin", ["admin"], { "admin": true }] })),
        ("roles", json!({ "roles": { "admin": true } })),
        ("roles", json!({ "roles": true })),
        ("roles", json!({ "role": "admin" })),
        ("roles", keycloak.clone()),
        ("realm_access", keycloak),
        ("a.b", json!({ "a": { "b": { "admin": "admin" } } })),
    ] {
        assert!(!is_admin(claim, &others), "{claim} in {others}");
    }
}

#[test]
fn an_address_counts_where_the_issuer_says_that_it_is_verified() {
    let key = TestKey::ed25519("a");
    let email = |verified: Value| {
        let mut claims = claims();
        claims["email"] = json!("ada@example.org");
        claims["email_verified"] = verified;
        let token = key.sign(&key.header(), &claims);
        verify(&judge(), &[&key], &token).unwrap().verified_email
    };
    assert_eq!(email(json!(true)).as_deref(), Some("ada@example.org"));
    for verified in [json!(false), json!("true"), json!(1), Value::Null] {
        assert_eq!(email(verified.clone()), None, "{verified}");
    }
    assert_eq!(with("email", json!("ada@example.org")).unwrap().verified_email, None);
    assert_eq!(with("email_verified", json!(true)).unwrap().verified_email, None);
}
