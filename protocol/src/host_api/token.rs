//! The host token: a short-lived JWT (RFC 7519) that the host's key signs for one request.
//!
//! It says for which endpoint and, where the request has a body, for which body: a token that is stolen on the way is good for that one
//! request, once, for a minute.

use crate::grant_set::HostId;
use crate::jws::{self, JwsError, PublicKey, SigningKey, Unverified, parse_object};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const TYP: &str = "curfew-host+jwt";

/// How long a token holds, in seconds.
const LIFETIME_S: i64 = 60;

/// How far the clocks of host and endpoint may differ, in seconds.
const SKEW_S: i64 = 60;

/// The claims of a host token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HostToken {
    /// The host.
    pub iss: HostId,
    /// The endpoint's origin.
    pub aud: String,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// When it ends, at most a minute later.
    pub exp: i64,
    /// Its own name, used once.
    pub jti: String,
    /// The SHA-256 of the request's body in base64url, where there is a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// Why a token is not good.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not signed as it has to be.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// For another endpoint.
    #[error("the token is for {found:?}; this endpoint is {origins}")]
    OtherEndpoint {
        /// Whom it is for.
        found: String,
        /// What the endpoint is called.
        origins: String,
    },
    /// Its times are not good by the endpoint's clock.
    #[error("the token holds from {iat} to {exp}, and the endpoint's clock says {now}")]
    Clock {
        /// When it was signed.
        iat: i64,
        /// When it ends.
        exp: i64,
        /// The endpoint's time.
        now: i64,
    },
    /// Signed for another body.
    #[error("the token is for a request with another body")]
    OtherBody,
}

impl HostToken {
    /// A token for one request with this body, `now` by the endpoint's clock as far as the host knows it.
    pub fn new(host: HostId, origin: &str, now: Timestamp, jti: String, body: &[u8]) -> Self {
        let iat = now.as_second();
        Self { iss: host, aud: origin.into(), iat, exp: iat.saturating_add(LIFETIME_S), jti, body: hash(body) }
    }

    /// The token as it goes into the header.
    ///
    /// # Errors
    ///
    /// What can't be written as JSON.
    pub fn sign(&self, key: &SigningKey) -> Result<String, serde_json::Error> {
        Ok(jws::sign(key, TYP, &serde_json::to_vec(self)?))
    }

    /// Whose token it claims to be: to find the key that has to have signed it.
    ///
    /// # Errors
    ///
    /// That it is no token.
    pub fn claimed_host(text: &str) -> Result<HostId, TokenError> {
        let payload = Unverified::parse(text, TYP)?.claims_to_be()?;
        let claims: Self = parse_object(&payload).map_err(JwsError::Payload)?;
        Ok(claims.iss)
    }

    /// Verifies a token of the host with this key, for one of the endpoint's origins and a request with this body, as [`verify_head`](Self::verify_head)
    /// and [`is_for`](Self::is_for) do one after the other.
    ///
    /// # Errors
    ///
    /// [`TokenError`] says what it is not.
    pub fn verify(
        text: &str,
        key: &PublicKey,
        origins: &[String],
        now: Timestamp,
        body: &[u8],
    ) -> Result<Self, TokenError> {
        let token = Self::verify_head(text, key, origins, now)?;
        if token.is_for(body) { Ok(token) } else { Err(TokenError::OtherBody) }
    }

    /// As [`verify`](Self::verify), before the body has come: everything but that it is for this body. That its `jti` is new is for the endpoint to say.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify), but for [`TokenError::OtherBody`].
    pub fn verify_head(text: &str, key: &PublicKey, origins: &[String], now: Timestamp) -> Result<Self, TokenError> {
        let payload = Unverified::parse(text, TYP)?.verify(key)?;
        let token: Self = parse_object(&payload).map_err(JwsError::Payload)?;
        if !origins.contains(&token.aud) {
            return Err(TokenError::OtherEndpoint { found: token.aud, origins: origins.join(", ") });
        }
        let now = now.as_second();
        let lives = token.exp.checked_sub(token.iat).is_some_and(|lifetime| (0..=LIFETIME_S).contains(&lifetime));
        let holds = token.iat <= now.saturating_add(SKEW_S) && now < token.exp.saturating_add(SKEW_S);
        if !lives || !holds {
            return Err(TokenError::Clock { iat: token.iat, exp: token.exp, now });
        }
        Ok(token)
    }

    /// Whether it was signed for a request with this body.
    pub fn is_for(&self, body: &[u8]) -> bool {
        self.body == hash(body)
    }

    /// Until when its `jti` has to be remembered, in seconds since 1970.
    pub fn remembered_until(&self) -> i64 {
        self.exp.saturating_add(SKEW_S)
    }
}

fn hash(body: &[u8]) -> Option<String> {
    if body.is_empty() { None } else { Some(BASE64URL.encode(digest(&SHA256, body))) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://curfew.example";

    #[test]
    fn a_token_is_good_for_its_host_endpoint_minute_and_body_alone() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let host: HostId = "web-1".parse().unwrap();
        let token = HostToken::new(host.clone(), ORIGIN, at(0), "1".into(), b"body");
        let text = token.sign(&key).unwrap();
        assert_eq!(HostToken::claimed_host(&text).unwrap(), host);
        let origins = [ORIGIN.to_owned()];
        let verify = |key: &SigningKey, origins: &[String], now, body: &[u8]| {
            HostToken::verify(&text, &key.public(), origins, now, body)
        };
        assert_eq!(verify(&key, &origins, at(59), b"body").unwrap(), token);
        assert!(matches!(verify(&other, &origins, at(0), b"body"), Err(TokenError::Jws(_))));
        assert!(matches!(
            verify(&key, &["https://evil".into()], at(0), b"body"),
            Err(TokenError::OtherEndpoint { .. })
        ));
        assert!(matches!(verify(&key, &origins, at(120), b"body"), Err(TokenError::Clock { .. })));
        assert!(matches!(verify(&key, &origins, at(-61), b"body"), Err(TokenError::Clock { .. })));
        assert!(matches!(verify(&key, &origins, at(0), b"other"), Err(TokenError::OtherBody)));
        assert!(matches!(verify(&key, &origins, at(0), b""), Err(TokenError::OtherBody)));
        let eternal = HostToken { exp: i64::MAX, ..token };
        let text = eternal.sign(&key).unwrap();
        let verified = HostToken::verify(&text, &key.public(), &origins, at(0), b"body");
        assert!(matches!(verified, Err(TokenError::Clock { .. })));
    }
}
