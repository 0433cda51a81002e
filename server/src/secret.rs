//! One-use and administrators' tokens: made here, shown once, kept as a hash alone.
//!
//! A token has 256 bits from the system's generator. Whoever looks one up by its hash learns nothing from the time it takes: a near miss
//! of the token is no near miss of its SHA-256.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use std::fmt;

/// The longest text that is looked up as a token, in bytes.
const LONGEST: usize = 128;

/// A token. It is printed once, and never by `Debug`.
pub(crate) struct Secret(String);

/// A token's SHA-256 in base64url: what the database has of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Hash(String);

/// The system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("no token can be made: the system gives no randomness")]
pub(crate) struct NoRandomness;

impl Secret {
    /// A new token that begins with `kind`, so that people and secret scanners know it when they see it.
    pub(crate) fn generate(kind: &str) -> Result<Self, NoRandomness> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(format!("{kind}_{}", BASE64URL.encode(bytes))))
    }

    /// The token itself, to be shown once.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// What may be kept of it.
    pub(crate) fn hash(&self) -> Hash {
        Hash(sha256(&self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Hash {
    /// The hash of what somebody presents; nothing for what is too long to be a token.
    pub(crate) fn of(presented: &str) -> Option<Self> {
        (presented.len() <= LONGEST).then(|| Self(sha256(presented)))
    }

    /// It as the database has it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn sha256(text: &str) -> String {
    BASE64URL.encode(digest(&SHA256, text.as_bytes()))
}

/// A new id: it sorts by the time of its making.
pub(crate) fn new_id() -> String {
    ulid::Ulid::generate().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_new_each_time_and_known_by_its_hash_alone() {
        let [one, other] = [(); 2].map(|()| Secret::generate("curfew_test").unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(one.reveal().len(), "curfew_test_".len() + 43);
        assert_eq!(Hash::of(one.reveal()).unwrap(), one.hash());
        assert_ne!(one.hash(), other.hash());
        assert!(!format!("{one:?}").contains(one.reveal()));
        assert!(Hash::of(&"x".repeat(129)).is_none());
    }
}
