//! The server under measurement: the release binary on loopback, with a folder of its own, and the few calls that an administrator makes of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use curfew_protocol::grant_set::HostId;
use curfew_tests::command::run;
use curfew_tests::https::{Connection, Endpoint};
use curfew_tests::root::cache;
use curfew_tests::wait_for;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// Where it listens.
const ADDRESS: &str = "127.0.0.1:18443";
/// What hosts know it by.
pub const ORIGIN: &str = "https://127.0.0.1:18443";
/// The label of all hosts.
pub const ALL: (&str, &str) = ("fleet", "all");
/// The label of a few.
pub const FEW: (&str, &str) = ("size", "few");
/// How long it may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// More files than the default allows: one for each connection.
const MOST_FILES: u32 = 20_000;

/// A running server.
pub struct Server {
    process: Child,
    folder: PathBuf,
    binary: PathBuf,
    token: String,
}

/// What an administrator says to it.
#[derive(Clone)]
pub struct Admin {
    authorization: String,
}

impl Server {
    /// Sets one up on this database, or on an SQLite file of its own, and starts it.
    pub fn start(database: Option<&str>) -> Self {
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/curfew-server");
        let folder = cache().join("hosts").join("server");
        fs::create_dir_all(&folder).expect("the cache can be written");
        let mut init = Command::new(&binary);
        init.arg("init").arg("--data").arg(&folder).arg("--json");
        match database {
            None => drop(init.args(["--origin", ORIGIN])),
            Some(database) => {
                let config = folder.join("server.toml");
                fs::write(&config, configuration(&folder, database)).expect("the folder can be written");
                init.arg("--config").arg(config);
            }
        }
        let said = run(&mut init, PATIENCE).expect_ok("curfew-server init");
        let said: Value = serde_json::from_str(&said).expect("init --json prints JSON");
        let token = said["admin_token"].as_str().expect("an administrator's token").to_owned();
        let process = serve(&binary, &folder);
        let server = Self { process, folder, binary, token };
        server.wait_up();
        server
    }

    /// Stops it in order and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.process = serve(&self.binary, &self.folder);
        self.wait_up();
    }

    /// Whom clients speak to.
    pub fn endpoint(&self) -> Endpoint {
        let authority = fs::read(self.folder.join("tls/ca.pem")).expect("init made an authority");
        Endpoint::new(ADDRESS.parse().expect("an address"), &authority)
    }

    /// Its administrator.
    pub fn admin(&self) -> Admin {
        Admin { authorization: format!("Authorization: Bearer {}", self.token) }
    }

    /// Its memory (PSS), in KiB.
    pub fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process.id())).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).expect("the kernel counts PSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// The processor time that it has used, in seconds.
    pub fn processor_seconds(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it runs");
        let fields: Vec<&str> = text.rsplit(')').next().expect("a name").split_whitespace().collect();
        // The 14th and 15th field of the whole line, in hundredths (proc_pid_stat(5)).
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum();
        ticks as f64 / 100.0
    }

    fn wait_up(&self) {
        wait_for("the server", PATIENCE, || std::net::TcpStream::connect(ADDRESS).ok());
    }

    fn stop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).expect("a process number"));
        let _ = kill(pid, Signal::SIGTERM);
        wait_for("the server's end", PATIENCE, || self.process.try_wait().ok().flatten());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn configuration(folder: &Path, database: &str) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    format!(
        "origins = [{ORIGIN:?}]\nlisten = {ADDRESS:?}\ndatabase = {database:?}\ncertificate = {:?}\ncertificate_key = {:?}\nca = {:?}\nkey_folder = {:?}\nsocket = {:?}\n",
        path("tls/server.pem"),
        path("tls/server.key"),
        path("tls/ca.pem"),
        path("keys"),
        path("admin.sock")
    )
}

fn serve(binary: &Path, folder: &Path) -> Child {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("ulimit -n {MOST_FILES} && exec \"$0\" serve --config \"$1\"")]);
    command.arg(binary).arg(folder.join("server.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the server starts")
}

impl Admin {
    /// A token that enrols one host, which is one of [`ALL`], and of [`FEW`] if that is said.
    pub async fn token(&self, connection: &mut Connection, is_of_few: bool) -> io::Result<String> {
        let mut labels = json!({ALL.0: ALL.1});
        if is_of_few {
            labels[FEW.0] = json!(FEW.1);
        }
        let answer = self.post(connection, "/v1/admin/tokens", &json!({"labels": labels})).await?;
        Ok(answer["token"].as_str().expect("a token is shown once").to_owned())
    }

    /// A grant on all hosts with a label; gives its id.
    pub async fn grant_by(&self, connection: &mut Connection, (label, value): (&str, &str)) -> io::Result<String> {
        let grant = json!({"labels": {label: value}, "user": "alice", "seconds": 3600, "login": {}, "reason": "INC-3"});
        let answer = self.post(connection, "/v1/admin/grants", &grant).await?;
        Ok(answer["grant"]["id"].as_str().expect("a grant has an id").to_owned())
    }

    /// Asks for a page of the audit.
    pub async fn audit(&self, connection: &mut Connection, query: &str) -> io::Result<Value> {
        let path = format!("/v1/admin/audit?{query}");
        connection.ask("GET", &path, std::slice::from_ref(&self.authorization), b"").await?.json()
    }

    /// A grant on one host; gives its id.
    pub async fn grant(&self, connection: &mut Connection, host: &HostId) -> io::Result<String> {
        let grant = json!({"host": host, "user": "alice", "seconds": 3600, "login": {}, "reason": "INC-3"});
        let answer = self.post(connection, "/v1/admin/grants", &grant).await?;
        Ok(answer["id"].as_str().or(answer["grant"]["id"].as_str()).expect("a grant has an id").to_owned())
    }

    /// Ends it.
    pub async fn revoke(&self, connection: &mut Connection, grant: &str) -> io::Result<()> {
        self.post(connection, &format!("/v1/admin/grants/{grant}/revoke"), &json!({})).await.map(drop)
    }

    async fn post(&self, connection: &mut Connection, path: &str, body: &Value) -> io::Result<Value> {
        let headers = [self.authorization.clone(), "Content-Type: application/json".into()];
        connection.ask("POST", path, &headers, body.to_string().as_bytes()).await?.json()
    }
}
