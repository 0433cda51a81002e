//! Grants that are revoked one by one, or with the host that they are for.

use super::super::StoreError;
use super::super::capacity;
use super::super::columns::micros;
use super::super::db::{Tx, values};
use super::{changed, moved, revocation};
use crate::actor::Act;
use curfew_protocol::grant::Text;
use curfew_protocol::grant_set::HostId;

/// A grant that was revoked just now.
#[derive(Debug)]
pub(crate) struct Revoked {
    pub user: String,
    /// The one host that it was for.
    pub host: Option<String>,
}

impl Tx<'_> {
    /// Revokes a grant on all its hosts; nothing where that was done before, or where there is none.
    pub(crate) async fn revoke_grant(
        &mut self,
        id: &str,
        reason: Option<&Text>,
        act: Act<'_>,
    ) -> Result<Option<Revoked>, StoreError> {
        let sql = "UPDATE grants SET revoked_at = $2, revoked_by = $3, revoke_reason = $4
                   WHERE id = $1 AND revoked_at IS NULL RETURNING user_name, host, not_after, bytes";
        let reason = reason.map(Text::as_str);
        let Some(row) = self.one(sql, &values![id, micros(act.now), act.admin, reason]).await? else { return Ok(None) };
        let (user, host) = (row.text("user_name")?, row.maybe_text("host")?);
        moved(self, id).await?;
        revocation::expect(self, id).await?;
        if let Some(host) = host.as_deref().filter(|_| row.int("not_after").is_ok_and(|end| end > micros(act.now))) {
            capacity::note(self, host, -1, -row.int("bytes")?).await?;
        }
        changed(self, id, host.is_some()).await?;
        Ok(Some(Revoked { user, host }))
    }

    /// Revokes what is for a host alone and holds or will: of a host whose version has moved already, and whose room is free.
    pub(crate) async fn revoke_grants_of(
        &mut self,
        host: &HostId,
        reason: &str,
        act: Act<'_>,
    ) -> Result<(), StoreError> {
        let (host, now) = (host.as_str(), micros(act.now));
        let sql = "INSERT INTO revocations (grant_id, host, epoch, ver)
                   SELECT g.id, h.id, (SELECT value FROM counters WHERE name = 'epoch'), h.ver FROM grants g JOIN hosts h ON h.id = g.host
                   WHERE g.host = $1 AND g.revoked_at IS NULL AND g.not_after > $2";
        self.run(sql, &values![host, now]).await?;
        let sql = "UPDATE grants SET revoked_at = $2, revoked_by = $3, revoke_reason = $4, changed = $5
                   WHERE host = $1 AND revoked_at IS NULL AND not_after > $2";
        let stamp = self.stamp().await?;
        self.run(sql, &values![host, now, act.admin, reason, stamp]).await?;
        Ok(())
    }
}
