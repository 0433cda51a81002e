//! PAM's own socket: one question a connection, answered on the spot.
//!
//! Nobody but root gets here, and the module sends its question in one piece right behind connect(2). So it is there when the
//! connection is taken, and is answered without a task and without the event loop: a login waits for each of their system calls. What is not
//! there yet is waited for as everywhere else.

use super::pam;
use super::peer::Peer;
use super::server::{ErrorReply, LONGEST_MESSAGE, LONGEST_SILENCE, RawCall};
use crate::agent::Agent;
use crate::descriptors;
use crate::enforce::accounts;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, getsockopt, recv, send, sockopt::PeerCredentials};
use serde_json::Value;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use zlink::Reply;

/// How long PAM waits for the user database, where a name is asked for that is not known: less than its module's patience.
const USER_DATABASE: Duration = Duration::from_millis(900);

/// How many connections are taken before anything else has its turn.
const MOST_IN_A_ROW: usize = 16;

/// How long no connection is taken after one could not be.
const PAUSE: Duration = Duration::from_millis(50);

/// The listening socket.
pub struct PamSocket {
    listener: UnixListener,
    /// The same socket, for the event loop to wait on.
    ready: AsyncFd<OwnedFd>,
}

impl PamSocket {
    /// Takes over the socket that systemd passed.
    ///
    /// # Errors
    ///
    /// What the event loop says.
    pub fn new(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let ready = descriptors::wait_on(listener.as_fd().try_clone_to_owned()?)?;
        Ok(Self { listener, ready })
    }

    /// Takes connections for good.
    pub async fn serve(self, agent: Rc<Agent>) {
        loop {
            match self.take_some(&agent).await {
                Ok(Crowd::Gone) => {}
                // Everything else has its turn before those who still wait.
                Ok(Crowd::Waits) => tokio::task::yield_now().await,
                Err(error) => {
                    // Out of descriptors, most likely: let some connections end first.
                    tracing::warn!("a connection of PAM could not be taken: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn take_some(&self, agent: &Rc<Agent>) -> io::Result<Crowd> {
        let mut ready = self.ready.readable().await?;
        for _ in 0..MOST_IN_A_ROW {
            match self.listener.accept() {
                Ok((stream, _)) => take(stream, agent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    return Ok(Crowd::Gone);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Crowd::Waits)
    }
}

/// Whether somebody may still wait to be taken.
enum Crowd {
    Gone,
    Waits,
}

fn take(stream: UnixStream, agent: &Rc<Agent>) {
    let Ok(credentials) = getsockopt(&stream, PeerCredentials) else { return };
    let peer = Peer { pid: credentials.pid(), uid: credentials.uid(), groups: Vec::new() };
    let mut buffer = [0; 4096];
    let length = recv(stream.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).unwrap_or(0);
    let message = buffer.get(..length).unwrap_or_default();
    match whole(message) {
        Some(message) => answer(stream, peer, message, agent),
        None => {
            let (begun, agent) = (message.to_vec(), Rc::clone(agent));
            tokio::task::spawn_local(async move {
                let rest = tokio::time::timeout(LONGEST_SILENCE, read_rest(stream, begun)).await;
                if let Ok(Ok((stream, message))) = rest {
                    answer(stream, peer, &message, &agent);
                }
            });
        }
    }
}

/// The message before the first NUL, where that is there.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    bytes.iter().position(|&byte| byte == 0).and_then(|end| bytes.get(..end))
}

/// Waits for the rest of a message.
async fn read_rest(stream: UnixStream, mut message: Vec<u8>) -> io::Result<(UnixStream, Vec<u8>)> {
    stream.set_nonblocking(true)?;
    let mut stream = tokio::net::UnixStream::from_std(stream)?;
    loop {
        if let Some(end) = whole(&message).map(<[u8]>::len) {
            message.truncate(end);
            return Ok((stream.into_std()?, message));
        }
        if message.len() > LONGEST_MESSAGE || stream.read_buf(&mut message).await? == 0 {
            // Too long, or cut short: the malformed reply goes out, should anybody still read.
            return Ok((stream.into_std()?, message));
        }
    }
}

/// Answers at once; where the user database has to be asked first, in a task of its own.
fn answer(stream: UnixStream, peer: Peer, message: &[u8], agent: &Rc<Agent>) {
    let call = match serde_json::from_slice::<RawCall>(message) {
        Ok(call) => call,
        Err(error) => return reply(&stream, Err(ErrorReply::malformed(&error.to_string()))),
    };
    let Some(name) = pam::name_to_ask_for(agent, &peer, &call) else { return judge(&stream, &peer, &call, agent) };
    let agent = Rc::clone(agent);
    tokio::task::spawn_local(async move {
        // Without an answer, it is judged by what is known.
        drop(tokio::time::timeout(USER_DATABASE, accounts::look_up(&agent, &name)).await);
        judge(&stream, &peer, &call, &agent);
    });
}

fn judge(stream: &UnixStream, peer: &Peer, call: &RawCall, agent: &Rc<Agent>) {
    // PAM has its own patience: who has hung up was refused, and is not judged.
    if !has_hung_up(stream) {
        reply(stream, pam::answer(agent, peer, call));
    }
}

fn reply(stream: &UnixStream, answer: Result<Value, ErrorReply>) {
    if let Ok(mut reply) = written(answer) {
        reply.push(0);
        // It is short, and the socket empty: it fits, or nobody is there.
        let _ = send(stream.as_raw_fd(), &reply, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
    }
}

fn written(answer: Result<Value, ErrorReply>) -> serde_json::Result<Vec<u8>> {
    match answer {
        Ok(parameters) => serde_json::to_vec(&Reply::new(Some(parameters))),
        Err(error) => serde_json::to_vec(&error),
    }
}

/// Whether nobody is at the other end any more (poll(2)).
fn has_hung_up(stream: &UnixStream) -> bool {
    let mut asked = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
    poll(&mut asked, PollTimeout::ZERO).is_ok()
        && asked.iter().filter_map(PollFd::revents).any(|events| events.intersects(gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_with_its_nul() {
        assert_eq!(whole(b"{}\0rest"), Some(b"{}".as_slice()));
        assert_eq!(whole(b"\0"), Some(b"".as_slice()));
        assert_eq!(whole(b"{"), None);
        assert_eq!(whole(b""), None);
    }

    #[test]
    fn who_has_hung_up_is_seen() {
        let Ok((here, there)) = UnixStream::pair() else { return };
        assert!(!has_hung_up(&here));
        drop(there);
        assert!(has_hung_up(&here));
    }
}
