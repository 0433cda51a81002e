//! The grant set: everything that one host holds by the endpoint's word, signed, numbered and dated.
//!
//! A set is a compact JWS. What a host checks, in this order: a pinned key, its signature, that the set is for this host, that it is not older
//! than one it had, and that the whole can be read. A grant in it that is malformed is refused alone.

use crate::grant::{Grant, GrantId};
use crate::jws::{self, JwsError, PublicKey, SigningKey, Unverified, parse_object};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// The media type of a set on the wire (RFC 7515, section 9.2.1).
pub const MEDIA_TYPE: &str = "application/jose";

/// The header's `typ`.
const TYP: &str = "curfew-grants+jwt";

/// The longest set, in bytes on the wire: ten thousand grants of ordinary length, and half as much again.
pub const LONGEST_SET: usize = 16 * 1024 * 1024;

/// The most grants in a set.
pub const MOST_GRANTS: usize = 10_000;

/// The most bytes of a set's grants: base64 takes a third more, and the claims around them are short.
pub const MOST_GRANT_BYTES: usize = LONGEST_SET / 4 * 3 - 64 * 1024;

/// Whether a host takes a set of so many grants of so many bytes in all.
#[must_use]
pub fn fits(grants: usize, bytes: usize) -> bool {
    // A comma behind each.
    grants <= MOST_GRANTS && bytes.saturating_add(grants) <= MOST_GRANT_BYTES
}

/// How far a set's `iat` may lie ahead of the host's clock, in seconds.
pub const CLOCK_SKEW_S: i64 = 60;

/// A host's name at the endpoint: 1 to 64 of `A-Z a-z 0-9 _ -`, so that it stands in paths and file names.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct HostId(GrantId);

/// The claims of a set (RFC 7519).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Claims {
    /// The endpoint.
    pub iss: String,
    /// The host that it is for.
    pub aud: HostId,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// Until when it is fresh, in seconds since 1970.
    pub exp: i64,
    /// Rises when the endpoint loses count of its versions.
    pub epoch: u64,
    /// Rises with each change.
    pub ver: u64,
    /// How long beyond `exp` grants of this set may still open something, in seconds.
    pub max_offline_s: u64,
    /// The keys that sign sets from now on; the host pins these instead of those before. Empty: no change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<PublicKey>,
    /// The grants, each as it was written.
    pub grants: Vec<Box<RawValue>>,
}

/// Where a set stands in the endpoint's history. It never falls: an older set is a replay.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Mark {
    /// The set's `epoch`.
    pub epoch: u64,
    /// Its `ver`.
    pub ver: u64,
    /// Its `iat`.
    pub iat: i64,
}

/// A set that was verified.
#[derive(Clone, Debug)]
pub struct GrantSet {
    /// Where it stands.
    pub mark: Mark,
    /// When it was signed.
    pub issued: Timestamp,
    /// Until when it is fresh.
    pub fresh_until: Timestamp,
    /// The instant from which its grants open nothing new.
    pub opens_until: Timestamp,
    /// The keys to pin from now on; empty for no change.
    pub keys: Vec<PublicKey>,
    /// Its grants.
    pub grants: Vec<Grant>,
    /// What in it is no grant.
    pub refused: Vec<RefusedGrant>,
}

/// An entry of a set that is no grant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefusedGrant {
    /// Its id, where it has one.
    pub id: Option<GrantId>,
    /// The place and the value.
    pub problem: String,
}

/// Why a set is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// Not signed as it has to be.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// Signed by a key that is not pinned.
    #[error("key {kid:?} is not pinned on this host; pinned are {pinned}")]
    UnknownKey {
        /// The key.
        kid: String,
        /// The ones that are.
        pinned: String,
    },
    /// For another host.
    #[error("it is for host {found}; this is {host}")]
    OtherHost {
        /// Whom it is for.
        found: String,
        /// Who this is.
        host: HostId,
    },
    /// Older than what the host had.
    #[error("it is older than one before: {found} after {had}")]
    Older {
        /// Where it stands.
        found: Mark,
        /// Where the newest one stood.
        had: Mark,
    },
    /// Signed in the future.
    #[error("it was signed at {iat}, and this host's clock says {now}")]
    Future {
        /// When it was signed.
        iat: Timestamp,
        /// What the clock says.
        now: Timestamp,
    },
    /// No longer fresh.
    #[error("it was fresh until {exp}, and this host's clock says {now}")]
    Expired {
        /// Until when it was fresh.
        exp: Timestamp,
        /// What the clock says.
        now: Timestamp,
    },
    /// Not a set.
    #[error("it can't be read: {0}")]
    Document(String),
}

/// A signature that holds, on a set that is for this host: its mark, age and content are still to be looked at.
#[derive(Debug)]
pub struct Signed {
    payload: Vec<u8>,
}

/// The claims that are looked at before the whole is parsed.
#[derive(Deserialize)]
struct Envelope {
    aud: String,
    iat: i64,
    epoch: u64,
    ver: u64,
}

impl Claims {
    /// The set as it goes over the wire.
    ///
    /// # Errors
    ///
    /// What can't be written as JSON.
    pub fn sign(&self, key: &SigningKey) -> Result<String, serde_json::Error> {
        Ok(jws::sign(key, TYP, &serde_json::to_vec(self)?))
    }
}

impl GrantSet {
    /// Verifies a set that came from somewhere: key, signature, host, and that it is neither older than `had`, nor from the future, nor
    /// expired; then parses the whole.
    ///
    /// # Errors
    ///
    /// [`SetError`] says which of these it was.
    pub fn verify(
        text: &str,
        pinned: &[PublicKey],
        host: &HostId,
        had: Mark,
        now: Timestamp,
    ) -> Result<Self, SetError> {
        let set = Self::verify_order(text, pinned, host, had)?;
        set.is_timely(now)?;
        Ok(set)
    }

    /// As [`verify`](Self::verify), whatever the clock says: what such a set no longer lists is withdrawn, even where its times or the host's
    /// clock are wrong.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify), but for [`SetError::Future`] and [`SetError::Expired`].
    pub fn verify_order(text: &str, pinned: &[PublicKey], host: &HostId, had: Mark) -> Result<Self, SetError> {
        let signed = Signed::verify(text, pinned, host)?;
        let found = signed.envelope()?.mark();
        if found < had {
            return Err(SetError::Older { found, had });
        }
        signed.parse()
    }

    /// That its times are right by the host's clock.
    ///
    /// # Errors
    ///
    /// [`SetError::Future`] or [`SetError::Expired`].
    pub fn is_timely(&self, now: Timestamp) -> Result<(), SetError> {
        if self.mark.iat > now.as_second().saturating_add(CLOCK_SKEW_S) {
            return Err(SetError::Future { iat: self.issued, now });
        }
        let exp = self.fresh_until;
        if exp <= now { Err(SetError::Expired { exp, now }) } else { Ok(()) }
    }

    /// Verifies a set that was verified and stored before: whatever its age, since what it holds was held then.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify), but for its age.
    pub fn verify_stored(text: &str, pinned: &[PublicKey], host: &HostId) -> Result<Self, SetError> {
        Signed::verify(text, pinned, host)?.parse()
    }
}

impl Signed {
    fn verify(text: &str, pinned: &[PublicKey], host: &HostId) -> Result<Self, SetError> {
        if text.len() > LONGEST_SET {
            return Err(SetError::Document(format!("{} bytes, and {LONGEST_SET} is the most", text.len())));
        }
        let jws = Unverified::parse(text, TYP)?;
        let kid = jws.kid()?;
        let Some(key) = pinned.iter().find(|key| key.kid() == kid) else {
            let pinned = pinned.iter().map(PublicKey::kid).collect::<Vec<_>>().join(", ");
            return Err(SetError::UnknownKey { kid: kid.into(), pinned });
        };
        let signed = Self { payload: jws.verify(key)? };
        let found = signed.envelope()?.aud;
        if found == host.as_str() { Ok(signed) } else { Err(SetError::OtherHost { found, host: host.clone() }) }
    }

    fn envelope(&self) -> Result<Envelope, SetError> {
        parse_object(&self.payload).map_err(SetError::Document)
    }

    fn parse(&self) -> Result<GrantSet, SetError> {
        let claims: Claims = parse_object(&self.payload).map_err(SetError::Document)?;
        if claims.grants.len() > MOST_GRANTS {
            let length = claims.grants.len();
            return Err(SetError::Document(format!("{length} grants, and {MOST_GRANTS} is the most")));
        }
        let (grants, refused) = sort_out(&claims.grants);
        let fresh_until = at(claims.exp)?;
        let offline = i64::try_from(claims.max_offline_s).ok().and_then(|s| claims.exp.checked_add(s));
        let opens_until = offline.and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(Timestamp::MAX);
        let mark = Mark { epoch: claims.epoch, ver: claims.ver, iat: claims.iat };
        Ok(GrantSet { mark, issued: at(claims.iat)?, fresh_until, opens_until, keys: claims.keys, grants, refused })
    }
}

impl Envelope {
    fn mark(&self) -> Mark {
        Mark { epoch: self.epoch, ver: self.ver, iat: self.iat }
    }
}

/// Parses each grant for itself. The second of two with one id is refused.
fn sort_out(entries: &[Box<RawValue>]) -> (Vec<Grant>, Vec<RefusedGrant>) {
    #[derive(Deserialize)]
    struct Named {
        id: GrantId,
    }
    let mut ids = HashSet::new();
    let (mut grants, mut refused) = (Vec::with_capacity(entries.len()), Vec::new());
    for entry in entries {
        match Grant::from_json(entry.get().as_bytes()) {
            Ok(grant) if ids.insert(grant.id.clone()) => grants.push(grant),
            Ok(grant) => {
                let problem = format!("grant {} is there twice", grant.id);
                refused.push(RefusedGrant { id: Some(grant.id), problem });
            }
            Err(error) => {
                let id = serde_json::from_str::<Named>(entry.get()).ok().map(|named| named.id);
                refused.push(RefusedGrant { id, problem: error.to_string() });
            }
        }
    }
    (grants, refused)
}

fn at(second: i64) -> Result<Timestamp, SetError> {
    Timestamp::from_second(second).map_err(|_| SetError::Document(format!("{second} is no time")))
}

impl HostId {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl std::str::FromStr for HostId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{text:?} is no host id: 1 to 64 of A-Z a-z 0-9 _ -"))
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}, version {}, signed at {}", self.epoch, self.ver, self.iat)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: i64 = 1_700_000_000;

    fn grant(id: &str) -> Value {
        json!({
            "id": id, "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "login": {}, "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
        })
    }

    fn claims(change: impl FnOnce(&mut Value)) -> Value {
        let mut claims = json!({
            "iss": "https://curfew.example", "aud": "web-1", "iat": NOW, "exp": NOW + 300, "epoch": 1, "ver": 7,
            "max_offline_s": 3600, "grants": [grant("a")]
        });
        change(&mut claims);
        claims
    }

    fn signed(key: &SigningKey, claims: &Value) -> String {
        jws::sign(key, TYP, claims.to_string().as_bytes())
    }

    fn verify(key: &SigningKey, text: &str) -> Result<GrantSet, SetError> {
        let had = Mark { epoch: 1, ver: 7, iat: NOW - 10 };
        let now = Timestamp::from_second(NOW).unwrap();
        GrantSet::verify(text, &[key.public()], &"web-1".parse().unwrap(), had, now)
    }

    #[test]
    fn a_set_that_is_signed_for_this_host_is_taken() {
        let key = SigningKey::generate().unwrap();
        let set = verify(&key, &signed(&key, &claims(|_| ()))).unwrap();
        assert_eq!(set.mark, Mark { epoch: 1, ver: 7, iat: NOW });
        assert_eq!(set.grants.len(), 1);
        assert_eq!(set.opens_until.as_second(), NOW + 3900);
    }

    #[test]
    fn a_set_that_can_not_be_believed_is_refused_for_what_it_is() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let refused = |claims: &Value| verify(&key, &signed(&key, claims)).unwrap_err();
        let error = verify(&key, &signed(&other, &claims(|_| ()))).unwrap_err();
        assert!(matches!(error, SetError::UnknownKey { .. }), "{error}");
        assert!(matches!(refused(&claims(|it| it["aud"] = json!("web-2"))), SetError::OtherHost { .. }));
        assert!(matches!(refused(&claims(|it| it["ver"] = json!(6))), SetError::Older { .. }));
        assert!(matches!(refused(&claims(|it| it["epoch"] = json!(0))), SetError::Older { .. }));
        assert!(matches!(refused(&claims(|it| it["iat"] = json!(NOW - 11))), SetError::Older { .. }));
        assert!(matches!(refused(&claims(|it| it["iat"] = json!(NOW + 61))), SetError::Future { .. }));
        assert!(matches!(refused(&claims(|it| it["exp"] = json!(NOW))), SetError::Expired { .. }));
        assert!(matches!(refused(&claims(|it| it["ver"] = json!("8"))), SetError::Document(_)));
        assert!(matches!(refused(&claims(|it| it["grants"] = json!({}))), SetError::Document(_)));
        assert!(matches!(refused(&claims(|it| it["exp"] = json!(i64::MAX))), SetError::Document(_)));
        assert!(matches!(refused(&json!([])), SetError::Document(_)));
        // A new epoch starts the count again.
        assert!(
            verify(
                &key,
                &signed(
                    &key,
                    &claims(|it| {
                        it["epoch"] = json!(2);
                        it["ver"] = json!(1);
                    })
                )
            )
            .is_ok()
        );
    }

    #[test]
    fn a_grant_that_is_malformed_is_refused_alone() {
        let key = SigningKey::generate().unwrap();
        let mut odd = grant("odd");
        odd["colour"] = json!("red");
        let set = claims(|it| it["grants"] = json!([grant("a"), odd, grant("a"), 7, grant("b")]));
        let set = verify(&key, &signed(&key, &set)).unwrap();
        assert_eq!(set.grants.iter().map(|grant| grant.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let ids: Vec<_> = set.refused.iter().map(|it| it.id.as_ref().map(GrantId::as_str)).collect();
        assert_eq!(ids, [Some("odd"), Some("a"), None]);
        assert!(set.refused[0].problem.contains("unknown field `colour`"), "{:?}", set.refused);
    }

    #[test]
    fn what_fits_is_taken_and_what_does_not_is_refused() {
        let key = SigningKey::generate().unwrap();
        let claims = |grants: usize, bytes: usize| {
            let mut claims: Claims = serde_json::from_value(claims(|_| ())).unwrap();
            // A host that refuses each grant for its length still takes the set.
            let mut document = serde_json::to_string(&"x".repeat(bytes / grants - 2)).unwrap();
            claims.grants = vec![serde_json::value::RawValue::from_string(document.clone()).unwrap(); grants - 1];
            document.insert_str(1, &"x".repeat(bytes % grants));
            claims.grants.push(serde_json::value::RawValue::from_string(document).unwrap());
            assert_eq!(claims.grants.iter().map(|grant| grant.get().len()).sum::<usize>(), bytes);
            claims.keys = vec![key.public(); 100];
            claims.sign(&key).unwrap()
        };
        for grants in [1, 1000, MOST_GRANTS] {
            let bytes = MOST_GRANT_BYTES - grants;
            assert!(fits(grants, bytes) && !fits(grants, bytes + 1));
            assert!(verify(&key, &claims(grants, bytes)).is_ok(), "{grants}");
        }
        assert!(!fits(MOST_GRANTS + 1, 0));
        assert!(verify(&key, &claims(MOST_GRANTS + 1, MOST_GRANTS * 4)).is_err());
        assert!(verify(&key, &claims(2, LONGEST_SET)).is_err());
    }

    #[test]
    fn what_claims_carry_comes_back() {
        let key = SigningKey::generate().unwrap();
        let claims: Claims = serde_json::from_value(claims(|it| it["keys"] = json!([key.public()]))).unwrap();
        let set = verify(&key, &claims.sign(&key).unwrap()).unwrap();
        assert_eq!(set.keys, [key.public()]);
        assert!(GrantSet::verify_stored(&claims.sign(&key).unwrap(), &[key.public()], &claims.aud).is_ok());
    }
}
