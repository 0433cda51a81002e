//! The system under test: the agent's own code, real logins and runs of sudo that ask it, and what is to be seen of them.

use crate::clock::Clock;
use crate::in_process::{InProcess, own_pid};
use crate::invariants;
use crate::passwd;
use crate::people::{Alice, Command, DOORS, Door, Doors, Person, Sudo, Wanted};
use crate::processes::{Login, Probe, Run};
use crate::records::Records;
use crate::reference::{BEGINNING, Mode, Reference, UP_FOR};
use crate::seen::Seen;
use crate::tally::TALLY;
use crate::transition::{Act, Then, Transition};
use crate::tree::At;
use curfew::enforce::noninteractive;
use curfew::grant::{boot_ends, local};
use curfew::sessions::table;
use curfew::{audit, clock, config, wiring};
use curfew_protocol::exempt::{self, EXEMPT_LIST};
use curfew_protocol::ipc::{Hook, OBSERVE_MARK, PamQuestion};
use proptest_state_machine::StateMachineTest;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// From so many questions about somebody on, repeats may be counted.
const NOISE_FROM: u32 = 20;

const STATE: &str = "/var/lib/curfew";

/// The host with all that is open on it.
pub struct Host {
    clock: Clock,
    agent: Option<InProcess>,
    logins: Vec<Login>,
    runs: Vec<Run>,
    /// The grants, by the ids that the agent gave them.
    ids: Vec<String>,
    records: Records,
    unrecorded: Vec<String>,
    /// How often this agent was asked about somebody.
    asked: BTreeMap<String, u32>,
    seen: Seen,
}

impl StateMachineTest for Host {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(reference: &Reference) -> Self {
        clear();
        let clock = Clock::open();
        clock.put(BEGINNING, UP_FOR);
        let (agent, logins, runs, ids, records, unrecorded, asked, seen) = Default::default();
        let mut host = Self { clock, agent, logins, runs, ids, records, unrecorded, asked, seen };
        host.configure(reference.file);
        host.agent = Some(InProcess::start());
        host.go_on(Then::Settles);
        host.look(reference);
        host
    }

    fn apply(mut host: Self, reference: &Reference, transition: Transition) -> Self {
        host.act(reference, transition.act);
        host.go_on(transition.then);
        host.look(reference);
        host
    }

    fn teardown(_: Self, reference: Reference) {
        TALLY.with_borrow_mut(|tally| tally.add(&reference));
    }

    fn check_invariants(host: &Self, reference: &Reference) {
        for (sentence, holds) in invariants::ALL {
            if let Err(counterexample) = holds(reference, &host.seen) {
                panic!("it does not hold that {}: {counterexample}", sentence.replace('_', " "));
            }
        }
    }
}

impl Host {
    fn act(&mut self, reference: &Reference, act: Act) {
        match act {
            Act::Grant { to, seconds, login, sudo } => self.grant(to, seconds, login, sudo, reference.answer),
            Act::Revoke(grant) => {
                let revoked = self.agent().tell("io.curfew.Agent.Revoke", json!({"id": self.ids[grant]}));
                assert_eq!(revoked.is_ok(), reference.answer, "a revocation: {revoked:?}");
            }
            Act::Clock(_) | Act::Pass(_) => self.clock.put(reference.time.wall, reference.time.boot),
            Act::AcceptClock => {
                drop(self.agent().tell("io.curfew.Agent.AcceptClock", json!({})).expect("root accepts"))
            }
            Act::Account(alice) => passwd::put(alice),
            Act::Login { who, door, scope } => {
                let uid = who.uid(reference.alice).expect("who has no account does not log in");
                self.log_in(who, uid, door, scope, reference.answer);
            }
            Act::Logout(login) => self.logins[login].log_out(),
            Act::Sudo { login, inside, wanted, session } => {
                self.run_sudo(login, inside, wanted, session, reference.answer)
            }
            Act::Branch(at, branch) => self.runs[at.run].grow(at.process, branch, &mut self.logins),
            Act::SudoEnds(run) => self.runs[run].end(),
            Act::Configure(mode) => {
                self.configure(mode);
                if self.agent.is_some() {
                    let read = self.agent().tell("io.curfew.Agent.Reload", json!({}));
                    assert_eq!(read.is_ok(), mode.is_some(), "a configuration: {read:?}");
                }
            }
            Act::Start => {
                self.agent = Some(InProcess::start());
                self.asked.clear();
            }
        }
    }

    /// What becomes of the agent.
    fn go_on(&mut self, then: Then) {
        let Some(agent) = self.agent.take() else { return };
        match then {
            Then::Settles => {
                agent.settle();
                self.agent = Some(agent);
            }
            Then::Stops => agent.stop(),
            Then::Dies => drop(agent),
            Then::DiesAtWork(after_ms) => agent.die_at_work(Duration::from_millis(after_ms.into())),
        }
    }

    fn agent(&self) -> &InProcess {
        self.agent.as_ref().expect("the agent runs")
    }

    /// What the PAM module asks in the process `pid`: each question has its record before its answer, but for noise, which is counted.
    fn ask(&mut self, pid: i32, hook: Hook, question: &PamQuestion) -> bool {
        let permitted = self.agent().ask(pid, hook, question);
        let before = self.records.recorded;
        self.records.read();
        let who = question.ruser.as_ref().unwrap_or(&question.user);
        let asked = self.asked.entry(who.clone()).or_default();
        *asked += 1;
        if hook == Hook::Account && *asked <= NOISE_FROM && self.records.recorded != before + 1 {
            self.unrecorded.push(json!(question).to_string());
        }
        permitted
    }

    fn ask_login(&mut self, pid: i32, hook: Hook, who: Person, door: Door) -> bool {
        let (service, user, rhost) = (door.service.into(), who.name().into(), Some(door.from.into()));
        self.ask(pid, hook, &PamQuestion { service, user, ruser: None, rhost, tty: None, exempt: is_exempt(who) })
    }

    /// sudo names the invoker as the user until the session opens, and knows them by their user id alone.
    fn ask_sudo(&mut self, pid: i32, hook: Hook, who: Person, www_data: bool) -> bool {
        let who = who.invoker();
        let user = match hook {
            Hook::Authenticate | Hook::Account => who.name(),
            Hook::OpenSession if www_data => "www-data",
            Hook::OpenSession => "root",
        };
        let (service, user, ruser) = ("sudo".into(), user.into(), Some(who.name().into()));
        self.ask(pid, hook, &PamQuestion { service, user, ruser, rhost: None, tty: None, exempt: is_exempt(who) })
    }

    fn grant(&mut self, to: Person, seconds: u32, login: Option<Doors>, sudo: Option<Sudo>, expected: bool) {
        let login = login.map(|doors| {
            let from = if doors.inside { vec!["10.0.0.0/8"] } else { Vec::new() };
            json!({"services": doors.service.into_iter().collect::<Vec<_>>(), "from": from})
        });
        let sudo = sudo.map(|sudo| {
            let run_as = if sudo.www_data { vec!["root", "www-data"] } else { vec!["root"] };
            let command = sudo.command.map_or("ALL", Command::typed);
            json!({"run_as": run_as, "commands": [command]})
        });
        let order = json!({"user": to.name(), "seconds": seconds, "login": login, "sudo": sudo, "reason": "INC-1", "unchecked": true});
        let granted = self.agent().tell("io.curfew.Agent.Grant", order);
        assert_eq!(granted.is_ok(), expected, "a grant: {granted:?}");
        let Ok(granted) = granted else { return };
        self.ids.push(granted["grant"]["id"].as_str().expect("a grant has an id").to_owned());
    }

    fn log_in(&mut self, who: Person, uid: u32, door: Door, scope: bool, expected: bool) {
        let mut login = Login::knock(who, uid, scope);
        let pid = login.pid();
        let permitted =
            self.ask_login(pid, Hook::Account, who, door) && self.ask_login(pid, Hook::OpenSession, who, door);
        if permitted {
            login.open();
            self.logins.push(login);
        } else {
            login.kill();
        }
        assert_eq!(permitted, expected, "whether {who:?} gets in by {door:?}");
    }

    fn run_sudo(&mut self, login: usize, inside: Option<At>, wanted: Wanted, session: bool, expected: bool) {
        let typist = inside.map(|at| self.runs[at.run].processes[at.process]);
        let mut run = Run::knock(&mut self.logins, login, typist, wanted);
        let who = self.logins[login].who;
        let permitted = self.ask_sudo(run.root(), Hook::Account, who, wanted.www_data)
            && (!session || self.ask_sudo(run.root(), Hook::OpenSession, who, wanted.www_data));
        if permitted {
            run.open(&mut self.logins, &self.runs);
            self.runs.push(run);
        } else {
            run.kill();
        }
        assert_eq!(permitted, expected, "whether {who:?} gets sudo");
    }

    fn configure(&self, mode: Option<Mode>) {
        let mode = match mode {
            Some(Mode::Enforce) => "enforce",
            Some(Mode::Observe) => "observe",
            None => "neither",
        };
        let text = format!("mode = \"{mode}\"\nresidue_report = false\n");
        fs::write(config::PATH, text).expect("the configuration can be written");
    }

    /// Sees all there is to see.
    fn look(&mut self, reference: &Reference) {
        let mut seen = Seen::default();
        if reference.up {
            for who in Person::GRANTEES {
                for door in DOORS {
                    seen.doors.push((who, door, self.ask_login(own_pid(), Hook::Account, who, door)));
                }
                // By any other name of theirs sudo would ask the same.
                if who == who.invoker() {
                    let probe = Probe::start();
                    seen.sudo.push((who, self.ask_sudo(probe.pid(), Hook::Account, who, false)));
                }
            }
            let status = self.agent().tell("io.curfew.Agent.Status", json!({})).expect("root sees the status");
            let shown = status["grants"].as_array().expect("it lists the grants").iter();
            let ended = shown.filter(|grant| grant["state"] == "ended");
            seen.ended = ended.filter_map(|grant| self.number(grant["id"].as_str()?)).collect();
        }
        seen.logins = self.logins.iter().map(Login::remains).collect();
        seen.runs = self.runs.iter().zip(&reference.runs).map(|(run, it)| run.remains(it)).collect();
        let drop_ins = names(wiring::DROP_IN_FOLDER).into_iter().filter(|name| !noninteractive::is_ours(name));
        seen.drop_ins = drop_ins.map(|name| self.number(&name)).collect();
        self.records.read();
        seen.once_ended = self.records.ended.iter().filter_map(|id| self.number(id)).collect();
        seen.unrecorded.clone_from(&self.unrecorded);
        seen.out_of_order.clone_from(&self.records.out_of_order);
        self.seen = seen;
    }

    fn number(&self, id: &str) -> Option<usize> {
        self.ids.iter().position(|known| known == id)
    }
}

impl Drop for Host {
    /// Whatever came of it, nothing is left for the next sequence.
    fn drop(&mut self) {
        self.agent = None;
        self.logins.iter_mut().for_each(Login::kill);
    }
}

/// What an agent leaves behind, and what it finds at first.
fn clear() {
    let _there_or_not = fs::remove_dir_all(table::FOLDER);
    for path in [local::SPARE, OBSERVE_MARK, clock::IN_BOOT, boot_ends::PATH] {
        let _there_or_not = fs::remove_file(path);
    }
    names(wiring::DROP_IN_FOLDER)
        .iter()
        .for_each(|name| drop(fs::remove_file(Path::new(wiring::DROP_IN_FOLDER).join(name))));
    let _there_or_not = fs::remove_dir_all(STATE);
    passwd::put(Alice::AsEver);
    fs::create_dir_all(audit::FOLDER).expect("the state's folder can be made");
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries.map(|entry| entry.expect("a folder can be read").file_name().to_string_lossy().into_owned()).collect()
}

/// As the PAM module reads it.
fn is_exempt(who: Person) -> bool {
    exempt::lists(Path::new(EXEMPT_LIST), who.name()).expect("the exempt list is believed")
}
