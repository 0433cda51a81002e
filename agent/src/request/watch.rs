//! What PAM opened is watched over from here on: it ends with its grant, and its own end is noticed.

use super::decision::{Elevation as Scoped, Request, Verdict, decide};
use super::peer::Peer;
use crate::agent::Agent;
use crate::clock;
use crate::descriptors;
use crate::enforce::processes::{Process, ProcessId};
use crate::enforce::scope::Scope;
use crate::enforce::sessions::{Elevation, Session, Told};
use crate::enforce::since::monotonic_us;
use crate::enforce::sudo_command::SudoCommand;
use curfew_protocol::ipc::PamQuestion;
use jiff::Timestamp;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// What is known of a login from its judgement.
#[derive(Debug, Default)]
pub struct Opened {
    /// The grant that it opened under.
    pub grant: Option<String>,
    /// PAM is told to let it in.
    pub admitted: bool,
    /// It is a job that was left for later.
    pub background: bool,
}

/// Watches over the login that `peer` opens.
///
/// # Errors
///
/// That its process can't be seen: then it is not watched.
pub fn session(
    agent: &Rc<Agent>,
    peer: &Peer,
    question: &PamQuestion,
    opened: Opened,
    now: Timestamp,
) -> io::Result<()> {
    let leader = seen(peer)?;
    let mut session = Session {
        user: agent.grants.borrow().judged_name(&question.user).to_owned(),
        service: question.service.clone(),
        rhost: question.rhost.clone(),
        leader: leader.id,
        uid: leader.login_uid,
        logind_id: Scope::of_process(peer.pid).map(|(id, _)| id),
        audit_session: leader.audit_session,
        grant: opened.grant,
        admitted: opened.admitted,
        opened_us: monotonic_us(),
        told: Told::default(),
        hung_up_for: None,
        closed: false,
        exempt: question.exempt,
        background: opened.background,
        from_unknown: false,
    };
    keep_the_last_moments(agent, &mut session, now);
    agent.sessions.borrow_mut().add_session(session);
    process(agent, leader.id);
    agent.changed.notify_one();
    Ok(())
}

fn seen(peer: &Peer) -> io::Result<Process> {
    Process::read(peer.pid)?.ok_or_else(|| io::Error::other(format!("there is no process {}", peer.pid)))
}

/// Who comes in shortly before the end was told how long they have: no old warning, no hang-up at the door.
fn keep_the_last_moments(agent: &Agent, session: &mut Session, now: Timestamp) {
    let grants = agent.grants.borrow();
    let config = agent.config.borrow();
    let passed = |until: Timestamp| {
        let passed = config.warn_before.iter().filter(|&&before| until - before <= now).min();
        passed.map(|&shortest| (until, shortest))
    };
    if let Verdict::Permit { until, .. } = decide(&session.request(), grants.of(&session.user), now) {
        session.told.login = passed(until);
        session.hung_up_for = (until - config.grace <= now).then_some(until);
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
    /// The grant behind it.
    pub grant: &'a str,
    /// Until when it is covered.
    pub until: Timestamp,
    /// See [`Elevation::pinned`].
    pub pinned: Vec<String>,
}

/// Watches over the run of sudo or su that `peer` opens.
///
/// # Errors
///
/// That its process can't be seen: then it is not watched.
pub fn elevation(agent: &Rc<Agent>, peer: &Peer, question: &PamQuestion, run: Run<'_>) -> io::Result<()> {
    let root = seen(peer)?;
    agent.sessions.borrow_mut().add_elevation(Elevation {
        user: run.user.to_owned(),
        service: question.service.clone(),
        run_as: Some(run.run_as.to_owned()),
        command: run.command,
        root: root.id,
        uid: root.login_uid,
        logind_id: Scope::of_process(peer.pid).map(|(id, _)| id),
        audit_session: root.audit_session,
        grant: Some(run.grant.to_owned()),
        opened_us: monotonic_us(),
        hung_up_for: (run.until - agent.config.borrow().grace <= clock::now()).then_some(run.until),
        pinned: run.pinned,
    });
    agent.changed.notify_one();
    tokio::task::spawn_local(look_up_uid(Rc::clone(agent), root.id, run.user.to_owned()));
    Ok(())
}

/// Who became somebody else by su and runs sudo then is not who logged in.
async fn look_up_uid(agent: Rc<Agent>, root: ProcessId, user: String) {
    if let Ok(Some(uid)) = agent.user_id(&user).await {
        agent.sessions.borrow_mut().update_elevation(root, |elevation| elevation.uid = Some(uid));
    }
}

/// Looks again when the process ends.
pub fn process(agent: &Rc<Agent>, process: ProcessId) {
    let Some(pidfd) = process.open() else { return };
    let agent = Rc::clone(agent);
    tokio::task::spawn_local(async move {
        match descriptors::wait_on(pidfd) {
            Ok(pidfd) => drop(pidfd.readable().await),
            // No pidfd to wait on: the regular look finds it.
            Err(error) => tracing::warn!("a session's end will be seen later: {error}"),
        }
        // What it started ends a moment after it.
        tokio::time::sleep(Duration::from_millis(50)).await;
        agent.changed.notify_one();
    });
}
