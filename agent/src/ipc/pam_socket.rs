//! PAM's own socket: one question a connection, answered on the spot.
//!
//! Nobody but root gets here, and the module sends its question in one piece right behind connect(2). So it is there when the
//! connection is taken, and is answered without a task and without the event loop: a login waits for each of their system calls. What is not
//! there yet is waited for as everywhere else. Root's own programs call here, too, since nobody stands in their way here.

use super::accept::Listener;
use super::answer::Answer;
use super::methods::{self, Methods};
use super::pam::{self, Pam};
use super::peer::Peer;
use super::public_socket::{LONGEST_MESSAGE, LONGEST_SILENCE, LONGEST_WRITE};
use super::varlink::framing::write_all;
use super::varlink::written;
use super::varlink::{ErrorReply, RawCall};
use crate::grant::resolver;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, getsockopt, recv, send, sockopt::PeerCredentials};
use serde::Serialize;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// How long PAM waits for the user database, where a name is asked for that is not known: less than its module's patience.
const USER_DATABASE: Duration = Duration::from_millis(900);

/// The listening socket.
pub struct PamSocket(Listener);

impl PamSocket {
    /// Takes over the socket that systemd passed.
    ///
    /// # Errors
    ///
    /// What the event loop says.
    pub fn new(listener: UnixListener) -> io::Result<Self> {
        Listener::new(listener).map(Self)
    }

    /// Takes connections for good.
    pub async fn serve(self, pam: Rc<Pam>, methods: Rc<Methods>) {
        let answerers = Answerers { pam, methods };
        self.0.serve(|stream| take(stream, &answerers)).await;
    }
}

/// Who answers PAM, and who root's programs.
#[derive(Clone)]
struct Answerers {
    pam: Rc<Pam>,
    methods: Rc<Methods>,
}

fn take(stream: UnixStream, answerers: &Answerers) {
    let Ok(credentials) = getsockopt(&stream, PeerCredentials) else { return };
    let peer = Peer::new(credentials.pid(), credentials.uid());
    let mut buffer = [0; 4096];
    let length = recv(stream.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).unwrap_or(0);
    let message = buffer.get(..length).unwrap_or_default();
    match whole(message) {
        Some(message) => answer(stream, peer, message, answerers),
        None => {
            let (begun, answerers) = (message.to_vec(), answerers.clone());
            tokio::task::spawn_local(async move {
                let rest = tokio::time::timeout(LONGEST_SILENCE, read_rest(stream, begun)).await;
                if let Ok(Ok((stream, message))) = rest {
                    answer(stream, peer, &message, &answerers);
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
fn answer(stream: UnixStream, peer: Peer, message: &[u8], answerers: &Answerers) {
    let call = match serde_json::from_slice::<RawCall>(message) {
        Ok(call) => call,
        Err(error) => return reply::<()>(&stream, &Err(ErrorReply::malformed(&error.to_string()))),
    };
    if peer.is_root() && methods::answers(&call.method) {
        tokio::task::spawn_local(answer_root(stream, peer, call, Rc::clone(&answerers.methods)));
        return;
    }
    let pam = Rc::clone(&answerers.pam);
    let Some(name) = pam::name_to_ask_for(&pam, &peer, &call) else { return judge(stream, peer, &call, &pam) };
    tokio::task::spawn_local(async move {
        // Without an answer, it is judged by what is known.
        drop(tokio::time::timeout(USER_DATABASE, resolver::look_up(&pam.resolver, &name)).await);
        judge(stream, peer, &call, &pam);
    });
}

fn judge(stream: UnixStream, peer: Peer, call: &RawCall, pam: &Rc<Pam>) {
    // PAM has its own patience: who has hung up was refused, and is not judged.
    if has_hung_up(&stream) {
        return;
    }
    let answer = pam::answer(pam, &peer, call);
    if !pam::opens_session(call) || !pam.watch.run_groups.is_made_for(peer.pid) {
        return reply(&stream, &answer);
    }
    // What sudo starts now is to be born in its group.
    let pam = Rc::clone(pam);
    tokio::task::spawn_local(async move {
        pam.watch.run_groups.made_for(peer.pid).await;
        reply(&stream, &answer);
    });
}

fn reply<P: Serialize>(stream: &UnixStream, answer: &Result<P, ErrorReply>) {
    if let Some(reply) = written(answer) {
        // It is short, and the socket empty: it fits, or nobody is there.
        let _ = send(stream.as_raw_fd(), &reply, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
    }
}

/// Answers a program of root's. What may be long is written down by another thread; what is not waits for none.
async fn answer_root(stream: UnixStream, peer: Peer, call: RawCall, methods: Rc<Methods>) {
    let answer = methods::answer(&methods, &peer, &call).await;
    let reply = match answer {
        Ok(Answer::Status(_) | Answer::Audit(_)) => tokio::task::spawn_blocking(move || written(&answer)).await.ok(),
        _ => Some(written(&answer)),
    };
    let Some(reply) = reply.flatten() else { return };
    if stream.set_nonblocking(true).is_ok()
        && let Ok(stream) = tokio::net::UnixStream::from_std(stream)
    {
        let _ = tokio::time::timeout(LONGEST_WRITE, write_all(&stream, &reply)).await;
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
