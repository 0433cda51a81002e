//! What the endpoint remembers: hosts, grants, tokens, requests, keys, audit. One file a table or two; the SQL is the same on SQLite and PostgreSQL.
//!
//! | part | owns |
//! |---|---|
//! | [`db`] | the two databases behind one interface, transactions, and what they tell of changes |
//! | [`hosts`] | hosts, labels, versions |
//! | [`enrolment`] | one-use tokens, and what they turn into |
//! | [`grants`] | grants, and the versions that they move |
//! | [`requests`] | what people on hosts ask for |
//! | [`signing_keys`] | the keys that sign sets: public halves and states |
//! | [`audit`] | the hosts' audit |
//! | [`admins`] | administrators' tokens, and the log of what they did |
//! | [`retention`] | what is old goes |

mod admins;
mod audit;
mod db;
mod enrolment;
mod grants;
mod hosts;
mod requests;
mod retention;
mod signing_keys;
#[cfg(test)]
mod testing;

pub(crate) use admins::{Act, AdminToken, name_on_the_server};
pub(crate) use audit::{AuditEntry, Batch, NotStored, TrailFilter, TrailRow};
pub(crate) use db::{Change, Changes, Lock, OpenError};
pub(crate) use enrolment::{NewToken, NotEnrolled, TokenRow};
pub(crate) use grants::{GrantFilter, GrantRow, GrantState, SetGrants, Target, Waiting};
pub(crate) use hosts::{Host, HostFilter, Seen, Standing};
pub(crate) use requests::{RequestRow, RequestState};
pub(crate) use signing_keys::{KeyRow, KeyState};

use db::Db;
use grants::ByLabels;
use jiff::Timestamp;

/// The database, whichever it is.
#[derive(Debug)]
pub(crate) struct Store {
    db: Db,
    by_labels: ByLabels,
}

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It said so.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// Something in the transaction failed before.
    #[error("database: the transaction failed before this")]
    Failed,
    /// What it has is not what the server wrote.
    #[error("database: {0} is not what was written; was it changed by hand?")]
    Corrupt(String),
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// There is nothing of this name.
    #[error("there is no {what} {name:?}")]
    NotFound { what: &'static str, name: String },
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// It can't be, whatever is there.
    #[error("{0}")]
    Invalid(String),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Opens the database at `url` and brings its tables up to date.
    pub(crate) async fn open(url: &str, connections: u32) -> Result<(Self, Changes), OpenError> {
        let (db, changes) = Db::open(url, connections).await?;
        Ok((Self { db, by_labels: ByLabels::default() }, changes))
    }

    /// Closes it in order.
    pub(crate) async fn close(&self) {
        self.db.close().await;
    }

    /// Writes for nothing, to see whether it can be done.
    pub(crate) async fn try_writing(&self) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        tx.run("UPDATE counters SET value = value + 1 WHERE name = 'tried_writing'", &[]).await?;
        tx.commit().await
    }

    /// Raises the epoch: every host takes the next set, whatever version it had. Returns the new one.
    pub(crate) async fn bump_epoch(&self) -> Result<i64, StoreError> {
        let mut tx = self.db.begin_change().await?;
        let sql = "UPDATE counters SET value = value + 1 WHERE name = 'epoch' RETURNING value";
        let row = tx.one(sql, &[]).await?.ok_or_else(|| StoreError::Corrupt("the epoch".into()))?;
        tx.changed_all();
        let epoch = row.int("value")?;
        tx.commit().await?;
        Ok(epoch)
    }
}

/// A time as the tables have it: microseconds.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

fn from_micros(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|_| StoreError::Corrupt(format!("time {micros}")))
}

fn maybe_from_micros(micros: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    micros.map(from_micros).transpose()
}
