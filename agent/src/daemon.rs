//! The daemon: the tasks of one agent, and the loop that enforces.
//!
//! | task | woken by | does |
//! |---|---|---|
//! | enforcing loop | the alarm, the clock, any change | reconciles, sets the alarm, feeds the watchdog |
//! | PAM's socket | connections | answers PAM, and root |
//! | desk | calls that the public socket's thread admitted | answers people |
//! | sudo watch | files named sudo* and visudo* | removes rules that are for another sudo |
//! | sudo view | sudo rules that were written | has sudo say what they give |
//! | account watch | changes of /etc/passwd | removes rules that are for another account |
//! | logind watch | logind's SessionNew | adopts logins that the hook missed |
//! | deadline | the next end | has PID 1 keep it, too |
//! | endpoint | the endpoint's answers | puts sets of grants in force |
//! | shipping | durable records | brings the audit to the endpoint |
//! | audit | records | makes them durable, tells what was counted, lets go of what is too much, copies them to journald |
//! | signals | SIGHUP, SIGTERM | reloads, stops |

pub mod parts;
mod state_lock;
pub mod sweep;

use self::parts::{Parts, StartError};
use self::state_lock::Ownership;
use crate::clock::alarm::{Alarm, Alarmed};
use crate::clock::{self, Keep};
use crate::descriptors;
use crate::endpoint::{poll, ship};
use crate::enforce::adoption::{self, Adoption};
use crate::enforce::deadline;
use crate::enforce::reconcile::reconcile;
use crate::enforce::status::EnforcementStatus;
use crate::enforce::{sudo_view, sudo_watch};
use crate::grant::resolver;
use crate::host::processes::ProcessId;
use crate::ipc::pam_socket::PamSocket;
use crate::ipc::public_socket;
use crate::sessions::watch;
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::ipc::{AGENT_SOCKET, PAM_SOCKET};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::task::LocalSet;

/// Without anything to do, the loop looks this often, for the watchdog and for what no event told.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pauses before logind is followed again: short at first, longer where it stays away.
const SHORTEST_DEAFNESS: Duration = Duration::from_secs(1);
const LONGEST_DEAFNESS: Duration = Duration::from_secs(60);

/// How long a sweep that works in the agent's stead may take to finish.
const SWEEPS_TURN: Duration = Duration::from_secs(15);

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
    let _owner = Ownership::take(SWEEPS_TURN).map_err(system("another agent or a sweep is at work"))?;
    let runtime = event_loop().map_err(system("no event loop"))?;
    let done = LocalSet::new().block_on(&runtime, async move {
        let parts = Rc::new(Parts::open()?);
        parts.audit.write(Entry::new(Event::AgentStarted).with(Field::Mode, parts.settings.mode().name()));
        let alarm = Alarm::new().map_err(system("no timer"))?;
        let reload = signal(SIGHUP).map_err(system("SIGHUP"))?;
        let stop = [signal(SIGTERM).map_err(system("SIGTERM"))?, signal(SIGINT).map_err(system("SIGINT"))?];
        let pam = PamSocket::new(sockets.pam).map_err(system("PAM's socket"))?;
        let desk = public_socket::start(sockets.agent).map_err(system("the public socket"))?;
        tokio::task::spawn_local(pam.serve(Rc::clone(&parts.pam), Rc::clone(&parts.methods)));
        let people = tokio::task::spawn_local(desk.serve(Rc::clone(&parts.methods)));
        for task in Task::ALL {
            tokio::task::spawn_local(task.run(Rc::clone(&parts)));
        }
        tokio::task::spawn_local(reload_on(reload, Rc::clone(&parts.enforcer.status)));
        adoption::adopt_unknown(&parts.enforcer.adoption).await;
        resume_watching(&parts);
        let stopped = tokio::select! {
            () = enforce_until(stop, &parts, &alarm) => Ok(()),
            _ = people => Err(system("the public socket")(io::Error::other("its thread has ended"))),
        };
        parts.ledger.persist_clock(Keep::Now);
        parts.audit.write(Entry::new(Event::AgentStopped));
        parts.audit.finish();
        stopped
    });
    // What hangs on a dead file server is not waited for.
    runtime.shutdown_background();
    done
}

/// The one thread on which everything runs but the public socket, and a few for what would hold it up.
///
/// # Errors
///
/// What the system refuses.
pub fn event_loop() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build()
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
    Count,
    Drop,
    Copy,
    Logind,
    Adopt,
    Deadline,
    Sudo,
    SudoView,
    Accounts,
    Endpoint,
    Ship,
}

impl Task {
    const ALL: [Self; 12] = [
        Self::Sync,
        Self::Count,
        Self::Drop,
        Self::Copy,
        Self::Logind,
        Self::Adopt,
        Self::Deadline,
        Self::Sudo,
        Self::SudoView,
        Self::Accounts,
        Self::Endpoint,
        Self::Ship,
    ];

    async fn run(self, parts: Rc<Parts>) {
        match self {
            Self::Sync => parts.audit.sync_when_written().await,
            Self::Count => parts.audit.tell_counts().await,
            Self::Drop => parts.audit.drop_what_is_too_much().await,
            Self::Copy => parts.audit.copy_to_journal().await,
            Self::Logind => follow_logind(&parts.enforcer.adoption).await,
            Self::Adopt => adoption::adopt_when_opened(&parts.enforcer.adoption).await,
            Self::Deadline => deadline::keep_armed(&parts.enforcer.status.deadline).await,
            Self::Sudo => sudo_watch::follow(&parts.ledger, &parts.trigger).await,
            Self::SudoView => sudo_view::follow(&parts.enforcer.status.sudo_view).await,
            Self::Accounts => resolver::watch(&parts.enforcer.resolver).await,
            Self::Endpoint => poll::follow(&parts.follower).await,
            Self::Ship => ship::follow(&parts.follower).await,
        }
    }
}

/// The enforcing loop. The watchdog is fed here and nowhere else: an agent that does not enforce is restarted.
async fn enforce_until(stop: [UnixStream; 2], parts: &Parts, alarm: &Alarm) {
    let [mut term, mut interrupt] = stop;
    let mut ready = false;
    loop {
        // The regular look is the alarm's, too: one wake instead of the several that a timer of the event loop takes.
        let regular = clock::now() + LONGEST_PAUSE;
        parts.follower.endpoint.redial_after_a_jump();
        let next = reconcile(&parts.enforcer).map_or(regular, |next| next.min(regular));
        parts.trigger.note_next_look(next);
        let alarmed = alarm.set(next);
        if matches!(alarmed, Ok(Alarmed::Stepped)) {
            parts.trigger.pull();
        }
        if let Err(error) = &alarmed {
            tracing::error!("the alarm could not be set; the agent looks every {LONGEST_PAUSE:?}: {error}");
        }
        parts.trigger.note_looked();
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
            () = parts.trigger.pulled() => {}
            () = tokio::time::sleep(LONGEST_PAUSE), if alarmed.is_err() => {}
            _ = term.read(&mut a) => return,
            _ = interrupt.read(&mut b) => return,
        }
    }
}

async fn reload_on(mut signal: UnixStream, status: Rc<EnforcementStatus>) {
    let mut byte = [0; 64];
    while let Ok(1..) = signal.read(&mut byte).await {
        // What is wrong with the file is in the log and in `curfew status`.
        if status.reload().is_ok() {
            tracing::info!("the configuration was read again");
        }
    }
}

/// Watches again over what was open when the last agent ended.
fn resume_watching(parts: &Parts) {
    let sessions = &parts.watch.sessions;
    let leaders: Vec<ProcessId> = sessions.borrow().sessions().iter().map(|session| session.leader).collect();
    leaders.into_iter().for_each(|leader| watch::login(&parts.watch, leader));
    let runs = sessions.borrow().elevations().iter().filter(|run| !run.gone).map(|run| run.root).collect();
    let runs: Vec<ProcessId> = runs;
    runs.into_iter().for_each(|root| watch::run(&parts.watch, root));
    parts.enforcer.adoption.openings.all();
}

/// Wakes the agent when logind opens a session; comes back when the bus was away.
async fn follow_logind(adoption: &Adoption) {
    let mut pause = SHORTEST_DEAFNESS;
    loop {
        let begun = Instant::now();
        if let Err(error) = adoption.logind.watch(|id| adoption.openings.session(id)).await {
            tracing::debug!("logind can't be followed now: {error}");
        }
        if begun.elapsed() > LONGEST_DEAFNESS {
            pause = SHORTEST_DEAFNESS;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_DEAFNESS);
    }
}

/// A stream that has a byte for each `signal` (signal(7)).
fn signal(signal: i32) -> io::Result<UnixStream> {
    let (receiver, sender) = std::os::unix::net::UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal, sender)?;
    receiver.set_nonblocking(true)?;
    UnixStream::from_std(receiver)
}
