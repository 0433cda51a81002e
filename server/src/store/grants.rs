//! Grants: for one host, or for every host with some labels; and the versions that they move.

mod insert;
mod list;
mod lockdown;
mod revocation;
mod revoke;

pub(crate) use lockdown::{LockdownFilter, OpenGrant};
pub(crate) use revocation::Waiting;

use super::columns::{decode_labels, from_micros, maybe_from_micros, raw};
use super::db::{Row, Tx, values};
use super::fleet::Known;
use super::{ChangeError, Store, StoreError};
use crate::labels::Labels;
use curfew_protocol::grant_set::HostId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::ToSchema;

const COLUMNS: &str = "id, host, selector, not_before, not_after, document, created_at, created_by, revoked_at, revoked_by, revoke_reason, \
                       (SELECT name FROM hosts WHERE hosts.id = grants.host) AS host_name";

/// Of `hosts`, those that have the grant `$1` in their sets.
const HAVE_IT: &str = "(id IN (SELECT host FROM grants WHERE id = $1) OR id IN (
                           SELECT l.host FROM host_labels l JOIN grant_terms t ON t.label = l.label AND t.value = l.value
                           WHERE t.grant_id = $1 GROUP BY l.host
                           HAVING COUNT(*) = (SELECT COUNT(*) FROM grant_terms WHERE grant_id = $1)))";

/// The hosts that a grant is for.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// The one of this id or name.
    Host(String),
    /// Those that have all these labels when their set is made: now or later.
    Labels(Labels),
}

/// A grant as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct GrantRow {
    /// The host's id and name.
    pub host: Option<(String, String)>,
    pub selector: Option<Labels>,
    pub document: Box<RawValue>,
    pub id: String,
    pub created_at: Timestamp,
    pub created_by: String,
    pub revoked_at: Option<Timestamp>,
    pub revoked_by: Option<String>,
    pub revoke_reason: Option<String>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Where a grant is in its life.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GrantState {
    Coming,
    Live,
    Ended,
    Revoked,
}

/// Which grants.
#[derive(Clone, Debug, Default)]
pub(crate) struct GrantFilter {
    /// In the set of this host.
    pub host: Option<HostId>,
    pub user: Option<String>,
    pub state: Option<GrantState>,
    pub after: Option<String>,
    pub limit: i64,
}

impl GrantRow {
    /// Where it is in its life at `now`.
    pub(crate) fn state(&self, now: Timestamp) -> GrantState {
        if self.revoked_at.is_some() {
            GrantState::Revoked
        } else if self.not_after <= now {
            GrantState::Ended
        } else if now < self.not_before {
            GrantState::Coming
        } else {
            GrantState::Live
        }
    }
}

impl Store {
    /// How many hosts have a grant in their sets, or would if it held.
    pub(crate) async fn hosts_with(&self, id: &str) -> Result<usize, StoreError> {
        let sql = format!("SELECT COUNT(*) AS n FROM hosts WHERE removed_at IS NULL AND {HAVE_IT}");
        let row = self.db.one(&sql, &values![id]).await?;
        Ok(usize::try_from(row.map_or(Ok(0), |row| row.int("n"))?).unwrap_or_default())
    }

    /// The grant of this id.
    pub(crate) async fn grant(&self, id: &str) -> Result<GrantRow, ChangeError> {
        let sql = format!("SELECT {COLUMNS} FROM grants WHERE id = $1");
        match self.db.one(&sql, &values![id]).await? {
            Some(row) => Ok(grant(&row)?),
            None => Err(no_grant(id)),
        }
    }

    /// A change of grants, or of the labels that choose them, and the grants by labels as it finds them.
    pub(super) async fn begin_grants(&self) -> Result<(Tx<'_>, Arc<Known>), StoreError> {
        let mut tx = self.db.begin_change().await?;
        let known = self.fleet.by_labels().locked(&mut tx).await?;
        Ok((tx, known))
    }
}

impl Tx<'_> {
    /// The grant of this id, as the transaction has it.
    pub(crate) async fn grant(&mut self, id: &str) -> Result<GrantRow, ChangeError> {
        let sql = format!("SELECT {COLUMNS} FROM grants WHERE id = $1");
        match self.one(&sql, &values![id]).await? {
            Some(row) => Ok(grant(&row)?),
            None => Err(no_grant(id)),
        }
    }
}

/// Raises the version of every host that has the grant in its set. Returns how many there are.
async fn moved(tx: &mut Tx<'_>, id: &str) -> Result<usize, StoreError> {
    let stamp = tx.stamp().await?;
    let sql = format!("UPDATE hosts SET ver = ver + 1, changed = $2 WHERE {HAVE_IT}");
    let hosts = tx.run(&sql, &values![id, stamp]).await?;
    Ok(usize::try_from(hosts).unwrap_or(usize::MAX))
}

/// Notes that the grant of this id is new or another one, so that each server reads it once.
async fn changed(tx: &mut Tx<'_>, id: &str, for_one_host: bool) -> Result<(), StoreError> {
    if !for_one_host {
        tx.tells();
        tx.run("UPDATE counters SET value = value + 1 WHERE name = 'label_grants'", &[]).await?;
        let sql = "UPDATE grants SET changed = (SELECT value FROM counters WHERE name = 'label_grants') WHERE id = $1";
        tx.run(sql, &values![id]).await?;
        return Ok(());
    }
    let stamp = tx.stamp().await?;
    tx.run("UPDATE grants SET changed = $2 WHERE id = $1", &values![id, stamp]).await?;
    Ok(())
}

fn no_grant(id: &str) -> ChangeError {
    ChangeError::NotFound { what: "grant", name: id.into() }
}

fn grant(row: &Row) -> Result<GrantRow, StoreError> {
    Ok(GrantRow {
        id: row.text("id")?,
        host: row.maybe_text("host")?.zip(row.maybe_text("host_name")?),
        selector: row.maybe_text("selector")?.map(|text| decode_labels(&text)).transpose()?,
        document: raw(row.text("document")?)?,
        created_at: from_micros(row.int("created_at")?)?,
        created_by: row.text("created_by")?,
        revoked_at: maybe_from_micros(row.maybe_int("revoked_at")?)?,
        revoked_by: row.maybe_text("revoked_by")?,
        revoke_reason: row.maybe_text("revoke_reason")?,
        not_before: from_micros(row.int("not_before")?)?,
        not_after: from_micros(row.int("not_after")?)?,
    })
}
