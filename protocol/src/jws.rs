//! Compact JWS (RFC 7515) with Ed25519 (RFC 8037, RFC 9864) and nothing else: how grant sets, host tokens and enrolments are signed.
//!
//! One algorithm and no choice in it: a header that asks for another one, for a critical extension or for another type of content is
//! refused before anything is verified.

mod key;

pub use key::{KeyError, PublicKey, SigningKey};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::{Deserialize, Serialize};

/// The one algorithm (RFC 9864).
const ALGORITHM: &str = "Ed25519";

/// The longest header, in bytes of base64url.
const LONGEST_HEADER: usize = 1024;

/// Why a JWS is not believed.
#[derive(Debug, thiserror::Error)]
pub enum JwsError {
    /// It is no compact JWS.
    #[error("no compact JWS: {0}")]
    Malformed(&'static str),
    /// Its header is not what it has to be.
    #[error("JWS header: {0}")]
    Header(String),
    /// Its payload is not what it has to be.
    #[error("JWS payload: {0}")]
    Payload(String),
    /// The key did not sign it.
    #[error("the signature is not one of key {kid}")]
    Signature {
        /// The key that was to have signed it.
        kid: String,
    },
}

#[derive(Deserialize, Serialize)]
struct Header {
    alg: String,
    typ: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwk: Option<PublicKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

/// Which key a verifier is to use.
#[derive(Clone, Copy, Debug)]
enum Named {
    /// One that it knows by this name already.
    ByName,
    /// The one in the header: for a key's first appearance alone.
    Inside,
}

/// Signs `payload` as content of the type `typ`, for a verifier that knows the key.
pub fn sign(key: &SigningKey, typ: &str, payload: &[u8]) -> String {
    sign_naming(key, typ, payload, Named::ByName)
}

/// Signs `payload` with the public key in the header, for a verifier that has never seen it.
pub fn sign_with_key_inside(key: &SigningKey, typ: &str, payload: &[u8]) -> String {
    sign_naming(key, typ, payload, Named::Inside)
}

fn sign_naming(key: &SigningKey, typ: &str, payload: &[u8], named: Named) -> String {
    let public = key.public();
    let (kid, jwk) = match named {
        Named::ByName => (Some(public.kid()), None),
        Named::Inside => (None, Some(public)),
    };
    let header = Header { alg: ALGORITHM.into(), typ: typ.into(), kid, jwk, crit: None };
    // Strings and numbers alone: this can't fail, and an empty header would be refused by every verifier.
    let header = serde_json::to_vec(&header).unwrap_or_default();
    let mut text = BASE64URL.encode(header);
    text.push('.');
    BASE64URL.encode_string(payload, &mut text);
    let signature = key.sign(text.as_bytes());
    text.push('.');
    BASE64URL.encode_string(signature, &mut text);
    text
}

/// A JWS of which nothing is believed yet.
#[derive(Debug)]
pub struct Unverified<'t> {
    header: Header,
    signed: &'t str,
    payload: &'t str,
    signature: Vec<u8>,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Header").field("typ", &self.typ).field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl<'t> Unverified<'t> {
    /// Takes a JWS apart that should be content of the type `typ`.
    ///
    /// # Errors
    ///
    /// [`JwsError`] says what it is not.
    pub fn parse(text: &'t str, typ: &str) -> Result<Self, JwsError> {
        let text = text.trim_ascii_end();
        let (signed, signature) = text.rsplit_once('.').ok_or(JwsError::Malformed("it has no signature"))?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::Malformed("it has no payload"))?;
        if header.len() > LONGEST_HEADER || payload.contains('.') {
            return Err(JwsError::Malformed("three parts are expected: header, payload, signature"));
        }
        let header = BASE64URL.decode(header).map_err(|_| JwsError::Malformed("the header is no base64url"))?;
        let signature =
            BASE64URL.decode(signature).map_err(|_| JwsError::Malformed("the signature is no base64url"))?;
        let header: Header = parse_object(&header).map_err(JwsError::Header)?;
        if header.alg != ALGORITHM {
            return Err(JwsError::Header(format!("alg is {:?}; only {ALGORITHM} is taken", header.alg)));
        }
        if header.typ != typ {
            return Err(JwsError::Header(format!("typ is {:?}; {typ} is expected here", header.typ)));
        }
        if header.crit.is_some() {
            return Err(JwsError::Header("crit asks for an extension, and none is known".into()));
        }
        Ok(Self { header, signed, payload, signature })
    }

    /// The name of the key that is said to have signed it.
    ///
    /// # Errors
    ///
    /// That it names none.
    pub fn kid(&self) -> Result<&str, JwsError> {
        self.header.kid.as_deref().ok_or_else(|| JwsError::Header("kid is missing".into()))
    }

    /// The payload, if `key` signed it.
    ///
    /// # Errors
    ///
    /// [`JwsError::Signature`], or that the payload is no base64url.
    pub fn verify(&self, key: &PublicKey) -> Result<Vec<u8>, JwsError> {
        if !key.has_signed(self.signed.as_bytes(), &self.signature) {
            return Err(JwsError::Signature { kid: key.kid() });
        }
        BASE64URL.decode(self.payload).map_err(|_| JwsError::Malformed("the payload is no base64url"))
    }

    /// The payload and the key in the header, if that key signed it: proof that whoever made it holds the key, and no more.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify), or that the header has no key.
    pub fn verify_by_key_inside(&self) -> Result<(Vec<u8>, PublicKey), JwsError> {
        let key = self.header.jwk.as_ref().ok_or_else(|| JwsError::Header("jwk is missing".into()))?;
        Ok((self.verify(key)?, key.clone()))
    }

    /// The payload, believed by nobody: to learn whose key to verify it with.
    ///
    /// # Errors
    ///
    /// That it is no base64url.
    pub fn claims_to_be(&self) -> Result<Vec<u8>, JwsError> {
        BASE64URL.decode(self.payload).map_err(|_| JwsError::Malformed("the payload is no base64url"))
    }
}

/// Parses one JSON object. serde would also take a list of the fields' values for the fields.
///
/// # Errors
///
/// What is wrong with it, and where.
pub fn parse_object<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err("it is no JSON object".into());
    }
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TYP: &str = "test+jwt";

    #[test]
    fn what_a_key_signed_is_verified_by_it_alone() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let text = sign(&key, TYP, b"{\"a\":1}");
        let jws = Unverified::parse(&text, TYP).unwrap();
        assert_eq!(jws.kid().unwrap(), key.public().kid());
        assert_eq!(jws.verify(&key.public()).unwrap(), b"{\"a\":1}");
        assert!(matches!(jws.verify(&other.public()), Err(JwsError::Signature { .. })));
        assert!(jws.verify_by_key_inside().is_err());
        let text = sign_with_key_inside(&key, TYP, b"{}");
        let (payload, inside) = Unverified::parse(&text, TYP).unwrap().verify_by_key_inside().unwrap();
        assert_eq!((payload.as_slice(), inside), (b"{}".as_slice(), key.public()));
    }

    #[test]
    fn a_changed_byte_anywhere_is_found() {
        let key = SigningKey::generate().unwrap();
        let text = sign(&key, TYP, b"{\"grants\":[]}");
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            let byte = bytes.get_mut(place).unwrap();
            *byte = if *byte == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            let verified = Unverified::parse(&changed, TYP).and_then(|jws| jws.verify(&key.public()));
            assert!(verified.is_err(), "byte {place}");
        }
        for cut in 0..text.len() {
            let cut = text.get(..cut).unwrap();
            assert!(Unverified::parse(cut, TYP).and_then(|jws| jws.verify(&key.public())).is_err());
        }
    }

    #[test]
    fn another_algorithm_type_or_a_critical_extension_is_refused() {
        let key = SigningKey::generate().unwrap();
        let signed = |header: &str| {
            let text = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode("{}"));
            let signature = BASE64URL.encode(key.sign(text.as_bytes()));
            format!("{text}.{signature}")
        };
        for (header, says) in [
            (r#"{"alg":"none","typ":"test+jwt"}"#, "alg is \"none\""),
            (r#"{"alg":"EdDSA","typ":"test+jwt"}"#, "alg is \"EdDSA\""),
            (r#"{"alg":"HS256","typ":"test+jwt"}"#, "alg is \"HS256\""),
            (r#"{"alg":"Ed25519","typ":"other+jwt"}"#, "typ is \"other+jwt\""),
            (r#"{"alg":"Ed25519","typ":"test+jwt","crit":["b64"],"b64":false}"#, "crit"),
            (r#"{"alg":"Ed25519"}"#, "typ"),
            (r#"["Ed25519","test+jwt",null,null,null]"#, "no JSON object"),
        ] {
            let error = Unverified::parse(&signed(header), TYP).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(Unverified::parse(&signed(r#"{"alg":"Ed25519","typ":"test+jwt"}"#), TYP).is_ok());
    }
}
