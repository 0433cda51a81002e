//! What PAM opened is watched over from here on: it ends with its grant, and its own end is noticed.

pub mod elevations;

use super::hung_up::HungUp;
use super::last_words;
use super::run_groups::RunGroups;
use super::session::{Session, Told};
use super::table::Sessions;
use crate::clock::monotonic_us;
use crate::descriptors;
use crate::grant::decision::{Elevation as Scoped, Request, Verdict, decide};
use crate::grant::ledger::Ledger;
use crate::grant::resolver::Resolver;
use crate::host::cgroup::Scope;
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
