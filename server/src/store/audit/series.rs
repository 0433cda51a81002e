//! New series: a host that has shipped another one before has lost its spool. So the log has each; and that no host fills it, there are only so many a day.

use super::super::db::{Tx, values};
use super::super::events::Event;
use super::{Batch, NotStored};
use crate::actor::Act;
use serde_json::json;

/// How many a host may begin a day, by the endpoint's clock in UTC.
pub(super) const MOST_A_DAY: i64 = 10;

/// Says that a host which shipped another series before has begun a new one: its spool was lost. With the last one that it may begin today, says that.
pub(super) async fn began(tx: &mut Tx<'_>, batch: &Batch<'_>, act: Act<'_>) -> Result<(), NotStored> {
    let sql = "SELECT series FROM audit_state WHERE host = $1 AND series <> $2 AND stored_to > 0 LIMIT 1";
    let host = batch.host.as_str();
    if tx.one(sql, &values![host, batch.series]).await?.is_none() {
        return Ok(());
    }
    let details = json!({"series": batch.series});
    if !tx.log_at_most(MOST_A_DAY, act, Event::AuditSeriesBegan, host, details).await? {
        return Err(NotStored::Series);
    }
    Ok(())
}
