//! The sweep: one look of the agent's, by a process of its own, for when the agent is dead, masked or wedged.
//!
//! PID 1 runs it a moment after an end (see `deadline`), and at boot before anybody can log in. An agent that answers does the work
//! itself, and the sweep goes. Otherwise it takes over what the agent owns, runs the same `reconcile` from the stored state, writes
//! the same records, has PID 1 keep the next end, and ends.

use super::parts::Parts;
use super::state_lock::{self, Ownership};
use crate::clock;
use crate::daemon::{DaemonError, event_loop};
use crate::enforce::adoption;
use crate::enforce::reconcile::reconcile;
use crate::ipc::client;
use curfew_protocol::varlink::CallError;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

/// How long an agent that lives may take to look.
const AGENTS_TURN: Duration = Duration::from_millis(600);

/// So many agents in a row are asked, should each die of it.
const MOST_AGENTS: usize = 3;

/// How long the kernel may take between the end of a dead agent's connection and that of its lock.
const LAST_BREATH: Duration = Duration::from_millis(20);

/// How long the kernel may take to end an agent that is wedged.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(2);

/// An end this soon is waited for: PID 1 starts no second sweep while this one runs.
const SOON: Duration = Duration::from_secs(2);

/// The pause between two looks.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// How long the work may take before what is left is left to the next.
const LONGEST_WORK: Duration = Duration::from_secs(8);

/// Ends what is over, unless the agent does.
///
/// # Errors
///
/// [`DaemonError`] says what it can't do without.
pub fn run() -> Result<(), DaemonError> {
    let system = |what| move |source| DaemonError::System { what, source };
    let Some(owner) = take_ownership()? else { return Ok(()) };
    let runtime = event_loop().map_err(system("no event loop"))?;
    let done = LocalSet::new().block_on(&runtime, async {
        let parts = Parts::open()?;
        adoption::adopt_unknown(&parts.enforcer.adoption).await;
        work(&parts).await;
        parts.enforcer.status.deadline.arm().await;
        parts.audit.finish();
        Ok(())
    });
    // What hangs on a dead file server is not waited for.
    runtime.shutdown_background();
    drop(owner);
    done
}

/// Takes what the agent owns; none where an agent does the work. One that dies with the question in its hands leaves its state to whoever is first:
/// this sweep, or the next agent, which is asked in turn.
fn take_ownership() -> Result<Option<Ownership>, DaemonError> {
    let system = |what| move |source| DaemonError::System { what, source };
    for _ in 0..MOST_AGENTS {
        let owner = Ownership::try_take().map_err(system("the ownership of the agent's state"))?;
        if owner.is_some() {
            return Ok(owner);
        }
        let looked: Result<Value, _> = client::call("io.curfew.Agent.Reconcile", &json!({}), AGENTS_TURN);
        let Err(error) = looked else { return Ok(None) };
        tracing::error!("the agent does not look after an end: {error}");
        if !matches!(error, CallError::Broken(_)) {
            break;
        }
        std::thread::sleep(LAST_BREATH);
    }
    take_over().map(Some).map_err(system("the agent hangs, and can't be ended"))
}

/// Ends an agent that hangs; systemd starts another, which waits for this sweep.
fn take_over() -> std::io::Result<Ownership> {
    tracing::error!("the agent hangs; it is ended, and a sweep works in its stead");
    state_lock::kill_owner()?;
    Ownership::take(TAKEN_OVER_WITHIN)
}

/// Looks until there is nothing to do now or soon.
async fn work(parts: &Parts) {
    let deadline = Instant::now() + LONGEST_WORK;
    loop {
        let next = reconcile(&parts.enforcer);
        let left = deadline.saturating_duration_since(Instant::now());
        let pause = if parts.trigger.has_pending() {
            left
        } else {
            match next.and_then(time_until).filter(|until| *until <= SOON.min(left)) {
                Some(until) => until,
                None => return,
            }
        };
        if left.is_zero() {
            tracing::error!("not everything that is over could be ended within {LONGEST_WORK:?}");
            return;
        }
        let _whichever_comes_first = tokio::time::timeout(pause.max(SHORTEST_PAUSE), parts.trigger.pulled()).await;
    }
}

fn time_until(at: Timestamp) -> Option<Duration> {
    Some(Duration::try_from(at.duration_since(clock::now())).unwrap_or_default())
}
