//! A fleet through everything that goes wrong at once: whatever was acknowledged as revoked is gone from every honest host within five seconds of the
//! fault's end, no set is ever older than the one before, and what is granted then arrives.
#![allow(
    missing_docs,
    dead_code,
    unused_macros,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "endpoint/harness.rs"]
mod harness;
#[path = "endpoint/postgres.rs"]
mod postgres;

use crate::harness::{Host, Server, new_jti, now};
use crate::postgres::Cluster;
use curfew_protocol::grant_set::{GrantSet, Mark};
use curfew_protocol::host_api::{HostToken, audit_path, grants_path};
use curfew_protocol::jws::SigningKey;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How many hosts follow the endpoint as they should.
const HONEST: usize = 24;

/// How soon after a fault's end everybody has what was acknowledged.
const SOON: Duration = Duration::from_secs(5);

/// What the servers are reached by, as far as they are there.
#[derive(Clone)]
struct Servers {
    http: Client,
    origin: String,
    addresses: Arc<[String]>,
    token: String,
}

/// What a host holds.
#[derive(Default)]
struct Held {
    grants: BTreeSet<String>,
    mark: Mark,
}

/// The fleet, until it is dropped.
struct Fleet {
    servers: Servers,
    held: Vec<Arc<Mutex<Held>>>,
    revoked: Arc<Mutex<Vec<String>>>,
    tasks: JoinSet<()>,
}

impl Servers {
    fn of(servers: &[&Server]) -> Self {
        let first = servers[0];
        let addresses = servers.iter().map(|server| server.address.clone()).collect();
        Self { http: first.http.clone(), origin: first.origin.clone(), addresses, token: first.admin_token.clone() }
    }

    fn address(&self, turn: usize) -> &str {
        &self.addresses[turn % self.addresses.len()]
    }

    /// An administrator's call, at whichever server answers. What comes back with success was acknowledged.
    async fn admin(&self, turn: usize, path: &str, body: &Value) -> Option<Value> {
        let url = format!("https://{}{path}", self.address(turn));
        let call = self.http.post(url).bearer_auth(&self.token).body(body.to_string());
        let answer =
            call.header("content-type", "application/json").timeout(Duration::from_secs(20)).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        serde_json::from_str(&answer.text().await.ok()?).ok()
    }

    async fn grant(&self, turn: usize) -> Option<String> {
        let body = json!({"labels": {"env": "prod"}, "user": "alice", "seconds": 3600, "login": {}, "reason": "r"});
        let made = self.admin(turn, "/v1/admin/grants", &body).await?;
        Some(made["grant"]["id"].as_str()?.to_owned())
    }

    async fn revoke(&self, turn: usize, id: &str) -> Option<()> {
        self.admin(turn, &format!("/v1/admin/grants/{id}/revoke"), &json!({})).await.map(drop)
    }

    fn token(&self, host: &Host, key: &SigningKey, body: &[u8]) -> String {
        HostToken::new(host.id.clone(), &self.origin, now(), new_jti(), body).sign(key).unwrap()
    }

    /// Polls, and returns the status, the tag and the body.
    async fn poll(
        &self,
        turn: usize,
        host: &Host,
        tag: Option<&str>,
        wait: u64,
    ) -> Option<(StatusCode, String, String)> {
        let url = format!("https://{}{}", self.address(turn), grants_path(&host.id));
        let mut call = self.http.get(url).bearer_auth(self.token(host, &host.key, b""));
        if let Some(tag) = tag {
            call = call.header("if-none-match", tag).header("prefer", format!("wait={wait}"));
        }
        let answer = call.timeout(Duration::from_secs(wait + 10)).send().await.ok()?;
        let (status, tag) = (answer.status(), answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned()));
        Some((status, tag.unwrap_or_default(), answer.text().await.ok()?))
    }
}

/// Follows the endpoint as a host does.
async fn follow(servers: Servers, host: Host, number: usize, held: Arc<Mutex<Held>>) {
    let (mut turn, mut tag) = (number, None::<String>);
    loop {
        match servers.poll(turn, &host, tag.as_deref(), 10).await {
            Some((StatusCode::OK, etag, set)) => {
                let mark = held.lock().unwrap().mark;
                let set = GrantSet::verify(&set, &host.pinned, &host.id, mark, now())
                    .expect("no set is older than the one before");
                *held.lock().unwrap() =
                    Held { grants: set.grants.iter().map(|grant| grant.id.to_string()).collect(), mark: set.mark };
                tag = Some(etag);
            }
            _ => {
                turn += 1;
                tokio::time::sleep(Duration::from_millis(300 + 40 * u64::try_from(number % 10).unwrap())).await;
            }
        }
    }
}

/// What a host does that was taken over.
async fn attack(servers: Servers, host: Host, victim: String, number: usize) {
    let stranger = SigningKey::generate().unwrap();
    for turn in 0.. {
        match number % 3 {
            0 => {
                // What it does not have, acknowledged; and another one's set.
                let _ = servers.poll(turn, &host, Some("\"9-999999\""), 1).await;
                let url = format!("https://{}/v1/hosts/{victim}/grants", servers.address(turn));
                for key in [&host.key, &stranger] {
                    let call = servers.http.get(&url).bearer_auth(servers.token(&host, key, b"")).send().await;
                    assert!(
                        call.is_err() || call.is_ok_and(|answer| !answer.status().is_success()),
                        "another one's set"
                    );
                }
            }
            1 => {
                let records: Vec<_> = (1..=500_usize)
                    .map(|seq| json!({"seq": turn * 500 + seq, "time": now(), "event": "e", "user": "mallory", "message": "m".repeat(100)}))
                    .collect();
                // However much of it was lost on the way.
                let body = json!({"series": "s", "oldest": turn * 500 + 1, "records": records}).to_string();
                let url = format!("https://{}{}", servers.address(turn), audit_path(&host.id));
                let token = servers.token(&host, &host.key, body.as_bytes());
                let _ = servers.http.post(url).bearer_auth(token).body(body).send().await;
            }
            _ => {
                // As many as it may, and more.
                let mut calls = JoinSet::new();
                for _ in 0..8 {
                    let (servers, token) = (servers.clone(), servers.token(&host, &host.key, b""));
                    let url = format!("https://{}{}", servers.address(turn), grants_path(&host.id));
                    calls.spawn(async move { drop(servers.http.get(url).bearer_auth(token).send().await) });
                }
                calls.join_all().await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Grants and revokes, and notes what was acknowledged.
async fn administer(servers: Servers, revoked: Arc<Mutex<Vec<String>>>, number: usize) {
    for turn in number.. {
        if let Some(id) = servers.grant(turn).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
            for again in 0..3 {
                if servers.revoke(turn + again, &id).await.is_some() {
                    revoked.lock().unwrap().push(id);
                    break;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

impl Fleet {
    async fn start(servers: &[&Server]) -> Self {
        let (mut tasks, mut held) = (JoinSet::new(), Vec::new());
        let revoked = Arc::<Mutex<Vec<String>>>::default();
        let mut hosts = Vec::new();
        for number in 0..HONEST + 3 {
            hosts.push(servers[0].host(&format!("web-{number}"), json!({"env": "prod"})).await);
        }
        let victim = hosts[0].id.to_string();
        let servers = Servers::of(servers);
        for (number, host) in hosts.into_iter().enumerate() {
            if number < HONEST {
                held.push(Arc::<Mutex<Held>>::default());
                tasks.spawn(follow(servers.clone(), host, number, held[number].clone()));
            } else {
                tasks.spawn(attack(servers.clone(), host, victim.clone(), number));
            }
        }
        for number in 0..2 {
            tasks.spawn(administer(servers.clone(), revoked.clone(), number));
        }
        let mut fleet = Self { servers, held, revoked, tasks };
        fleet.is_well("at first").await;
        fleet
    }

    /// Waits until every honest host is as this says.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Held) -> bool) {
        let begun = Instant::now();
        loop {
            let missing = self.held.iter().filter(|held| !is_so(&held.lock().unwrap())).count();
            if missing == 0 {
                return;
            }
            assert!(begun.elapsed() < SOON, "{what}: {missing} of {HONEST} hosts, {:?}", begun.elapsed());
            // None of the others has failed.
            if let Some(ended) = self.tasks.try_join_next() {
                ended.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A fault is over: what was acknowledged is everywhere, and what is granted and revoked now arrives.
    async fn is_well(&mut self, after: &str) {
        let begun = Instant::now();
        let gone: Vec<_> = self.revoked.lock().unwrap().clone();
        let has_none = |held: &Held| held.mark != Mark::default() && !gone.iter().any(|id| held.grants.contains(id));
        self.until(&format!("{after}: a revocation that was acknowledged"), has_none).await;
        static TURN: AtomicUsize = AtomicUsize::new(0);
        let id = loop {
            if let Some(id) = self.servers.grant(TURN.fetch_add(1, Ordering::Relaxed)).await {
                break id;
            }
            assert!(begun.elapsed() < SOON, "{after}: nothing can be granted");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        self.until(&format!("{after}: a new grant"), |held| held.grants.contains(&id)).await;
        let until = Instant::now() + SOON;
        while self.servers.revoke(TURN.fetch_add(1, Ordering::Relaxed), &id).await.is_none() {
            assert!(Instant::now() < until, "{after}: nothing can be revoked");
        }
        self.until(&format!("{after}: its revocation"), |held| !held.grants.contains(&id)).await;
    }

    /// Connections that say nothing or nonsense, for a while.
    async fn flood(&self, length: Duration) {
        let addresses = self.servers.addresses.clone();
        let flooding = tokio::task::spawn_blocking(move || {
            let (begun, mut open) = (Instant::now(), Vec::new());
            while begun.elapsed() < length {
                for address in addresses.iter() {
                    if let Ok(mut stream) = TcpStream::connect(address) {
                        if open.len() % 2 == 0 {
                            let _ = stream.write_all(&[0x16; 100]);
                        }
                        open.push(stream);
                    }
                }
                if open.len() > 800 {
                    open.drain(..100);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        flooding.await.unwrap();
    }
}

/// Has everything in the audit be older than it is kept.
async fn age_the_audit(database: &str) {
    let two_days = 2 * 24 * 3600 * 1_000_000_i64;
    postgres::change(database, &format!("UPDATE audit SET received_at = received_at - {two_days}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_what_was_revoked_is_gone_everywhere_after_a_full_disk_and_a_flood() {
    let mut server = Server::with(None, "disk_reserve_mib = 1\n").await;
    let disk = server.on_a_small_disk(48);
    let mut fleet = Fleet::start(&[&server]).await;
    for _ in 0..2 {
        let fill = disk.join("fill");
        let mut file = std::fs::File::create(&fill).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            if file.write_all(&[0; 65_536]).is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        drop(file);
        std::fs::remove_file(&fill).unwrap();
        fleet.is_well("a full disk").await;
    }
    fleet.flood(Duration::from_secs(5)).await;
    fleet.is_well("a flood of connections").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_what_was_revoked_is_gone_everywhere_after_a_kill_and_while_the_audit_is_deleted() {
    let mut server = Server::with(None, "audit_keep = \"1d\"\n").await;
    let mut fleet = Fleet::start(&[&server]).await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(500)).await;
        // What is old is deleted from its start on.
        age_the_audit(&server.database).await;
        server.start();
        fleet.is_well("a kill").await;
    }
}

mod on_postgres {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_revoked_is_gone_everywhere_after_a_hang_an_outage_and_the_kill_of_one_of_two_servers() {
        let cluster = Cluster::start();
        let database = cluster.database().await;
        let mut one = Server::with(Some(&database), "audit_keep = \"1d\"\n").await;
        let two = one.beside(&database);
        let mut fleet = Fleet::start(&[&one, &two]).await;
        for seconds in [2, 8] {
            cluster.hang();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            cluster.wake();
            fleet.is_well(&format!("a database that hung for {seconds} s")).await;
        }
        cluster.go_away();
        tokio::time::sleep(Duration::from_secs(2)).await;
        cluster.come_back();
        fleet.is_well("a database that was away").await;
        one.kill();
        fleet.is_well("the kill of one of two servers").await;
        age_the_audit(&database).await;
        one.start();
        fleet.is_well("its return, while what is old is deleted").await;
        fleet.flood(Duration::from_secs(5)).await;
        fleet.is_well("a flood of connections").await;
    }
}
