//! A transaction: all of it or nothing, and whoever waits for what it changed hears of it when it is there, not before.
//!
//! A connection on which anything failed, or on which somebody stopped waiting half-way, is closed and never used again: nobody knows what is left open
//! on it. A full disk, for one, rolls a transaction back under the driver's feet, and the driver counts it as open for ever.

use super::write_ahead::Ahead;
use super::{Db, Row, StoreError, Value, listen, statement};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor as _, Postgres, Sqlite};
use tokio::sync::mpsc::UnboundedSender;

/// The number of the advisory lock that changes of sets take.
const CHANGES: i64 = 0x6375_7266_6577;

/// A transaction on one of the two databases. Dropped without a commit, it changes nothing.
pub(crate) struct Tx<'d> {
    connection: Connection,
    changes: Option<&'d UnboundedSender<()>>,
    ahead: Option<&'d Ahead>,
    /// The count of changes of sets that this one is, once it is one.
    stamp: Option<i64>,
    tells: bool,
}

/// A connection with an open transaction on it.
struct Connection {
    inner: Option<Inner>,
    /// Whether a statement was begun and did not come to a good end.
    broken: bool,
}

enum Inner {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl<'d> Tx<'d> {
    pub(super) async fn begin(db: &'d Db) -> Result<Self, StoreError> {
        let (inner, local, begin) = match db {
            // The write lock at once: a transaction that begins by reading could not get it later.
            Db::Sqlite { writer, changes, ahead, .. } => {
                (Inner::Sqlite(writer.acquire().await?), Some((changes, ahead)), "BEGIN IMMEDIATE")
            }
            Db::Postgres { pool } => (Inner::Postgres(pool.acquire().await?), None, "BEGIN"),
        };
        let mut connection = Connection { inner: Some(inner), broken: false };
        connection.simple(begin).await?;
        let (changes, ahead) = local.unzip();
        Ok(Self { connection, changes, ahead, stamp: None, tells: false })
    }

    pub(super) async fn lock_changes(&mut self) -> Result<(), StoreError> {
        if matches!(self.connection.inner, Some(Inner::Postgres(_))) {
            self.all("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT) AS locked", &[CHANGES.into()]).await?;
        }
        Ok(())
    }

    /// Every row of an answer.
    pub(in crate::store) async fn all(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let rows = match self.connection.try_it()? {
            Inner::Sqlite(it) => {
                let rows = statement!(sql, values).fetch_all(&mut **it).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Inner::Postgres(it) => {
                let rows = statement!(sql, values).fetch_all(&mut **it).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        };
        self.connection.broken = false;
        Ok(rows)
    }

    /// The first row of an answer.
    pub(in crate::store) async fn one(&mut self, sql: &str, values: &[Value]) -> Result<Option<Row>, StoreError> {
        let row = match self.connection.try_it()? {
            Inner::Sqlite(it) => statement!(sql, values).fetch_optional(&mut **it).await?.map(Row::Sqlite),
            Inner::Postgres(it) => statement!(sql, values).fetch_optional(&mut **it).await?.map(Row::Postgres),
        };
        self.connection.broken = false;
        Ok(row)
    }

    /// Does it, and says to how many rows.
    pub(in crate::store) async fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let rows = match self.connection.try_it()? {
            Inner::Sqlite(it) => statement!(sql, values).execute(&mut **it).await?.rows_affected(),
            Inner::Postgres(it) => statement!(sql, values).execute(&mut **it).await?.rows_affected(),
        };
        self.connection.broken = false;
        Ok(rows)
    }

    /// The number of this change of hosts' sets. Every server hears of it when it is there, and reads whatever bears a number that is new to it.
    pub(in crate::store) async fn stamp(&mut self) -> Result<i64, StoreError> {
        self.tells = true;
        if let Some(stamp) = self.stamp {
            return Ok(stamp);
        }
        let sql = "UPDATE counters SET value = value + 1 WHERE name = 'sets' RETURNING value";
        let row = self.one(sql, &[]).await?.ok_or_else(|| StoreError::Corrupt("the count of changes".into()))?;
        Ok(*self.stamp.insert(row.int("value")?))
    }

    /// Something has changed that every server is to hear of.
    pub(crate) fn tells(&mut self) {
        self.tells = true;
    }

    /// Makes it so, and tells.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        if self.tells && self.changes.is_none() {
            self.all(listen::NOTIFY, &[]).await?;
        }
        self.connection.simple("COMMIT").await?;
        // It goes back as it came.
        self.connection.inner = None;
        if let Some(ahead) = self.ahead {
            ahead.written();
        }
        if let Some(changes) = self.changes.filter(|_| self.tells) {
            // Nobody listens in a command that works on the file itself.
            let _ = changes.send(());
        }
        Ok(())
    }
}

impl Connection {
    async fn simple(&mut self, sql: &'static str) -> Result<(), StoreError> {
        match self.try_it()? {
            Inner::Sqlite(it) => it.execute(sql).await.map(|_| ())?,
            Inner::Postgres(it) => it.execute(sql).await.map(|_| ())?,
        }
        self.broken = false;
        Ok(())
    }

    /// The connection, to try something. It counts as broken until that has come to a good end: whoever is not there any more to see the end leaves it so.
    fn try_it(&mut self) -> Result<&mut Inner, StoreError> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(StoreError::Failed);
        }
        self.inner.as_mut().ok_or(StoreError::Failed)
    }
}

impl Inner {
    fn close_on_drop(&mut self) {
        match self {
            Self::Sqlite(it) => it.close_on_drop(),
            Self::Postgres(it) => it.close_on_drop(),
        }
    }
}

impl Drop for Connection {
    /// Rolls back what was not committed. Where that can't be, the connection goes.
    fn drop(&mut self) {
        let Some(mut inner) = self.inner.take() else { return };
        let runtime = tokio::runtime::Handle::try_current();
        let (false, Ok(runtime)) = (self.broken, runtime) else { return inner.close_on_drop() };
        runtime.spawn(async move {
            let mut connection = Self { inner: Some(inner), broken: false };
            if connection.simple("ROLLBACK").await.is_ok() {
                connection.inner = None;
            }
        });
    }
}
