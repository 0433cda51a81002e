//! Which hosts have acknowledged a revocation: those that asked for what comes after a set without the grant. A host stores and applies a set before it
//! asks so.

use super::super::columns::{host_id, maybe_from_micros};
use super::super::db::{Tx, values};
use super::super::{ChangeError, Store, StoreError};
use super::no_grant;
use curfew_protocol::grant_set::HostId;
use jiff::Timestamp;

/// How far a revocation has come.
#[derive(Clone, Debug)]
pub(crate) struct Revocation {
    /// The hosts that had the grant when it was revoked.
    pub hosts: usize,
    /// Those of them that have not acknowledged, by name.
    pub waiting: Vec<Waiting>,
}

/// A host that has not acknowledged, as far as the database says.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub id: HostId,
    pub name: String,
    pub seen_at: Option<Timestamp>,
    /// It fetches files, and acknowledges nothing.
    pub by_files: bool,
    /// It was removed, and may be gone for good.
    pub removed: bool,
    /// What it has to apply: an epoch and a version.
    needs: (i64, i64),
}

impl Waiting {
    /// Whether a host that applied this has applied what it waits for.
    pub(crate) fn is_done_by(&self, applied: (i64, i64)) -> bool {
        applied >= self.needs
    }
}

impl Store {
    /// How far the revocation of a grant has come.
    pub(crate) async fn revocation(&self, id: &str) -> Result<Revocation, ChangeError> {
        let sql = "SELECT revoked_at, (SELECT COUNT(*) FROM revocations WHERE grant_id = grants.id) AS hosts FROM grants WHERE id = $1";
        let row = self.db.one(sql, &values![id]).await?.ok_or_else(|| no_grant(id))?;
        if row.maybe_int("revoked_at")?.is_none() {
            let problem = format!("grant {id} is not revoked; to revoke it: curfew-server grant revoke {id}");
            return Err(ChangeError::Conflict(problem));
        }
        let hosts = usize::try_from(row.int("hosts")?).unwrap_or_default();
        let sql = "SELECT r.host, r.epoch, r.ver, h.name, h.seen_at, h.removed_at, h.key_x, h.removed_key_x FROM revocations r JOIN hosts h ON h.id = r.host
                   WHERE r.grant_id = $1
                   AND NOT (h.applied_epoch > r.epoch OR (h.applied_epoch = r.epoch AND h.applied_ver >= r.ver)) ORDER BY h.name, h.id";
        let rows = self.db.all(sql, &values![id]).await?;
        let waiting = rows.iter().map(|row| {
            let keyless = row.maybe_text("key_x")?.is_none() && row.maybe_text("removed_key_x")?.is_none();
            Ok(Waiting {
                id: host_id(&row.text("host")?)?,
                name: row.text("name")?,
                seen_at: maybe_from_micros(row.maybe_int("seen_at")?)?,
                by_files: keyless,
                removed: row.maybe_int("removed_at")?.is_some(),
                needs: (row.int("epoch")?, row.int("ver")?),
            })
        });
        Ok(Revocation { hosts, waiting: waiting.collect::<Result<_, StoreError>>()? })
    }
}

/// Notes what each host that has the grant has to apply: its version as it is now, behind the change.
pub(super) async fn expect(tx: &mut Tx<'_>, id: &str) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO revocations (grant_id, host, epoch, ver)
         SELECT $1, id, (SELECT value FROM counters WHERE name = 'epoch'), ver FROM hosts WHERE {}",
        super::HAVE_IT
    );
    tx.run(&sql, &values![id]).await?;
    Ok(())
}
