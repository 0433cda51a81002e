//! The keys that sign sets: their public halves and where each is in its life. The private halves are files on each server.

use super::admins::add_admin;
use super::columns::{from_micros, maybe_from_micros, micros};
use super::db::{Row, Tx, values};
use super::events::{About, Event};
use super::{ChangeError, Store, StoreError};
use crate::actor::Act;
use crate::secret::Hash;
use curfew_protocol::jws::PublicKey;
use jiff::Timestamp;
use serde_json::json;

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyState {
    /// Hosts pin it; it signs nothing, or nothing any more.
    Announced,
    /// It signs.
    Active,
    /// Hosts don't pin it.
    Retired,
}

/// A key.
#[derive(Clone, Debug)]
pub(crate) struct KeyRow {
    pub key: PublicKey,
    pub state: KeyState,
    pub announced_at: Timestamp,
    pub used_at: Option<Timestamp>,
    pub retired_at: Option<Timestamp>,
}

impl KeyState {
    /// Its name in tables and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

impl Store {
    /// How often the keys have changed.
    pub(crate) async fn keys_changed(&self) -> Result<i64, StoreError> {
        let row = self.db.one("SELECT value FROM counters WHERE name = 'keys'", &[]).await?;
        row.ok_or_else(|| StoreError::Corrupt("the count of the keys' changes".into()))?.int("value")
    }

    /// Every key, the oldest first.
    pub(crate) async fn signing_keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        let sql = "SELECT key_x, state, announced_at, used_at, retired_at FROM signing_keys ORDER BY announced_at, kid";
        self.db.all(sql, &[]).await?.iter().map(key).collect()
    }

    /// Founds an endpoint on an empty database: its first key, which signs, and its first administrator. Both, or neither; and nothing where there is one.
    pub(crate) async fn found(
        &self,
        key: &PublicKey,
        (name, hash): (&str, &Hash),
        act: Act<'_>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.begin_change().await?;
        if tx.one("SELECT kid FROM signing_keys LIMIT 1", &[]).await?.is_some() {
            return Err(ChangeError::Conflict("the database has an endpoint already".into()));
        }
        announce(&mut tx, key, act).await?;
        add_admin(&mut tx, name, hash, act).await?;
        Ok(tx.commit().await?)
    }

    /// Announces a key in every set from now on. The first one signs at once.
    pub(crate) async fn announce_key(&self, key: &PublicKey, act: Act<'_>) -> Result<(), ChangeError> {
        let mut tx = self.db.begin_change().await?;
        announce(&mut tx, key, act).await?;
        Ok(tx.commit().await?)
    }

    /// The hosts that have not said that they applied a set with the newest announced key (one that fetches files never does), by id and name; the first so many.
    pub(crate) async fn hosts_without_newest_key(&self, limit: i64) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT id, name FROM hosts WHERE removed_at IS NULL AND keys_ver > 0 AND NOT (
                       applied_ver >= keys_ver AND applied_epoch = (SELECT value FROM counters WHERE name = 'epoch'))
                   ORDER BY name LIMIT $1";
        let rows = self.db.all(sql, &values![limit]).await?;
        rows.iter().map(|row| Ok((row.text("id")?, row.text("name")?))).collect()
    }

    /// Refuses a name that no key has, or one that is retired.
    pub(crate) async fn usable_key(&self, kid: &str) -> Result<(), ChangeError> {
        let row = self.db.one("SELECT state FROM signing_keys WHERE kid = $1", &values![kid]).await?;
        usable(kid, row.as_ref())
    }

    /// Signs with this key from now on. The one before stays announced.
    pub(crate) async fn use_key(&self, kid: &str, act: Act<'_>) -> Result<(), ChangeError> {
        let mut tx = self.db.begin_change().await?;
        let row = tx.one("SELECT state FROM signing_keys WHERE kid = $1", &values![kid]).await?;
        usable(kid, row.as_ref())?;
        tx.run("UPDATE signing_keys SET state = 'announced' WHERE state = 'active'", &[]).await?;
        let sql = "UPDATE signing_keys SET state = 'active', used_at = $2 WHERE kid = $1";
        tx.run(sql, &values![kid, micros(act.now)]).await?;
        changed(&mut tx).await?;
        tx.log(act, Event::KeyUsed, About::default(), json!({"kid": kid})).await?;
        Ok(tx.commit().await?)
    }

    /// Takes a key out of every set from now on.
    pub(crate) async fn retire_key(&self, kid: &str, act: Act<'_>) -> Result<(), ChangeError> {
        let mut tx = self.db.begin_change().await?;
        match tx.one("SELECT state FROM signing_keys WHERE kid = $1", &values![kid]).await? {
            None => return Err(no_key(kid)),
            Some(row) if row.text("state")? == KeyState::Active.name() => {
                let problem = format!("key {kid} signs the sets; use another one first: curfew-server key use KID");
                return Err(ChangeError::Conflict(problem));
            }
            Some(_) => {}
        }
        let sql = "UPDATE signing_keys SET state = 'retired', retired_at = COALESCE(retired_at, $2) WHERE kid = $1";
        tx.run(sql, &values![kid, micros(act.now)]).await?;
        let stamp = tx.stamp().await?;
        tx.run("UPDATE hosts SET ver = ver + 1, changed = $1 WHERE removed_at IS NULL", &values![stamp]).await?;
        changed(&mut tx).await?;
        tx.log(act, Event::KeyRetired, About::default(), json!({"kid": kid})).await?;
        Ok(tx.commit().await?)
    }
}

async fn announce(tx: &mut Tx<'_>, key: &PublicKey, act: Act<'_>) -> Result<(), ChangeError> {
    let kid = key.kid();
    if tx.one("SELECT kid FROM signing_keys WHERE kid = $1", &values![&kid]).await?.is_some() {
        return Err(ChangeError::Conflict(format!("key {kid} was announced before")));
    }
    let first = tx.one("SELECT kid FROM signing_keys WHERE state = 'active'", &[]).await?.is_none();
    let state = if first { KeyState::Active } else { KeyState::Announced };
    let used = first.then_some(micros(act.now));
    let sql = "INSERT INTO signing_keys (kid, key_x, state, announced_at, used_at) VALUES ($1, $2, $3, $4, $5)";
    tx.run(sql, &values![&kid, key.x(), state.name(), micros(act.now), used]).await?;
    // Each host has to hear of it: the version says who did.
    let stamp = tx.stamp().await?;
    let sql = "UPDATE hosts SET ver = ver + 1, keys_ver = ver + 1, changed = $1 WHERE removed_at IS NULL";
    tx.run(sql, &values![stamp]).await?;
    changed(tx).await?;
    tx.log(act, Event::KeyAnnounced, About::default(), json!({"kid": kid})).await?;
    Ok(())
}

/// Every set is another one now, and no server signs one with what it knew of the keys before.
async fn changed(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.run("UPDATE counters SET value = value + 1 WHERE name = 'keys'", &[]).await?;
    tx.tells();
    Ok(())
}

/// Whether a key of which this is the row may sign.
fn usable(kid: &str, row: Option<&Row>) -> Result<(), ChangeError> {
    match row {
        None => Err(no_key(kid)),
        Some(row) if row.text("state")? == KeyState::Retired.name() => {
            let problem = format!("key {kid} is retired; hosts don't take it. Add a new one: curfew-server key add");
            Err(ChangeError::Conflict(problem))
        }
        Some(row) if row.text("state")? == KeyState::Active.name() => {
            Err(ChangeError::Conflict(format!("key {kid} signs the sets already; nothing was changed")))
        }
        Some(_) => Ok(()),
    }
}

fn no_key(kid: &str) -> ChangeError {
    ChangeError::NotFound { what: "signing key", name: kid.into() }
}

fn key(row: &Row) -> Result<KeyRow, StoreError> {
    let state = match row.text("state")?.as_str() {
        "announced" => KeyState::Announced,
        "active" => KeyState::Active,
        "retired" => KeyState::Retired,
        other => return Err(StoreError::Corrupt(format!("key state {other:?}"))),
    };
    Ok(KeyRow {
        key: PublicKey::from_x(&row.text("key_x")?).map_err(|error| StoreError::Corrupt(error.to_string()))?,
        state,
        announced_at: from_micros(row.int("announced_at")?)?,
        used_at: maybe_from_micros(row.maybe_int("used_at")?)?,
        retired_at: maybe_from_micros(row.maybe_int("retired_at")?)?,
    })
}
