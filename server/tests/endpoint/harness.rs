//! A server of its own for each test, in a temporary folder, and a host and an administrator who call it.

use crate::postgres;
use curfew_protocol::grant_set::{GrantSet, HostId, Mark};
use curfew_protocol::host_api::{AuditStored, Enrolled, Enrolment, HostToken, Problem, grants_path};
use curfew_protocol::jws::{PublicKey, SigningKey};
use jiff::Timestamp;
use reqwest::{Certificate, Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Runs each scenario on each database.
macro_rules! on_each_database {
    ($($scenario:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() {
                    super::$scenario(crate::harness::Server::sqlite().await).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() {
                    super::$scenario(crate::harness::Server::postgres().await).await;
                }
            )*
        }
    };
}

/// A server, until it is dropped.
pub struct Server {
    pub folder: TempDir,
    pub origin: String,
    /// The address that it listens on: the origin's, unless another server has that one.
    pub address: String,
    pub database: String,
    pub admin_token: String,
    pub http: Client,
    process: Option<Child>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

/// A host.
pub struct Host {
    pub id: HostId,
    pub key: SigningKey,
    pub pinned: Vec<PublicKey>,
}

pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A name that no other request of this process has.
pub fn new_jti() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("jti-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The configuration of a server with its data in `data`.
fn configuration(data: &Path, origin: &str, address: &str, database: &str) -> String {
    let path = |name: &str| data.join(name).display().to_string();
    format!(
        "origins = [{origin:?}]\nlisten = {address:?}\ndatabase = {database:?}\ncertificate = {:?}\ncertificate_key = {:?}\nca = {:?}\nkey_folder = {:?}\nsocket = {:?}\n",
        path("tls/server.pem"),
        path("tls/server.key"),
        path("tls/ca.pem"),
        path("keys"),
        path("admin.sock")
    )
}

impl Server {
    pub async fn sqlite() -> Self {
        Self::with(None, "").await
    }

    pub async fn postgres() -> Self {
        Self::with(Some(&postgres::shared().database().await), "").await
    }

    /// A server on this database, or on an SQLite file of its own, with more in its configuration.
    pub async fn with(database: Option<&str>, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let origin = format!("https://{address}");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let database = database.map_or_else(|| format!("sqlite://{}", data.join("curfew.db").display()), Into::into);
        std::fs::write(data.join("server.toml"), configuration(&data, &origin, &address, &database) + more).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_curfew-server"))
            .args(["init", "--json", "--config"])
            .arg(data.join("server.toml"))
            .arg("--data")
            .arg(&data)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let ca = std::fs::read(data.join("tls/ca.pem")).unwrap();
        let http = Client::builder()
            .tls_certs_only([Certificate::from_pem(&ca).unwrap()])
            .https_only(true)
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        let admin_token = made["admin_token"].as_str().unwrap().to_owned();
        let mut server = Self { folder, origin, address, database, admin_token, http, process: None };
        server.start();
        server
    }

    /// Another server for the same origin, with the same keys, on the same PostgreSQL.
    pub fn beside(&self, database: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        for name in ["tls", "keys"] {
            let from = self.folder.path().join("data").join(name);
            assert!(Command::new("cp").arg("-r").args([&from, &data]).status().unwrap().success());
        }
        let (address, database) = (format!("127.0.0.1:{}", free_port()), database.to_owned());
        std::fs::write(data.join("server.toml"), configuration(&data, &self.origin, &address, &database)).unwrap();
        let (origin, admin_token, http) = (self.origin.clone(), self.admin_token.clone(), self.http.clone());
        let mut server = Self { folder, origin, address, database, admin_token, http, process: None };
        server.start();
        server
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("data/server.toml")
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Starts it, and returns when it serves.
    pub fn start(&mut self) {
        self.start_in(&[]);
    }

    /// Starts it again with its data on a disk of its own of so many MiB, and returns the folder where that disk is seen from outside.
    pub fn on_a_small_disk(&mut self, size: u32) -> PathBuf {
        self.stop();
        let data = self.folder.path().join("data");
        let mount = "cp -a \"$0\" \"$0.kept\" && mount -t tmpfs -o size=\"$1\"m none \"$0\" && cp -a \"$0.kept/.\" \"$0\" && shift && exec \"$@\"";
        let mut before = vec!["unshare".to_owned(), "--mount".into()];
        if !nix::unistd::geteuid().is_root() {
            before.push("--map-root-user".into());
        }
        before.extend(["sh".into(), "-ec".into(), mount.into(), data.display().to_string(), size.to_string()]);
        self.start_in(&before.iter().map(String::as_str).collect::<Vec<_>>());
        PathBuf::from(format!("/proc/{}/root{}", self.pid(), data.display()))
    }

    /// Starts it by the commands of others, each of which ends as the next one.
    fn start_in(&mut self, before: &[&str]) {
        // It ends with the test, also when nobody is left to drop this.
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .args(before)
            .args([env!("CARGO_BIN_EXE_curfew-server"), "serve", "--config"])
            .arg(self.config())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address()).is_err() {
            assert!(process.try_wait().unwrap().is_none(), "the server ended");
            assert!(Instant::now() < until, "the server does not serve");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
    }

    /// The process's id.
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.process.as_ref().unwrap().id()).unwrap())
    }

    /// Asks it to stop, and returns how it ended.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        nix::sys::signal::kill(self.pid(), nix::sys::signal::Signal::SIGTERM).unwrap();
        self.process.take().unwrap().wait().unwrap()
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// The command line, as an administrator of this server.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_curfew-server"));
        command.env("CURFEW_SERVER_CONFIG", self.config()).env("CURFEW_SERVER_TOKEN", &self.admin_token);
        command
    }

    /// Runs the command line against it.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Adds to its configuration, for its next start.
    pub fn configure(&self, more: &str) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), text + more).unwrap();
    }

    /// Runs the command line, which has to succeed, and returns what it printed.
    pub fn says(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("https://{}{path}", self.address))
    }

    /// An administrator's call.
    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, path).bearer_auth(&self.admin_token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        Answer::of(request).await
    }

    /// An administrator's call that has to succeed.
    pub async fn done(&self, method: Method, path: &str, body: Value) -> Value {
        let body = (!body.is_null()).then_some(body);
        let answer = self.admin(method, path, body).await;
        assert!((200..300).contains(&answer.status), "{answer:?}");
        answer.json()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.done(Method::POST, path, body).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.done(Method::GET, path, Value::Null).await
    }

    /// An enrolment token.
    pub async fn enrolment_token(&self, body: Value) -> String {
        self.post("/v1/admin/tokens", body).await["token"].as_str().unwrap().to_owned()
    }

    /// Enrols a key by a token.
    pub async fn enrol(&self, token: &str, name: &str, key: &SigningKey) -> Answer {
        let enrolment = Enrolment { token: token.into(), name: name.into(), aud: self.origin.clone() };
        let request = self.request(Method::POST, "/v1/enroll").body(enrolment.sign(key).unwrap());
        Answer::of(request).await
    }

    /// A new host with these labels.
    pub async fn host(&self, name: &str, labels: Value) -> Host {
        let token = self.enrolment_token(json!({"labels": labels})).await;
        let key = SigningKey::generate().unwrap();
        let answer = self.enrol(&token, name, &key).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let Enrolled { host, issuer, keys } = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(issuer, self.origin);
        Host { id: host, key, pinned: keys }
    }

    /// A grant of a login, for a host or by labels, for an hour.
    pub async fn grant(&self, user: &str, place: Value) -> String {
        let mut body = json!({"user": user, "seconds": 3600, "login": {}, "reason": "a test"});
        body.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        let made = self.post("/v1/admin/grants", body).await;
        made["grant"]["id"].as_str().unwrap().to_owned()
    }

    pub async fn revoke(&self, id: &str) {
        self.post(&format!("/v1/admin/grants/{id}/revoke"), json!({"reason": "a test"})).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let headers = response.headers().clone();
        let etag = headers.get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        assert!(headers.contains_key("date"), "{headers:?}");
        Self { status: response.status().as_u16(), etag, headers, body: response.text().await.unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn problem(&self) -> Problem {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let problem: Problem = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        problem
    }

    pub fn tag(&self) -> &str {
        self.etag.as_deref().unwrap_or_else(|| panic!("no ETag: {self:?}"))
    }
}

impl Host {
    /// A token for a request with this body.
    pub fn token(&self, server: &Server, body: &[u8]) -> String {
        HostToken::new(self.id.clone(), &server.origin, now(), new_jti(), body).sign(&self.key).unwrap()
    }

    /// Fetches its set; parks with both a tag and a wait.
    pub async fn poll(&self, server: &Server, tag: Option<&str>, wait: Option<u64>) -> Answer {
        let mut request = server.request(Method::GET, &grants_path(&self.id)).bearer_auth(self.token(server, b""));
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        if let Some(wait) = wait {
            request = request.header("prefer", format!("wait={wait}"));
        }
        Answer::of(request).await
    }

    /// The set in an answer, by the checks that a host makes.
    pub fn verify(&self, answer: &Answer) -> GrantSet {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "application/jose");
        GrantSet::verify(&answer.body, &self.pinned, &self.id, Mark::default(), now()).unwrap()
    }

    /// The ids of the grants in its set now.
    pub async fn grants(&self, server: &Server) -> Vec<String> {
        let mut ids = ids(&self.verify(&self.poll(server, None, None).await));
        ids.sort();
        ids
    }

    /// Sends a body with a token of its own.
    pub async fn send(&self, server: &Server, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let token = self.token(server, body.as_bytes());
        Answer::of(server.request(Method::POST, path).bearer_auth(token).body(body)).await
    }

    /// Ships records of its audit, and returns how far they are stored.
    pub async fn ship(&self, server: &Server, series: &str, oldest: u64, records: &[Value]) -> u64 {
        let body = json!({"series": series, "oldest": oldest, "records": records});
        let answer = self.send(server, &format!("/v1/hosts/{}/audit", self.id), &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str::<AuditStored>(&answer.body).unwrap().stored_to
    }
}

pub fn ids(set: &GrantSet) -> Vec<String> {
    set.grants.iter().map(|grant| grant.id.to_string()).collect()
}
