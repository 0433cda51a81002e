//! What the log is told of a host's audit: each event at most so often a day, so that no host buries what administrators did.

use super::super::StoreError;
use super::super::db::Tx;
use super::super::events::{About, Event};
use super::Batch;
use crate::actor::Act;
use serde_json::{Value as Json, json};

/// How often a day the log is told of one kind of thing about one host, by the endpoint's clock in UTC. The last one says that it is.
pub(super) const MOST_A_DAY: i64 = 100;

/// Tells the log, unless it has been told of enough of this kind today.
pub(super) async fn tell(
    tx: &mut Tx<'_>,
    batch: &Batch<'_>,
    act: Act<'_>,
    event: Event,
    mut details: Json,
) -> Result<(), StoreError> {
    let host = batch.host.as_str();
    let before = tx.times_today(host, event, act).await?;
    if before >= MOST_A_DAY {
        return Ok(());
    }
    if before + 1 == MOST_A_DAY {
        if let Some(details) = details.as_object_mut() {
            details.insert("most_a_day".into(), json!(MOST_A_DAY));
        }
        let (event, most) = (event.name(), MOST_A_DAY);
        tracing::error!(
            host,
            event,
            most,
            "the log has been told of enough of this about a host today; more is not told"
        );
    }
    tx.log(act, event, About::host(host), details).await
}
