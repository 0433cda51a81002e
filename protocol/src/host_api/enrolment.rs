//! Enrolling: a one-use token and a new public key, signed by that key; the answer names the host and the keys that sign its sets.

use crate::grant_set::HostId;
use crate::jws::{self, JwsError, PublicKey, SigningKey, Unverified, parse_object};
use serde::{Deserialize, Serialize};

const TYP: &str = "curfew-enroll+jwt";

/// What a host sends to enrol: the claims of a JWS with its new key inside (`application/jose`).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Enrolment {
    /// The one-use token.
    pub token: String,
    /// What the host calls itself: its host name, for people to recognise it by.
    pub name: String,
    /// The endpoint's origin, so that one endpoint can't use it at another.
    pub aud: String,
}

/// The endpoint's answer. The same token and key get the same answer again: a lost one burns nothing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Enrolled {
    /// The host's id.
    pub host: HostId,
    /// The endpoint's name, `iss` of its sets.
    pub issuer: String,
    /// The keys that sign sets, to be pinned.
    pub keys: Vec<PublicKey>,
}

impl Enrolment {
    /// Signs it with the new key.
    ///
    /// # Errors
    ///
    /// What can't be written as JSON.
    pub fn sign(&self, key: &SigningKey) -> Result<String, serde_json::Error> {
        Ok(jws::sign_with_key_inside(key, TYP, &serde_json::to_vec(self)?))
    }

    /// The enrolment and the key that signed it. Whether its token and `aud` are good is for the endpoint to say.
    ///
    /// # Errors
    ///
    /// [`JwsError`] where the key inside did not sign it.
    pub fn verify(text: &str) -> Result<(Self, PublicKey), JwsError> {
        let (payload, key) = Unverified::parse(text, TYP)?.verify_by_key_inside()?;
        Ok((parse_object(&payload).map_err(JwsError::Payload)?, key))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_enrolment_is_signed_by_the_key_that_it_brings() {
        let key = SigningKey::generate().unwrap();
        let enrolment = Enrolment { token: "t".into(), name: "web-1".into(), aud: "https://curfew.example".into() };
        let text = enrolment.sign(&key).unwrap();
        let (back, public) = Enrolment::verify(&text).unwrap();
        assert_eq!((back.token.as_str(), public), ("t", key.public()));
        let other = SigningKey::generate().unwrap().sign_for_test(&text);
        assert!(Enrolment::verify(&other).is_err());
    }

    impl SigningKey {
        /// The same header and payload, with another key's signature.
        fn sign_for_test(&self, text: &str) -> String {
            let (signed, _) = text.rsplit_once('.').unwrap();
            let mine = jws::sign(self, TYP, b"{}");
            format!("{signed}.{}", mine.rsplit_once('.').unwrap().1)
        }
    }
}
