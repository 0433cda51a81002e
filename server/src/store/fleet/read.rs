//! What changed since the last look, read at once: the counters, the hosts, the grants, in this order.

use super::super::StoreError;
use super::super::columns::{decode_labels, host_id, key, micros};
use super::super::db::{Db, Row, values};
use super::set_grant::{SetGrant, since};
use super::{ByLabels, HostNow, Known};
use curfew_protocol::grant_set::HostId;
use jiff::Timestamp;
use std::sync::Arc;

/// What was read.
pub(super) struct Read {
    pub counters: Counters,
    pub hosts: Vec<(HostId, HostNow)>,
    /// Grants for one host; those without content are revoked.
    pub own: Vec<(HostId, String, Option<Arc<SetGrant>>)>,
    pub known: Arc<Known>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counters {
    pub epoch: i64,
    pub keys: i64,
    pub sets: i64,
    pub label_grants: i64,
}

impl Read {
    /// What the database has beyond what is known; nothing where that is all.
    pub(super) async fn after(before: Counters, by_labels: &ByLabels, db: &Db) -> Result<Option<Self>, StoreError> {
        let counters = counters(db).await?;
        if counters == before {
            return Ok(None);
        }
        let (mut hosts, mut own) = (Vec::new(), Vec::new());
        if counters.sets != before.sets {
            let sql = "SELECT id, labels, key_x, removed_key_x, ver, removed_at FROM hosts WHERE changed > $1";
            let rows = db.all(sql, &values![before.sets]).await?;
            hosts = rows.iter().map(host).collect::<Result<_, _>>()?;
            let since = micros(since(Timestamp::now()));
            let sql = "SELECT host, id, not_after, created_at, document, revoked_at FROM grants
                       WHERE host IS NOT NULL AND changed > $1 AND ($1 >= 0 OR (revoked_at IS NULL AND not_after > $2))";
            let rows = db.all(sql, &values![before.sets, since]).await?;
            own = rows.iter().map(own_grant).collect::<Result<_, _>>()?;
        }
        let known = by_labels.after(counters.label_grants, db).await?;
        Ok(Some(Self { counters, hosts, own, known }))
    }
}

async fn counters(db: &Db) -> Result<Counters, StoreError> {
    let sql = "SELECT name, value FROM counters WHERE name IN ('epoch', 'keys', 'sets', 'label_grants')";
    let mut counters = Counters::default();
    for row in db.all(sql, &[]).await? {
        let value = row.int("value")?;
        match row.text("name")?.as_str() {
            "epoch" => counters.epoch = value,
            "keys" => counters.keys = value,
            "sets" => counters.sets = value,
            _ => counters.label_grants = value,
        }
    }
    Ok(counters)
}

fn host(row: &Row) -> Result<(HostId, HostNow), StoreError> {
    let host = HostNow {
        labels: decode_labels(&row.text("labels")?)?,
        key: key(row, "key_x")?,
        removed_key: key(row, "removed_key_x")?,
        ver: row.int("ver")?,
        removed: row.maybe_int("removed_at")?.is_some(),
    };
    Ok((host_id(&row.text("id")?)?, host))
}

fn own_grant(row: &Row) -> Result<(HostId, String, Option<Arc<SetGrant>>), StoreError> {
    let grant = match row.maybe_int("revoked_at")? {
        Some(_) => None,
        None => Some(Arc::new(SetGrant::read(row)?)),
    };
    Ok((host_id(&row.text("host")?)?, row.text("id")?, grant))
}
