//! The daemon: the tasks of one agent, and the loop that enforces.
//!
//! | task | woken by | does |
//! |---|---|---|
//! | enforcing loop | the alarm, the clock, any change | reconciles, sets the alarm, feeds the watchdog |
//! | two servers | connections | answer PAM, answer people |
//! | logind watch | logind's SessionNew | adds logins that the hook missed |
//! | audit | records | makes them durable, copies them to journald |
//! | signals | SIGHUP, SIGTERM | reloads, stops |

use crate::agent::{Agent, StartError};
use crate::clock::Alarm;
use crate::descriptors;
use crate::enforce::logind::LogindSession;
use crate::enforce::processes::{Process, ProcessId};
use crate::enforce::reconcile::reconcile;
use crate::enforce::scope::Scope;
use crate::enforce::sessions::{Session, Told};
use crate::enforce::since::monotonic_us;
use crate::request::server::{Interface, serve};
use crate::request::watch;
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::exempt;
use curfew_protocol::ipc::{AGENT_SOCKET, PAM_SOCKET};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::task::LocalSet;

/// Without anything to do, the loop looks this often, for the watchdog and for what no event told.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// PAM's open_session hook comes a moment after logind's news of a session, and knows more: it has this long.
const HOOKS_TURN: Duration = Duration::from_secs(1);

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system refused something that it can't do without.
    #[error("{what}: {source}")]
    System {
        /// What it wanted.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// systemd passed no socket for this path.
    #[error("no socket for {0} was passed: start curfewd through curfewd.socket (systemctl start curfewd.socket)")]
    NoSocket(&'static str),
}

/// Runs the agent until it is told to stop.
///
/// # Errors
///
/// [`DaemonError`] says what it can't do without.
pub fn run(sockets: Sockets) -> Result<(), DaemonError> {
    let system = |what| move |source| DaemonError::System { what, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(16)
        .build()
        .map_err(system("no event loop"))?;
    LocalSet::new().block_on(&runtime, async move {
        let agent = Rc::new(Agent::open()?);
        let alarm = Alarm::new().map_err(system("no timer"))?;
        let reload = signal(SIGHUP).map_err(system("SIGHUP"))?;
        let stop = [signal(SIGTERM).map_err(system("SIGTERM"))?, signal(SIGINT).map_err(system("SIGINT"))?];
        for (listener, interface) in [(sockets.pam, Interface::Pam), (sockets.agent, Interface::Agent)] {
            listener.set_nonblocking(true).map_err(system("a socket"))?;
            let listener = tokio::net::UnixListener::from_std(listener).map_err(system("a socket"))?;
            tokio::task::spawn_local(serve(listener, interface, Rc::clone(&agent)));
        }
        for task in [Task::Sync, Task::Copy, Task::Logind, Task::Adopt] {
            tokio::task::spawn_local(task.run(Rc::clone(&agent)));
        }
        tokio::task::spawn_local(reload_on(reload, Rc::clone(&agent)));
        resume_watching(&agent);
        enforce_until(stop, &agent, &alarm).await;
        agent.audit.write(Entry::new(Event::AgentStopped));
        agent.audit.finish();
        Ok(())
    })
}

/// The sockets that systemd passed (sd_listen_fds(3)).
pub struct Sockets {
    pam: UnixListener,
    agent: UnixListener,
}

impl Sockets {
    /// Takes the sockets from systemd and tells them apart by their paths.
    ///
    /// # Errors
    ///
    /// That one is missing.
    pub fn from_systemd() -> Result<Self, DaemonError> {
        let passed = sd_notify::listen_fds().map_err(|source| DaemonError::System { what: "the sockets", source })?;
        let (mut pam, mut agent) = (None, None);
        for listener in passed.map(descriptors::adopt).map(UnixListener::from) {
            let address = listener.local_addr().ok();
            let path = address.as_ref().and_then(|address| address.as_pathname()).map(Path::to_owned);
            match path {
                Some(path) if path == Path::new(PAM_SOCKET) => pam = Some(listener),
                Some(path) if path == Path::new(AGENT_SOCKET) => agent = Some(listener),
                other => tracing::warn!(?other, "an unknown socket was passed"),
            }
        }
        Ok(Self {
            pam: pam.ok_or(DaemonError::NoSocket(PAM_SOCKET))?,
            agent: agent.ok_or(DaemonError::NoSocket(AGENT_SOCKET))?,
        })
    }
}

/// The tasks that follow the agent for as long as it runs.
enum Task {
    Sync,
    Copy,
    Logind,
    Adopt,
}

impl Task {
    async fn run(self, agent: Rc<Agent>) {
        match self {
            Self::Sync => agent.audit.sync_when_written().await,
            Self::Copy => agent.audit.copy_to_journal().await,
            Self::Logind => follow_logind(&agent).await,
            Self::Adopt => adopt_sessions(&agent).await,
        }
    }
}

/// The enforcing loop. The watchdog is fed here and nowhere else: an agent that does not enforce is restarted.
async fn enforce_until(stop: [UnixStream; 2], agent: &Rc<Agent>, alarm: &Alarm) {
    let [mut term, mut interrupt] = stop;
    let mut ready = false;
    loop {
        if let Some(Err(error)) = reconcile(agent).map(|next| alarm.set(next)) {
            tracing::error!("the alarm could not be set; the agent looks every {LONGEST_PAUSE:?}: {error}");
        }
        let state: &[NotifyState<'_>] =
            if ready { &[NotifyState::Watchdog] } else { &[NotifyState::Ready, NotifyState::Watchdog] };
        if let Err(error) = sd_notify::notify(state) {
            tracing::debug!("systemd takes no notice: {error}");
        }
        ready = true;
        let (mut a, mut b) = ([0; 1], [0; 1]);
        tokio::select! {
            rung = alarm.ring() => if let Err(error) = rung {
                tracing::error!("the alarm failed: {error}");
            },
            () = agent.changed.notified() => {}
            () = tokio::time::sleep(LONGEST_PAUSE) => {}
            _ = term.read(&mut a) => return,
            _ = interrupt.read(&mut b) => return,
        }
    }
}

async fn reload_on(mut signal: UnixStream, agent: Rc<Agent>) {
    let mut byte = [0; 64];
    while let Ok(1..) = signal.read(&mut byte).await {
        // What is wrong with the file is in the log and in `curfew status`.
        if agent.reload().is_ok() {
            tracing::info!("the configuration was read again");
        }
    }
}

/// Watches again over what was open when the last agent ended.
fn resume_watching(agent: &Rc<Agent>) {
    let leaders: Vec<ProcessId> = agent.sessions.borrow().sessions().iter().map(|session| session.leader).collect();
    leaders.into_iter().for_each(|leader| watch::process(agent, leader));
    agent.session_opened.notify_one();
}

/// Wakes the agent when logind opens a session; comes back when the bus was away.
async fn follow_logind(agent: &Rc<Agent>) {
    let mut pause = Duration::from_secs(1);
    loop {
        if let Err(error) = agent.logind.watch(|| agent.session_opened.notify_one()).await {
            tracing::debug!("logind can't be followed now: {error}");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(60));
    }
}

/// Adds the logins that logind knows and the hook missed, each time a session opens.
async fn adopt_sessions(agent: &Rc<Agent>) {
    loop {
        agent.session_opened.notified().await;
        tokio::time::sleep(HOOKS_TURN).await;
        match agent.logind.sessions().await {
            Ok(sessions) => {
                let (young, old): (Vec<_>, Vec<_>) = sessions.into_iter().partition(is_young);
                old.into_iter().for_each(|session| adopt(agent, session));
                if young.iter().any(|session| !agent.sessions.borrow().knows(session)) {
                    agent.session_opened.notify_one();
                }
            }
            Err(error) => {
                tracing::debug!("logind lists no sessions now: {error}");
                tokio::time::sleep(Duration::from_secs(5)).await;
                agent.session_opened.notify_one();
            }
        }
    }
}

fn is_young(session: &LogindSession) -> bool {
    monotonic_us().saturating_sub(session.opened_us) < u64::try_from(HOOKS_TURN.as_micros()).unwrap_or(u64::MAX)
}

fn adopt(agent: &Rc<Agent>, found: LogindSession) {
    let login = agent.config.borrow().login_services.contains(&found.service);
    let in_force = agent.in_force.borrow().holds();
    if !in_force || !login || is_exempt(&found.user) || agent.sessions.borrow().knows(&found) {
        return;
    }
    let Ok(Some(leader)) = Process::read(found.leader) else { return };
    // logind may name a process that is long gone, and another has its number now.
    if Scope::of_process(found.leader).is_none_or(|(id, _)| id != found.id) {
        return;
    }
    let left_alone = !agent.governs(&found.service, found.opened_us);
    let session = Session {
        user: found.user,
        service: found.service,
        rhost: found.rhost,
        leader: leader.id,
        uid: Some(found.uid),
        logind_id: Some(found.id),
        audit_session: leader.audit_session,
        grant: None,
        opened_us: found.opened_us,
        told: Told::default(),
        hung_up_for: None,
        closed: false,
        exempt: false,
    };
    let entry = session.entry(Event::SessionOpened);
    if agent.sessions.borrow_mut().add_session(session) {
        let reason =
            if left_alone { "it was open before Curfew was in force and is left to end" } else { "found by logind" };
        agent.audit.write(entry.with(Field::Reason, reason));
        watch::process(agent, leader.id);
        agent.changed.notify_one();
    }
}

/// Whether the exempt list, as the PAM module reads it, has the user.
fn is_exempt(user: &str) -> bool {
    exempt::lists(Path::new(exempt::EXEMPT_LIST), user).unwrap_or_else(|error| {
        // Nobody is ended by a list that can't be believed.
        tracing::error!("{}: {error}", exempt::EXEMPT_LIST);
        true
    })
}

/// A stream that has a byte for each `signal` (signal(7)).
fn signal(signal: i32) -> io::Result<UnixStream> {
    let (receiver, sender) = std::os::unix::net::UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal, sender)?;
    receiver.set_nonblocking(true)?;
    UnixStream::from_std(receiver)
}
