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
            // Hosts' clocks may be wrong, or lie.
            ("DELETE FROM audit WHERE received_at < $1", since),
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{act, empty, grant};
    use super::super::{GrantFilter, Target};
    use super::*;
    use jiff::ToSpan as _;

    #[tokio::test]
    async fn what_is_old_goes_and_what_is_not_stays() {
        let (_folder, store) = empty().await;
        let now = Timestamp::now();
        let host = store.add_host(&"a".parse().unwrap(), &"env=prod".parse().unwrap(), act(now)).await.unwrap();
        let target = Target::Labels("env=prod".parse().unwrap());
        store.add_grant(&grant("short", now, 60), &target, act(now)).await.unwrap();
        store.add_grant(&grant("long", now, 1_000_000), &target, act(now)).await.unwrap();
        assert_eq!(store.prune(now - 1.hour(), now).await.unwrap(), 0);
        let later = now + 10.hour();
        // What was logged of the host and the two grants, the short grant and its term.
        assert_eq!(store.prune(later - 1.hour(), later).await.unwrap(), 5);
        let left = store.grants(&GrantFilter { limit: 10, ..GrantFilter::default() }, later).await.unwrap();
        assert_eq!(left.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["long"]);
        assert_eq!(store.grants_of(&host.id, later).await.unwrap().len(), 1);
    }
}
