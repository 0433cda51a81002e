//! What the endpoint remembers: hosts, grants, tokens, requests, keys, audit. One file a table or two; the SQL is the same on SQLite and PostgreSQL.
//!
//! | part | owns |
//! |---|---|
//! | [`db`] | the two databases behind one interface, transactions, and what they tell of changes |
//! | [`hosts`] | hosts, labels, versions |
//! | [`enrolment`] | one-use tokens, and what they turn into |
//! | [`fleet`] | what sets are made of, in memory |
//! | [`grants`] | grants, and the versions that they move |
//! | [`capacity`] | how many grants a host's set has room for |
//! | [`requests`] | what people on hosts ask for |
//! | [`signing_keys`] | the keys that sign sets: public halves and states |
//! | [`audit`] | the hosts' audit |
//! | [`admins`] | administrators' tokens |
//! | [`events`] | the log of what administrators and this endpoint did; [`sign_ins`] that failed are in it |
//! | [`health`], [`disk`] | whether the database takes what is written |
//! | [`retention`] | what is old goes |
//! | [`columns`] | how values stand in the tables |

mod admins;
mod audit;
mod capacity;
mod columns;
mod db;
mod disk;
mod enrolment;
mod events;
mod fleet;
mod grants;
mod health;
mod hosts;
mod requests;
mod retention;
mod sign_ins;
mod signing_keys;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use admins::AdminToken;
pub(crate) use audit::{AuditEntry, Batch, NotStored, Order, TrailFilter, TrailRow};
pub(crate) use db::{Lock, OpenError, Tx};
pub(crate) use disk::Disk;
pub(crate) use enrolment::{NewToken, NotEnrolled, TokenRow};
pub(crate) use events::{About, Event};
pub(crate) use fleet::{Change, Standing};
pub(crate) use grants::{GrantFilter, GrantRow, GrantState, LockdownFilter, OpenGrant, Target, Waiting};
pub(crate) use health::Health;
pub(crate) use hosts::{Host, HostFilter, Seen};
pub(crate) use requests::{Decision, RequestFilter, RequestRow, RequestState};
pub(crate) use sign_ins::{Attempt, FailedSignIns, Presented};
pub(crate) use signing_keys::{KeyRow, KeyState};

use crate::actor::Act;
use curfew_protocol::grant_set::HostId;
use db::{Db, Told};
use fleet::Fleet;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{Instant, sleep, timeout_at};

/// The database, whichever it is.
#[derive(Debug)]
pub(crate) struct Store {
    db: Db,
    fleet: Fleet,
}

/// How often somebody looks whether anything changed that nobody told of.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How long after a look that failed the next one comes.
const PAUSE: Duration = Duration::from_millis(250);

/// Changes of hosts' sets, whichever server made them.
#[derive(Debug)]
pub(crate) struct Changes {
    told: Told,
    changed: UnboundedReceiver<Change>,
    next_look: Option<Instant>,
}

impl Changes {
    /// The next change. It is in the memory by then. Never ends.
    pub(crate) async fn next(&mut self, store: &Store) -> Change {
        loop {
            let next = *self.next_look.get_or_insert_with(|| Instant::now() + LOOK_AGAIN);
            tokio::select! {
                biased;
                Some(change) = self.changed.recv() => return change,
                // What was told of before the look began is in it.
                _ = timeout_at(next, self.told.recv()) => while self.told.try_recv().is_ok() {},
            }
            self.next_look = None;
            if let Err(error) = store.look().await {
                tracing::debug!(%error, "nobody can see what changed; looking again");
                sleep(PAUSE).await;
                self.next_look = Some(Instant::now());
            }
        }
    }
}

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It said so.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// It did not answer somebody who asked for all.
    #[error("{0}")]
    Away(String),
    /// Something in the transaction failed before.
    #[error("database: the transaction failed before this")]
    Failed,
    /// What it has is not what the server wrote.
    #[error("database: {0} is not what was written; was it changed by hand?")]
    Corrupt(String),
}

impl StoreError {
    /// Whether the database's disk is full: what SQLite (SQLITE_FULL) or PostgreSQL (disk_full) says then.
    pub(crate) fn is_full_disk(&self) -> bool {
        let Self::Database(sqlx::Error::Database(error)) = self else { return false };
        error.code().is_some_and(|code| ["13", "53100"].contains(&code.as_ref()))
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// There is nothing of this name.
    #[error("there is no {what} {name:?}{}", where_to_look(what))]
    NotFound { what: &'static str, name: String },
    /// There is no host of this name, but perhaps some of nearly this one.
    #[error("there is no host {name:?}{}", meant(near))]
    NoHost { name: String, near: Vec<String> },
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// It was done as often as it may be today.
    #[error("{0}")]
    TooMany(String),
    /// It can't be, whatever is there.
    #[error("{0}")]
    Invalid(String),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What names may have been meant, and where all are.
fn meant(near: &[String]) -> String {
    let ask = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) };
    format!("{ask}{}", where_to_look("host"))
}

/// The command that lists what there is of a kind. Only administrators name things.
fn where_to_look(what: &str) -> String {
    let command = match what {
        "host" => "host list",
        "grant" => "grant list",
        "request" => "request list --all",
        "enrolment token" => "token list",
        "signing key" => "key list",
        _ => "admin-token list",
    };
    format!("; to see what there is: curfew-server {command}")
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Opens the database at `url` and brings its tables up to date.
    pub(crate) async fn open(url: &str, connections: u32) -> Result<(Self, Changes), OpenError> {
        let (db, told) = Db::open(url, connections).await?;
        let (sender, changed) = mpsc::unbounded_channel();
        Ok((Self { db, fleet: Fleet::new(sender) }, Changes { told, changed, next_look: None }))
    }

    /// Has the memory as the database is now.
    pub(crate) async fn look(&self) -> Result<(), StoreError> {
        self.fleet.look(&self.db).await
    }

    /// Where a host stands now; nothing for one that never was.
    pub(crate) async fn standing(&self, id: &HostId) -> Result<Option<Standing>, StoreError> {
        self.look().await?;
        Ok(self.fleet.standing(id))
    }

    /// Where a host stood when somebody last looked.
    pub(crate) fn standing_at_last_look(&self, id: &HostId) -> Option<Standing> {
        self.fleet.standing(id)
    }

    /// A transaction that writes what is one host's own.
    pub(crate) async fn begin(&self) -> Result<Tx<'_>, StoreError> {
        self.db.begin().await
    }

    /// A transaction that changes what sets say: one at a time, on all servers.
    pub(crate) async fn begin_change(&self) -> Result<Tx<'_>, StoreError> {
        self.db.begin_change().await
    }

    /// Closes it in order.
    pub(crate) async fn close(&self) {
        self.db.close().await;
    }

    /// Brings what was written ahead to its place, so that nobody's change waits for that. Never ends.
    pub(crate) async fn tidy(&self) {
        self.db.tidy().await;
    }

    /// Writes for nothing, to see whether it can be done.
    pub(crate) async fn try_writing(&self) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        tx.run("UPDATE counters SET value = value + 1 WHERE name = 'tried_writing'", &[]).await?;
        tx.commit().await
    }

    /// Raises the epoch: every host takes the next set, whatever version it had. Returns the new one.
    pub(crate) async fn bump_epoch(&self, act: Act<'_>) -> Result<i64, StoreError> {
        let mut tx = self.db.begin_change().await?;
        let sql = "UPDATE counters SET value = value + 1 WHERE name = 'epoch' RETURNING value";
        let row = tx.one(sql, &[]).await?.ok_or_else(|| StoreError::Corrupt("the epoch".into()))?;
        tx.tells();
        let epoch = row.int("value")?;
        tx.log(act, Event::EpochRaised, About::default(), serde_json::json!({"epoch": epoch})).await?;
        tx.commit().await?;
        Ok(epoch)
    }
}
