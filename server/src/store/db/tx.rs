//! A transaction: all of it or nothing, and whoever waits for what it changed hears of it when it is there, not before.

use super::{Change, Db, Row, StoreError, Value, listen, statement};
use sqlx::{AssertSqlSafe, Postgres, Sqlite, Transaction};
use tokio::sync::mpsc::UnboundedSender;

/// The number of the advisory lock that changes of sets take.
const CHANGES: i64 = 0x6375_7266_6577;

/// A transaction on one of the two databases. Dropped without a commit, it changes nothing.
pub(in crate::store) struct Tx<'d> {
    inner: Inner<'d>,
    hosts: Vec<String>,
    all: bool,
}

enum Inner<'d> {
    Sqlite(Transaction<'static, Sqlite>, &'d UnboundedSender<Change>),
    Postgres(Transaction<'static, Postgres>),
}

impl<'d> Tx<'d> {
    pub(super) async fn begin(db: &'d Db) -> Result<Self, StoreError> {
        let inner = match db {
            // The write lock at once: a transaction that begins by reading could not get it later.
            Db::Sqlite { writer, changes, .. } => Inner::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?, changes),
            Db::Postgres { pool } => Inner::Postgres(pool.begin().await?),
        };
        Ok(Self { inner, hosts: Vec::new(), all: false })
    }

    pub(super) async fn lock_changes(&mut self) -> Result<(), StoreError> {
        if let Inner::Postgres(tx) = &mut self.inner {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(CHANGES).execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// Every row of an answer.
    pub(in crate::store) async fn all(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        Ok(match &mut self.inner {
            Inner::Sqlite(tx, _) => {
                let rows = statement!(sql, values).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Inner::Postgres(tx) => {
                let rows = statement!(sql, values).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The first row of an answer.
    pub(in crate::store) async fn one(&mut self, sql: &str, values: &[Value]) -> Result<Option<Row>, StoreError> {
        Ok(match &mut self.inner {
            Inner::Sqlite(tx, _) => statement!(sql, values).fetch_optional(&mut **tx).await?.map(Row::Sqlite),
            Inner::Postgres(tx) => statement!(sql, values).fetch_optional(&mut **tx).await?.map(Row::Postgres),
        })
    }

    /// Does it, and says to how many rows.
    pub(in crate::store) async fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        Ok(match &mut self.inner {
            Inner::Sqlite(tx, _) => statement!(sql, values).execute(&mut **tx).await?.rows_affected(),
            Inner::Postgres(tx) => statement!(sql, values).execute(&mut **tx).await?.rows_affected(),
        })
    }

    /// The sets of these hosts are not what they were.
    pub(in crate::store) fn changed(&mut self, hosts: impl IntoIterator<Item = String>) {
        self.hosts.extend(hosts);
    }

    /// Every host's set, or the keys, may not be what they were.
    pub(in crate::store) fn changed_all(&mut self) {
        self.all = true;
    }

    /// Makes it so, and tells.
    pub(in crate::store) async fn commit(self) -> Result<(), StoreError> {
        let change = match (self.all, self.hosts) {
            (true, _) => Some(Change::All),
            (false, hosts) if hosts.is_empty() => None,
            (false, hosts) => Some(Change::Hosts(hosts)),
        };
        match self.inner {
            Inner::Sqlite(tx, changes) => {
                tx.commit().await?;
                if let Some(change) = change {
                    // Nobody listens in a command that works on the file itself.
                    let _ = changes.send(change);
                }
            }
            Inner::Postgres(mut tx) => {
                for payload in change.iter().flat_map(listen::payloads) {
                    let notify = sqlx::query("SELECT pg_notify($1, $2)").bind(listen::CHANNEL).bind(payload);
                    notify.execute(&mut *tx).await?;
                }
                tx.commit().await?;
            }
        }
        Ok(())
    }
}
