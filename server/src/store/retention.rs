//! What is old goes.

use super::db::values;
use super::{Store, StoreError, micros};
use jiff::{SignedDuration, Timestamp};

/// How long an enrolment token that was never used is shown.
const UNUSED: SignedDuration = SignedDuration::from_hours(24);

impl Store {
    /// Deletes what happened before `keep_since`, and tokens that can't be used any more. Returns how many rows went.
    pub(crate) async fn prune(&self, keep_since: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let (since, unused) = (micros(keep_since), micros(now.saturating_sub(UNUSED).unwrap_or(now)));
        let mut tx = self.db.begin_change().await?;
        let mut gone = 0;
        for (sql, at) in [
            // Hosts' clocks may be wrong: both times have to be old.
            ("DELETE FROM audit WHERE time < $1 AND received_at < $1", since),
            ("DELETE FROM admin_log WHERE time < $1", since),
            ("DELETE FROM enrolment_tokens WHERE used_at IS NULL AND expires_at < $1", unused),
            ("DELETE FROM enrolment_tokens WHERE used_at < $1", since),
            ("DELETE FROM requests WHERE state <> 'pending' AND decided_at < $1", since),
            (
                "DELETE FROM grant_terms WHERE grant_id IN (SELECT id FROM grants WHERE not_after < $1 AND created_at < $1)",
                since,
            ),
            ("DELETE FROM grants WHERE not_after < $1 AND created_at < $1", since),
        ] {
            gone += tx.run(sql, &values![at]).await?;
        }
        tx.commit().await?;
        Ok(gone)
    }
}
