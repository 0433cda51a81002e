//! PostgreSQL's `LISTEN`: that any server changed something, told to this one. What it was is in the tables.
//!
//! While the connection is away, notifications are lost; so when it is back, something counts as changed.

use sqlx::postgres::{PgListener, PgPool};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// Says in a transaction that something changed. However often that is said, one notification comes of it.
pub(super) const NOTIFY: &str = "SELECT CAST(pg_notify('curfew', '') AS TEXT) AS told";

/// The channel.
const CHANNEL: &str = "curfew";

/// How long to wait before the next try to connect.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens until nobody wants to hear of it.
pub(super) fn spawn(pool: PgPool, changes: UnboundedSender<()>) {
    tokio::spawn(async move {
        while !changes.is_closed() && !pool.is_closed() {
            if let Err(error) = listen(&pool, &changes).await
                && !pool.is_closed()
            {
                tracing::warn!(%error, "the database's notifications are away; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    });
}

async fn listen(pool: &PgPool, changes: &UnboundedSender<()>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    // At first for what was changed before somebody listened. A connection that was lost and is back tells nothing, and counts.
    while changes.send(()).is_ok() {
        listener.try_recv().await?;
    }
    Ok(())
}
