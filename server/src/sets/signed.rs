//! A host's set: put together from the grants that are its own, and signed.

use crate::config::Config;
use crate::duration;
use crate::sets::keys::{Keys, KeysError};
use crate::sets::version::Version;
use crate::store::{Standing, Store, StoreError};
use curfew_protocol::grant_set::{Claims, HostId, LONGEST_SET};
use jiff::Timestamp;
use std::time::Duration;

/// A set, ready to be sent.
#[derive(Debug)]
pub(crate) struct SignedSet {
    pub version: Version,
    pub text: String,
}

/// Why there is no set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetError {
    /// There never was such a host.
    #[error("there is no host {0}")]
    NoSuchHost(HostId),
    /// Too long for a host to take.
    #[error("the set of host {host} is {length} bytes long, and {LONGEST_SET} are the most; revoke some grants")]
    TooLong { host: HostId, length: usize },
    /// It can't be written.
    #[error("the set of host {host} can't be written: {source}")]
    Write { host: HostId, source: serde_json::Error },
    /// There is no key to sign it with.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The database did not say.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes and signs the set of a host that stands so at `now`, fresh for `lifetime`. A host that was removed has an empty one.
pub(crate) async fn signed(
    store: &Store,
    keys: &Keys,
    config: &Config,
    standing: Standing,
    lifetime: Duration,
    now: Timestamp,
) -> Result<SignedSet, SetError> {
    let (host, ver) = (&standing.id, standing.host.ver);
    let grants = standing.grants(now);
    if grants.left_out > 0 {
        // No change leads here; a database from before it was so may.
        tracing::error!(%host, grants = grants.left_out, "a host's set is too full, and grants are left out of it; revoke some");
    }
    let ring = keys.after(standing.keys_changed, store).await?;
    let iat = now.as_second();
    let claims = Claims {
        iss: config.issuer().into(),
        aud: host.clone(),
        iat,
        exp: iat.saturating_add(duration::seconds(lifetime)),
        epoch: standing.epoch.unsigned_abs(),
        ver: ver.unsigned_abs(),
        max_offline_s: config.max_offline.as_secs(),
        keys: ring.pinned.clone(),
        grants: grants.grants,
    };
    let text = claims.sign(&ring.signing).map_err(|source| SetError::Write { host: host.clone(), source })?;
    if text.len() > LONGEST_SET {
        return Err(SetError::TooLong { host: host.clone(), length: text.len() });
    }
    Ok(SignedSet { version: Version { epoch: standing.epoch, ver }, text })
}

/// As [`signed`], of where the host stands now, with the keys and the lifetime of a server that runs.
pub(crate) async fn signed_now(
    store: &Store,
    keys: &Keys,
    config: &Config,
    host: &HostId,
) -> Result<SignedSet, SetError> {
    let Some(standing) = store.standing(host).await? else { return Err(SetError::NoSuchHost(host.clone())) };
    signed_so(store, keys, config, standing).await
}

/// As [`signed_now`], of a host that is known to stand so.
pub(crate) async fn signed_so(
    store: &Store,
    keys: &Keys,
    config: &Config,
    standing: Standing,
) -> Result<SignedSet, SetError> {
    signed(store, keys, config, standing, config.set_lifetime, Timestamp::now()).await
}
