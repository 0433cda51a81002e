//! A PostgreSQL for the server under measurement, by the script that the server's own tests have. It ends with this program.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::unistd::geteuid;

/// Runs until it is dropped.
pub struct Postgres {
    process: Child,
    /// Closed, everything ends.
    orders: Option<ChildStdin>,
    folder: String,
}

impl Postgres {
    /// One, where this machine has the programs.
    pub fn start() -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin"));
        let programs: PathBuf = versions.filter(|path| path.join("initdb").exists()).max()?;
        let mut command = Command::new("setpriv");
        if geteuid().is_root() {
            command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
        }
        command
            .args(["sh", "-c", include_str!("../../../../../server/tests/endpoint/cluster.sh"), "cluster"])
            .arg(programs);
        let mut process = command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut folder = String::new();
        BufReader::new(process.stdout.take()?).read_line(&mut folder).ok()?;
        let orders = process.stdin.take();
        Some(Self { process, orders, folder: folder.trim().to_owned() })
    }

    /// Its database.
    pub fn url(&self) -> String {
        format!("postgres://curfew@localhost/postgres?host={}", self.folder)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.process.wait();
    }
}
