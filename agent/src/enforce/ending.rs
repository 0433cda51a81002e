//! Ending what no grant covers any more: frozen, killed at once, and then looked at until two looks in a row find nothing.

use super::processes::{self, Process, ProcessId, Table};
use super::scope::{Place, Scope};
use super::sessions::{Elevation, Session};
use crate::clock;
use curfew_protocol::audit::{Entry, Field};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

/// How long a kill is followed up before its survivors are reported.
const FOLLOWED_UP: Duration = Duration::from_secs(3);

/// Something that is being ended.
pub struct Ending {
    target: Target,
    killed: HashMap<ProcessId, String>,
    left: Vec<Process>,
    in_killed_groups: HashSet<ProcessId>,
    frozen: bool,
    empty_passes: u8,
    done_at: Option<Timestamp>,
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
        /// The first processes of the logins that it runs in: root's as well, and not its work.
        leaders: Vec<ProcessId>,
    },
    /// What of a person is left outside of their sessions: their service manager, and what else carries their login uid.
    Person {
        /// Who.
        user: String,
        /// Their user id.
        uid: u32,
    },
}

impl Ending {
    /// An ending that has not struck yet.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            killed: HashMap::new(),
            left: Vec::new(),
            in_killed_groups: HashSet::new(),
            frozen: false,
            empty_passes: 0,
            done_at: None,
        }
    }

    /// What it ends.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether two passes in a row found nothing.
    pub fn is_done(&self) -> bool {
        self.done_at.is_some()
    }

    /// Stops the control groups that are to be killed.
    fn freeze(&mut self) {
        if !self.frozen {
            self.frozen = true;
            self.target.groups().iter().for_each(Scope::freeze);
        }
    }

    /// Takes note of what was found of it.
    fn note(&mut self, found: io::Result<Vec<Process>>) {
        let Ok(found) = found else {
            // What can't be seen may be there.
            self.empty_passes = 0;
            return;
        };
        self.empty_passes = if found.is_empty() { self.empty_passes + 1 } else { 0 };
        if self.empty_passes >= 2 {
            self.done_at = Some(clock::now());
            self.target.groups().iter().for_each(Scope::thaw);
        }
        for process in &found {
            self.killed.entry(process.id).or_insert_with(|| process.name.clone());
        }
        self.left = found;
    }

    /// Kills the control groups, where it has any: at once, with whatever is forked meanwhile.
    fn strike_groups(&mut self, table: &Table) {
        self.in_killed_groups.clear();
        for group in self.target.groups().iter().filter(|_| !self.left.is_empty()) {
            let members = group.processes(table).unwrap_or_default();
            if kill(group) {
                self.in_killed_groups.extend(members);
            }
        }
    }

    /// Kills what is in none of them, one by one.
    fn strike_rest(&self) {
        self.left.iter().filter(|process| !self.in_killed_groups.contains(&process.id)).for_each(|process| {
            process.signal(Signal::SIGKILL);
        });
    }

    /// Whether anything was there to kill.
    pub fn killed_any(&self) -> bool {
        !self.killed.is_empty()
    }

    /// The entry, with what was killed and what lives on, and the time since `ended`.
    pub fn report(&self, entry: Entry, ended: Timestamp) -> Entry {
        let survivors = match (self.is_done(), self.left.len()) {
            (true, _) => "0".to_owned(),
            (false, 0) => "unknown: the processes can't be listed".to_owned(),
            (false, count) => {
                let whys: Vec<String> =
                    self.left.iter().map(|it| format!("{} ({})", it.name, it.why_alive())).collect();
                format!("{count}: {}", processes::tally(whys.iter().map(String::as_str)))
            }
        };
        let latency = self.done_at.unwrap_or_else(clock::now).duration_since(ended).as_millis();
        entry
            .with(Field::Killed, processes::tally(self.killed.values().map(String::as_str)))
            .with(Field::Survivors, survivors)
            .with(Field::LatencyMs, u64::try_from(latency).unwrap_or(0))
    }
}

/// Kills a group; `false` where the kernel can't (older than 5.14), and what was frozen in it has to die one by one.
fn kill(group: &Scope) -> bool {
    let killed = group.kill().is_ok();
    if !killed {
        group.thaw();
    }
    killed
}

/// Strikes at all of them, with one look at the processes. Everything is found before anything is killed: what dies takes the
/// processor from who looks.
pub fn strike_all(endings: &mut [Ending]) {
    let mut endings: Vec<&mut Ending> = endings.iter_mut().filter(|ending| !ending.is_done()).collect();
    endings.iter_mut().for_each(|ending| ending.freeze());
    match Table::read() {
        Ok(table) => {
            for ending in &mut endings {
                let found = ending.target.find(&table);
                ending.note(found);
            }
            endings.iter_mut().for_each(|ending| ending.strike_groups(&table));
            endings.iter().for_each(|ending| ending.strike_rest());
        }
        Err(error) => tracing::error!("the processes can't be listed: {error}"),
    }
}

/// Follows the endings up until all are done or time is up.
pub async fn follow_up(endings: &mut [Ending]) {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    while endings.iter().any(|ending| !ending.is_done()) && start.elapsed() < FOLLOWED_UP {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
        strike_all(endings);
    }
}

impl Target {
    /// What of it is in `table`.
    ///
    /// # Errors
    ///
    /// That it can't be told.
    pub fn find(&self, table: &Table) -> io::Result<Vec<Process>> {
        match self {
            Self::Session(session) => find_session(session, table),
            Self::Elevation { ended, covered, leaders } => Ok(find_elevated(table, ended, covered, leaders)),
            Self::Person { uid, .. } => find_left_of_person(*uid, table),
        }
    }

    /// The control groups that are killed whole.
    fn groups(&self) -> Vec<Scope> {
        match self {
            Self::Session(session) => session.scope().into_iter().collect(),
            Self::Elevation { .. } => Vec::new(),
            Self::Person { uid, .. } => Scope::of_user_manager(*uid).into_iter().collect(),
        }
    }
}

/// What the user's manager runs, and what carries their login uid outside of any session and of the system's own units: a service under
/// the same uid is not theirs, and neither is what a container numbers alike.
fn find_left_of_person(uid: u32, table: &Table) -> io::Result<Vec<Process>> {
    let managed = match Scope::of_user_manager(uid) {
        Some(manager) => manager.processes(table)?,
        None => HashSet::new(),
    };
    let left = |process: &&Process| {
        managed.contains(&process.id)
            || (process.login_uid == Some(uid) && Place::of_process(process.id.pid) == Some(Place::User))
    };
    Ok(table.iter().filter(left).cloned().collect())
}

/// All that runs in the session's scope, shares its audit session, or descends from its first process.
fn find_session(session: &Session, table: &Table) -> io::Result<Vec<Process>> {
    let mut wanted = table.tree(session.leader);
    if let Some(scope) = session.scope() {
        wanted.extend(scope.processes(table)?);
    }
    let own = |process: &&Process| {
        wanted.contains(&process.id)
            || (session.audit_session.is_some() && process.audit_session == session.audit_session)
    };
    Ok(table.iter().filter(own).cloned().collect())
}

/// What the run of sudo or su started, and what of another user's rights is left in its session since then: not the login, not
/// what the run was started from, not what was there before it and what that started, and not the runs that go on.
fn find_elevated(table: &Table, ended: &Elevation, covered: &[ProcessId], leaders: &[ProcessId]) -> Vec<Process> {
    let elevated = |process: &Process| {
        ended.audit_session.is_some()
            && process.audit_session == ended.audit_session
            && ended.uid.is_some_and(|uid| process.euid != uid)
            && process.login_uid != Some(process.euid)
    };
    let mut spared: HashSet<ProcessId> = table.ancestors(ended.root);
    // Once the run itself is dead, nothing tells its ancestors any more, and start times are as coarse as 10 ms.
    spared.extend(leaders);
    let older = |process: &&Process| process.id.start < ended.root.start && elevated(process);
    // A program that let somebody in has the person's own processes below it, and they may adopt what a dead run leaves (prctl(2),
    // PR_SET_CHILD_SUBREAPER): that hides nothing.
    let own: HashSet<ProcessId> = table.iter().filter(|it| Some(it.euid) == ended.uid).map(|it| it.id).collect();
    let before: Vec<ProcessId> = table.iter().filter(older).map(|it| it.id).filter(|it| !spared.contains(it)).collect();
    let before = before.into_iter().filter(|&root| table.tree(root).is_disjoint(&own));
    let before: Vec<ProcessId> = before.collect();
    for &root in covered {
        spared.extend(table.ancestors(root));
    }
    for &root in covered.iter().chain(&before) {
        spared.extend(table.tree(root));
    }
    let started = table.tree(ended.root);
    let left_behind =
        |process: &Process| elevated(process) && process.id.start >= ended.root.start && !spared.contains(&process.id);
    let doomed = |process: &&Process| started.contains(&process.id) || left_behind(process);
    table.iter().filter(doomed).cloned().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::enforce::sudo_command::SudoCommand;

    /// In these tables, a process started when its number says.
    fn id(pid: i32) -> ProcessId {
        ProcessId { pid, start: u64::try_from(pid).unwrap() }
    }

    fn process(pid: i32, parent: i32, euid: u32, session: u32) -> Process {
        let (name, audit_session) = (format!("p{pid}"), Some(session));
        Process { id: id(pid), parent, name, state: 'S', euid, tty: 0, audit_session, login_uid: Some(1001) }
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
            pinned: Vec::new(),
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
        doomed_of(table(), ended, covered)
    }

    fn doomed_of(table: Vec<Process>, ended: &Elevation, covered: &[ProcessId]) -> Vec<i32> {
        doomed_beside(table, ended, covered, &[id(10)])
    }

    fn doomed_beside(table: Vec<Process>, ended: &Elevation, covered: &[ProcessId], leaders: &[ProcessId]) -> Vec<i32> {
        let table: Table = table.into_iter().collect();
        let mut pids: Vec<i32> =
            find_elevated(&table, ended, covered, leaders).iter().map(|process| process.id.pid).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn survivors_are_named_with_why_they_live() {
        let mut ending = Ending::new(Target::Person { user: "alice".into(), uid: 1001 });
        ending.note(Ok(vec![Process { state: 'D', ..process(7, 1, 0, 5) }, process(8, 1, 0, 5)]));
        let entry = ending.report(Entry::new(curfew_protocol::audit::Event::SessionTerminated), Timestamp::UNIX_EPOCH);
        let survivors = entry.text(Field::Survivors);
        assert_eq!(survivors.as_deref(), Some("2: p7 (waits in the kernel):1 p8 (has not died yet):1"));
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
        let gone = Elevation { root: ProcessId { pid: 99, start: 14 }, ..elevation(99) };
        assert_eq!(doomed(&gone, &[id(13), id(17)]), [16]);
    }

    #[test]
    fn the_process_that_let_somebody_in_is_spared_though_it_started_with_the_run() {
        let gone = Elevation { root: ProcessId { pid: 99, start: 10 }, ..elevation(99) };
        assert_eq!(doomed(&gone, &[id(13), id(17)]), [16]);
    }

    #[test]
    fn what_was_there_before_the_run_is_not_its_work() {
        let gone = Elevation { root: ProcessId { pid: 99, start: 17 }, ..elevation(99) };
        assert!(doomed(&gone, &[id(13), id(17)]).is_empty());
    }

    #[test]
    fn what_the_person_adopts_of_a_dead_run_is_its_work() {
        // alice's bash 12 adopted 50, which 99 left, and nobody knows that sshd 10 let her in.
        let mut table = table();
        table.push(process(50, 12, 0, 5));
        let gone = Elevation { root: ProcessId { pid: 99, start: 18 }, ..elevation(99) };
        assert_eq!(doomed_beside(table, &gone, &[id(13), id(17)], &[]), [50]);
    }

    #[test]
    fn what_older_root_shells_start_is_not_its_work() {
        // bash 14 is from before Curfew was in force, and is left alone: so is what is started in it after the run.
        let mut table: Vec<Process> = table().into_iter().filter(|it| it.id.pid != 15).collect();
        table.push(process(50, 14, 0, 5));
        assert_eq!(doomed_of(table, &elevation(17), &[]), [17, 18]);
    }

    #[test]
    fn what_has_the_rights_of_whoever_logged_in_is_not_elevated() {
        // bob came by su, and ran sudo; alice, who logged in, has a job of her own in the background.
        let mut table = table();
        table.push(process(40, 1, 1001, 5));
        let bobs = Elevation { user: "bob".into(), uid: Some(1002), ..elevation(17) };
        assert_eq!(doomed_of(table, &bobs, &[id(13)]), [17, 18]);
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
        assert_eq!(doomed_of(table, &elevation(19), &[id(13), id(17)]), [19, 20]);
    }
}
