//! The real central endpoint in a host: `curfew-server` set up and served as its documentation says, and spoken to by its own command line.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::{Output, Running};
use crate::host::Host;
use crate::ssh::quoted;
use crate::wait::{SOON, wait_for};

/// Where hosts and people find it, wherever its servers run.
pub const ORIGIN: &str = "https://curfew.test:8443";
/// Where its authority's certificate is.
pub const CA_FILE: &str = "/var/lib/curfew-server/tls/ca.pem";
/// The main server's configuration.
pub const CONFIG: &str = "/etc/curfew/server.toml";

/// An endpoint: one server or several, all on one host.
#[derive(Debug)]
pub struct Central<'h> {
    host: &'h Host,
    token: String,
    servers: Vec<Option<Running>>,
}

impl<'h> Central<'h> {
    /// Sets it up with its own SQLite file and serves it, in two commands.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn start(host: &'h Host) -> Self {
        install(host, &["127.0.0.1"]);
        let mut central = Self::init(host, "curfew-server init --json --origin https://curfew.test:8443");
        central.serve(CONFIG, "127.0.0.1");
        central
    }

    /// Sets it up on the host's PostgreSQL and serves it twice, on two addresses that its name has.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn start_two_on_postgresql(host: &'h Host) -> Self {
        let addresses = ["127.0.0.1", "127.0.0.2"];
        install(host, &addresses);
        host.ok("mkdir -p /var/lib/curfew-server && cd / && \
             runuser -u postgres -- psql -qc \"CREATE ROLE curfew LOGIN PASSWORD 'secret'\" -c 'CREATE DATABASE curfew OWNER curfew'");
        for address in addresses {
            host.write(
                &format!("/var/lib/curfew-server/{address}.toml"),
                format!(
                    "listen = \"{address}:8443\"\norigins = [\"{ORIGIN}\"]\n\
                     database = \"postgres://curfew:secret@127.0.0.1/curfew\"\n"
                ),
            );
        }
        let first = format!("/var/lib/curfew-server/{}.toml", addresses[0]);
        let mut central = Self::init(host, &format!("curfew-server init --json --config {first}"));
        host.ok(&format!("cp {first} {CONFIG}"));
        for address in addresses {
            central.serve(&format!("/var/lib/curfew-server/{address}.toml"), address);
        }
        central
    }

    fn init(host: &'h Host, command: &str) -> Self {
        let said: Value = serde_json::from_str(&host.ok(command)).expect("init --json prints JSON");
        let token = said["admin_token"].as_str().expect("an administrator's token").to_owned();
        Self { host, token, servers: Vec::new() }
    }

    fn serve(&mut self, config: &str, address: &str) {
        let server = self.host.spawn(&format!("exec curfew-server serve --config {config}"));
        self.servers.push(Some(server));
        wait_for("a server", SOON, || {
            self.host.run(&format!("exec 3<>/dev/tcp/{address}/8443")).success().then_some(())
        });
    }

    /// Kills one of the servers as a power loss does.
    ///
    /// # Panics
    /// When it was killed before.
    pub fn kill(&mut self, number: usize) {
        drop(self.servers[number].take().expect("it runs"));
    }

    /// `curfew-server ARGUMENTS`, as its administrator.
    #[must_use]
    pub fn run(&self, arguments: &str) -> Output {
        let token = quoted(&self.token);
        self.host.run(&format!("CURFEW_SERVER_TOKEN={token} CURFEW_SERVER_CONFIG={CONFIG} curfew-server {arguments}"))
    }

    /// As [`Central::run`], beside the test.
    #[must_use]
    pub fn spawn(&self, arguments: &str) -> Running {
        let token = quoted(&self.token);
        self.host.spawn(&format!(
            "export CURFEW_SERVER_TOKEN={token} CURFEW_SERVER_CONFIG={CONFIG}; exec curfew-server {arguments}"
        ))
    }

    /// As [`Central::run`] with `--json`, for what must succeed.
    ///
    /// # Panics
    /// When it fails.
    pub fn ask(&self, arguments: &str) -> Value {
        let text = self.run(&format!("{arguments} --json")).expect_ok(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Enrols the host as a person would, and waits for its first set.
    ///
    /// # Panics
    /// When that fails.
    pub fn enroll(&self) {
        let token = self.run("token create --label role=web").expect_ok("token create");
        self.host.write("/root/token", token);
        self.host.ok(&format!("curfew enroll {ORIGIN} --token-file /root/token --ca {CA_FILE}"));
        wait_for("the first set", SOON, || self.host.status()["set"]["version"].is_u64().then_some(()));
    }

    /// Grants somebody access by the administrator's command line; gives the grant's id.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn grant(&self, arguments: &str) -> String {
        let id = self.run(&format!("grant create {arguments} --reason 'INC-4 disk full' --ticket INC-4"));
        id.expect_ok("grant create").lines().next().unwrap_or_default().to_owned()
    }

    /// What the endpoint has of the host's audit.
    ///
    /// # Panics
    /// When it can't be asked.
    #[must_use]
    pub fn audit(&self, filter: &str) -> Vec<Value> {
        crate::journal::lines_of_json(&self.run(&format!("audit --format json {filter}")).expect_ok("audit"))
    }
}

/// Installs the server's package, and gives the endpoint's name these addresses.
fn install(host: &Host, addresses: &[&str]) {
    let package = package().expect("there is a curfew-server_*.deb in target/packages: run packaging/build");
    host.write("/root/curfew-server.deb", fs::read(package).expect("the package can be read"));
    host.ok("dpkg --install /root/curfew-server.deb");
    for address in addresses {
        host.ok(&format!("echo {address} curfew.test >>/etc/hosts"));
    }
}

/// The server's newest `.deb` in `target/packages`.
#[must_use]
pub fn package() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/packages");
    let packages = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let servers = packages.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("curfew-server_") && name.ends_with(".deb")
    });
    servers.max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok())
}
