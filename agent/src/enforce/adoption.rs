//! Adoption: logins that no hook told of, or of which PAM's word is lost, are found and watched like any other.
//!
//! logind tells of its sessions. Where it knows nothing (it was away when they opened, or is not there), the kernel does: whoever logged in
//! carries an audit session (loginuid(5) is its owner), and the program that let them in stands at its head.

use super::status::EnforcementStatus;
use crate::audit::Audit;
use crate::clock::monotonic_us;
use crate::config::exempt_list;
use crate::grant::ledger::Ledger;
use crate::host::cgroup::Scope;
use crate::host::logind::{Logind, LogindSession};
use crate::host::process_table::Table;
use crate::host::processes::Process;
use crate::host::users;
use crate::sessions::session::Session;
use crate::sessions::table::Sessions;
use crate::sessions::watch::{self, Watch};
use crate::settings::Settings;
use crate::trigger::Trigger;
use curfew_protocol::audit::{Event, Field};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// PAM's open_session hook comes a moment after logind's news of a session, and knows more: it has this long.
const HOOKS_TURN: Duration = Duration::from_secs(1);

/// How long a start waits for the user database to tell whose logins are.
const LOOKUPS_TURN: Duration = Duration::from_millis(300);

/// How long after the user database did not tell whose a login is it is asked again.
const LOOKED_UP_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The programs that let people in, and their PAM services.
const DOORS: [(&str, &str); 6] = [
    ("sshd", "sshd"),
    ("sshd-session", "sshd"),
    ("login", "login"),
    ("cron", "cron"),
    ("crond", "crond"),
    ("atd", "atd"),
];

/// The sessions of logind's of which the agent may not know yet.
#[derive(Debug, Default)]
pub struct Openings {
    ids: RefCell<BTreeSet<String>>,
    all: Cell<bool>,
    told: Notify,
}

impl Openings {
    /// A session opened.
    pub fn session(&self, id: &str) {
        self.ids.borrow_mut().insert(id.to_owned());
        self.told.notify_one();
    }

    /// Any session may be unknown.
    pub fn all(&self) {
        self.all.set(true);
        self.told.notify_one();
    }
}

/// Who adopts logins.
pub struct Adoption {
    settings: Rc<Settings>,
    ledger: Rc<Ledger>,
    audit: Rc<Audit>,
    trigger: Rc<Trigger>,
    sessions: Rc<RefCell<Sessions>>,
    watch: Rc<Watch>,
    status: Rc<EnforcementStatus>,
    /// logind.
    pub logind: Rc<Logind>,
    /// Sessions of logind's that may be unknown.
    pub openings: Openings,
}

impl Adoption {
    /// Has what is adopted watched over by `watch`.
    pub fn new(
        settings: Rc<Settings>,
        ledger: Rc<Ledger>,
        audit: Rc<Audit>,
        trigger: Rc<Trigger>,
        watch: Rc<Watch>,
        status: Rc<EnforcementStatus>,
        logind: Rc<Logind>,
    ) -> Self {
        let (sessions, openings) = (Rc::clone(&watch.sessions), Openings::default());
        Self { settings, ledger, audit, trigger, sessions, watch, status, logind, openings }
    }
}

/// Adopts what logind knows and the hook missed. A session that the hook told of costs logind no question. Never returns.
pub async fn adopt_when_opened(adoption: &Rc<Adoption>) {
    let openings = &adoption.openings;
    loop {
        openings.told.notified().await;
        tokio::time::sleep(HOOKS_TURN).await;
        let (ids, all) = (openings.ids.take(), openings.all.take());
        if !all && ids.iter().all(|id| adoption.sessions.borrow().knows_id(id)) {
            continue;
        }
        match adoption.logind.sessions().await {
            Ok(sessions) => {
                let (young, old): (Vec<_>, Vec<_>) = sessions.into_iter().partition(is_young);
                old.into_iter().for_each(|session| adopt_from_logind(adoption, session));
                if young.iter().any(|session| !adoption.sessions.borrow().knows(session)) {
                    openings.all();
                }
            }
            Err(error) => {
                tracing::debug!("logind lists no sessions now: {error}");
                tokio::time::sleep(Duration::from_secs(5)).await;
                openings.all();
            }
        }
    }
}

fn is_young(session: &LogindSession) -> bool {
    monotonic_us().saturating_sub(session.opened_us) < u64::try_from(HOOKS_TURN.as_micros()).unwrap_or(u64::MAX)
}

fn adopt_from_logind(adoption: &Rc<Adoption>, found: LogindSession) {
    if !is_judged(adoption, &found.service)
        || exempt_list::is_exempt(&found.user)
        || adoption.sessions.borrow().knows(&found)
    {
        return;
    }
    let Ok(Some(leader)) = Process::read(found.leader) else { return };
    // logind may name a process that is long gone, and another has its number now.
    if Scope::of_process(found.leader).is_none_or(|(id, _)| id != found.id) {
        return;
    }
    let session = Session {
        service: found.service,
        rhost: found.rhost,
        uid: Some(found.uid),
        logind_id: Some(found.id),
        opened_us: found.opened_us,
        audit_session: leader.audit_session,
        ..Session::headed_by(leader.id, adoption.ledger.grants().name_with(found.uid, &found.user))
    };
    adopt(adoption, session, "found by logind");
}

/// Adopts the logins that the agent does not know though the kernel does: at a start, since the last agent may have been unable to keep what
/// it knew. logind is asked first, since it remembers where they came from; else any live login grant of the person covers them.
pub async fn adopt_unknown(adoption: &Rc<Adoption>) {
    if unknown_heads(adoption).is_empty() {
        return;
    }
    match adoption.logind.sessions().await {
        Ok(sessions) => sessions.into_iter().for_each(|session| adopt_from_logind(adoption, session)),
        Err(error) => tracing::warn!("logind lists no sessions now: {error}"),
    }
    let mut adoptions = JoinSet::new();
    for (head, service) in unknown_heads(adoption) {
        let Some(uid) = head.login_uid else { continue };
        adoptions.spawn_local(adopt_head(Rc::clone(adoption), head, uid, service));
    }
    // Whoever can't be looked up so fast is adopted later: the end of the others does not wait.
    let all = async { while adoptions.join_next().await.is_some() {} };
    if tokio::time::timeout(LOOKUPS_TURN, all).await.is_err() {
        tracing::warn!(
            "the user database does not tell at once whose some logins are; they are watched as soon as it does"
        );
    }
    adoptions.detach_all();
}

/// Adopts a login as soon as it is known whose it is, if it lasts until then.
async fn adopt_head(adoption: Rc<Adoption>, head: Process, uid: u32, service: &'static str) {
    let user = loop {
        match users::user_name(uid).await {
            Some(user) => break user,
            None if head.id.lives() => tokio::time::sleep(LOOKED_UP_AGAIN_AFTER).await,
            None => return,
        }
    };
    let known = head.audit_session.is_some_and(|audit_session| {
        adoption.sessions.borrow().sessions().iter().any(|session| session.audit_session == Some(audit_session))
    });
    if known || !head.id.lives() || exempt_list::is_exempt(&user) {
        return;
    }
    let session = Session {
        service: service.to_owned(),
        uid: Some(uid),
        logind_id: Scope::of_process(head.id.pid).map(|(id, _)| id),
        opened_us: started_us(&head),
        background: adoption.settings.config().background_services.iter().any(|name| name == service),
        from_unknown: true,
        struck: false,
        audit_session: head.audit_session,
        ..Session::headed_by(head.id, adoption.ledger.grants().name_with(uid, &user))
    };
    adopt(&adoption, session, "found by the kernel's audit session");
}

/// The heads of audit sessions that are judged and not known.
fn unknown_heads(adoption: &Adoption) -> Vec<(Process, &'static str)> {
    let table = match Table::read() {
        Ok(table) => table,
        Err(error) => {
            tracing::error!("logins that nobody told of can't be looked for: {error}");
            return Vec::new();
        }
    };
    let sessions = adoption.sessions.borrow();
    let known: HashSet<u32> = sessions.sessions().iter().filter_map(|session| session.audit_session).collect();
    let unknown = |head: &Process| head.audit_session.is_some_and(|session| !known.contains(&session));
    heads(&table).into_iter().filter(|(head, service)| unknown(head) && is_judged(adoption, service)).collect()
}

/// The processes that stand at the head of an audit session and let somebody in: root's, such as sshd's own.
fn heads(table: &Table) -> Vec<(Process, &'static str)> {
    let head = |process: &&Process| {
        let parent = table.parent(process);
        process.credentials.euid() == 0
            && process.audit_session.is_some()
            && parent.is_none_or(|parent| parent.audit_session != process.audit_session)
    };
    let door = |process: &Process| {
        let program = std::fs::read_link(format!("/proc/{}/exe", process.id.pid)).ok()?;
        let name = program.file_name()?.to_str()?.trim_end_matches(" (deleted)").to_owned();
        DOORS.iter().find(|(door, _)| *door == name).map(|(_, service)| (process.clone(), *service))
    };
    table.iter().filter(head).filter_map(door).collect()
}

/// When a process started, in microseconds of CLOCK_MONOTONIC; rather too early on a host that was suspended, since what was open before Curfew was
/// in force is left alone.
fn started_us(process: &Process) -> u64 {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100);
    let since_boot = process.id.start.saturating_mul(1_000_000 / ticks.max(1));
    let boottime = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    let suspended = u64::try_from(boottime.as_micros()).unwrap_or(u64::MAX).saturating_sub(monotonic_us());
    since_boot.saturating_sub(suspended)
}

fn is_judged(adoption: &Adoption, service: &str) -> bool {
    let config = adoption.settings.config();
    let lists = |list: &[String]| list.iter().any(|name| name == service);
    adoption.status.holds() && (lists(&config.login_services) || lists(&config.background_services))
}

fn adopt(adoption: &Rc<Adoption>, session: Session, found: &str) {
    let left_alone = !adoption.status.governs(&session.service, session.opened_us);
    let entry = session.entry(Event::SessionOpened);
    let leader = session.leader;
    if adoption.sessions.borrow_mut().add_session(session) {
        let reason = if left_alone { "it was open before Curfew was in force and is left to end" } else { found };
        adoption.audit.write(entry.with(Field::Reason, reason));
        watch::login(&adoption.watch, leader);
        adoption.trigger.pull();
    }
}
