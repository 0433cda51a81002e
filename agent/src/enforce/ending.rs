//! Ending what no grant covers any more: everything gets KILL at once, and then it is looked at until nothing is left.

use super::processes::{self, Process, ProcessId};
use super::sessions::{Elevation, Session};
use curfew_protocol::audit::{Entry, Field};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a kill is followed up before its survivors are reported.
const FOLLOWED_UP: Duration = Duration::from_secs(3);

/// Something that is being ended.
pub struct Ending {
    target: Target,
    killed: HashMap<ProcessId, String>,
    empty_passes: u8,
}

/// What is ended.
pub enum Target {
    /// A login, with all that it started.
    Session(Session),
    /// Elevated processes alone. `covered` are the runs of sudo and su that go on.
    Elevation {
        /// The run that ends.
        ended: Elevation,
        /// The first processes of the runs that another grant covers.
        covered: Vec<ProcessId>,
        /// The first processes of the logins.
        leaders: Vec<ProcessId>,
    },
}

impl Ending {
    /// Begins by killing what is there now.
    pub fn begin(target: Target) -> Self {
        let mut ending = Self { target, killed: HashMap::new(), empty_passes: 0 };
        ending.strike();
        ending
    }

    /// What it ends.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether two passes in a row found nothing.
    pub fn is_done(&self) -> bool {
        self.empty_passes >= 2
    }

    /// Kills what is there now.
    fn strike(&mut self) {
        let found = self.target.find();
        self.empty_passes = if found.is_empty() { self.empty_passes + 1 } else { 0 };
        let group_killed = match &self.target {
            Target::Session(session) if !found.is_empty() => session.scope().is_some_and(|scope| scope.kill().is_ok()),
            _ => false,
        };
        for process in &found {
            self.killed.entry(process.id).or_insert_with(|| process.name.clone());
            // The group's kill reaches what is in the group; what left it is reached one by one.
            if !group_killed || process.id.lives() {
                process.signal(Signal::SIGKILL);
            }
        }
    }

    /// Names and counts of what was killed.
    pub fn killed(&self) -> String {
        processes::tally(self.killed.values().map(String::as_str))
    }

    /// Whether anything was there to kill.
    pub fn killed_any(&self) -> bool {
        !self.killed.is_empty()
    }

    /// The entry, with what was killed and what lives on, and the time since `ended`.
    pub fn report(&self, entry: Entry, ended: Timestamp, now: Timestamp) -> Entry {
        let survivors = if self.is_done() { Vec::new() } else { self.target.find() };
        let survivors = match survivors.len() {
            0 => "0".to_owned(),
            count => format!("{count}: {}", processes::tally(survivors.iter().map(|it| it.name.as_str()))),
        };
        let latency = now.duration_since(ended).as_millis();
        entry
            .with(Field::Killed, self.killed())
            .with(Field::Survivors, survivors)
            .with(Field::LatencyMs, u64::try_from(latency).unwrap_or(0))
    }
}

/// Follows the endings up until all are done or time is up.
pub async fn follow_up(endings: &mut [Ending]) {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    while endings.iter().any(|ending| !ending.is_done()) && start.elapsed() < FOLLOWED_UP {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
        endings.iter_mut().filter(|ending| !ending.is_done()).for_each(Ending::strike);
    }
}

impl Target {
    /// What is there of it now.
    pub fn find(&self) -> Vec<Process> {
        match self {
            Self::Session(session) => find_session(session),
            Self::Elevation { ended, covered, leaders } => find_elevated(&processes::all(), ended, covered, leaders),
        }
    }
}

/// All that runs in the session's scope or shares its audit session, and the tree of its leader where neither is known.
fn find_session(session: &Session) -> Vec<Process> {
    let table = processes::all();
    let mut wanted = processes::tree(&table, session.leader);
    if let Some(scope) = session.scope() {
        wanted.extend(scope.processes().into_iter().map(|process| process.id));
    }
    let own = |process: &Process| {
        wanted.contains(&process.id)
            || (session.audit_session.is_some() && process.audit_session == session.audit_session)
    };
    table.into_iter().filter(own).collect()
}

/// What the run of sudo or su started, and what else in its session has another user's rights; not the login itself, not what the
/// run was started from, and not the runs that go on.
fn find_elevated(table: &[Process], ended: &Elevation, covered: &[ProcessId], leaders: &[ProcessId]) -> Vec<Process> {
    let mut spared = processes::ancestors(table, ended.root);
    spared.extend(leaders);
    for &root in covered {
        spared.extend(processes::tree(table, root));
        spared.extend(processes::ancestors(table, root));
    }
    let started = processes::tree(table, ended.root);
    let left_behind = |process: &Process| {
        ended.audit_session.is_some()
            && process.audit_session == ended.audit_session
            && ended.uid.is_some_and(|uid| process.euid != uid)
            && !spared.contains(&process.id)
    };
    let doomed = |process: &&Process| started.contains(&process.id) || left_behind(process);
    table.iter().filter(doomed).cloned().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::enforce::sudo_command::SudoCommand;

    fn id(pid: i32) -> ProcessId {
        ProcessId { pid, start: 1 }
    }

    fn process(pid: i32, parent: i32, euid: u32, session: u32) -> Process {
        Process { id: id(pid), parent, name: format!("p{pid}"), euid, tty: 0, audit_session: Some(session) }
    }

    fn elevation(root: i32) -> Elevation {
        Elevation {
            user: "alice".into(),
            service: "sudo".into(),
            run_as: Some("root".into()),
            command: SudoCommand::Anything,
            root: id(root),
            uid: Some(1001),
            logind_id: None,
            audit_session: Some(5),
            grant: None,
            opened_us: 0,
            hung_up_for: None,
        }
    }

    /// sshd 10 (root) → sshd 11 (alice) → bash 12 (alice) → sudo 13 → bash 14 (root) → su'd program 15 (alice again);
    /// an orphan 16 (root) in the same session; sudo 17 → 18, another run; 30 is another session's root.
    fn table() -> Vec<Process> {
        vec![
            process(1, 0, 0, 0),
            process(10, 1, 0, 5),
            process(11, 10, 1001, 5),
            process(12, 11, 1001, 5),
            process(13, 12, 0, 5),
            process(14, 13, 0, 5),
            process(15, 14, 1001, 5),
            process(16, 1, 0, 5),
            process(17, 12, 0, 5),
            process(18, 17, 0, 5),
            process(30, 1, 0, 6),
        ]
    }

    fn doomed(ended: &Elevation, covered: &[ProcessId]) -> Vec<i32> {
        find_elevated(&table(), ended, covered, &[id(10)]).iter().map(|process| process.id.pid).collect()
    }

    #[test]
    fn elevated_processes_die_and_the_login_lives() {
        assert_eq!(doomed(&elevation(13), &[]), [13, 14, 15, 16, 17, 18]);
    }

    #[test]
    fn a_run_that_another_grant_covers_goes_on() {
        assert_eq!(doomed(&elevation(13), &[id(17)]), [13, 14, 15, 16]);
    }

    #[test]
    fn what_is_left_of_a_run_that_is_gone_dies() {
        assert_eq!(doomed(&elevation(99), &[id(13), id(17)]), [16]);
    }

    #[test]
    fn without_an_audit_session_only_the_tree_dies() {
        let ended = Elevation { audit_session: None, ..elevation(13) };
        assert_eq!(doomed(&ended, &[]), [13, 14, 15]);
    }

    #[test]
    fn an_inner_run_dies_and_the_outer_one_lives() {
        let mut table = table();
        table.push(process(19, 14, 0, 5));
        table.push(process(20, 19, 33, 5));
        let dead = find_elevated(&table, &elevation(19), &[id(13), id(17)], &[id(10)]);
        assert_eq!(dead.iter().map(|process| process.id.pid).collect::<Vec<_>>(), [16, 19, 20]);
    }
}
