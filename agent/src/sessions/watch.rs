//! What PAM opened is watched over from here on: it ends with its grant, and its own end is noticed.

use super::claim::Claim;
use super::hung_up::HungUp;
use super::last_words;
use super::outer::Outer;
use super::run::Elevation;
use super::run_groups::{self, RunGroups};
use super::session::{Session, Told};
use super::standing::Standing;
use super::table::Sessions;
use crate::clock;
use crate::clock::monotonic_us;
use crate::descriptors;
use crate::grant::HeldGrant;
use crate::grant::decision::{Elevation as Scoped, Request, Verdict, decide};
use crate::grant::ledger::Ledger;
use crate::grant::resolver::{self, Resolver};
use crate::grant::sudo_command::SudoCommand;
use crate::host::cgroup::Scope;
use crate::host::credentials::Credentials;
use crate::host::processes::{Process, ProcessId};
use crate::settings::Settings;
use crate::trigger::Trigger;
use curfew_protocol::ipc::PamQuestion;
use jiff::Timestamp;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// When sudo may have started what it runs.
const FOUND_WITHIN: [Duration; 4] =
    [Duration::from_millis(10), Duration::from_millis(40), Duration::from_millis(150), Duration::from_millis(800)];

/// Who watches over what PAM opens.
pub struct Watch {
    /// What is open.
    pub sessions: Rc<RefCell<Sessions>>,
    /// The control groups of runs of sudo that are being made.
    pub run_groups: Rc<RunGroups>,
    settings: Rc<Settings>,
    ledger: Rc<Ledger>,
    resolver: Rc<Resolver>,
    trigger: Rc<Trigger>,
    /// Where the ends of first processes are told.
    ended: UnboundedSender<Ended>,
}

/// The first process of something has ended.
#[derive(Clone, Copy, Debug)]
pub enum Ended {
    /// Of a login.
    Login,
    /// Of a run of sudo or su, which it is.
    Run(ProcessId),
}

impl Watch {
    /// Watches over what is in `sessions`, and tells of its ends.
    pub fn new(
        sessions: Rc<RefCell<Sessions>>,
        settings: Rc<Settings>,
        resolver: Rc<Resolver>,
        ledger: Rc<Ledger>,
        trigger: Rc<Trigger>,
        ended: UnboundedSender<Ended>,
    ) -> Self {
        let run_groups = Rc::new(RunGroups::new(Rc::clone(&sessions)));
        Self { sessions, run_groups, settings, ledger, resolver, trigger, ended }
    }
}

/// What is known of a login from its judgement.
#[derive(Debug, Default)]
pub struct Opened {
    /// The grant that it opened under.
    pub grant: Option<String>,
    /// PAM is told to let it in.
    pub admitted: bool,
    /// It is a job that was left for later.
    pub background: bool,
    /// PID 1 opens it for a unit: see [`Session::of_unit`].
    pub of_unit: bool,
}

/// Watches over the login that the process `pid` opens.
///
/// # Errors
///
/// That its process can't be seen: then it is not watched.
pub fn session(watch: &Rc<Watch>, pid: i32, question: &PamQuestion, opened: Opened, now: Timestamp) -> io::Result<()> {
    let leader = seen(pid)?;
    let mut session = Session {
        user: watch.ledger.grants().judged_name(&question.user).to_owned(),
        service: question.service.clone(),
        rhost: question.rhost.clone(),
        leader: leader.id,
        uid: leader.login_uid,
        logind_id: Scope::of_process(pid).map(|(id, _)| id),
        audit_session: leader.audit_session,
        grant: opened.grant,
        admitted: opened.admitted,
        opened_us: monotonic_us(),
        told: Told::default(),
        hung_up_for: None,
        hung_up: HungUp::default(),
        closed: false,
        exempt: question.exempt,
        of_unit: opened.of_unit,
        background: opened.background,
        from_unknown: false,
        struck: false,
    };
    keep_the_last_moments(watch, &mut session, now);
    let (admitted, notices) = (session.admitted, next_notices(watch, &session, now));
    watch.sessions.borrow_mut().add_session(session);
    login(watch, leader.id);
    if admitted {
        notices.into_iter().for_each(|at| watch.trigger.look_at(at));
    } else {
        // A refused one does not always end by itself.
        watch.trigger.pull();
    }
    Ok(())
}

/// When there is something to tell those in the session.
fn next_notices(watch: &Watch, session: &Session, now: Timestamp) -> Option<Timestamp> {
    let grants = watch.ledger.grants();
    let config = watch.settings.config();
    let elevation = Request::Elevation { user: &session.user, scope: Scoped::default() };
    let ends = [session.request(), elevation].map(|request| match decide(&request, grants.of(&session.user), now) {
        Verdict::Permit { until, .. } => Some(until),
        Verdict::Deny { .. } => None,
    });
    let last = [config.grace, last_words::AHEAD, Duration::ZERO];
    let before: Vec<Duration> = config.warn_before.iter().copied().chain(last).collect();
    let times = ends.into_iter().flatten().flat_map(|end| before.iter().map(move |&before| end - before));
    times.filter(|&at| at > now).min()
}

fn seen(pid: i32) -> io::Result<Process> {
    Process::read(pid)?.ok_or_else(|| io::Error::other(format!("there is no process {pid}")))
}

/// Who comes in shortly before the end was told how long they have: no old warning, no hang-up at the door.
fn keep_the_last_moments(watch: &Watch, session: &mut Session, now: Timestamp) {
    let grants = watch.ledger.grants();
    let config = watch.settings.config();
    let passed = |until: Timestamp| {
        let passed = config.warn_before.iter().filter(|&&before| until - before <= now).min();
        passed.map(|&shortest| (until, shortest))
    };
    if let Verdict::Permit { until, .. } = decide(&session.request(), grants.of(&session.user), now) {
        session.told.login = passed(until);
        session.hung_up_for = (until - config.grace <= now).then_some(until);
        session.told.end = (until - config.grace.max(last_words::AHEAD) <= now).then_some(until);
    }
    let elevation = Request::Elevation { user: &session.user, scope: Scoped::default() };
    if let Verdict::Permit { until, .. } = decide(&elevation, grants.of(&session.user), now) {
        session.told.sudo = passed(until);
    }
}

/// A run of sudo or su, as it was judged.
pub struct Run<'a> {
    /// Who invokes it.
    pub user: &'a str,
    /// Whom it turns into.
    pub run_as: &'a str,
    /// What it runs.
    pub command: SudoCommand,
    /// The same as it was typed.
    pub typed: Option<String>,
    /// The grant behind it.
    pub grant: &'a str,
    /// Until when it is covered.
    pub until: Timestamp,
    /// See [`Claim::pinned`].
    pub pinned: Vec<String>,
    /// See [`Elevation::within`].
    pub within: Vec<Outer>,
    /// See [`Elevation::actor`].
    pub actor: Option<String>,
}

/// Watches over the run of sudo or su that the process `pid` begins: from the moment that PAM is told to let it through, since no later hook may come.
///
/// # Errors
///
/// That its process can't be seen: then it is not watched.
pub fn elevation(watch: &Rc<Watch>, pid: i32, question: &PamQuestion, run: Run<'_>) -> io::Result<()> {
    let root = seen(pid)?;
    let known = watch.sessions.borrow().elevation(root.id).cloned();
    let (is_watched, unresolved) = (known.is_some(), run.command.unresolved().is_some());
    let group =
        known.as_ref().and_then(|known| known.group.clone()).or_else(|| run_groups::make(&watch.run_groups, root.id));
    // Else sudo turned into what it ran, which is another person's sudo.
    let known = known.filter(|known| known.claim.user == run.user);
    let new = known.is_none();
    // What sudo found for a bare name stays known when the session opens.
    let command = match &known {
        Some(known) if unresolved && known.claim.command.program() == run.command.program() => {
            known.claim.command.clone()
        }
        _ => run.command,
    };
    let grace = watch.settings.config().grace;
    let elevation = Elevation {
        claim: Claim {
            user: run.user.to_owned(),
            service: question.service.clone(),
            run_as: Some(run.run_as.to_owned()),
            command,
            pinned: run.pinned,
            grant: Some(run.grant.to_owned()),
        },
        typed: run.typed,
        root: root.id,
        uid: known.as_ref().map_or(root.login_uid, |known| known.uid),
        logind_id: Scope::of_process(pid).map(|(id, _)| id),
        audit_session: root.audit_session,
        login_uid: root.login_uid,
        group,
        gids: known.as_ref().map_or_else(|| invokers_groups(&root), |known| known.gids.clone()),
        opened_us: known.as_ref().map_or_else(monotonic_us, |known| known.opened_us),
        opened_at: known.as_ref().map_or_else(|| clock::now().as_second(), |known| known.opened_at),
        hung_up_for: (run.until - grace <= clock::now()).then_some(run.until),
        hung_up: HungUp::default(),
        // Whoever begins one in the last moments has been told that they are.
        told_end: (run.until - grace.max(last_words::AHEAD) <= clock::now()).then_some(run.until),
        within: run.within,
        actor: run.actor,
        gone: false,
        struck: false,
    };
    watch.sessions.borrow_mut().add_elevation(elevation);
    watch.trigger.look_at(run.until - watch.settings.config().grace.max(last_words::AHEAD));
    if !is_watched {
        self::run(watch, root.id);
    }
    if new {
        tokio::task::spawn_local(look_up_uid(Rc::clone(watch), root.id, run.user.to_owned()));
        if unresolved {
            tokio::task::spawn_local(resolve(Rc::clone(watch), root.id));
        }
    }
    Ok(())
}

/// The groups of whoever invoked it, as the process has them that did: sudo's own may be root's by now. None where that is not plainly the
/// person's, as where sudo has gone to the background; then no group counts.
fn invokers_groups(root: &Process) -> Vec<u32> {
    let Ok(Some(parent)) = Process::read(root.parent) else { return Vec::new() };
    let Credentials { uids: [uid, rest @ ..], gids, groups, permitted } = parent.credentials;
    let plain = uid != 0 && permitted == 0 && rest.iter().all(|&it| it == uid);
    if plain { gids.into_iter().chain(groups).collect() } else { Vec::new() }
}

/// A bare name that may mean several files is the file that sudo found for it, as soon as that runs: a grant for that file covers the run then.
async fn resolve(watch: Rc<Watch>, root: ProcessId) {
    for pause in FOUND_WITHIN {
        tokio::time::sleep(pause).await;
        let Some(run) = watch.sessions.borrow().elevation(root).filter(|run| !run.gone).cloned() else { return };
        let Some(name) = run.claim.command.unresolved() else { return };
        let live = |held: &&HeldGrant| held.grant.sudo.is_some() && held.covers(clock::now());
        if watch.ledger.grants().of(&run.claim.user).iter().filter(live).count() < 2 {
            return;
        }
        let Some(program) = run.group.as_ref().and_then(|group| group.program_below(root, name)) else { continue };
        let claim = Claim { command: run.claim.command.resolved(&program), pinned: Vec::new(), ..run.claim.clone() };
        let mut resolved = Elevation { claim, ..run.clone() };
        let standing = resolved.claim.standing(watch.ledger.grants().of(&run.claim.user), clock::now());
        if matches!(standing, Standing::Over { .. }) {
            resolved.claim.pinned = run.claim.pinned;
        }
        watch.sessions.borrow_mut().resolve_elevation(resolved);
        return;
    }
}

/// Who became somebody else by su and runs sudo then is not who logged in.
async fn look_up_uid(watch: Rc<Watch>, root: ProcessId, user: String) {
    if let Ok(Some(uid)) = resolver::uid(&watch.resolver, &user).await {
        watch.sessions.borrow_mut().update_elevation(root, |elevation| elevation.uid = Some(uid));
    }
}

/// Tells when a login's first process ends.
pub fn login(watch: &Watch, leader: ProcessId) {
    let ended = watch.ended.clone();
    when_ended(&watch.sessions, leader, async move { _ = ended.send(Ended::Login) });
}

/// Tells when a run's first process ends.
pub fn run(watch: &Watch, root: ProcessId) {
    let ended = watch.ended.clone();
    when_ended(&watch.sessions, root, async move { _ = ended.send(Ended::Run(root)) });
}

/// Does something when a process has ended; `false` where that can't be waited for.
pub fn when_ended(
    sessions: &Rc<RefCell<Sessions>>,
    process: ProcessId,
    then: impl Future<Output = ()> + 'static,
) -> bool {
    // Nobody to wait for: the next look finds that it is gone.
    let Some(pidfd) = process.open() else { return false };
    match descriptors::wait_on(pidfd) {
        Ok(pidfd) => {
            sessions.borrow_mut().is_watched(process);
            let sessions = Rc::clone(sessions);
            tokio::task::spawn_local(async move {
                let ended = pidfd.readable().await;
                sessions.borrow_mut().has_ended(process);
                if ended.is_ok() {
                    then.await;
                }
            });
            true
        }
        Err(error) => {
            tracing::warn!("a session's end will be seen later: {error}");
            false
        }
    }
}
