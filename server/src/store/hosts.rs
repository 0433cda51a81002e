//! Hosts: their names, labels and keys, and the version of what their sets say.

use super::columns::{decode_labels, encode_labels, from_micros, host_id, key, maybe_from_micros, micros};
use super::db::{Row, Tx, Value, values};
use super::events::log;
use super::fleet::{Known, Load};
use super::{ChangeError, Store, StoreError, capacity};
use crate::actor::Act;
use crate::host_name::HostName;
use crate::labels::Labels;
use crate::secret::new_id;
use curfew_protocol::grant_set::HostId;
use curfew_protocol::jws::PublicKey;
use jiff::Timestamp;
use serde_json::json;
use std::str::FromStr;

const COLUMNS: &str = "id, name, labels, key_x, ver, applied_ver, seen_at, created_at, removed_at";

/// How many hosts are written down at a time.
const AT_A_TIME: usize = 100;

/// Among these is the name that may have been meant: as many as are quickly compared.
const NAMES: &str = "SELECT name FROM hosts WHERE removed_at IS NULL ORDER BY name LIMIT 5000";

/// How many letters of a name may be wrong for it to be near.
const FAR: usize = 2;

/// How many near names are told.
const NEAR: usize = 3;

/// A host.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub id: HostId,
    pub name: String,
    pub labels: Labels,
    /// None: it is served from static files, or was removed.
    pub key: Option<PublicKey>,
    pub ver: i64,
    pub applied_ver: i64,
    pub seen_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub removed_at: Option<Timestamp>,
}

/// What a host said of itself, lately.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub at: Timestamp,
    /// The version that it says it applied, with its epoch.
    pub applied: Option<(i64, i64)>,
}

/// Which hosts.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostFilter {
    pub labels: Labels,
    pub removed: bool,
    pub after: Option<String>,
    pub limit: i64,
}

impl Store {
    /// The host of this id, or the present one of this name.
    pub(crate) async fn find_host(&self, id_or_name: &str) -> Result<Host, ChangeError> {
        // An id wins, also of a host that was removed: one that calls itself by another one's id gains nothing.
        let sql = format!(
            "SELECT {COLUMNS} FROM hosts WHERE id = $1 OR (name = $1 AND removed_at IS NULL)
             ORDER BY CASE WHEN id = $1 THEN 0 ELSE 1 END LIMIT 1"
        );
        match self.db.one(&sql, &values![id_or_name]).await? {
            Some(row) => Ok(host(&row)?),
            None => Err(no_host(id_or_name, &self.db.all(NAMES, &[]).await?)),
        }
    }

    /// Hosts, by id.
    pub(crate) async fn hosts(&self, filter: &HostFilter) -> Result<Vec<Host>, StoreError> {
        let mut sql = format!("SELECT {COLUMNS} FROM hosts WHERE id > $1");
        let mut values: Vec<Value> = values![filter.after.as_deref().unwrap_or(""), filter.limit].into();
        sql.push_str(if filter.removed { " AND removed_at IS NOT NULL" } else { " AND removed_at IS NULL" });
        for (label, value) in filter.labels.iter() {
            let (first, second) = (values.len() + 1, values.len() + 2);
            sql.push_str(&format!(
                " AND EXISTS (SELECT 1 FROM host_labels l WHERE l.host = hosts.id AND l.label = ${first} AND l.value = ${second})"
            ));
            values.extend(values![label, value]);
        }
        sql.push_str(" ORDER BY id LIMIT $2");
        self.db.all(&sql, &values).await?.iter().map(host).collect()
    }

    /// A host without a key, served from static files.
    pub(crate) async fn add_host(&self, name: &HostName, labels: &Labels, act: Act<'_>) -> Result<Host, ChangeError> {
        let (mut tx, known) = self.begin_grants().await?;
        let host = insert(&mut tx, &known, name, labels, None, act.now).await?;
        log(&mut tx, act, "host.added", [Some(host.id.as_str()), None, None], json!({"name": name, "labels": labels}))
            .await?;
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
        log(&mut tx, act, "host.labelled", [Some(id), None, None], done).await?;
        tx.commit().await?;
        host.ver += 1;
        Ok(host)
    }

    /// Removes a host: its key, its labels, and the grants that were for it alone.
    pub(crate) async fn remove_host(&self, id_or_name: &str, act: Act<'_>) -> Result<Host, ChangeError> {
        let mut tx = self.db.begin_change().await?;
        let mut host = present(&mut tx, id_or_name).await?;
        let (id, now) = (host.id.as_str().to_owned(), micros(act.now));
        let sql = "UPDATE hosts SET removed_at = $2, removed_key_x = key_x, key_x = NULL, ver = ver + 1, open_grants = 0, open_bytes = 0,
                   changed = $3 WHERE id = $1";
        let stamp = tx.stamp().await?;
        tx.run(sql, &values![&id, now, stamp]).await?;
        tx.run("DELETE FROM host_labels WHERE host = $1", &values![&id]).await?;
        let sql = "INSERT INTO revocations (grant_id, host, epoch, ver)
                   SELECT g.id, h.id, (SELECT value FROM counters WHERE name = 'epoch'), h.ver FROM grants g JOIN hosts h ON h.id = g.host
                   WHERE g.host = $1 AND g.revoked_at IS NULL AND g.not_after > $2";
        tx.run(sql, &values![&id, now]).await?;
        let sql =
            "UPDATE grants SET revoked_at = $2, revoked_by = $3, revoke_reason = 'the host was removed', changed = $4
                   WHERE host = $1 AND revoked_at IS NULL AND not_after > $2";
        tx.run(sql, &values![&id, now, act.admin, stamp]).await?;
        log(&mut tx, act, "host.removed", [Some(id.as_str()), None, None], json!({"name": host.name})).await?;
        tx.commit().await?;
        host.removed_at = Some(act.now);
        host.key = None;
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
        let kids = json!({"old": old.kid(), "new": new.kid()});
        if changed {
            log(&mut tx, Act { admin: "", now }, "host.key_changed", [Some(id.as_str()), None, None], kids).await?;
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// Writes down what hosts said of themselves, some at a time: in between, somebody's change has its turn. As a change, since it locks hosts one after
    /// the other, and so do changes, in another order.
    pub(crate) async fn note_seen(&self, seen: &[(HostId, Seen)]) -> Result<(), StoreError> {
        for some in seen.chunks(AT_A_TIME) {
            let (mut rows, mut values): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
            for (id, seen) in some {
                let (epoch, ver) = seen.applied.unzip();
                values.extend(values![id.as_str(), micros(seen.at), epoch, ver]);
                let n = values.len();
                rows.push(format!("(${}, ${}, ${}, ${n})", n - 3, n - 2, n - 1));
            }
            // Both databases call the columns of VALUES so.
            let sql = format!(
                "UPDATE hosts SET seen_at = said.column2, applied_epoch = COALESCE(said.column3, applied_epoch),
                     applied_ver = COALESCE(said.column4, applied_ver)
                 FROM (VALUES {}) AS said WHERE hosts.id = said.column1",
                rows.join(", ")
            );
            let mut tx = self.db.begin_change().await?;
            tx.run(&sql, &values).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// A new host.
pub(super) async fn insert(
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

/// Refuses a name that is the id of a host, be it there or removed.
pub(super) async fn not_an_id(tx: &mut Tx<'_>, name: &HostName) -> Result<(), ChangeError> {
    match tx.one("SELECT id FROM hosts WHERE id = $1", &values![name.as_str()]).await? {
        Some(_) => Err(ChangeError::Conflict(format!("{name} is the id of a host; take another name"))),
        None => Ok(()),
    }
}

/// The host of this id or name, if it was not removed. An id wins, as in [`Store::find_host`].
pub(super) async fn present(tx: &mut Tx<'_>, id_or_name: &str) -> Result<Host, ChangeError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM hosts WHERE id = $1 OR (name = $1 AND removed_at IS NULL)
         ORDER BY CASE WHEN id = $1 THEN 0 ELSE 1 END LIMIT 1"
    );
    match tx.one(&sql, &values![id_or_name]).await?.map(|row| host(&row)).transpose()? {
        Some(host) if host.removed_at.is_none() => Ok(host),
        _ => Err(no_host(id_or_name, &tx.all(NAMES, &[]).await?)),
    }
}

/// That there is no host of this name, with those of the others that are nearly so.
fn no_host(name: &str, others: &[Row]) -> ChangeError {
    let (asked, mut near) = (name.to_lowercase(), Vec::new());
    for other in others.iter().filter_map(|row| row.text("name").ok()) {
        let known = other.to_lowercase();
        // As typed, or with what usually follows a name: a number or a domain.
        let first = known.split(['.', '-']).next().unwrap_or(&known);
        let distance = [known.as_str(), first].map(|known| strsim::osa_distance(&asked, known)).into_iter().min();
        if distance.is_some_and(|distance| distance <= FAR.min(asked.chars().count() / 2)) {
            near.push((distance, other));
        }
    }
    near.sort();
    let near = near.into_iter().take(NEAR).map(|(_, name)| name).collect();
    ChangeError::NoHost { name: name.into(), near }
}

fn host(row: &Row) -> Result<Host, StoreError> {
    Ok(Host {
        id: host_id(&row.text("id")?)?,
        name: row.text("name")?,
        labels: decode_labels(&row.text("labels")?)?,
        key: key(row, "key_x")?,
        ver: row.int("ver")?,
        applied_ver: row.int("applied_ver")?,
        seen_at: maybe_from_micros(row.maybe_int("seen_at")?)?,
        created_at: from_micros(row.int("created_at")?)?,
        removed_at: maybe_from_micros(row.maybe_int("removed_at")?)?,
    })
}
