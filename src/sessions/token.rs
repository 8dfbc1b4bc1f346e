//! A refresh token: 256 random bits, which say nothing and are stored only as a hash.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::settings::Secret;
use zeroize::Zeroizing;

/// 256 bits: nobody guesses one, so a fast hash keeps it.
const LENGTH: usize = 32;
/// Tells people, and programs that look for secrets in what is published, what they have found.
const PREFIX: &str = "bvr_";
/// What the pad is for, so that it is never the token's hash.
const SEALING: &[u8] = b"belvedere: the successor of a refresh token";

/// What keeps a session going, once.
#[derive(Clone)]
pub struct RefreshToken(Zeroizing<[u8; LENGTH]>);

impl RefreshToken {
    /// A new one, from the system's randomness.
    pub fn generate() -> Result<Self, Unspecified> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        rand::fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// Reads one as clients have it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        let encoded = text.strip_prefix(PREFIX)?;
        let length = URL_SAFE_NO_PAD.decode_slice(encoded, &mut *bytes).ok()?;
        (length == LENGTH).then_some(Self(bytes))
    }

    /// As clients have it.
    pub fn to_secret(&self) -> Secret {
        Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(*self.0)))
    }

    /// SHA-256, under which it is stored.
    pub(super) fn hash(&self) -> [u8; LENGTH] {
        let mut hash = [0; LENGTH];
        hash.copy_from_slice(digest(&SHA256, &*self.0).as_ref());
        hash
    }

    /// The token that takes this one's place, as it may be stored: only who has this one can read it.
    /// A pad made of 256 random bits, which is used once, for a token is spent once.
    pub(super) fn seal(&self, successor: &Self) -> [u8; LENGTH] {
        let mut sealed = self.pad();
        for (byte, plain) in sealed.iter_mut().zip(&*successor.0) {
            *byte ^= plain;
        }
        *sealed
    }

    /// What was sealed with this token.
    pub(super) fn unseal(&self, sealed: &[u8]) -> Option<Self> {
        let mut plain = Zeroizing::new(<[u8; LENGTH]>::try_from(sealed).ok()?);
        for (byte, pad) in plain.iter_mut().zip(&*self.pad()) {
            *byte ^= pad;
        }
        Some(Self(plain))
    }

    fn pad(&self) -> Zeroizing<[u8; LENGTH]> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.0);
        let mut pad = Zeroizing::new([0; LENGTH]);
        pad.copy_from_slice(hmac::sign(&key, SEALING).as_ref());
        pad
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_token_is_256_random_bits_and_reads_as_it_is_written() {
        let tokens: Vec<_> = (0..100).map(|_| RefreshToken::generate().unwrap()).collect();
        let texts: HashSet<_> =
            tokens.iter().map(|token| token.to_secret().expose().to_owned()).collect();
        assert_eq!(texts.len(), tokens.len());
        // No bit is the same in all of them: by chance once in 2^91 runs.
        for byte in 0..LENGTH {
            let set = tokens.iter().fold(0, |set, token| set | token.0[byte]);
            let clear = tokens.iter().fold(0, |clear, token| clear | !token.0[byte]);
            assert_eq!((set, clear), (0xff, 0xff), "{byte}");
        }
        for text in &texts {
            assert_eq!(text.len(), PREFIX.len() + 43);
            assert_eq!(RefreshToken::parse(text).unwrap().to_secret().expose(), text);
        }
    }

    #[test]
    fn what_is_no_token_is_not_read() {
        let token = RefreshToken::generate().unwrap().to_secret();
        let bare = token.expose().strip_prefix(PREFIX).unwrap();
        let last = token.expose().len() - 1;
        for text in [
            "",
            PREFIX,
            bare,
            &token.expose()[..last],
            &format!("{}A", token.expose()),
            &format!("{}=", token.expose()),
            &format!(" {}", token.expose()),
            &token.expose().replace("bvr_", "BVR_"),
        ] {
            assert!(RefreshToken::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_successor_is_read_with_its_predecessor_alone() {
        let [old, new, other] = std::array::from_fn(|_| RefreshToken::generate().unwrap());
        let sealed = old.seal(&new);
        assert_eq!(*old.unseal(&sealed).unwrap().0, *new.0);
        assert_ne!(*other.unseal(&sealed).unwrap().0, *new.0);
        // Neither the hash that is stored beside it nor the sealed text gives the token away.
        assert_ne!(sealed, old.hash());
        assert_ne!(sealed, *new.0);
        assert!(old.unseal(&sealed[1..]).is_none());
    }
}
