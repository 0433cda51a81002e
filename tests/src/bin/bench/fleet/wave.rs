//! One change that is for many hosts: from the request of the administrator to the last host's set.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::hosts::SimulatedHosts;
use super::server::{ALL, FEW, Server};
use crate::report::rounded;
use crate::statistics::median;

/// How many times each is measured.
const ROUNDS: usize = 5;
/// What lies between two revocations in a row.
const BETWEEN: Duration = Duration::from_millis(100);

/// Times to the last host, in milliseconds.
pub struct Waves {
    pub few: f64,
    pub all: f64,
    /// All, beside this many grants by labels that are for nobody here.
    pub beside_others: f64,
    pub others: usize,
    /// What one of those takes to be granted: in the middle of the first hundred, and of the last.
    pub granted: [f64; 2],
    /// Two revocations, one shortly behind the other, from the first one's request on.
    pub two: f64,
}

impl Waves {
    /// Measures them on parked hosts, `few` of which have the label of those.
    pub async fn measure(fleet: &mut SimulatedHosts, server: &Server, few: usize, others: usize) -> Self {
        let count = fleet.hosts.len();
        let few = revocations(fleet, server, (FEW, few), 1).await;
        let all = revocations(fleet, server, (ALL, count), 1).await;
        let two = revocations(fleet, server, (ALL, count), 2).await;
        let (admin, mut console) =
            (server.admin(), fleet.endpoint.connect().await.expect("the administrator can connect"));
        let mut each = Vec::with_capacity(others);
        for number in 0..others {
            let label = ("other", format!("n{number}"));
            let begun = Instant::now();
            admin.grant_by(&mut console, (label.0, label.1.as_str())).await.expect("a grant");
            each.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        let some = each.len().min(100);
        let granted = [&each[..some], &each[each.len() - some..]].map(|times| median(times).unwrap_or(f64::NAN));
        let beside_others = revocations(fleet, server, (ALL, count), 1).await;
        Self { few, all, beside_others, others, granted, two }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "few_ms": rounded(self.few), "all_ms": rounded(self.all), "beside_other_grants_ms": rounded(self.beside_others),
            "other_grants": self.others, "two_in_a_row_ms": rounded(self.two), "other_granted_ms": self.granted.map(rounded),
        })
    }
}

impl Display for Waves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  revocation to the last set of its hosts, ms: a few {:.0}, all {:.0}, all beside {} other grants {:.0}, two in a row {:.0}; \
             a grant by labels, ms: {:.1}, beside the others {:.1}",
            self.few, self.all, self.others, self.beside_others, self.two, self.granted[0], self.granted[1]
        )
    }
}

/// The middle time of some rounds.
async fn revocations(
    fleet: &mut SimulatedHosts,
    server: &Server,
    (label, reach): ((&str, &str), usize),
    in_a_row: usize,
) -> f64 {
    let admin = server.admin();
    let mut console = fleet.endpoint.connect().await.expect("the administrator can connect");
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut grants = Vec::new();
        for _ in 0..in_a_row {
            let waiting = wave(fleet, reach, 1);
            grants.push(admin.grant_by(&mut console, label).await.expect("a grant"));
            end(fleet, waiting).await;
        }
        // Every poll is parked again.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let waiting = wave(fleet, reach, u64::try_from(in_a_row).unwrap_or(1));
        let begun = Instant::now();
        for (number, grant) in grants.iter().enumerate() {
            if number > 0 {
                tokio::time::sleep(BETWEEN.saturating_sub(begun.elapsed())).await;
            }
            admin.revoke(&mut console, grant).await.expect("a revocation");
        }
        let last = end(fleet, waiting).await;
        times.push(last.duration_since(begun).as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    median(&times).unwrap_or(f64::INFINITY)
}

type Waiting = JoinSet<std::io::Result<(super::hosts::SimulatedHost, Instant)>>;

/// Has the first so many hosts wait for that many changes.
fn wave(fleet: &mut SimulatedHosts, reach: usize, changes: u64) -> Waiting {
    let mut waiting = JoinSet::new();
    for host in fleet.hosts.drain(..reach) {
        waiting.spawn(host.until_risen(changes));
    }
    waiting
}

/// When the last of them has all.
async fn end(fleet: &mut SimulatedHosts, mut waiting: Waiting) -> Instant {
    let (mut back, mut last) = (Vec::new(), None);
    while let Some(done) = waiting.join_next().await {
        let (host, came) = done.expect("no host panics").expect("every answer is a set");
        last = last.max(Some(came));
        back.push(host);
    }
    back.append(&mut fleet.hosts);
    fleet.hosts = back;
    last.unwrap_or_else(Instant::now)
}
