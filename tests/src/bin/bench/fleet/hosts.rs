//! The simulated hosts: what each of them says to the server, without the agent behind it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use curfew_protocol::grant_set::HostId;
use curfew_protocol::host_api::{self, Enrolled, Enrolment, HostToken};
use curfew_protocol::jws::SigningKey;
use curfew_tests::https::{Connection, Endpoint, Response};
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::server::{ORIGIN, Server};

/// How many connections are opened at a time: the machine has few cores.
const AT_A_TIME: usize = 16;
/// How long a poll asks to be parked, in seconds: longer than all that is measured.
const WAIT: u64 = 300;
/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One host.
pub struct SimulatedHost {
    number: usize,
    pub id: HostId,
    pub key: Arc<SigningKey>,
    connection: Option<Connection>,
    etag: String,
    /// Numbers its tokens.
    asked: u64,
}

/// All of them.
pub struct SimulatedHosts {
    pub endpoint: Endpoint,
    pub hosts: Vec<SimulatedHost>,
}

impl SimulatedHosts {
    /// Enrols `count` hosts, each with a token and a key of its own; the first `few` have the label [`FEW`], too.
    pub async fn enrol(server: &Server, count: usize, few: usize) -> Self {
        let endpoint = server.endpoint();
        let mut workers = JoinSet::new();
        for worker in 0..AT_A_TIME {
            let (endpoint, admin) = (endpoint.clone(), server.admin());
            workers.spawn(async move {
                let mut connection = endpoint.connect().await?;
                let mut hosts = Vec::new();
                for number in (worker..count).step_by(AT_A_TIME) {
                    let token = admin.token(&mut connection, number < few).await?;
                    hosts.push(enrol(&mut connection, token, number).await?);
                }
                Ok::<_, io::Error>(hosts)
            });
        }
        let mut hosts = Vec::new();
        while let Some(done) = workers.join_next().await {
            hosts.extend(done.expect("no worker panics").expect("hosts can enrol"));
        }
        hosts.sort_by_key(|host| host.number);
        Self { endpoint, hosts }
    }

    /// Opens a connection for each and parks a poll on it.
    pub async fn park(&mut self) {
        let mut waiting = std::mem::take(&mut self.hosts).into_iter();
        let mut parking = JoinSet::new();
        loop {
            while parking.len() < AT_A_TIME
                && let Some(host) = waiting.next()
            {
                parking.spawn(park(self.endpoint.clone(), host));
            }
            let Some(parked) = parking.join_next().await else { break };
            self.hosts.push(parked.expect("no poll panics").expect("polls can be parked"));
        }
        self.hosts.sort_by_key(|host| host.number);
    }

    /// As [`park`](Self::park) for hosts whose server went away: each tries again until it is back.
    pub async fn come_back(&mut self) {
        for host in &mut self.hosts {
            host.connection = None;
        }
        self.park().await;
    }

    /// Grants something on one host after the other and revokes it, and gives the times from the revocation's request to the answer of that host's
    /// poll, in milliseconds.
    pub async fn revoke(&mut self, server: &Server, count: usize) -> Vec<f64> {
        let admin = server.admin();
        let mut console = self.endpoint.connect().await.expect("the administrator can connect");
        let step = (self.hosts.len() / count.max(1)).max(1);
        let mut times = Vec::new();
        for host in self.hosts.iter_mut().step_by(step).take(count) {
            let grant = admin.grant(&mut console, &host.id).await.expect("a grant");
            host.next_set().await.expect("the set with the grant");
            let begun = Instant::now();
            let (revoked, set) = tokio::join!(admin.revoke(&mut console, &grant), host.connection_mut().receive());
            let took = begun.elapsed();
            revoked.expect("a revocation");
            host.took(&set.expect("the set without the grant"));
            times.push(took.as_secs_f64() * 1000.0);
            host.ask().await.expect("the next poll");
        }
        times
    }
}

async fn enrol(connection: &mut Connection, token: String, number: usize) -> io::Result<SimulatedHost> {
    let key = SigningKey::generate().map_err(io::Error::other)?;
    let enrolment = Enrolment { token, name: format!("simulated-{number}"), aud: ORIGIN.into() };
    let body = enrolment.sign(&key)?;
    let headers = ["Content-Type: application/jose".to_owned()];
    let answer = connection.ask("POST", host_api::ENROLL, &headers, body.as_bytes()).await?;
    let enrolled: Enrolled = serde_json::from_value(answer.json()?)?;
    Ok(SimulatedHost { number, id: enrolled.host, key: Arc::new(key), connection: None, etag: String::new(), asked: 0 })
}

/// Connects, fetches the set, and parks a poll for the next one. The server may be away for a moment.
async fn park(endpoint: Endpoint, mut host: SimulatedHost) -> io::Result<SimulatedHost> {
    let begun = Instant::now();
    loop {
        match connect(&endpoint, &mut host).await {
            Ok(()) => return Ok(host),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connect(endpoint: &Endpoint, host: &mut SimulatedHost) -> io::Result<()> {
    host.connection = Some(tokio::time::timeout(PATIENCE, endpoint.connect()).await??);
    host.etag.clear();
    host.next_set_of_a_new_connection().await
}

impl SimulatedHost {
    /// Sends a poll.
    async fn ask(&mut self) -> io::Result<()> {
        self.asked += 1;
        let jti = format!("{}-{}-{}", self.id, self.asked, Timestamp::now().as_nanosecond());
        let token = HostToken::new(self.id.clone(), ORIGIN, Timestamp::now(), jti, b"").sign(&self.key)?;
        let mut headers = vec![format!("Authorization: Bearer {token}")];
        if !self.etag.is_empty() {
            headers.push(format!("If-None-Match: {}", self.etag));
            headers.push(format!("Prefer: wait={WAIT}"));
        }
        let path = host_api::grants_path(&self.id);
        self.connection_mut().send("GET", &path, &headers, b"").await
    }

    async fn next_set_of_a_new_connection(&mut self) -> io::Result<()> {
        self.ask().await?;
        self.next_set().await
    }

    /// Receives the set that was asked for, and asks for the next one.
    async fn next_set(&mut self) -> io::Result<()> {
        let answer = tokio::time::timeout(PATIENCE, self.connection_mut().receive()).await??;
        if answer.status != 200 {
            return Err(io::Error::other(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body))));
        }
        self.took(&answer);
        self.ask().await
    }

    /// Receives sets and asks for the next ones until one is at least this far behind the version that it has now. Returns when that one came.
    pub async fn until_risen(mut self, by: u64) -> io::Result<(Self, Instant)> {
        let until = self.version() + by;
        loop {
            let answer = tokio::time::timeout(PATIENCE, self.connection_mut().receive()).await??;
            let came = Instant::now();
            if answer.status != 200 {
                return Err(io::Error::other(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body))));
            }
            self.took(&answer);
            self.ask().await?;
            if self.version() >= until {
                return Ok((self, came));
            }
        }
    }

    /// The version of its set: the number behind the dash of `"EPOCH-VERSION"`.
    fn version(&self) -> u64 {
        let version = self.etag.trim_matches('"').split_once('-').and_then(|(_, version)| version.parse().ok());
        version.expect("an ETag is a version")
    }

    fn took(&mut self, answer: &Response) {
        self.etag = answer.header("etag").expect("a set has an ETag").to_owned();
    }

    fn connection_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("it is connected")
    }
}
