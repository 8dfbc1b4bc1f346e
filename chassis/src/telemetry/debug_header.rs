//! The signed header that switches one request to DEBUG and has its trace exported: what it says and
//! how it is checked. What a service does with a valid one is in `http::debug`.
//!
//! `1.<expiry, Unix seconds>.<random id>.<HMAC-SHA256 of all before it, base64url>`. The key is made
//! of `ops.token`, so whoever may change the log level may sign, and nobody else.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::period::Period;
use crate::settings::Secret;

/// The name of the header, as requests carry it.
pub const NAME: &str = "x-debug-token";

/// Changes with the format. Without a label of its own the key would be good for other things too.
const LABEL: &[u8] = b"chassis debug header 1";
const VERSION: &str = "1";
/// What the clocks of two machines may differ by, so that the longest period can be signed.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(1);

/// Signs and checks debug headers. Shows nothing of itself.
#[derive(Clone)]
pub struct DebugKey(hmac::Key);

/// What a valid header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugPass {
    /// Tells one header from another on log lines; is no secret.
    pub id: String,
    /// It is invalid from then on.
    pub expires_at: DateTime<Utc>,
}

/// Why a header is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not signed by this key, or changed since.
    #[error("signature")]
    Signature,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// It is valid for longer than any may be.
    #[error("too long")]
    TooLong,
    /// Signed, but of a version that this service does not know.
    #[error("version")]
    Version,
}

impl DebugKey {
    /// The key that this secret, `ops.token`, stands for.
    pub fn derive(secret: &Secret) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let key = hmac::sign(&secret, LABEL);
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()))
    }

    /// The value of a header that is valid from now on for the given time.
    pub fn sign(&self, now: DateTime<Utc>, valid_for: Period) -> String {
        let expires_at = now + valid_for.duration();
        self.sign_claims(expires_at.timestamp(), &Uuid::now_v7().simple().to_string())
    }

    fn sign_claims(&self, expiry: i64, id: &str) -> String {
        let claims = format!("{VERSION}.{expiry}.{id}");
        let signature = hmac::sign(&self.0, claims.as_bytes());
        format!("{claims}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    /// What the header says, if it is valid now. The signature is compared in constant time, and
    /// nothing is read before.
    pub fn verify(&self, value: &str, now: DateTime<Utc>) -> Result<DebugPass, Refused> {
        let (claims, signature) = value.rsplit_once('.').ok_or(Refused::Signature)?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature);
        let signature = signature.map_err(|_| Refused::Signature)?;
        hmac::verify(&self.0, claims.as_bytes(), &signature).map_err(|_| Refused::Signature)?;
        let pass = pass(claims).ok_or(Refused::Version)?;
        if pass.expires_at <= now {
            return Err(Refused::Expired);
        }
        if pass.expires_at - now > longest() {
            return Err(Refused::TooLong);
        }
        Ok(pass)
    }
}

impl std::fmt::Debug for DebugKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

fn pass(claims: &str) -> Option<DebugPass> {
    let mut parts = claims.split('.');
    let (version, expiry, id) = (parts.next()?, parts.next()?, parts.next()?);
    let expires_at = DateTime::from_timestamp_secs(expiry.parse().ok()?)?;
    let known = version == VERSION && parts.next().is_none();
    known.then(|| DebugPass { id: id.to_owned(), expires_at })
}

fn longest() -> TimeDelta {
    TimeDelta::from_std(Period::longest().duration()).unwrap_or(TimeDelta::MAX - CLOCK_SKEW)
        + CLOCK_SKEW
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;
    use crate::testing::hold;

    /// Made with Python's `hmac`: key = HMAC(token, label), signature = HMAC(key, claims).
    const SIGNED: &str = "1.1800000000.0190aabb.Ls1HiU23IIg9eL_ztG85cz7vn_lH0Ng5kGOegylEZ5Y";

    fn key(token: &str) -> DebugKey {
        DebugKey::derive(&Secret::new(token))
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_secs(seconds).unwrap()
    }

    #[test]
    fn the_signature_is_the_one_that_others_compute() {
        let key = key("a-token-of-the-operators");
        assert_eq!(key.sign_claims(1_800_000_000, "0190aabb"), SIGNED);
        let pass = key.verify(SIGNED, at(1_799_999_999)).unwrap();
        let expected = DebugPass { id: "0190aabb".to_owned(), expires_at: at(1_800_000_000) };
        assert_eq!(pass, expected);
    }

    #[test]
    fn what_is_signed_is_valid_until_its_time_is_over() {
        let (key, now) = (key("t"), at(1_800_000_000));
        let value = key.sign(now, "10m".parse().unwrap());
        assert_ne!(value, key.sign(now, "10m".parse().unwrap()), "each has an id of its own");
        assert_eq!(key.verify(&value, now).unwrap().expires_at, at(1_800_000_600));
        assert!(key.verify(&value, at(1_800_000_599)).is_ok());
        for late in [1_800_000_600, 1_900_000_000] {
            assert_eq!(key.verify(&value, at(late)), Err(Refused::Expired));
        }
    }

    #[test]
    fn the_longest_period_is_accepted_and_nothing_beyond() {
        let (key, now) = (key("t"), at(1_800_000_000));
        assert!(key.verify(&key.sign(now, Period::longest()), now).is_ok());
        let day_and_more = key.sign_claims(1_800_000_000 + 86_400 + 61, "x");
        assert_eq!(key.verify(&day_and_more, now), Err(Refused::TooLong));
        let end_of_time = key.sign_claims(8_210_266_876_799, "x");
        assert_eq!(key.verify(&end_of_time, now), Err(Refused::TooLong));
    }

    #[test]
    fn no_byte_of_it_can_be_changed() {
        let (key, now) = (key("a-token-of-the-operators"), at(1_799_999_999));
        for at in 0..SIGNED.len() {
            let mut bytes = SIGNED.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(key.verify(&changed, now), Err(Refused::Signature), "{changed}");
        }
        let (cut, padded) = (&SIGNED[..SIGNED.len() - 1], format!("{SIGNED}="));
        for nonsense in ["", ".", "...", "1.1800000000.x", "1.1800000000.x.", cut, &padded] {
            assert_eq!(key.verify(nonsense, now), Err(Refused::Signature), "{nonsense}");
        }
    }

    #[test]
    fn another_token_signs_for_another_service() {
        let now = at(1_800_000_000);
        let value = key("one").sign(now, Period::longest());
        assert_eq!(key("other").verify(&value, now), Err(Refused::Signature));
        assert_eq!(format!("{:?}", key("one")), "[redacted]");
    }

    #[test]
    fn what_a_later_version_signs_is_refused() {
        let key = key("t");
        for claims in ["2.1800000000.x", "1.1800000000.x.y", "1.soon.x", "1.1800000000", ""] {
            let signature = hmac::sign(&key.0, claims.as_bytes());
            let value = format!("{claims}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
            assert_eq!(key.verify(&value, at(0)), Err(Refused::Version), "{claims}");
        }
    }

    #[test]
    fn nothing_that_was_not_signed_is_valid() {
        let key = key("a-token-of-the-operators");
        hold("1\\.[0-9]{1,20}\\.[0-9a-f]{1,32}\\.[A-Za-z0-9_-]{43}|[ -~]{0,80}", |value| {
            assert_eq!(key.verify(&value, at(0)), Err(Refused::Signature));
        });
    }
}
