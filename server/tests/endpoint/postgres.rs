//! A PostgreSQL of the tests' own, and a database in it for each test. It ends with the tests, however they end.

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, SqliteConnection};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

/// Where Debian has the versions of PostgreSQL.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Who runs it if the tests run as root: PostgreSQL does not.
const USER: &str = "postgres";

/// A PostgreSQL, until it is dropped or the tests end.
pub struct Cluster {
    folder: PathBuf,
    keeper: Mutex<Keeper>,
}

struct Keeper {
    process: Child,
    /// Closed, everything ends.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// The one of the tests that do no harm to it.
pub fn shared() -> &'static Cluster {
    static SHARED: LazyLock<Cluster> = LazyLock::new(Cluster::start);
    &SHARED
}

impl Cluster {
    /// A new one.
    pub fn start() -> Self {
        let mut command = if nix::unistd::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--init-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", include_str!("cluster.sh"), "cluster"]).arg(programs()).current_dir("/");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (orders, answers) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        let mut keeper = Keeper { process, orders, answers };
        let folder = keeper.answer();
        assert!(!folder.is_empty(), "PostgreSQL does not start");
        Self { folder: folder.into(), keeper: Mutex::new(keeper) }
    }

    /// A new database, by its URL.
    pub async fn database(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        execute(&self.url("postgres"), &format!("CREATE DATABASE {name}")).await;
        self.url(&name)
    }

    /// The URL of the database that is always there, to look at the others from.
    pub fn outside(&self) -> String {
        self.url("postgres")
    }

    fn url(&self, name: &str) -> String {
        format!("postgres://curfew@localhost/{name}?host={}", self.folder.display())
    }

    /// Has it go away, with all connections.
    pub fn go_away(&self) {
        self.keeper.lock().unwrap().order("stop");
    }

    /// Has it answer nothing any more.
    pub fn hang(&self) {
        self.keeper.lock().unwrap().order("hang");
    }

    /// Has it go on.
    pub fn wake(&self) {
        self.keeper.lock().unwrap().order("wake");
    }

    /// Has it come back.
    pub fn come_back(&self) {
        self.keeper.lock().unwrap().order("start");
    }
}

/// Runs a statement in the database at `url`.
pub async fn execute(url: &str, sql: &str) {
    let mut connection: PgConnection = url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
    sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

/// Everything that the database at `url` holds, as text.
pub fn dump(url: &str) -> Vec<u8> {
    let output = Command::new(programs().join("pg_dump")).arg(url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The folder of the newest version's programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let number = |path: &Path| path.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.filter(|path| path.join("initdb").exists()).max_by_key(|path| number(path));
    newest.unwrap_or_else(|| {
        panic!("no PostgreSQL in {VERSIONS}: apt-get install postgresql, or do without: cargo test -- --skip postgres")
    })
}

impl Keeper {
    fn order(&mut self, order: &str) {
        writeln!(self.orders.as_ref().unwrap(), "{order}").unwrap();
        assert_eq!(self.answer(), "done", "PostgreSQL did not {order}");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.process.wait();
    }
}

/// The lock that changes take, held from outside until it is dropped.
pub enum Locked {
    Sqlite(#[allow(dead_code)] SqliteConnection),
    Postgres(#[allow(dead_code)] PgConnection),
}

impl Locked {
    pub async fn take(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            let mut connection = url.parse::<SqliteConnectOptions>().unwrap().connect().await.unwrap();
            sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
            return Self::Sqlite(connection);
        }
        let mut connection: PgConnection = url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
        sqlx::query("SELECT pg_advisory_lock(109356081636727)").execute(&mut connection).await.unwrap();
        Self::Postgres(connection)
    }
}

/// Runs a statement in the database at `url`, whichever it is.
pub async fn change(url: &str, sql: &str) {
    if !url.starts_with("sqlite:") {
        return execute(url, sql).await;
    }
    let mut connection: SqliteConnection = url.parse::<SqliteConnectOptions>().unwrap().connect().await.unwrap();
    sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}
