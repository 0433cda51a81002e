//! The public Varlink socket, where anybody may ask: a thread of its own takes, bounds, reads and answers there.
//!
//! What one user can make the agent hold or do is bounded: connections, bytes a message, seconds of silence and of not reading, one call and one
//! thread at a time, calls a second. What all of them can is bounded again where it meets the agent's thread (`desk`). So whatever stands here
//! costs the processor time of one thread that is no more urgent than theirs, and never PAM's or an end's. PAM's own socket is apart
//! (`pam_socket`): nobody but root gets to it, and root's own programs call there, too.

mod budget;
mod connection;
pub mod desk;
mod slots;
pub mod users;

use self::connection::{Visitor, answer_all};
use self::desk::{Counter, Desk};
use self::slots::{Slot, Slots};
use self::users::Users;
use super::accept::Listener;
use super::peer::Peer;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{LocalSet, spawn_local};

/// The longest message of root, in bytes: a grant, and a little more.
pub const LONGEST_MESSAGE: usize = 128 * 1024;

/// How long a connection may be silent.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// How long a peer may take to read its answer.
pub const LONGEST_WRITE: Duration = Duration::from_secs(5);

/// The nice value of the public socket's thread: that of those who ask there. The agent's is lower.
const NICE: i32 = 0;

/// What the connections of the public socket share.
struct Hall {
    slots: Rc<Slots>,
    users: Users,
    counter: Counter,
}

/// Starts the public socket's thread. What it admits comes to the desk, for the agent's thread to answer.
///
/// # Errors
///
/// What the system refuses.
pub fn start(listener: UnixListener) -> io::Result<Desk> {
    let (counter, desk) = desk::pair();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(users::MOST_THREADS)
        .thread_name("public-helper")
        .build()?;
    std::thread::Builder::new().name("public".into()).spawn(move || {
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::warn!("the public socket's thread stays as urgent as the agent's: {error}");
        }
        LocalSet::new().block_on(&runtime, async move {
            let hall = Rc::new(Hall { slots: Rc::default(), users: Users::default(), counter });
            match Listener::new(listener) {
                Ok(listener) => listener.serve(|stream| _ = take(stream, &hall)).await,
                Err(error) => tracing::error!("nobody can be served on the public socket: {error}"),
            }
        });
    })?;
    Ok(desk)
}

/// Takes a connection, or hangs up where it is one too many: that costs next to nothing.
fn take(stream: UnixStream, hall: &Rc<Hall>) -> Option<()> {
    let credentials = getsockopt(&stream, PeerCredentials).ok()?;
    let peer = Peer::new(credentials.pid(), credentials.uid());
    let bounds = if peer.is_root() {
        None
    } else {
        let slot = Slot::take(&hall.slots, peer.uid)?;
        Some((hall.users.user(peer.uid), slot))
    };
    let number = bounds.as_ref().map(|(_, slot)| slot.number());
    stream.set_nonblocking(true).ok()?;
    let stream = tokio::net::UnixStream::from_std(stream).ok()?;
    let task = spawn_local(answer_all(stream, Visitor { peer, bounds }, Rc::clone(hall)));
    if let Some(number) = number {
        hall.slots.has_task(number, task.abort_handle());
    }
    Some(())
}
