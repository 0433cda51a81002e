//! The log of what administrators and this endpoint did.

use super::StoreError;
use super::columns::micros;
use super::db::{Tx, values};
use crate::actor::Act;
use serde_json::Value as Json;

/// Adds to the log what was done, in the transaction that does it. `on` is the host, the user and the grant.
pub(super) async fn log(
    tx: &mut Tx<'_>,
    act: Act<'_>,
    event: &str,
    on: [Option<&str>; 3],
    details: Json,
) -> Result<(), StoreError> {
    let next = "UPDATE counters SET value = value + 1 WHERE name = 'admin_log' RETURNING value";
    let row = tx.one(next, &[]).await?.ok_or_else(|| StoreError::Corrupt("the log's number".into()))?;
    let seq = row.int("value")?;
    let [host, user, grant] = on;
    let sql = "INSERT INTO admin_log (seq, time, event, admin, host, user_name, grant_id, record)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let record = details.to_string();
    tx.run(sql, &values![seq, micros(act.now), event, act.admin, host, user, grant, record]).await?;
    Ok(())
}
