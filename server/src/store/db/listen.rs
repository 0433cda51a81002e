//! PostgreSQL's `LISTEN`: what any server changed, told to this one.
//!
//! While the connection is away, notifications are lost; so when it is back, everything counts as changed, and whoever waits looks at the
//! tables again.

use super::Change;
use sqlx::postgres::{PgListener, PgPool};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// The channel.
pub(super) const CHANNEL: &str = "curfew";

/// What stands for every host.
const ALL: &str = "*";

/// The most ids in one notification, which PostgreSQL limits to 8000 bytes.
const IDS: usize = 100;

/// How long to wait before the next try to connect.
const PAUSE: Duration = Duration::from_secs(1);

/// A change as the texts of notifications.
pub(super) fn payloads(change: &Change) -> Vec<String> {
    match change {
        Change::All => vec![ALL.into()],
        Change::Hosts(hosts) => hosts.chunks(IDS).map(|hosts| hosts.join(",")).collect(),
    }
}

fn change(payload: &str) -> Change {
    if payload == ALL { Change::All } else { Change::Hosts(payload.split(',').map(Into::into).collect()) }
}

/// Listens until nobody wants to hear of it.
pub(super) fn spawn(pool: PgPool, changes: UnboundedSender<Change>) {
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

async fn listen(pool: &PgPool, changes: &UnboundedSender<Change>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    // What was changed before somebody listened.
    let mut heard = Some(Change::All);
    loop {
        if changes.send(heard.unwrap_or(Change::All)).is_err() {
            return Ok(());
        }
        // Nothing: the connection was lost, and is back.
        heard = listener.try_recv().await?.map(|notification| change(notification.payload()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_comes_back_from_its_notifications() {
        let ids = |from: usize, to: usize| (from..to).map(|id| format!("{id:026}")).collect::<Vec<_>>();
        let texts = payloads(&Change::Hosts(ids(0, 250)));
        assert!(texts.iter().all(|text| text.len() < 8000));
        let back: Vec<_> = texts.iter().map(|text| change(text)).collect();
        assert_eq!(back, [(0, 100), (100, 200), (200, 250)].map(|(from, to)| Change::Hosts(ids(from, to))));
        assert_eq!(payloads(&Change::All).iter().map(|text| change(text)).collect::<Vec<_>>(), [Change::All]);
    }
}
