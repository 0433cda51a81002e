//! A host's change of its key: a statement of the old key about the new one, inside a statement of the new one.

use crate::grant_set::HostId;
use crate::jws::{self, JwsError, PublicKey, SigningKey, Unverified, parse_object};
use serde::{Deserialize, Serialize};

/// What the old key signs.
const OLD_TYP: &str = "curfew-key+jwt";

/// What the new key signs: the old key's statement, as it stands.
const NEW_TYP: &str = "curfew-key-change+jwt";

/// What the old key says of the new one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyChange {
    /// The host.
    pub iss: HostId,
    /// The endpoint's origin.
    pub aud: String,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// The new key's thumbprint.
    pub kid: String,
}

impl KeyChange {
    /// Signs it with both keys. `kid` is set to the new key's.
    ///
    /// # Errors
    ///
    /// What can't be written as JSON.
    pub fn sign(mut self, old: &SigningKey, new: &SigningKey) -> Result<String, serde_json::Error> {
        self.kid = new.public().kid();
        let by_old = jws::sign(old, OLD_TYP, &serde_json::to_vec(&self)?);
        Ok(jws::sign_with_key_inside(new, NEW_TYP, by_old.as_bytes()))
    }

    /// Verifies both signatures, and returns what was said and the new key.
    ///
    /// # Errors
    ///
    /// [`JwsError`] where one of them did not sign, or the old key meant another new one.
    pub fn verify(text: &str, old: &PublicKey) -> Result<(Self, PublicKey), JwsError> {
        let (inner, new) = Unverified::parse(text, NEW_TYP)?.verify_by_key_inside()?;
        let inner = String::from_utf8(inner).map_err(|_| JwsError::Malformed("the inner part is no text"))?;
        let payload = Unverified::parse(&inner, OLD_TYP)?.verify(old)?;
        let change: Self = parse_object(&payload).map_err(JwsError::Payload)?;
        if change.kid == new.kid() {
            Ok((change, new))
        } else {
            Err(JwsError::Header("the old key's statement is about another key".into()))
        }
    }

    /// The key that a change brings, proved by its own signature alone: to tell a repeated change from a new one.
    ///
    /// # Errors
    ///
    /// [`JwsError`] where it did not sign.
    pub fn new_key(text: &str) -> Result<PublicKey, JwsError> {
        Unverified::parse(text, NEW_TYP)?.verify_by_key_inside().map(|(_, key)| key)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_changes_by_the_word_of_both() {
        let [old, new, thief] = [(); 3].map(|()| SigningKey::generate().unwrap());
        let change = || KeyChange {
            iss: "web-1".parse().unwrap(),
            aud: "https://curfew.example".into(),
            iat: 1_700_000_000,
            kid: String::new(),
        };
        let text = change().sign(&old, &new).unwrap();
        assert_eq!(KeyChange::verify(&text, &old.public()).unwrap().1, new.public());
        assert_eq!(KeyChange::new_key(&text).unwrap(), new.public());
        assert!(KeyChange::verify(&text, &thief.public()).is_err());
        // The old key's statement in another one's hands.
        let (inner, _) = Unverified::parse(&text, NEW_TYP).unwrap().verify_by_key_inside().unwrap();
        let stolen = jws::sign_with_key_inside(&thief, NEW_TYP, &inner);
        assert!(KeyChange::verify(&stolen, &old.public()).is_err());
        assert!(KeyChange::verify(&change().sign(&thief, &new).unwrap(), &old.public()).is_err());
    }
}
