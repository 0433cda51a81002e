//! Ed25519 keys: the private one in a PEM file, the public one as a JWK (RFC 7517, RFC 8037), named by its thumbprint (RFC 7638).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL};
use serde::{Deserialize, Serialize};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gave no randomness.
    #[error("no key can be made: the system gives no randomness")]
    Generate,
    /// The text is no private key.
    #[error("no Ed25519 private key in PEM (PKCS #8): {0}")]
    Pem(&'static str),
    /// The text is no public key.
    #[error("{0:?} is no Ed25519 public key (32 bytes in base64url)")]
    Public(String),
}

/// A private key.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public().kid()).finish()
    }
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Generate`].
    pub fn generate() -> Result<Self, KeyError> {
        Ed25519KeyPair::generate().map(Self).map_err(|_| KeyError::Generate)
    }

    /// Reads the key from PEM (RFC 7468, PKCS #8), as `openssl genpkey -algorithm ed25519` writes it, too.
    ///
    /// # Errors
    ///
    /// [`KeyError::Pem`]; the text itself is never repeated.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (_, after) = pem.split_once(BEGIN).ok_or(KeyError::Pem("no BEGIN PRIVATE KEY"))?;
        let (inner, _) = after.split_once(END).ok_or(KeyError::Pem("no END PRIVATE KEY"))?;
        let inner: String = inner.split_ascii_whitespace().collect();
        let der = BASE64.decode(inner).map_err(|_| KeyError::Pem("no base64 in it"))?;
        Ed25519KeyPair::from_pkcs8(&der).map(Self).map_err(|_| KeyError::Pem("another kind of key"))
    }

    /// The key in PEM. Whoever reads it can sign.
    ///
    /// # Errors
    ///
    /// [`KeyError::Generate`] where it can't be encoded.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let der = self.0.to_pkcs8v1().map_err(|_| KeyError::Generate)?;
        let text = BASE64.encode(der.as_ref());
        let mut pem = format!("{BEGIN}\n");
        for (index, c) in text.chars().enumerate() {
            if index > 0 && index % 64 == 0 {
                pem.push('\n');
            }
            pem.push(c);
        }
        Ok(pem + "\n" + END + "\n")
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Its signature on `message`.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// A public key. As JSON it is a JWK with its name.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "Jwk", into = "Jwk")]
pub struct PublicKey([u8; 32]);

#[derive(Deserialize, Serialize)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
}

impl PublicKey {
    /// Its name: the JWK's SHA-256 thumbprint (RFC 7638) in base64url.
    pub fn kid(&self) -> String {
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.x());
        BASE64URL.encode(digest(&SHA256, jwk.as_bytes()))
    }

    /// Its 32 bytes in base64url.
    pub fn x(&self) -> String {
        BASE64URL.encode(self.0)
    }

    /// The key with these 32 bytes in base64url.
    ///
    /// # Errors
    ///
    /// [`KeyError::Public`].
    pub fn from_x(x: &str) -> Result<Self, KeyError> {
        let bytes = BASE64URL.decode(x).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| KeyError::Public(x.into()))
    }

    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

impl TryFrom<Jwk> for PublicKey {
    type Error = String;

    fn try_from(jwk: Jwk) -> Result<Self, String> {
        if (jwk.kty.as_str(), jwk.crv.as_str()) != ("OKP", "Ed25519") {
            return Err(format!("a key of kty {:?}, crv {:?}; only OKP, Ed25519 is taken", jwk.kty, jwk.crv));
        }
        let key = Self::from_x(&jwk.x).map_err(|error| error.to_string())?;
        match jwk.kid {
            // A name that is not the key's own could stand for another one.
            Some(kid) if kid != key.kid() => Err(format!("kid {kid:?} is not the key's thumbprint")),
            _ => Ok(key),
        }
    }
}

impl From<PublicKey> for Jwk {
    fn from(key: PublicKey) -> Self {
        Self { kty: "OKP".into(), crv: "Ed25519".into(), x: key.x(), kid: Some(key.kid()) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_that_of_the_rfc() {
        // RFC 8037, appendix A.3.
        let key = PublicKey::from_x("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_private_key_comes_back_from_its_pem() {
        let key = SigningKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        assert_eq!(SigningKey::from_pem(&pem).unwrap().public(), key.public());
        // What openssl wrote.
        let theirs = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        let key = SigningKey::from_pem(theirs).unwrap();
        // RFC 8037, appendix A.1 and A.2.
        assert_eq!(key.public().x(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        for bad in ["", "-----BEGIN PRIVATE KEY-----", &pem.replace("PRIVATE", "PUBLIC")] {
            assert!(SigningKey::from_pem(bad).is_err());
        }
        assert!(!format!("{key:?}").contains("MC4C"));
    }

    #[test]
    fn a_jwk_of_another_kind_or_name_is_refused() {
        let key = SigningKey::generate().unwrap().public();
        let json = serde_json::to_value(&key).unwrap();
        assert_eq!(serde_json::from_value::<PublicKey>(json.clone()).unwrap(), key);
        for (field, value) in [("kty", "RSA"), ("crv", "X25519"), ("x", "AAAA"), ("kid", "other")] {
            let mut bad = json.clone();
            *bad.get_mut(field).unwrap() = value.into();
            assert!(serde_json::from_value::<PublicKey>(bad).is_err(), "{field}");
        }
    }
}
