//! From a grant's `not_after` to the death of the last process that its sessions started: one session and many at once, with
//! the agent alive and with it dead.
//!
//! With the agent dead, a timer of PID 1's (`curfew-end-*.timer`) is to end the sessions. The agent is masked first, since systemd
//! would start it again at once, and the agent that is back would end them.
//!
//! With it alive, the audit says how long it took to prove that nothing survived, too.

use std::fmt::{self, Display};
use std::time::{Duration, SystemTime};

use curfew_tests::{Grant, Host, Running, wait_for};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::death::Watched;
use crate::report::rounded;
use crate::statistics::{largest, quantile};

/// Who logs in: nobody else's grants may cover them, and so many share the sessions that no limit of a user's is reached.
const PEOPLE: [&str; 5] = ["bob", "carol", "dave", "ops", "first.last"];
/// What covers people while they log in, however long that takes.
const LOGGING_IN: &str = "10m";
/// What covers them once all are in. The host's default grace is longer, so the sessions are asked to end at once.
const WINDOW: &str = "2s";
/// What a session does: it ignores every request to end, at the shell and in its child, and must be killed.
const STUBBORN: &str = "trap '' HUP TERM INT QUIT; echo ready; sleep 600";
/// How long all logins of a round may take.
const LOGINS: Duration = Duration::from_secs(120);
/// When the agent is killed, before the end.
const KILLED_BEFORE: Duration = Duration::from_millis(1000);
/// When the sessions' processes are listed, before the end: that takes a while where there are many.
const LISTED_BEFORE: Duration = Duration::from_millis(700);
/// How long after the end they may be watched.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the agent is when the window ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Agent {
    Alive,
    Dead,
}

impl Agent {
    /// For the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
        }
    }
}

/// What is to be measured.
#[derive(Clone, Copy)]
pub struct Series {
    pub agent: Agent,
    /// Sessions that end at once.
    pub sessions: usize,
    pub rounds: usize,
}

/// How late the sessions of a series ended.
pub struct Endings {
    pub series: Series,
    /// Milliseconds from `not_after` to the last process of all sessions dead, round by round.
    pub late_ms: Vec<f64>,
    /// Milliseconds from `not_after` to the last session of which 0 survivors were proved, as the audit has it, round
    /// by round.
    proved_ms: Vec<f64>,
    /// Why there are no more.
    pub problem: Option<String>,
}

impl Endings {
    /// Measures the series; a round in which nothing ended the sessions is its last one.
    pub fn measure(host: &Host, series: Series) -> Self {
        let mut endings = Self { series, late_ms: Vec::new(), proved_ms: Vec::new(), problem: None };
        for _ in 0..series.rounds {
            match one_round(host, &series) {
                Ok((late, proved)) => {
                    endings.late_ms.push(late);
                    endings.proved_ms.extend(proved);
                }
                Err(problem) => {
                    endings.problem = Some(problem);
                    break;
                }
            }
        }
        endings
    }

    /// The quantile of all rounds; more than anything where a round did not end.
    pub fn quantile(&self, share: f64) -> f64 {
        match self.problem {
            Some(_) => f64::INFINITY,
            None => quantile(&self.late_ms, share).expect("there was a round"),
        }
    }

    /// The quantile of the times until 0 survivors were proved.
    pub fn proved(&self, share: f64) -> f64 {
        quantile(&self.proved_ms, share).unwrap_or(f64::INFINITY)
    }

    /// As an object.
    pub fn to_json(&self) -> Value {
        let figure = |figure: Option<f64>| figure.map(rounded);
        json!({
            "agent": self.series.agent.name(), "sessions": self.series.sessions, "rounds": self.late_ms.len(),
            "p50": figure(quantile(&self.late_ms, 0.5)), "p99": figure(quantile(&self.late_ms, 0.99)),
            "max": figure(largest(&self.late_ms)), "error": self.problem,
            "proved_p50": figure(quantile(&self.proved_ms, 0.5)), "proved_p99": figure(quantile(&self.proved_ms, 0.99)),
            "runs": self.late_ms.iter().copied().map(rounded).collect::<Vec<_>>(),
        })
    }
}

impl Display for Endings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Series { agent, sessions, .. } = self.series;
        write!(f, "  {:<28}", format!("agent {}, {sessions} session(s)", agent.name()))?;
        match &self.problem {
            Some(problem) => writeln!(f, " {problem}"),
            None => {
                let [p50, p99] = [0.5, 0.99].map(|share| self.quantile(share));
                writeln!(f, " {p50:>9.1} {p99:>9.1} {:>9}", self.late_ms.len())
            }
        }
    }
}

/// How late the last process was dead, and how late that was proved.
fn one_round(host: &Host, series: &Series) -> Result<(f64, Option<f64>), String> {
    let people = &PEOPLE[..series.sessions.min(PEOPLE.len())];
    let (clients, long) = log_in(host, people, series.sessions);
    if series.agent == Agent::Dead {
        host.ok("systemctl mask --runtime --quiet curfewd.service");
    }
    let not_after = grant_the_same_end(host, people).not_after;
    let end = SystemTime::from(not_after);
    revoke(host, &long);

    if series.agent == Agent::Dead {
        sleep_until(end - KILLED_BEFORE);
        host.ok("systemctl kill --signal=KILL curfewd.service");
    }
    sleep_until(end - LISTED_BEFORE);
    let watched = Watched::sessions_of(host, people);
    assert!(watched.count() >= series.sessions, "{} processes live shortly before the end", watched.count());
    assert!(SystemTime::now() < end, "the sessions were listed before the end");
    // The clients are strangers elsewhere; what they would do about the end is not to take this host's time.
    clients.iter().for_each(Running::freeze);
    let dead = watched.last_death(end + PATIENCE);
    let agent_stayed = agent_lives(host) == (series.agent == Agent::Alive);

    if series.agent == Agent::Dead {
        bring_back(host, people);
    }
    if !agent_stayed {
        return Err(format!("the agent was not {} all along: a sweep took it for one that hangs", series.agent.name()));
    }
    let dead = dead.ok_or_else(|| format!("nothing ended the sessions within {PATIENCE:?}"))?;
    let proved = (series.agent == Agent::Alive).then(|| proved(host, not_after, series.sessions));
    Ok((milliseconds(end, dead), proved))
}

/// How long it took until nothing was proved to be left of the last of these sessions, in milliseconds after their end.
fn proved(host: &Host, end: Timestamp, sessions: usize) -> f64 {
    let records = wait_for("every session's record", LOGINS, || {
        let mut records = host.audit(&format!("--event session.terminated --since {end}"));
        // Service managers have records of their own.
        records.retain(|record| record["service"] == "sshd");
        (records.len() >= sessions).then_some(records)
    });
    let late = records.iter().map(|record| {
        assert_eq!(record["survivors"], "0", "{record}");
        record["latency_ms"].as_f64().unwrap_or_else(|| panic!("no latency: {record}"))
    });
    late.fold(0.0, f64::max)
}

/// Logs people in, each in turn, until there are `count` sessions. Gives the clients, and the grants that let them in.
fn log_in(host: &Host, people: &[&str], count: usize) -> (Vec<Running>, Vec<Grant>) {
    let grants = people.iter().map(|user| host.grant(&format!("{user} --for {LOGGING_IN} --login"))).collect();
    let mut clients: Vec<Running> =
        people.iter().cycle().take(count).map(|user| host.ssh_on_terminal(user, STUBBORN)).collect();
    wait_for("everybody to be in", LOGINS, || {
        let in_or_alive = |client: &mut Running| {
            assert!(client.is_alive(), "a login ended: {}{}", client.stdout(), client.stderr());
            client.stdout().contains("ready")
        };
        clients.iter_mut().all(in_or_alive).then_some(())
    });
    (clients, grants)
}

/// A grant for each, all with the same end; gives one of them.
fn grant_the_same_end(host: &Host, people: &[&str]) -> Grant {
    // Ends are on whole seconds: now and then, one passes in between.
    for _ in 0..10 {
        let mut grants = people.iter().map(|user| host.grant(&format!("{user} --for {WINDOW} --login")));
        let first = grants.next().expect("somebody is there");
        if grants.all(|grant| grant.not_after == first.not_after) {
            return first;
        }
    }
    panic!("the grants never had the same end");
}

fn revoke(host: &Host, grants: &[Grant]) {
    let ids: Vec<&str> = grants.iter().map(|grant| grant.id.as_str()).collect();
    host.ok(&format!("for id in {}; do curfew revoke $id --reason 'all are in'; done", ids.join(" ")));
}

fn agent_lives(host: &Host) -> bool {
    host.run("systemctl is-active --quiet curfewd.service").success()
}

/// Starts the agent again and waits until it has ended what the dead one left.
fn bring_back(host: &Host, people: &[&str]) {
    host.ok("systemctl unmask --runtime --quiet curfewd.service && systemctl reset-failed 'curfewd.*'");
    host.start_agent();
    wait_for("the sessions to be gone", PATIENCE, || (Watched::sessions_of(host, people).count() == 0).then_some(()));
}

fn sleep_until(time: SystemTime) {
    std::thread::sleep(time.duration_since(SystemTime::now()).unwrap_or_default());
}

/// From `from` to `to`, negative when that was earlier.
fn milliseconds(from: SystemTime, to: SystemTime) -> f64 {
    match to.duration_since(from) {
        Ok(after) => after.as_secs_f64() * 1000.0,
        Err(before) => before.duration().as_secs_f64() * -1000.0,
    }
}
