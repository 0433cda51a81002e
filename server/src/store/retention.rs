//! What is old goes: a little at a time, each bit a transaction of its own, and never while it would hold up what people do. Nothing here takes the lock
//! of changes: what is old enough to go is in no set any more.

use super::columns::micros;
use super::db::{Value, values};
use super::{Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use std::time::{Duration, Instant};

/// How long an enrolment token that was never used is shown.
const UNUSED: SignedDuration = SignedDuration::from_hours(24);

/// How long a grant that has ended is kept at least: sets show it for an hour.
const ENDED: SignedDuration = SignedDuration::from_hours(24);

/// How many rows go at a time.
const ROWS: i64 = 500;

/// How many times as long as a bit took nothing is deleted then. Whoever waits has their turn.
const REST: u32 = 2;

/// The least of that.
const LEAST_REST: Duration = Duration::from_millis(2);

impl Store {
    /// How many records of the audit came before this, and how many since, if the first are more. Of the others only so many are counted: a look costs no
    /// more than the deletion.
    pub(crate) async fn most_is_before(&self, keep_since: Timestamp) -> Result<Option<(i64, i64)>, StoreError> {
        let since = micros(keep_since);
        let (mut old, mut kept) = (0, 0);
        for (table, key) in [("audit", "received_at"), ("admin_log", "time")] {
            let sql = format!("SELECT COUNT(*) AS number FROM {table} WHERE {key} < $1");
            old += self.count(&sql, &values![since]).await?;
        }
        for (table, key) in [("audit", "received_at"), ("admin_log", "time")] {
            let sql = format!(
                "SELECT COUNT(*) AS number FROM (SELECT 1 AS one FROM {table} WHERE {key} >= $1 LIMIT $2) AS those"
            );
            kept += self.count(&sql, &values![since, old]).await?;
        }
        Ok((old > kept).then_some((old, kept)))
    }

    async fn count(&self, sql: &str, values: &[Value]) -> Result<i64, StoreError> {
        let row = self.db.one(sql, values).await?.ok_or_else(|| StoreError::Corrupt("a count".into()))?;
        row.int("number")
    }

    /// Deletes what happened before `keep_since`, and tokens that can't be used any more. Returns how many rows went.
    pub(crate) async fn prune(&self, keep_since: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let before = |age: SignedDuration| micros(now.saturating_sub(age).unwrap_or(now));
        let since = micros(keep_since);
        let ended = since.min(before(ENDED));
        let mut gone = self.prune_audit(since).await?;
        let some = |table: &str, key: &str, which: &str| {
            format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {which} LIMIT {ROWS})")
        };
        let old_grant = "created_at < $1 AND not_after < $1";
        let of_old_grants = format!("grant_id IN (SELECT id FROM grants WHERE {old_grant})");
        for (sql, at) in [
            (some("admin_log", "seq", "time < $1"), since),
            (some("enrolment_tokens", "id", "used_at IS NULL AND expires_at < $1"), before(UNUSED)),
            (some("enrolment_tokens", "id", "used_at < $1"), since),
            (some("requests", "id", "state IN ('approved', 'denied') AND created_at < $1 AND decided_at < $1"), since),
            (some("grant_terms", "grant_id, label", &of_old_grants), ended),
            (some("revocations", "grant_id, host", &of_old_grants), ended),
            (some("grants", "id", old_grant), ended),
        ] {
            gone += self.delete_all(&sql, &values![at]).await?;
        }
        Ok(gone)
    }

    /// Deletes the hosts' audit, by when it came: hosts' clocks may be wrong, or lie. A series is in the order of its numbers, and nearly in that of its
    /// coming, so that what is old is found at its beginning without an index of its own.
    async fn prune_audit(&self, since: i64) -> Result<u64, StoreError> {
        let mut gone = 0;
        let mut spool = 0;
        let next = "SELECT spool FROM audit_state WHERE spool > $1 ORDER BY spool LIMIT 1";
        while let Some(row) = self.db.one(next, &values![spool]).await? {
            spool = row.int("spool")?;
            let mut behind = 0;
            loop {
                let sql = "SELECT seq, received_at FROM audit WHERE spool = $1 AND seq > $2 ORDER BY seq LIMIT $3";
                let rows = self.db.all(sql, &values![spool, behind, ROWS]).await?;
                let Some(last) = rows.last() else { break };
                let last = last.int("seq")?;
                let old = rows.iter().filter(|row| row.int("received_at").is_ok_and(|at| at < since)).count();
                if old == 0 {
                    break;
                }
                let sql = "DELETE FROM audit WHERE spool = $1 AND seq > $2 AND seq <= $3 AND received_at < $4";
                gone += self.delete(sql, &values![spool, behind, last, since]).await?;
                behind = last;
            }
        }
        Ok(gone)
    }

    /// Deletes by a statement that takes some at a time, until there is nothing left.
    async fn delete_all(&self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            match self.delete(sql, values).await? {
                0 => return Ok(gone),
                some => gone += some,
            }
        }
    }

    /// Deletes some, and rests.
    async fn delete(&self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let begun = Instant::now();
        let mut tx = self.db.begin().await?;
        let gone = tx.run(sql, values).await?;
        tx.commit().await?;
        tokio::time::sleep(LEAST_REST.max(begun.elapsed() * REST)).await;
        Ok(gone)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{act, empty, grant};
    use super::super::{AuditEntry, Batch, GrantFilter, Target};
    use super::*;
    use crate::access::grants::{add, revoke};
    use jiff::ToSpan as _;

    #[tokio::test]
    async fn what_is_old_goes_and_what_is_not_stays() {
        let (_folder, store) = empty().await;
        let now = Timestamp::now();
        let host = store.add_host(&"a".parse().unwrap(), &"env=prod".parse().unwrap(), act(now)).await.unwrap();
        let target = Target::Labels("env=prod".parse().unwrap());
        add(&store, &grant("short", now, 60), &target, act(now)).await.unwrap();
        add(&store, &grant("revoked", now, 60), &target, act(now)).await.unwrap();
        revoke(&store, "revoked", None, act(now)).await.unwrap();
        add(&store, &grant("long", now, 1_000_000), &target, act(now)).await.unwrap();
        assert_eq!(store.prune(now - 1.hour(), now).await.unwrap(), 0);
        // However short the audit is kept: what sets may still show stays.
        let soon = now + 30.minutes();
        assert_eq!(store.prune(soon, soon).await.unwrap(), 5, "what was logged");
        assert_eq!(store.set_of(&host.id, soon).await.unwrap().grants.len(), 2);
        let later = now + 100.hour();
        // Two grants with a term each, and a revocation on one host.
        assert_eq!(store.prune(later - 50.hour(), later).await.unwrap(), 5);
        let left = store.grants(&GrantFilter { limit: 10, ..GrantFilter::default() }, later).await.unwrap();
        assert_eq!(left.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["long"]);
        assert_eq!(store.set_of(&host.id, later).await.unwrap().grants.len(), 1);
    }

    #[tokio::test]
    async fn the_audit_goes_by_when_it_came_and_somebody_who_waits_has_their_turn() {
        let (_folder, store) = empty().await;
        let now = Timestamp::now();
        let host = store.add_host(&"a".parse().unwrap(), &Default::default(), act(now)).await.unwrap();
        let record = |seq: i64| AuditEntry {
            seq,
            time: now + 1000.hour(),
            event: "e".into(),
            user: None,
            grant: None,
            record: "{}".into(),
        };
        let all: Vec<_> = (1..=10_000).map(record).collect();
        for (index, entries) in all.chunks(500).enumerate() {
            let batch = Batch { host: &host.id, series: "s", oldest: 1, entries, most_a_day: i64::MAX };
            let at = if index < 19 { now - 2.hour() } else { now };
            store.add_audit(&batch, at).await.unwrap();
        }
        let admin_log = 1;
        assert_eq!(store.most_is_before(now - 1.hour()).await.unwrap(), Some((9500, 500 + admin_log)));
        assert_eq!(store.most_is_before(now - 3.hour()).await.unwrap(), None);
        let store = std::sync::Arc::new(store);
        let pruning = tokio::spawn({
            let store = store.clone();
            async move { store.prune(now - 1.hour(), now).await.unwrap() }
        });
        // Not one waits for all of it.
        let mut while_it_goes = 0;
        while !pruning.is_finished() {
            let id = format!("g{while_it_goes}");
            add(&store, &grant(&id, now, 60), &Target::Host("a".into()), act(now)).await.unwrap();
            while_it_goes += 1;
        }
        assert_eq!(pruning.await.unwrap(), 9500);
        assert!(while_it_goes >= 10, "{while_it_goes} grants meanwhile");
    }
}
