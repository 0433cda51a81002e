//! Ending what no grant covers any more: its control groups are killed at once, before anything else is looked at, and then what left
//! them is looked for and killed, until two looks in a row find nothing.
//!
//! The looks are taken on a thread of their own, and only at what the ending is for: they hold up nobody, however much runs on the host.

use super::hung_up::HungUp;
use super::processes::{self, Process, ProcessId};
use super::run::Elevation;
use super::scope::{Place, Scope};
use super::sessions::Session;
use super::table::{Table, Wanted};
use super::terminals::Said;
use crate::{apart, clock};
use curfew_protocol::audit::{Entry, Field};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

/// How long a kill is followed up before its survivors are reported.
const FOLLOWED_UP: Duration = Duration::from_secs(3);

/// How long the connection lives on that carries the last words to its person, where nobody foresaw the end: all else is dead by then.
const WORDS_ARRIVE_WITHIN: Duration = Duration::from_millis(50);

/// How many of what is killed are named with the file that they ran.
const MOST_LABELLED: usize = 1000;

/// How far up the terminal of a run is looked for.
const LONGEST_LINE: usize = 32;

/// Something that is being ended.
pub struct Ending {
    target: Target,
    /// What its people are told at the end, where they were not told before.
    words: Option<String>,
    /// What carries those words to the person, and until when it may.
    carriers: Option<(HashSet<ProcessId>, Instant)>,
    killed: HashMap<ProcessId, String>,
    left: Vec<Process>,
    empty_passes: u8,
    done_at: Option<Timestamp>,
}

/// What is ended.
pub enum Target {
    /// A login, with all that it started.
    Session(Session),
    /// Elevated processes alone.
    Elevation {
        /// The run of sudo or su that ends.
        ended: Elevation,
        /// The runs that go on.
        covered: Vec<Covered>,
        /// The control groups of other runs that end: each has an ending of its own.
        ending: Vec<Scope>,
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

/// A run of sudo or su that another one's end spares, with what it started.
#[derive(Clone)]
pub struct Covered {
    /// Its first process.
    pub root: ProcessId,
    /// Its control group.
    pub group: Option<Scope>,
}

impl Ending {
    /// An ending that has not struck yet.
    pub fn new(target: Target) -> Self {
        // What obeyed in the grace ended by this, too.
        let killed = target.hung_up().into_iter().flat_map(HungUp::iter).cloned().collect();
        Self { target, words: None, carriers: None, killed, left: Vec::new(), empty_passes: 0, done_at: None }
    }

    /// The same, with words for its people, who were not told before.
    pub fn with_words(self, words: Option<String>) -> Self {
        Self { words, ..self }
    }

    /// What it ends.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether two passes in a row found nothing.
    pub fn is_done(&self) -> bool {
        self.done_at.is_some()
    }

    /// Kills its control groups: what is in them stops, has its name taken, and dies at once, with whatever it forks meanwhile. Where its people are
    /// told why, the connection that carries the words to them, and nothing else, lives on for a moment.
    fn strike_groups(&mut self, said: &mut Said) {
        let groups = self.target.groups();
        // Its terminal may be that of the login, which is found by the run's ancestors, and lives on.
        let above = if self.words.is_some() { self.target.line() } else { Vec::new() };
        groups.iter().for_each(Scope::freeze);
        let members: Vec<Process> = groups.iter().flat_map(Scope::members).collect();
        members.iter().for_each(|process| self.note_killed(process));
        if let Some(words) = self.words.take() {
            let people: Vec<Process> = members.iter().cloned().chain(above).collect();
            let carriers = self.target.carriers(&members);
            if said.say(&people, &words) && !carriers.is_empty() {
                strike(members.iter().filter(|process| !carriers.contains(&process.id)));
                groups.iter().for_each(Scope::thaw);
                self.carriers = Some((carriers, Instant::now() + WORDS_ARRIVE_WITHIN));
                return;
            }
        }
        groups.iter().for_each(kill);
    }

    fn note_killed(&mut self, process: &Process) {
        let labelled = self.killed.len() < MOST_LABELLED;
        self.killed
            .entry(process.id)
            .or_insert_with(|| if labelled { process.label() } else { processes::quoted(&process.name) });
    }

    /// Takes note of what was found of it, and kills that.
    fn note(&mut self, found: io::Result<Vec<Process>>) {
        let Ok(found) = found else {
            // What can't be seen may be there.
            self.empty_passes = 0;
            return;
        };
        found.iter().for_each(|process| self.note_killed(process));
        if let Some((carriers, until)) = self.carriers.take()
            && Instant::now() < until
            && found.iter().any(|process| carriers.contains(&process.id))
        {
            strike(found.iter().filter(|process| !carriers.contains(&process.id)));
            (self.carriers, self.left) = (Some((carriers, until)), found);
            return;
        }
        self.empty_passes = if found.is_empty() { self.empty_passes + 1 } else { 0 };
        if self.empty_passes >= 2 {
            self.done_at = Some(clock::now());
            self.target.groups().iter().for_each(Scope::thaw);
        }
        if !found.is_empty() {
            self.target.groups().iter().for_each(kill);
            strike(found.iter());
        }
        self.left = found;
    }

    /// Whether anything was there to kill.
    pub fn killed_any(&self) -> bool {
        !self.killed.is_empty()
    }

    /// The entry about a target of which nothing is left since it had HUP and TERM.
    pub fn ended_in_grace(target: &Target, entry: Entry) -> Entry {
        let ended: Vec<&str> =
            target.hung_up().into_iter().flat_map(HungUp::iter).map(|(_, name)| name.as_str()).collect();
        entry
            .with(Field::Killed, processes::tally(ended.into_iter()))
            .with(Field::Survivors, "0")
            .with(Field::LatencyMs, 0)
    }

    /// The entry, with what was killed and what lives on, and the time since `ended`.
    pub fn report(&self, entry: Entry, ended: Timestamp) -> Entry {
        let survivors = match (self.is_done(), self.left.len()) {
            (true, _) => "0".to_owned(),
            (false, 0) => "unknown: the processes can't be listed".to_owned(),
            (false, count) => {
                let whys: Vec<String> = self
                    .left
                    .iter()
                    .map(|it| format!("{} ({})", processes::quoted(&it.name), it.why_alive()))
                    .collect();
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

/// Kills a group. Where the kernel can't (older than 5.14), what is in it has to die one by one, and not frozen.
fn kill(group: &Scope) {
    if group.kill().is_err() {
        group.thaw();
        strike(group.members().iter());
    }
}

/// Kills processes one by one.
fn strike<'a>(processes: impl Iterator<Item = &'a Process>) {
    for process in processes {
        process.signal(Signal::SIGKILL);
    }
}

/// Strikes at the control groups of all of them. Nobody is told more than once on one terminal.
pub fn strike_groups(endings: &mut [Ending]) {
    let mut said = Said::default();
    endings.iter_mut().for_each(|ending| ending.strike_groups(&mut said));
}

/// Follows the endings up until all are done or time is up.
pub async fn follow_up(endings: &mut [Ending]) {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    while endings.iter().any(|ending| !ending.is_done()) {
        let open = || endings.iter().filter(|ending| !ending.is_done());
        let mut wanted = Wanted::default();
        wanted.extend(open().map(|ending| ending.target.wanted()));
        let looked = apart::run(move || Table::look(&wanted)).await.flatten();
        if let Err(error) = &looked {
            tracing::error!("the processes can't be listed: {error}");
        }
        for ending in endings.iter_mut().filter(|ending| !ending.is_done()) {
            let found = match &looked {
                Ok(table) => ending.target.find(table),
                Err(error) => Err(error.kind().into()),
            };
            ending.note(found);
        }
        if start.elapsed() > FOLLOWED_UP {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

impl Target {
    /// The process that it began with; none where it is a person.
    pub fn first(&self) -> Option<ProcessId> {
        match self {
            Self::Session(session) => Some(session.leader),
            Self::Elevation { ended, .. } => Some(ended.root),
            Self::Person { .. } => None,
        }
    }

    /// What of it had HUP and TERM.
    fn hung_up(&self) -> Option<&HungUp> {
        match self {
            Self::Session(session) => Some(&session.hung_up),
            Self::Elevation { ended, .. } => Some(&ended.hung_up),
            Self::Person { .. } => None,
        }
    }

    /// What has to be looked at to [`find`](Self::find) it.
    pub fn wanted(&self) -> Wanted {
        match self {
            Self::Session(session) => Wanted {
                groups: self.groups(),
                trees: vec![session.leader],
                audit_sessions: session.audit_session.into_iter().collect(),
                ..Wanted::default()
            },
            Self::Elevation { ended, covered, ending, .. } => {
                let mut groups = self.groups();
                groups.extend(covered.iter().filter_map(|run| run.group.clone()).chain(ending.iter().cloned()));
                let trees = covered.iter().map(|run| run.root).chain([ended.root]).collect();
                let audit_sessions = ended.audit_session.into_iter().collect();
                Wanted { groups, trees, audit_sessions, ..Wanted::default() }
            }
            Self::Person { uid, .. } => {
                Wanted { groups: self.groups(), login_uids: HashSet::from([*uid]), ..Wanted::default() }
            }
        }
    }

    /// What of it is in `table`.
    ///
    /// # Errors
    ///
    /// That it can't be told.
    pub fn find(&self, table: &Table) -> io::Result<Vec<Process>> {
        match self {
            Self::Session(session) => find_session(session, table),
            Self::Elevation { ended, covered, ending, leaders } => {
                let found = find_elevated(table, ended, covered, leaders)?;
                let mut elsewhere = HashSet::new();
                for group in ending {
                    elsewhere.extend(table.in_group(group)?);
                }
                Ok(found.into_iter().filter(|process| !elsewhere.contains(&process.id)).collect())
            }
            Self::Person { uid, .. } => find_left_of_person(*uid, table),
        }
    }

    /// What carries words to the person: the login's first process and its own child, without a terminal, as sshd has them. Nothing that the person
    /// started is one, whatever it is called.
    fn carriers(&self, members: &[Process]) -> HashSet<ProcessId> {
        let Self::Session(session) = self else { return HashSet::new() };
        let first = |process: &&Process| process.id == session.leader;
        let Some(leader) = members.iter().find(first) else { return HashSet::new() };
        let program = |process: &Process| std::fs::read_link(format!("/proc/{}/exe", process.id.pid)).ok();
        let its_program = program(leader);
        let is_child = |process: &&Process| process.parent == leader.id.pid && process.tty == 0;
        let children = members.iter().filter(is_child);
        let children = children.filter(|child| its_program.is_some() && program(child) == its_program);
        children.chain([leader]).map(|process| process.id).collect()
    }

    /// A run's first process and what that was started from, up to the login; none for anything else.
    fn line(&self) -> Vec<Process> {
        let Self::Elevation { ended, .. } = self else { return Vec::new() };
        let (mut line, mut next) = (Vec::new(), ended.root.pid);
        while line.len() < LONGEST_LINE
            && let Ok(Some(process)) = Process::read(next)
            && process.audit_session == ended.audit_session
        {
            next = process.parent;
            line.push(process);
        }
        line
    }

    /// The control groups that are killed whole.
    fn groups(&self) -> Vec<Scope> {
        match self {
            Self::Session(session) => session.scope().into_iter().collect(),
            Self::Elevation { ended, .. } => ended.group.iter().filter(|_| !ended.gone).cloned().collect(),
            Self::Person { uid, .. } => Scope::of_user_manager(*uid).into_iter().collect(),
        }
    }
}

/// What the user's manager runs, and what carries their login uid outside of any session and of the system's own units: a service under
/// the same uid is not theirs, and neither is what a container numbers alike.
fn find_left_of_person(uid: u32, table: &Table) -> io::Result<Vec<Process>> {
    let managed = match Scope::of_user_manager(uid) {
        Some(manager) => table.in_group(&manager)?,
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
        wanted.extend(table.in_group(&scope)?);
    }
    let own = |process: &&Process| {
        wanted.contains(&process.id)
            || (session.audit_session.is_some() && process.audit_session == session.audit_session)
    };
    Ok(table.iter().filter(own).cloned().collect())
}

/// What the run of sudo or su started, and what of another user's rights is left in its session since then: not the login, not
/// what the run was started from, not what was there before it and what that started, and not the runs that go on and what they started.
fn find_elevated(
    table: &Table,
    ended: &Elevation,
    covered: &[Covered],
    leaders: &[ProcessId],
) -> io::Result<Vec<Process>> {
    let in_group = |group: &Option<Scope>| group.as_ref().map_or(Ok(HashSet::new()), |group| table.in_group(group));
    let plain = ended.plain();
    let elevated = |process: &Process| {
        ended.audit_session.is_some()
            && process.audit_session == ended.audit_session
            && plain.as_ref().is_some_and(|plain| plain.is_elevated(process, ended.opened_at))
            && !is_own_of_another_login(process, ended.uid)
    };
    let own_group = in_group(&ended.group)?;
    let own_tree = table.tree(ended.root);
    let others = of_others(table, covered, &own_tree, &own_group)?;
    // The login itself: once the run's first process is dead, nothing tells its ancestors any more, and start times are as coarse as 10 ms.
    let mut spared: HashSet<ProcessId> = table.ancestors(ended.root);
    spared.extend(leaders);
    // A program that let somebody in has the person's own processes below it, and they may adopt what a dead run leaves (prctl(2),
    // PR_SET_CHILD_SUBREAPER): that hides nothing.
    let own: HashSet<ProcessId> =
        table.iter().filter(|it| Some(it.credentials.euid()) == ended.uid).map(|it| it.id).collect();
    let older = |process: &&Process| process.id.start < ended.root.start && elevated(process);
    let older = table.iter().filter(older).map(|it| it.id).filter(|it| !spared.contains(it) && !others.contains(it));
    let before: Vec<HashSet<ProcessId>> =
        older.map(|root| table.tree(root)).filter(|tree| tree.is_disjoint(&own)).collect();
    spared.extend(before.into_iter().flatten());
    let started: HashSet<ProcessId> = own_group.into_iter().chain(own_tree).collect();
    let left_behind =
        |process: &Process| process.id.start >= ended.root.start && !spared.contains(&process.id) && elevated(process);
    let doomed =
        |process: &&Process| !others.contains(&process.id) && (started.contains(&process.id) || left_behind(process));
    Ok(table.iter().filter(doomed).cloned().collect())
}

/// What belongs to the runs that go on: to the innermost of several, a control group before a tree.
fn of_others(
    table: &Table,
    covered: &[Covered],
    own_tree: &HashSet<ProcessId>,
    own_group: &HashSet<ProcessId>,
) -> io::Result<HashSet<ProcessId>> {
    let mut others = HashSet::new();
    for run in covered {
        let is_inner = own_tree.contains(&run.root);
        others.extend(table.tree(run.root).into_iter().filter(|it| is_inner || !own_tree.contains(it)));
    }
    others.retain(|it| !own_group.contains(it));
    for group in covered.iter().filter_map(|run| run.group.as_ref()) {
        others.extend(table.in_group(group)?);
    }
    Ok(others)
}

/// Whether it has the rights of whoever logged in, and no more, where it was somebody else who ran sudo: they came by su.
fn is_own_of_another_login(process: &Process, invoker: Option<u32>) -> bool {
    let rights = &process.credentials;
    process.login_uid.is_some_and(|login| {
        Some(login) != invoker && rights.uids.iter().all(|&uid| uid == login) && rights.permitted == 0
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::enforce::credentials::Credentials;
    use crate::enforce::sudo_command::SudoCommand;

    /// In these tables, a process started when its number says.
    fn id(pid: i32) -> ProcessId {
        ProcessId { pid, start: u64::try_from(pid).unwrap() }
    }

    fn process(pid: i32, parent: i32, euid: u32, session: u32) -> Process {
        let (name, audit_session) = (format!("p{pid}"), Some(session));
        let credentials = Credentials { uids: [euid; 4], ..Credentials::default() };
        Process { id: id(pid), parent, name, state: 'S', credentials, tty: 0, audit_session, login_uid: Some(1001) }
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
            group: None,
            gids: Vec::new(),
            grant: None,
            opened_us: 0,
            opened_at: 0,
            hung_up_for: None,
            hung_up: crate::enforce::hung_up::HungUp::default(),
            told_end: None,
            pinned: Vec::new(),
            gone: false,
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
        let covered: Vec<Covered> = covered.iter().map(|&root| Covered { root, group: None }).collect();
        let found = find_elevated(&table, ended, &covered, leaders).unwrap();
        let mut pids: Vec<i32> = found.iter().map(|process| process.id.pid).collect();
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
    fn rights_that_can_be_taken_back_are_rights() {
        // 40 runs as alice and kept root's id aside; 41 and 42 kept a group and a capability; 43 kept nothing.
        let mut table = table();
        let kept = |pid: i32, credentials: Credentials| Process { credentials, ..process(pid, 1, 1001, 5) };
        let alices = Credentials { uids: [1001; 4], gids: [1001; 4], ..Credentials::default() };
        table.push(kept(40, Credentials { uids: [1001, 1001, 0, 1001], ..alices.clone() }));
        table.push(kept(41, Credentials { gids: [1001, 1001, 0, 1001], ..alices.clone() }));
        table.push(kept(42, Credentials { permitted: 1, ..alices.clone() }));
        table.push(kept(43, alices));
        let gone = Elevation { root: ProcessId { pid: 99, start: 18 }, gids: vec![1001], ..elevation(99) };
        assert_eq!(doomed_of(table, &gone, &[id(13), id(17)]), [40, 41, 42]);
    }

    #[test]
    fn a_covered_run_spares_itself_and_never_what_it_came_from() {
        // bash 14 of the run 13 started 50, which left it; below that alice runs sudo 52 by another grant.
        let mut table = table();
        table.push(process(50, 1, 0, 5));
        table.push(process(51, 50, 1001, 5));
        table.push(process(52, 51, 0, 5));
        table.push(process(53, 52, 0, 5));
        assert_eq!(doomed_of(table, &elevation(13), &[id(17), id(52)]), [13, 14, 15, 16, 50]);
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
