//! SQLite and PostgreSQL behind one interface: the same SQL text with `$n`, values that are numbers or texts, rows that are read by name.
//!
//! That a committed transaction changed something comes out of [`Told`]: on SQLite from this process itself, on PostgreSQL by `NOTIFY` in the same
//! transaction, so that every server on the database hears of it.

mod listen;
mod lock;
mod migrations;
mod tx;
mod value;
mod write_ahead;

pub(crate) use lock::Lock;
pub(crate) use tx::Tx;
pub(super) use value::{Row, Value, values};

use self::write_ahead::Ahead;
use super::StoreError;
use crate::config;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// How long somebody waits for a connection or a lock before the database counts as away.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How many rows are read ahead of whoever asked.
const ROW_BUFFER: usize = 1024;

/// The memory of the connection that writes, as SQLite has it: 64 MiB. The audit's indexes are written all over.
const WRITERS_CACHE: &str = "-65536";

/// After how many pages that were written ahead (32 MiB) a change itself brings them to their place, if nobody has done so before.
const AT_THE_LATEST: &str = "8192";

/// That something has changed, as it is committed by whichever server.
pub(super) type Told = UnboundedReceiver<()>;

/// Why a database can't be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The URL is none.
    #[error("database {url}: {source}")]
    Url { url: String, source: sqlx::Error },
    /// There is no such file.
    #[error(
        "{path}: there is no database; name the one that there is as database in server.toml, or make a new endpoint with: curfew-server init"
    )]
    Missing { path: PathBuf },
    /// It is not there, or is another's.
    #[error("database {url}: {source}. Is it there, and may this user use it?")]
    Connect { url: String, source: sqlx::Error },
    /// Its tables can't be brought up to date.
    #[error("database {url}: its tables can't be brought up to date: {source}")]
    Migrate { url: String, source: sqlx::migrate::MigrateError },
    /// Another server is on the same SQLite file.
    #[error(
        "another curfew-server runs on {path}; an SQLite file serves one. Stop that one, or use PostgreSQL for several"
    )]
    Locked { path: PathBuf },
    /// The lock can't be had.
    #[error("{path}: {source}")]
    Lock { path: PathBuf, source: std::io::Error },
}

/// Refuses an SQLite database that is not there: nothing is made for it, that would be in the way of the next one.
fn is_there(file: &Path) -> Result<(), OpenError> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(OpenError::Missing { path: file.into() }),
        // Whatever else is amiss, the database says better.
        _ => Ok(()),
    }
}

/// One of the two databases.
#[derive(Debug)]
pub(super) enum Db {
    /// An SQLite file in WAL mode: many readers, one writer, and no waiting of one for the other.
    Sqlite { readers: SqlitePool, writer: SqlitePool, changes: UnboundedSender<()>, ahead: Ahead },
    /// A PostgreSQL.
    Postgres { pool: PgPool },
}

/// A statement with its values, for either database.
macro_rules! statement {
    ($sql:expr, $values:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($sql));
        for value in $values {
            query = match value {
                Value::Int(value) => query.bind(*value),
                Value::Text(value) => query.bind(value.clone()),
            };
        }
        query
    }};
}
use statement;

impl Db {
    /// Opens the database and brings its tables up to date.
    pub(super) async fn open(url: &str, connections: u32) -> Result<(Self, Told), OpenError> {
        let shown = config::shown(url);
        let (sender, changes) = mpsc::unbounded_channel();
        let failed = |source| OpenError::Connect { url: shown.clone(), source };
        let migrate = |source| OpenError::Migrate { url: shown.clone(), source };
        let db = if let Some(file) = config::sqlite_file(url) {
            is_there(file)?;
            let options = SqliteConnectOptions::new()
                .filename(file)
                .journal_mode(SqliteJournalMode::Wal)
                // An answer that says "stored" outlives a power loss.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(TIMEOUT)
                // Rows come from a thread: the more at a time, the fewer turns of both.
                .row_buffer_size(ROW_BUFFER);
            let ahead = Ahead::of(options.get_filename());
            let pool =
                |most| SqlitePoolOptions::new().max_connections(most).acquire_timeout(TIMEOUT).idle_timeout(None);
            let writer =
                options.clone().pragma("cache_size", WRITERS_CACHE).pragma("wal_autocheckpoint", AT_THE_LATEST);
            let writer = pool(1).connect_with(writer).await.map_err(failed)?;
            migrations::all().run(&writer).await.map_err(migrate)?;
            let readers = pool(connections).connect_with(options).await.map_err(failed)?;
            Self::Sqlite { readers, writer, changes: sender, ahead }
        } else {
            // One more: the connection that listens stays taken.
            let pool = PgPoolOptions::new().max_connections(connections.saturating_add(1)).acquire_timeout(TIMEOUT);
            let options = PgConnectOptions::from_str(url)
                .map_err(|source| OpenError::Url { url: shown.clone(), source })?
                // One server that hangs in the middle of a change must not hold up the others.
                .options([
                    ("lock_timeout", "5s"),
                    ("statement_timeout", "60s"),
                    ("idle_in_transaction_session_timeout", "10s"),
                ]);
            // By itself at first: a pool tells only that it has waited.
            let first = tokio::time::timeout(TIMEOUT, options.connect()).await;
            let first = first.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
            first.map_err(failed)?.close().await.map_err(failed)?;
            let pool = pool.connect_with(options).await.map_err(failed)?;
            migrations::all().run(&pool).await.map_err(migrate)?;
            listen::spawn(pool.clone(), sender);
            Self::Postgres { pool }
        };
        Ok((db, changes))
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres { pool } => pool.close().await,
        }
    }

    /// The turn of one that adds to the audit.
    pub(super) async fn turn_of_audit(&self) -> Option<SemaphorePermit<'_>> {
        match self {
            Self::Sqlite { ahead, .. } => ahead.turn().await,
            Self::Postgres { .. } => None,
        }
    }

    /// Brings what was written ahead to its place, again and again. Never ends.
    pub(super) async fn tidy(&self) {
        match self {
            Self::Sqlite { readers, ahead, .. } => ahead.watch(readers).await,
            Self::Postgres { .. } => std::future::pending().await,
        }
    }

    /// Every row of an answer.
    pub(super) async fn all(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => {
                let rows = statement!(sql, values).fetch_all(readers).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres { pool } => {
                let rows = statement!(sql, values).fetch_all(pool).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The first row of an answer.
    pub(super) async fn one(&self, sql: &str, values: &[Value]) -> Result<Option<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => statement!(sql, values).fetch_optional(readers).await?.map(Row::Sqlite),
            Self::Postgres { pool } => statement!(sql, values).fetch_optional(pool).await?.map(Row::Postgres),
        })
    }

    /// A transaction that writes what is one host's own.
    pub(super) async fn begin(&self) -> Result<Tx<'_>, StoreError> {
        Tx::begin(self).await
    }

    /// A transaction that changes what sets say. One at a time, on all servers: a grant for a label and a host that gets the label at the
    /// same moment see each other, and no version is lost.
    pub(super) async fn begin_change(&self) -> Result<Tx<'_>, StoreError> {
        let mut tx = Tx::begin(self).await?;
        tx.lock_changes().await?;
        Ok(tx)
    }
}
