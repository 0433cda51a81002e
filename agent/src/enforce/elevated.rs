//! What of a run of sudo or su is found at its end: what it started, wherever that went, and what of rights beyond the person's it left in any
//! of their logins; and what is spared: the logins themselves, other runs, and what the host's own programs do for the person.

use crate::host::cgroup::path::Place;
use crate::host::cgroup::{self, Scope};
use crate::host::credentials::Credentials;
use crate::host::plain::{self, Plain};
use crate::host::process_table::Table;
use crate::host::processes::{Process, ProcessId};
use crate::host::user_namespace;
use crate::sessions::run::Elevation;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::io;

/// What the run of sudo or su started, and what is elevated and was started since then in its audit session, or in any login of who
/// invoked it: they may run there what the run left on disk. Not the logins, not what the run was started from, not what was there before it
/// and what that started, and not the runs that go on and what they started. `started` descended from it when it was struck.
///
/// # Errors
///
/// That a control group can't be read.
pub fn find(
    table: &Table,
    ended: &Elevation,
    started: &[ProcessId],
    covered: &[Covered],
    leaders: &HashSet<ProcessId>,
) -> io::Result<Vec<Process>> {
    let in_group = |group: &Option<Scope>| group.as_ref().map_or(Ok(HashSet::new()), |group| table.in_group(group));
    let look = Look { table, ended, plain: ended.plain(), leaders, harmless: OnceCell::new() };
    let mut own_group = in_group(&ended.group)?;
    // What root moved there was not started by the run.
    own_group.retain(|it| it.start >= ended.root.start);
    let own_tree: HashSet<ProcessId> =
        started.iter().chain([&ended.root]).flat_map(|&process| table.tree(process)).collect();
    let others = of_others(table, covered, &own_tree, &own_group)?;
    // The login itself: once the run's first process is dead, nothing tells its ancestors any more, and start times are as coarse as 10 ms.
    let mut spared: HashSet<ProcessId> = table.ancestors(ended.root);
    spared.extend(leaders);
    // A program that let somebody in has the person's own processes below it, and they may adopt what a dead run leaves (prctl(2),
    // PR_SET_CHILD_SUBREAPER): that hides nothing.
    let own: HashSet<ProcessId> =
        table.iter().filter(|it| it.rights().any(|it| Some(it.euid()) == ended.uid)).map(|it| it.id).collect();
    let older = |process: &&Process| {
        process.id.start < ended.root.start && look.is_elevated(process) && !look.has_anothers_namespace(process)
    };
    let older = table.iter().filter(older).map(|it| it.id).filter(|it| !spared.contains(it) && !others.contains(it));
    let before: Vec<HashSet<ProcessId>> =
        older.map(|root| table.tree(root)).filter(|tree| tree.is_disjoint(&own)).collect();
    spared.extend(before.into_iter().flatten());
    let started: HashSet<ProcessId> = own_group.into_iter().chain(own_tree).collect();
    let left_behind = |process: &Process| {
        process.id.start >= ended.root.start && !spared.contains(&process.id) && look.is_elevated(process)
    };
    let doomed = |process: &&Process| {
        let theirs = || started.contains(&process.id) || left_behind(process) || look.has_anothers_namespace(process);
        !others.contains(&process.id) && theirs()
    };
    let unreaped = table.unreaped().iter().filter(|process| look.has_anothers_namespace(process));
    Ok(table.iter().filter(doomed).chain(unreaped).cloned().collect())
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
    for run in covered {
        let Some(group) = &run.group else { continue };
        let (members, tree) = (table.in_group(group)?, table.tree(run.root));
        let strangers = members.iter().filter(|it| {
            let elsewhere = own_tree.contains(it) && !tree.contains(it);
            elsewhere || table.by_id(**it).is_some_and(|process| run.did_not_start(process))
        });
        let strangers: HashSet<ProcessId> = strangers.flat_map(|it| table.tree(*it)).collect();
        others.extend(members.iter().filter(|it| !strangers.contains(it)));
        others.retain(|it| !strangers.contains(it));
    }
    Ok(others)
}

impl Covered {
    /// Whether `process`, though it is in the run's control group, was moved there by root: it is older than the run, or of another login.
    fn did_not_start(&self, process: &Process) -> bool {
        let elsewhere = |session: u32| process.audit_session.is_some_and(|it| it != session);
        process.id.start < self.root.start || self.audit_session.is_some_and(elsewhere)
    }
}

/// One look for what is elevated.
struct Look<'a> {
    table: &'a Table,
    ended: &'a Elevation,
    plain: Option<Plain>,
    leaders: &'a HashSet<ProcessId>,
    /// The user namespaces that a process of this look is in and that are the person's alone.
    harmless: OnceCell<HashSet<u64>>,
}

impl Look<'_> {
    fn is_of_same_session(&self, process: &Process) -> bool {
        self.ended.audit_session.is_some() && process.audit_session == self.ended.audit_session
    }

    fn is_of_same_person(&self, process: &Process) -> bool {
        self.ended.is_of_who_logged_in() && process.login_uid == self.ended.uid
    }

    /// Whether `process`, however old it is, is where root's rights are to be had that the run may have put there.
    fn has_anothers_namespace(&self, process: &Process) -> bool {
        // Nearly all processes are in the agent's own: nothing more is read for them.
        (self.is_of_same_session(process) || self.is_of_same_person(process))
            && plain::is_in_another_namespace(process)
            && self.plain.as_ref().is_some_and(|plain| {
                plain.is_in_anothers_namespace(process) || self.is_within_what_is_unknown(process, plain)
            })
    }

    /// Whether `process` keeps a user namespace around its own that is not known to be the person's alone: nothing but a process in it shows its map, and
    /// whoever made it can go back there.
    fn is_within_what_is_unknown(&self, process: &Process, plain: &Plain) -> bool {
        let around = match user_namespace::line_of(process.id.pid) {
            Ok(line) => line.into_iter().skip(1).collect::<Vec<_>>(),
            Err(_) => return true,
        };
        let harmless = || {
            let seen = self.table.iter().filter(|it| !plain.is_in_anothers_namespace(it));
            seen.filter_map(|it| user_namespace::line_of(it.id.pid).ok()?.first().copied()).collect()
        };
        !around.is_empty() && !around.iter().all(|it| self.harmless.get_or_init(harmless).contains(it))
    }

    /// Whether `process` has rights that the run may have given it.
    fn is_elevated(&self, process: &Process) -> bool {
        let Some(plain) = &self.plain else { return false };
        let same = self.is_of_same_session(process);
        (same || self.is_of_same_person(process))
            && plain.is_elevated(process, self.ended.opened_at)
            && !is_own_of_another_login(process, self.ended.uid)
            && (same || !self.is_of_a_login(process, plain))
    }

    /// Whether it had its rights before anything of the person's ran: what opened another login of theirs (sshd, cron, a unit of PID 1's), and
    /// what that runs by itself. What has the person's own processes above it, or has lost its parents, has not.
    fn is_of_a_login(&self, process: &Process, plain: &Plain) -> bool {
        let mut seen = HashSet::new();
        let mut at = process;
        while seen.insert(at.id) {
            if self.leaders.contains(&at.id) {
                return true;
            }
            if !plain.is_exceeded_by(at) {
                return false;
            }
            match self.table.parent(at) {
                Some(parent) if parent.id.pid != 1 => at = parent,
                // The table has all that this person's logins run: a daemon above them opened this one.
                _ if at.parent != 1 => return true,
                _ => return self.is_of_pid_1(at),
            }
        }
        false
    }

    /// Whether a child of PID 1 is the first process of a unit or of a login. Any orphan is a child of PID 1, too; it may have been moved to where
    /// units are, but in its audit session, what began that is older.
    fn is_of_pid_1(&self, process: &Process) -> bool {
        match Place::of_process(process.id.pid) {
            Some(Place::Session(id)) => cgroup::leader_of(&id) == Some(process.id.pid),
            Some(Place::System) | None => {
                let mut session = self.table.iter().filter(|it| it.audit_session == process.audit_session);
                session.all(|it| it.id.start >= process.id.start)
            }
            Some(Place::User) => false,
        }
    }
}

/// Whether it has the rights of whoever logged in, and no more, where it was somebody else who ran sudo: they came by su.
fn is_own_of_another_login(process: &Process, invoker: Option<u32>) -> bool {
    process.login_uid.is_some_and(|login| {
        let is_own = |rights: &Credentials| rights.uids.iter().all(|&uid| uid == login) && rights.permitted == 0;
        Some(login) != invoker && process.rights().all(is_own)
    })
}

/// A run of sudo or su that another one's end spares, with what it started.
#[derive(Clone)]
pub struct Covered {
    /// Its first process.
    pub root: ProcessId,
    /// Its control group.
    pub group: Option<Scope>,
    /// The kernel's audit session that it runs in.
    pub audit_session: Option<u32>,
}

impl Covered {
    /// What is spared of `run`.
    pub fn of(run: &Elevation) -> Self {
        Self { root: run.root, group: run.group.clone(), audit_session: run.audit_session }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::grant::sudo_command::SudoCommand;
    use crate::sessions::claim::Claim;

    /// In these tables, a process started when its number says.
    fn id(pid: i32) -> ProcessId {
        ProcessId { pid, start: u64::try_from(pid).unwrap() }
    }

    fn process(pid: i32, parent: i32, euid: u32, session: u32) -> Process {
        let (name, audit_session) = (format!("p{pid}"), Some(session));
        let credentials = Credentials { uids: [euid; 4], ..Credentials::default() };
        let (id, login_uid) = (id(pid), Some(1001));
        let (others, has_threads) = (Vec::new(), false);
        Process { id, parent, name, state: 'S', credentials, others, has_threads, tty: 0, audit_session, login_uid }
    }

    fn elevation(root: i32) -> Elevation {
        Elevation {
            claim: Claim {
                user: "alice".into(),
                service: "sudo".into(),
                run_as: Some("root".into()),
                command: SudoCommand::Anything,
                pinned: Vec::new(),
                grant: None,
            },
            typed: None,
            root: id(root),
            uid: Some(1001),
            logind_id: None,
            audit_session: Some(5),
            login_uid: Some(1001),
            group: None,
            gids: Vec::new(),
            opened_us: 0,
            opened_at: 0,
            hung_up_for: None,
            hung_up: crate::sessions::hung_up::HungUp::default(),
            told_end: None,
            within: Vec::new(),
            actor: None,
            gone: false,
            struck: false,
        }
    }

    /// sshd 10 (root) → sshd 11 (alice) → bash 12 (alice) → sudo 13 → bash 14 (root) → su'd program 15 (alice again);
    /// an orphan 16 (root) in the same session; sudo 17 → 18, another run; 30 is root in somebody else's.
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
            Process { login_uid: Some(1002), ..process(30, 1, 0, 6) },
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
        let covered: Vec<Covered> =
            covered.iter().map(|&root| Covered { root, group: None, audit_session: Some(5) }).collect();
        let found = find(&table, ended, &[], &covered, &leaders.iter().copied().collect()).unwrap();
        let mut pids: Vec<i32> = found.iter().map(|process| process.id.pid).collect();
        pids.sort_unstable();
        pids
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
        let claim = Claim { user: "bob".into(), ..elevation(17).claim };
        let bobs = Elevation { claim, uid: Some(1002), ..elevation(17) };
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
    fn rights_of_any_thread_are_rights() {
        // The first thread of 40 is alice's, and another is root's; all of 41 are hers; of bob's 42, who logged in there, one is root's.
        let mut table = table();
        let with = |process: Process, uids: &[u32]| {
            let others = uids.iter().map(|&uid| Credentials { uids: [uid; 4], ..Credentials::default() }).collect();
            Process { others, has_threads: true, ..process }
        };
        table.push(with(process(40, 1, 1001, 5), &[1001, 0]));
        table.push(with(process(41, 1, 1001, 5), &[1001]));
        table.push(with(Process { login_uid: Some(1002), ..process(42, 1, 1002, 5) }, &[0]));
        table.push(Process { login_uid: Some(1002), ..process(43, 1, 1002, 5) });
        let gone = Elevation { root: ProcessId { pid: 99, start: 18 }, ..elevation(99) };
        assert_eq!(doomed_of(table, &gone, &[id(13), id(17)]), [40, 42]);
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
        let ended = Elevation { audit_session: None, login_uid: None, ..elevation(13) };
        assert_eq!(doomed(&ended, &[]), [13, 14, 15]);
    }

    #[test]
    fn an_inner_run_dies_and_the_outer_one_lives() {
        let mut table = table();
        table.push(process(19, 14, 0, 5));
        table.push(process(20, 19, 33, 5));
        assert_eq!(doomed_of(table, &elevation(19), &[id(13), id(17)]), [19, 20]);
    }

    #[test]
    fn what_a_run_left_on_disk_is_found_in_any_login_of_its_person() {
        // sshd 60 let alice in once more, after the run: 61 and 62 are hers; 63 took rights, and started 64; CRON 70 is below cron, which carries no login uid, and starts 71 before that becomes hers.
        let mut table = table();
        let elsewhere = |pid: i32, parent: i32, euid: u32| process(pid, parent, euid, 6);
        table.extend([elsewhere(60, 1, 0), elsewhere(61, 60, 1001), elsewhere(62, 61, 1001)]);
        table.extend([elsewhere(63, 62, 0), elsewhere(64, 63, 0)]);
        table.extend([process(70, 59, 0, 7), process(71, 70, 0, 7)]);
        let gone = Elevation { root: ProcessId { pid: 99, start: 18 }, ..elevation(99) };
        let leaders = [id(10), id(60)];
        assert_eq!(doomed_beside(table.clone(), &gone, &[id(13), id(17)], &leaders), [63, 64]);
        // By su somebody else ran sudo: their own logins are elsewhere.
        let of_another = Elevation { login_uid: Some(1002), ..gone };
        assert!(doomed_beside(table, &of_another, &[id(13), id(17)], &leaders).is_empty());
    }

    #[test]
    fn what_is_older_than_a_run_or_of_another_login_is_not_its_own() {
        let run = Covered { root: id(17), group: None, audit_session: Some(5) };
        assert!(run.did_not_start(&process(16, 1, 0, 5)));
        assert!(run.did_not_start(&process(18, 17, 0, 6)));
        assert!(!run.did_not_start(&process(18, 17, 0, 5)));
    }
}
