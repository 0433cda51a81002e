//! Hosts come, change and go: each with its labels, its key, and the version of its set.

use super::super::columns::{encode_labels, micros};
use super::super::db::{Tx, values};
use super::super::events::{About, Event};
use super::super::fleet::{Known, Load};
use super::super::{ChangeError, Store, StoreError, capacity};
use super::{Host, not_an_id, present};
use crate::actor::Act;
use crate::host_name::HostName;
use crate::labels::Labels;
use crate::secret::new_id;
use curfew_protocol::grant_set::HostId;
use curfew_protocol::jws::PublicKey;
use jiff::Timestamp;
use serde_json::json;
use std::str::FromStr;

/// How often a host may change its key a day, by the endpoint's clock in UTC: each change is a row of the log, and no host fills the disk with them.
const MOST_KEYS_A_DAY: i64 = 10;

impl Store {
    /// A host without a key, served from static files.
    pub(crate) async fn add_host(&self, name: &HostName, labels: &Labels, act: Act<'_>) -> Result<Host, ChangeError> {
        let (mut tx, known) = self.begin_grants().await?;
        let host = insert(&mut tx, &known, name, labels, None, act.now).await?;
        tx.log(act, Event::HostAdded, About::host(host.id.as_str()), json!({"name": name, "labels": labels})).await?;
        tx.commit().await?;
        Ok(host)
    }

    /// Sets some labels and unsets others. What the host's set says changes with them.
    pub(crate) async fn label_host(
        &self,
        id_or_name: &str,
        set: &Labels,
        unset: &[String],
        act: Act<'_>,
    ) -> Result<Host, ChangeError> {
        let (mut tx, known) = self.begin_grants().await?;
        let mut host = present(&mut tx, id_or_name).await?;
        let id = host.id.as_str();
        let before = known.load(&host.labels, act.now);
        host.labels = host.labels.changed(set, unset).map_err(ChangeError::Conflict)?;
        // Labels that take grants away may always go, even from a set that is too full.
        if known.load(&host.labels, act.now).exceeds(before) {
            capacity::check_host(&mut tx, &known, (id, &host.labels), Load::default(), act.now).await?;
        }
        let text = encode_labels(&host.labels)?;
        let sql = "UPDATE hosts SET labels = $2, ver = ver + 1, changed = $3 WHERE id = $1";
        let stamp = tx.stamp().await?;
        tx.run(sql, &values![id, text, stamp]).await?;
        tx.run("DELETE FROM host_labels WHERE host = $1", &values![id]).await?;
        insert_labels(&mut tx, id, &host.labels).await?;
        let done = json!({"labels": host.labels, "set": set, "unset": unset});
        tx.log(act, Event::HostLabelled, About::host(id), done).await?;
        tx.commit().await?;
        host.ver += 1;
        Ok(host)
    }

    /// Puts a new key in the place of the old one. False where the old one is not there any more.
    pub(crate) async fn change_key(
        &self,
        id: &HostId,
        old: &PublicKey,
        new: &PublicKey,
        now: Timestamp,
    ) -> Result<bool, ChangeError> {
        let mut tx = self.db.begin_change().await?;
        let (old_x, new_x) = (old.x(), new.x());
        if let Some(row) = tx.one("SELECT id FROM hosts WHERE key_x = $1", &values![&new_x]).await? {
            if row.text("id")? == id.as_str() {
                // The same change came twice, one close behind the other.
                return Ok(true);
            }
            return Err(ChangeError::Conflict("another host has this key; make a new one".into()));
        }
        let sql = "UPDATE hosts SET key_x = $3, changed = $4 WHERE id = $1 AND key_x = $2 AND removed_at IS NULL";
        let stamp = tx.stamp().await?;
        let changed = tx.run(sql, &values![id.as_str(), old_x, new_x, stamp]).await? == 1;
        if changed {
            let (act, details) = (Act { admin: "", now }, json!({"old": old.kid(), "new": new.kid()}));
            if !tx.log_at_most(MOST_KEYS_A_DAY, act, Event::HostKeyChanged, id.as_str(), details).await? {
                // Nothing is committed.
                return Err(ChangeError::TooMany(format!(
                    "the host has changed its key {MOST_KEYS_A_DAY} times today (UTC), the most that it may; the one that it has stays good"
                )));
            }
        }
        tx.commit().await?;
        Ok(changed)
    }
}

impl Tx<'_> {
    /// Removes a host: its key and its labels. What its set says changes with that.
    pub(crate) async fn remove_host(&mut self, id_or_name: &str, now: Timestamp) -> Result<Host, ChangeError> {
        let mut host = present(self, id_or_name).await?;
        let id = host.id.as_str();
        let sql = "UPDATE hosts SET removed_at = $2, removed_key_x = key_x, key_x = NULL, ver = ver + 1, open_grants = 0, open_bytes = 0,
                   changed = $3 WHERE id = $1";
        let stamp = self.stamp().await?;
        self.run(sql, &values![id, micros(now), stamp]).await?;
        self.run("DELETE FROM host_labels WHERE host = $1", &values![id]).await?;
        host.removed_at = Some(now);
        host.key = None;
        Ok(host)
    }
}

/// A new host.
pub(in crate::store) async fn insert(
    tx: &mut Tx<'_>,
    known: &Known,
    name: &HostName,
    labels: &Labels,
    key: Option<&PublicKey>,
    now: Timestamp,
) -> Result<Host, ChangeError> {
    not_an_id(tx, name).await?;
    let taken = "SELECT id FROM hosts WHERE name = $1 AND removed_at IS NULL";
    if let Some(row) = tx.one(taken, &values![name.as_str()]).await? {
        let id = row.text("id")?;
        let problem = format!("there is a host {name} already ({id}); remove that one, or take another name");
        return Err(ChangeError::Conflict(problem));
    }
    let id = HostId::from_str(&new_id()).map_err(StoreError::Corrupt)?;
    let (key_x, text) = (key.map(PublicKey::x), encode_labels(labels)?);
    let sql = "INSERT INTO hosts (id, name, labels, key_x, created_at, changed) VALUES ($1, $2, $3, $4, $5, $6)";
    let stamp = tx.stamp().await?;
    tx.run(sql, &values![id.as_str(), name.as_str(), text, key_x.as_deref(), micros(now), stamp]).await?;
    insert_labels(tx, id.as_str(), labels).await?;
    capacity::check_host(tx, known, (id.as_str(), labels), Load::default(), now).await?;
    Ok(Host {
        id,
        name: name.as_str().into(),
        labels: labels.clone(),
        key: key.cloned(),
        ver: 1,
        applied_ver: 0,
        seen_at: None,
        created_at: now,
        removed_at: None,
    })
}

async fn insert_labels(tx: &mut Tx<'_>, id: &str, labels: &Labels) -> Result<(), StoreError> {
    for (label, value) in labels.iter() {
        let sql = "INSERT INTO host_labels (host, label, value) VALUES ($1, $2, $3)";
        tx.run(sql, &values![id, label, value]).await?;
    }
    Ok(())
}
