//! Hosts: their names, labels and keys, and the version of what their sets say.

mod change;
mod near;
mod seen;

pub(super) use change::insert;
pub(crate) use seen::Seen;

use super::columns::{decode_labels, from_micros, host_id, key, maybe_from_micros};
use super::db::{Row, Tx, Value, values};
use super::{ChangeError, Store, StoreError};
use crate::host_name::HostName;
use crate::labels::Labels;
use curfew_protocol::grant_set::HostId;
use curfew_protocol::jws::PublicKey;
use jiff::Timestamp;
use near::{NAMES, no_host};

const COLUMNS: &str = "id, name, labels, key_x, ver, applied_ver, seen_at, created_at, removed_at";

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
