//! What grows with the host: sudo, a login, the end and a new rule, with few processes on the host and with many,
//! beside a host without Curfew that is as full, both in turn.
//!
//! `tests/peers/fill.c` fills them. Where the machine has no numbers for twice as many processes, the host without
//! Curfew gets what is left.

use std::fmt::{self, Display};
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use curfew_tests::ssh::{login, quoted};
use curfew_tests::{Host, Release, Running, report as progress, wait_for};
use serde_json::{Value, json};

use crate::USER;
use crate::aim::{Aim, Bound};
use crate::ending::{Agent, Endings, Series};
use crate::peers::FOLDER;
use crate::report::rounded;
use crate::statistics::{median, quantile};

/// At most this many times what it takes without Curfew.
const MOST_TIMES: f64 = 1.05;
/// At most this many times what it takes with the fewest processes.
const MOST_GROWTH: f64 = 1.5;
/// At most this long from `not_after` to the last process dead, in milliseconds, at the 99th percentile: one session,
/// and many.
const MOST_LATE: [f64; 2] = [30.0, 80.0];
/// At most this long from `curfew grant` to its rule for sudo, in milliseconds.
const MOST_TO_THE_RULE: f64 = 60.0;
/// Numbers of processes that the machine needs for everything else.
const SPARE: usize = 2000;
/// How long filling may take, and a block of commands.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long the agent has for what it does behind its answers.
const SETTLED: Duration = Duration::from_millis(1500);

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Processes that sleep on the host.
    pub sizes: &'static [usize],
    /// Rounds, and in each of them runs of sudo and logins on each of the hosts.
    pub rounds: usize,
    pub sudos: usize,
    pub logins: usize,
    /// Sessions that end at once, and how often.
    pub endings: [(usize, usize); 2],
    /// Grants whose rule is waited for.
    pub rules: usize,
}

/// What it came to at each size.
pub struct Scale(Vec<AtSize>);

struct AtSize {
    processes: usize,
    sudo: Beside,
    login: Beside,
    endings: [Endings; 2],
    /// Milliseconds.
    rules: Vec<f64>,
}

/// One command with Curfew and without, in milliseconds each.
#[derive(Default)]
struct Beside {
    with: Vec<f64>,
    without: Vec<f64>,
    /// The agent's processor time for all of them, what it runs included.
    agent_ms: f64,
}

impl Scale {
    /// Boots two hosts, and fills them more and more.
    pub fn measure(release: Release, plan: Plan) -> Self {
        let hosts = Hosts::boot(release);
        Self(plan.sizes.iter().map(|&processes| hosts.measure(processes, plan)).collect())
    }

    /// What could not be measured.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|at| {
            let problem =
                |endings: &Endings| Some(format!("{} processes: {}", at.processes, endings.problem.as_ref()?));
            at.endings.iter().filter_map(problem)
        })
    }

    /// What the figures should be.
    pub fn aims(&self) -> Vec<Aim> {
        let mut aims = Vec::new();
        for at in &self.0 {
            let on = format!("{} processes", at.processes);
            for (what, beside) in [("sudo -n true", &at.sudo), ("ssh host true", &at.login)] {
                let name = format!("{what}, times a host without Curfew, {on}");
                aims.push(Aim::new(name, beside.times(), Bound::AtMost(MOST_TIMES), ""));
            }
            for (endings, most) in at.endings.iter().zip(MOST_LATE) {
                let name = format!("not_after to last process dead, p99, {}, {on}", endings.series.sessions);
                aims.push(Aim::new(name, endings.quantile(0.99), Bound::AtMost(most), "ms"));
            }
            let rule = quantile(&at.rules, 0.99).unwrap_or(f64::INFINITY);
            aims.push(Aim::new(
                format!("curfew grant to its rule, p99, {on}"),
                rule,
                Bound::AtMost(MOST_TO_THE_RULE),
                "ms",
            ));
        }
        if let (Some(least), Some(most)) = (self.0.first(), self.0.last()) {
            let on = format!("{} processes to {}", most.processes, least.processes);
            let mut flat = |what: &str, least: f64, most: f64| {
                aims.push(Aim::new(format!("{what}, {on}"), most / least, Bound::AtMost(MOST_GROWTH), ""));
            };
            flat("agent's CPU for a sudo", least.sudo.agent_ms_each(), most.sudo.agent_ms_each());
            flat("agent's CPU for a login", least.login.agent_ms_each(), most.login.agent_ms_each());
            for (least, most) in least.endings.iter().zip(&most.endings) {
                let sessions = least.series.sessions;
                flat(&format!("last process dead, p50, {sessions}"), least.quantile(0.5), most.quantile(0.5));
                flat(&format!("0 survivors proved, p50, {sessions}"), least.proved(0.5), most.proved(0.5));
            }
        }
        aims
    }

    /// As an array.
    pub fn to_json(&self) -> Value {
        self.0.iter().map(AtSize::to_json).collect()
    }
}

/// A host with Curfew and one without.
struct Hosts {
    with: Host,
    without: Host,
}

impl Hosts {
    fn boot(release: Release) -> Self {
        let with = Host::builder(release).boot();
        let without = Host::builder(release).without_package().boot();
        for host in [&with, &without] {
            host.ok(&format!("mkdir -p {FOLDER}"));
            host.compile("fill.c", &format!("{FOLDER}/fill"), &["-static"]);
        }
        let _ = with.grant(&format!("{USER} --for 8h --login --sudo --command /usr/bin/true"));
        without.ok(&format!("umask 227 && echo '{USER} ALL = NOPASSWD: /usr/bin/true' >/etc/sudoers.d/{USER}"));
        wait_for("the rule", PATIENCE, || with.run_as(USER, "sudo -n true").success().then_some(()));
        Self { with, without }
    }

    fn measure(&self, processes: usize, plan: Plan) -> AtSize {
        progress(&format!("sudo, logins, ends and rules beside a host without Curfew, {processes} processes on each"));
        fill(&self.with, processes);
        fill(&self.without, processes.min(numbers().saturating_sub(processes + SPARE)));
        let (mut sudo, mut logged_in) = (Beside::default(), Beside::default());
        for round in 0..plan.rounds {
            let each = |command: &str, count| {
                format!("for i in $(seq {count}); do {command} || exit 1; echo $EPOCHREALTIME; done")
            };
            let sudos = format!("echo $EPOCHREALTIME; {}", each("sudo -n true", plan.sudos));
            let sudos = login(USER, &format!("bash -c {}", quoted(&sudos)));
            let one = format!("({}) </dev/null >/dev/null 2>&1", login(USER, "true"));
            let logins = format!("echo $EPOCHREALTIME; {}", each(&one, plan.logins));
            sudo.round(self, &sudos, round);
            logged_in.round(self, &logins, round);
        }
        let endings = plan
            .endings
            .map(|(sessions, rounds)| Endings::measure(&self.with, Series { agent: Agent::Alive, sessions, rounds }));
        let rules = (0..plan.rules).map(|_| time_to_the_rule(&self.with)).collect();
        [&self.with, &self.without].into_iter().for_each(empty);
        AtSize { processes, sudo, login: logged_in, endings, rules }
    }
}

impl Beside {
    /// Runs a script on each of the hosts, the other one first in every second round.
    fn round(&mut self, hosts: &Hosts, script: &str, round: usize) {
        let before = agent_ms(&hosts.with);
        for turn in [round, round + 1] {
            if turn % 2 == 0 {
                self.with.extend(timed(&hosts.with, script));
            } else {
                self.without.extend(timed(&hosts.without, script));
            }
        }
        sleep(SETTLED);
        self.agent_ms += agent_ms(&hosts.with) - before;
    }

    fn medians(&self) -> [f64; 2] {
        [&self.with, &self.without].map(|times| median(times).unwrap_or(f64::NAN))
    }

    fn times(&self) -> f64 {
        let [with, without] = self.medians();
        with / without
    }

    fn agent_ms_each(&self) -> f64 {
        self.agent_ms / self.with.len() as f64
    }

    fn to_json(&self) -> Value {
        let [with, without] = self.medians();
        json!({
            "p50_ms": rounded(with), "p50_without_curfew_ms": rounded(without), "times": rounded(self.times()),
            "agent_cpu_ms": rounded(self.agent_ms_each()), "runs": self.with.len(),
        })
    }
}

/// The time between the lines that `script` prints, each a time of day.
fn timed(host: &Host, script: &str) -> Vec<f64> {
    let printed = host.spawn(&format!("export LC_ALL=C; {script}")).finish(PATIENCE).expect_ok(script);
    let times: Vec<f64> = printed.lines().filter_map(|line| line.parse().ok()).collect();
    times.windows(2).map(|pair| (pair[1] - pair[0]) * 1000.0).collect()
}

/// What the agent's unit has used of processors, in milliseconds.
fn agent_ms(host: &Host) -> f64 {
    let text = fs::read_to_string(host.path("/sys/fs/cgroup/system.slice/curfewd.service/cpu.stat"));
    let text = text.expect("the agent has a control group");
    let used = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).expect("the kernel counts");
    used.trim().parse::<f64>().expect("a number") / 1000.0
}

/// How many processes the machine has numbers for.
fn numbers() -> usize {
    let text = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default();
    text.trim().parse().unwrap_or(32_768)
}

fn fill(host: &Host, processes: usize) {
    let options = "--quiet --unit=curfew-bench-fill --property=TasksMax=infinity --service-type=exec";
    host.ok(&format!(
        "mkfifo {FOLDER}/filled && systemd-run {options} sh -c 'exec {FOLDER}/fill {processes} >{FOLDER}/filled'"
    ));
    let ready: Running = host.spawn(&format!("head -n 1 {FOLDER}/filled"));
    let fits = format!("{processes} more processes fit where kernel.pid_max is {}", numbers());
    assert_eq!(ready.finish(PATIENCE).expect_ok("filling the host"), "ready", "{fits}");
}

fn empty(host: &Host) {
    host.ok(&format!("systemctl kill --signal=KILL curfew-bench-fill && rm {FOLDER}/filled"));
    let gone = "! systemctl is-active --quiet curfew-bench-fill && systemctl reset-failed curfew-bench-fill 2>/dev/null; \
                ! systemctl is-active --quiet curfew-bench-fill";
    wait_for("an empty host", PATIENCE, || host.run(gone).success().then_some(()));
}

/// From the start of a `curfew grant` to its drop-in, in milliseconds.
fn time_to_the_rule(host: &Host) -> f64 {
    let script = "shopt -s nullglob; export LC_ALL=C; exec 9<> <(:); before=(/run/curfew/sudoers.d/[^c]*)
        echo $EPOCHREALTIME
        curfew grant bob --for 1h --sudo --command /usr/bin/id --reason 'a rule' --json >/run/granted &
        until after=(/run/curfew/sudoers.d/[^c]*); [ ${#after[@]} -gt ${#before[@]} ]; do read -rt 0.001 -u 9; done
        echo $EPOCHREALTIME
        wait; curfew revoke $(sed -n 's/.*\"id\": *\"\\([^\"]*\\)\".*/\\1/p' /run/granted | head -n 1) >/dev/null
        until after=(/run/curfew/sudoers.d/[^c]*); [ ${#after[@]} -le ${#before[@]} ]; do read -rt 0.01 -u 9; done; true";
    let took = timed(host, script);
    sleep(SETTLED);
    took[0]
}

impl AtSize {
    fn to_json(&self) -> Value {
        let rule = |share| rounded(quantile(&self.rules, share).unwrap_or(f64::NAN));
        json!({
            "processes": self.processes, "sudo": self.sudo.to_json(), "login": self.login.to_json(),
            "not_after_to_last_process_dead_ms": self.endings.iter().map(Endings::to_json).collect::<Vec<_>>(),
            "grant_to_rule_ms": {"p50": rule(0.5), "p99": rule(0.99), "runs": self.rules.len()},
        })
    }
}

impl Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "                        with Curfew   without     times   agent's CPU")?;
        for at in &self.0 {
            writeln!(f, "  {} processes", at.processes)?;
            for (what, beside) in [("sudo -n true", &at.sudo), ("ssh host true", &at.login)] {
                let ([with, without], times, agent) = (beside.medians(), beside.times(), beside.agent_ms_each());
                writeln!(f, "    {what:<20} {with:>9.1} {without:>9.1} {times:>9.2} {agent:>13.1}")?;
            }
            for endings in &at.endings {
                let sessions = endings.series.sessions;
                let [dead, latest, proved] = [endings.quantile(0.5), endings.quantile(0.99), endings.proved(0.99)];
                let what = format!("the end of {sessions} session(s)");
                writeln!(f, "    {what:<26} dead p50 {dead:.1}, p99 {latest:.1}; 0 survivors proved p99 {proved:.0}")?;
            }
            let [p50, p99] = [0.5, 0.99].map(|share| quantile(&at.rules, share).unwrap_or(f64::NAN));
            writeln!(f, "    {:<26} p50 {p50:.1}, p99 {p99:.1}", "curfew grant to its rule")?;
        }
        Ok(())
    }
}
