//! How much audit a host may write a day: one that writes without measure shall not fill the disk for all.

use super::super::db::{Tx, values};
use super::super::events::{About, Event};
use super::super::{Store, StoreError};
use super::{Batch, NotStored};
use crate::actor::Act;
use serde_json::json;

/// What a record takes beside its own bytes, and what a new series takes.
pub(super) const ROW: usize = 200;

/// Counts what a batch adds, and says in the log when the limit is near.
pub(super) async fn count(tx: &mut Tx<'_>, batch: &Batch<'_>, bytes: usize, act: Act<'_>) -> Result<(), NotStored> {
    let sql = "INSERT INTO audit_usage (host, day, bytes, told) VALUES ($1, $2, $3, 0)
               ON CONFLICT (host) DO UPDATE SET
                   bytes = CASE WHEN audit_usage.day = excluded.day THEN audit_usage.bytes ELSE 0 END + excluded.bytes,
                   told = CASE WHEN audit_usage.day = excluded.day THEN audit_usage.told ELSE 0 END,
                   day = excluded.day
               RETURNING bytes, told";
    let host = batch.host.as_str();
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let row = tx.one(sql, &values![host, act.day(), bytes]).await?;
    let row = row.ok_or_else(|| StoreError::Corrupt("a host's usage".into()))?;
    let (used, told) = (row.int("bytes")?, row.int("told")?);
    if used > batch.most_a_day {
        return Err(NotStored::TooMuch { most: batch.most_a_day });
    }
    if told == 0 && used > batch.most_a_day / 5 * 4 {
        tx.run("UPDATE audit_usage SET told = 1 WHERE host = $1", &values![host]).await?;
        let details = json!({"bytes": used, "most_a_day": batch.most_a_day});
        tx.log(act, Event::AuditLimitNear, About::host(host), details).await?;
        tracing::warn!(
            host,
            used,
            most = batch.most_a_day,
            "a host has written most of the audit that it may write today"
        );
    }
    Ok(())
}

impl Store {
    /// Says in the log, once a day, that a host may write no more.
    pub(super) async fn tell_too_much(&self, batch: &Batch<'_>, act: Act<'_>) -> Result<(), StoreError> {
        let host = batch.host.as_str();
        let mut tx = self.db.begin().await?;
        let sql = "INSERT INTO audit_usage (host, day, bytes, told) VALUES ($1, $2, 0, 2)
                   ON CONFLICT (host) DO UPDATE SET told = 2, day = excluded.day,
                       bytes = CASE WHEN audit_usage.day = excluded.day THEN audit_usage.bytes ELSE 0 END
                   WHERE audit_usage.day <> excluded.day OR audit_usage.told < 2 RETURNING host";
        if tx.one(sql, &values![host, act.day()]).await?.is_some() {
            let details = json!({"most_a_day": batch.most_a_day});
            tx.log(act, Event::AuditLimitReached, About::host(host), details).await?;
            tracing::error!(
                host,
                most = batch.most_a_day,
                "a host has written all the audit that it may write today; it keeps the rest"
            );
        }
        tx.commit().await
    }
}
