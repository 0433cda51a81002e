//! The audit of a fleet: how fast it is taken, what a grant waits meanwhile, and what a page costs when there is much.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use curfew_protocol::host_api::{HostToken, audit_path};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::hosts::SimulatedHosts;
use super::server::{ORIGIN, Server};
use crate::report::rounded;
use crate::statistics::{largest, quantile};

/// How many hosts ship at a time.
const SHIPPING: usize = 16;
/// How many records a batch holds.
const BATCH: usize = 500;
/// Between two grants that are timed meanwhile.
const PAUSE: Duration = Duration::from_millis(100);
/// How often each question is asked.
const ASKED: usize = 20;

/// What it came to.
pub struct Trail {
    records: usize,
    /// Records a second, of the first and of the last tenth.
    pub rates: [f64; 2],
    /// Grants meanwhile, in milliseconds.
    grants: Vec<f64>,
    /// Pages of each question, in milliseconds.
    pages: Vec<(&'static str, Vec<f64>)>,
}

impl Trail {
    pub async fn measure(fleet: &SimulatedHosts, server: &Server, records: usize) -> Self {
        let (taken, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut shipping = JoinSet::new();
        let each = records / SHIPPING.min(fleet.hosts.len());
        for host in fleet.hosts.iter().take(SHIPPING) {
            let (id, key, endpoint, taken) = (host.id.clone(), host.key.clone(), fleet.endpoint.clone(), taken.clone());
            shipping.spawn(async move {
                let mut connection = endpoint.connect().await.expect("a host can connect");
                for first in (1..=each).step_by(BATCH) {
                    let records: Vec<_> = (first..(first + BATCH).min(each + 1)).map(record).collect();
                    let count = records.len();
                    let body = json!({"series": "bench", "oldest": 1, "records": records}).to_string();
                    let token =
                        HostToken::new(id.clone(), ORIGIN, Timestamp::now(), format!("audit-{first}"), body.as_bytes());
                    let headers = [format!("Authorization: Bearer {}", token.sign(&key).expect("a token"))];
                    let answer = connection.ask("POST", &audit_path(&id), &headers, body.as_bytes()).await;
                    answer.and_then(|answer| answer.json()).expect("a batch is stored");
                    taken.fetch_add(count, Ordering::Relaxed);
                }
            });
        }
        let granting = tokio::spawn(grants(fleet.endpoint.clone(), server.admin(), over.clone()));
        let tenth = records / 10;
        let mut rates = [f64::NAN; 2];
        for (rate, (from, to)) in rates.iter_mut().zip([(0, tenth), (records - tenth, each * SHIPPING)]) {
            let begun = since(&taken, from).await;
            let ended = since(&taken, to).await;
            *rate = (to - from) as f64 / ended.duration_since(begun).as_secs_f64();
        }
        shipping.join_all().await;
        over.store(true, Ordering::Relaxed);
        let grants = granting.await.expect("the administrator does not panic");
        Self { records, rates, grants, pages: pages(fleet, server).await }
    }

    /// What a grant waits meanwhile, at the 99th percentile, in milliseconds.
    pub fn grant_p99(&self) -> f64 {
        quantile(&self.grants, 0.99).unwrap_or(f64::INFINITY)
    }

    /// The slowest page of any question, in milliseconds.
    pub fn slowest_page(&self) -> f64 {
        self.pages.iter().filter_map(|(_, times)| largest(times)).fold(0.0, f64::max)
    }

    pub fn to_json(&self) -> Value {
        let pages: serde_json::Map<_, _> = self
            .pages
            .iter()
            .map(|(question, times)| ((*question).to_owned(), json!(rounded(largest(times).unwrap_or(f64::NAN)))))
            .collect();
        json!({
            "records": self.records, "records_a_second_first_tenth": rounded(self.rates[0]), "records_a_second_last_tenth": rounded(self.rates[1]),
            "grant_meanwhile_p99_ms": rounded(self.grant_p99()), "slowest_page_ms": pages,
        })
    }
}

impl Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  audit: {:.0} records a second at first, {:.0} at {} records; a grant meanwhile p99 {:.0} ms; the slowest page {:.0} ms",
            self.rates[0],
            self.rates[1],
            self.records,
            self.grant_p99(),
            self.slowest_page()
        )
    }
}

/// A record as hosts write them.
fn record(seq: usize) -> Value {
    let event = ["login.permitted", "session.opened", "sudo.permitted", "session.closed"][seq % 4];
    json!({
        "seq": seq, "time": Timestamp::now(), "event": event, "user": format!("user{}", seq % 40), "grant": format!("grant{}", seq / 100),
        "service": "sshd", "rhost": "192.0.2.7", "pid": 4711, "session": "c1", "reason": "INC-4711 disk full", "approved_by": ["bob"],
        "message": format!("user{} did something on a host, which is said in a sentence of usual length", seq % 40)
    })
}

async fn since(taken: &AtomicUsize, count: usize) -> Instant {
    while taken.load(Ordering::Relaxed) < count {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Instant::now()
}

async fn grants(
    endpoint: curfew_tests::https::Endpoint,
    admin: super::server::Admin,
    over: Arc<AtomicBool>,
) -> Vec<f64> {
    let mut console = endpoint.connect().await.expect("the administrator can connect");
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        admin.grant_by(&mut console, ("audit", "bench")).await.expect("a grant");
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(PAUSE).await;
    }
    times
}

/// Times first and deep pages of every kind of question.
async fn pages(fleet: &SimulatedHosts, server: &Server) -> Vec<(&'static str, Vec<f64>)> {
    let (admin, mut console) = (server.admin(), fleet.endpoint.connect().await.expect("the administrator can connect"));
    let host = &fleet.hosts[0].id;
    let questions = [
        ("all", String::new()),
        ("newest", "order=newest".into()),
        ("host", format!("host={host}")),
        ("user", "user=user7".into()),
        ("grant", "grant=grant3".into()),
        ("event", "event=session.closed".into()),
        ("rare event", "event=audit.lost".into()),
        ("host, user and event", format!("host={host}&user=user7&event=login.permitted")),
        ("by arrival", format!("order=arrival&host={host}")),
    ];
    let mut all = Vec::new();
    for (name, question) in questions {
        let (mut times, mut after) = (Vec::new(), String::new());
        for _ in 0..ASKED {
            let begun = Instant::now();
            let page = admin.audit(&mut console, &format!("{question}&limit=100{after}")).await.expect("a page");
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
            after = page["next"].as_str().map_or_else(String::new, |next| format!("&after={next}"));
        }
        all.push((name, times));
    }
    all
}
