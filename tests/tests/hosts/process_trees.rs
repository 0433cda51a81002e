//! Who started what: random trees of processes by real sudo, with children that leave their parents, their sessions, their control groups and their
//! ids, and sudo in sudo. At the end of each grant exactly what its runs started is dead.
//!
//! The tree's own plan is the model: a program that is granted by one grant alone names the run in its command line, and whatever
//! descends from it carries that name. Only what root moved out of its run's control group, and has no parent left, can't be told from what another
//! run of the login moved there: it ends with its own run at the latest, and may end with one that ends before.

use std::collections::BTreeSet;
use std::time::Duration;

use curfew_tests::{Host, Process, Release, SOON, report, wait_for};
use jiff::Timestamp;

on_every_release! {
    at_the_end_of_a_grant_exactly_what_its_runs_started_is_dead,
}

/// How many hosts' worth of trees, and how many programs with a grant of their own each.
const ROUNDS: u32 = 3;
const PROGRAMS: usize = 3;

/// When the grants end, in seconds.
const ENDS: [u32; PROGRAMS] = [10, 13, 16];

/// Numbers that a seed repeats (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What a process of a tree still may do.
#[derive(Clone, Copy)]
struct May {
    /// It is root throughout.
    root: bool,
    /// It is wholly the user's: it may run sudo.
    sudo: bool,
    /// It has left its group. Were it wholly the user's then, nothing would tell it from what they run without sudo, and it could do no more.
    left: bool,
}

/// A plan as `tests/peers/tree.c` reads it, and how many processes of each program it makes.
fn plan(dice: &mut Dice, program: usize, mut may: May, depth: u32, count: &mut [usize; PROGRAMS]) -> String {
    count[program] += 1;
    let mut plan = String::new();
    for _ in 0..=dice.throw(4) {
        match dice.throw(9) {
            0 => plan.push('s'),
            1 if may.root && !may.left => {
                plan.push('u');
                may = May { root: false, sudo: true, ..may };
            }
            2..=3 if may.root => {
                plan.push(['e', 'g', 'c'][usize::try_from(dice.throw(3)).expect("it is small")]);
                may = May { root: false, sudo: false, ..may };
            }
            4 if may.root && !may.left => {
                plan.push('l');
                may.left = true;
            }
            5 if depth < 3 && !may.left && (may.root || may.sudo) => {
                let other = usize::try_from(dice.throw(PROGRAMS as u64)).expect("it is small");
                let fresh = May { root: true, sudo: false, left: false };
                plan += &format!("n{}{}", other + 1, self::plan(dice, other, fresh, depth + 1, count));
            }
            6..=8 if depth < 3 => {
                plan.push(['f', 'o'][usize::try_from(dice.throw(2)).expect("it is small")]);
                plan += &self::plan(dice, program, may, depth + 1, count);
            }
            _ => {}
        }
    }
    plan + "."
}

fn of_program(host: &Host, program: usize) -> Vec<Process> {
    let name = format!("/opt/tree/{} ", program + 1);
    let mut processes = host.processes();
    processes.retain(|process| process.command.starts_with(&name));
    processes
}

fn pids<'a>(processes: impl Iterator<Item = &'a Process>) -> BTreeSet<u32> {
    processes.map(|process| process.inner_pid).collect()
}

fn at_the_end_of_a_grant_exactly_what_its_runs_started_is_dead(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"\nresidue_report = false").boot();
    host.ok("mkdir /opt/tree");
    for program in 1..=PROGRAMS {
        host.compile("tree.c", &format!("/opt/tree/{program}"), &[]);
    }
    let seed = std::env::var("CURFEW_TREE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| Timestamp::now().as_nanosecond().unsigned_abs() as u64 | 1);
    let mut dice = Dice(seed);
    let _login = host.grant("alice --for 10m --login");
    let mut processes = 0;
    for round in 0..ROUNDS {
        let mut count = [0; PROGRAMS];
        let fresh = May { root: true, sudo: false, left: false };
        let plans: Vec<String> = (0..PROGRAMS).map(|program| plan(&mut dice, program, fresh, 0, &mut count)).collect();
        let shown = format!("CURFEW_TREE_SEED={seed}, round {round}: {plans:?} {count:?}");
        let first = usize::try_from(dice.throw(PROGRAMS as u64)).expect("it is small");
        let order: Vec<usize> = (0..PROGRAMS).map(|number| (first + number) % PROGRAMS).collect();
        let grants: Vec<_> = order
            .iter()
            .zip(ENDS)
            .map(|(program, end)| host.grant(&format!("alice --for {end}s --sudo --command /opt/tree/{}", program + 1)))
            .collect();
        wait_for("the rules", SOON, || (host.drop_ins().len() == PROGRAMS).then_some(()));
        let mut login = host.ssh_stay("alice", "-T");
        for (number, plan) in plans.iter().enumerate() {
            login.send(&format!("sudo -n /opt/tree/{} '{plan}' </dev/null >/dev/null &\n", number + 1));
        }
        let there = || (0..PROGRAMS).map(|program| of_program(&host, program)).collect::<Vec<_>>();
        wait_for(&format!("the trees: {shown}"), Duration::from_secs(8), || {
            there().iter().zip(count).all(|(there, count)| there.len() == count).then_some(())
        });
        let mut living = there();
        processes += living.iter().map(Vec::len).sum::<usize>();
        for (grant, program) in grants.iter().zip(&order) {
            living[*program].clear();
            grant.wait_end();
            wait_for(&format!("the end of program {}: {shown}", program + 1), Duration::from_secs(2), || {
                of_program(&host, *program).is_empty().then_some(())
            });
            let ended = host.audited("sudo.terminated", |record| record["grant"] == grant.id.as_str());
            assert_eq!(ended["survivors"], "0", "{ended}, {shown}");
            for (there, living) in there().iter().zip(&living) {
                let (there, all) = (pids(there.iter()), pids(living.iter()));
                let certain = pids(living.iter().filter(|process| process.cgroup.contains("/curfew-run-")));
                let after = format!("after the end of program {}: {shown} {}", program + 1, login.stderr());
                assert!(there.is_subset(&all) && certain.is_subset(&there), "{after}: {certain:?} {there:?} {all:?}");
            }
        }
        login.kill();
    }
    report(&format!("{release}: {processes} processes in {ROUNDS} rounds, CURFEW_TREE_SEED={seed}"));
}
