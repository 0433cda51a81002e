//! A blocking [Varlink](https://varlink.org) client: one call, one answer, one deadline.
//!
//! It runs inside sshd and sudo, so it starts no thread, reads no environment, raises no signal, leaks no descriptor
//! over exec, and comes back before its deadline whatever the peer does. It talks only to a peer that runs as root.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, getsockopt, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// Why a call came back without an answer.
#[derive(Debug)]
pub enum CallError {
    /// The socket could not be reached: no agent, or no right to ask it.
    Unreachable(std::io::Error),
    /// The peer does not run as root: it is not the agent.
    Impostor {
        /// The user id that it runs under.
        uid: u32,
    },
    /// The deadline passed.
    TimedOut,
    /// The connection broke off.
    Broken(std::io::Error),
    /// The answer was not one.
    Malformed(String),
    /// The service answered with an error.
    Refused {
        /// The error's name, such as `io.curfew.Agent.NotPermitted`.
        error: String,
        /// What it says for people, where it says it.
        detail: String,
    },
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "the agent can't be reached: {error}"),
            Self::Impostor { uid } => write!(f, "the socket's peer runs under uid {uid}, not as root"),
            Self::TimedOut => f.write_str("the agent did not answer in time"),
            Self::Broken(error) => write!(f, "the agent broke off: {error}"),
            Self::Malformed(what) => write!(f, "the agent's answer makes no sense: {what}"),
            Self::Refused { error, detail } if detail.is_empty() => f.write_str(error),
            Self::Refused { detail, .. } => f.write_str(detail),
        }
    }
}

impl std::error::Error for CallError {}

#[derive(Serialize)]
struct Call<'a, P> {
    method: &'a str,
    parameters: P,
}

#[derive(Deserialize)]
struct Answer<R> {
    #[serde(default = "Option::default")]
    error: Option<String>,
    #[serde(default = "Option::default")]
    parameters: Option<R>,
}

#[derive(Default, Deserialize)]
struct ErrorParameters {
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    parameter: Option<String>,
    #[serde(default)]
    method: Option<String>,
}

/// How long nothing is asked after a connection broke off; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(20);

/// Calls `method` on the Varlink service behind `path` and waits for its one answer, `limit` at the longest.
///
/// # Errors
///
/// [`CallError`] says which of connecting, asking and answering failed. None of them may be taken for a permit.
pub fn call<P: Serialize, R: DeserializeOwned>(
    path: &Path,
    method: &str,
    parameters: P,
    limit: Duration,
) -> Result<R, CallError> {
    let deadline = Deadline(Instant::now() + limit);
    exchange(path, &message(method, parameters)?, &deadline)
}

/// As [`call`], for what may be asked twice: where the connection breaks off, the service has ended with the question in its hands, and
/// the next one is asked, as long as `limit` is not over.
///
/// # Errors
///
/// As [`call`].
pub fn ask<P: Serialize, R: DeserializeOwned>(
    path: &Path,
    method: &str,
    parameters: P,
    limit: Duration,
) -> Result<R, CallError> {
    let deadline = Deadline(Instant::now() + limit);
    let message = message(method, parameters)?;
    let (mut pause, mut first_end) = (PAUSE, None);
    loop {
        match exchange(path, &message, &deadline) {
            Err(CallError::Broken(end)) if is_end(&end) && deadline.leaves(pause) => {
                first_end.get_or_insert(end);
                std::thread::sleep(pause);
                pause *= 2;
            }
            // That one ended says more than that no other came in time.
            Err(CallError::TimedOut) => return Err(first_end.map_or(CallError::TimedOut, CallError::Broken)),
            answered => return answered,
        }
    }
}

/// Whether the peer closed the connection, or was closed with it.
fn is_end(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

fn message<P: Serialize>(method: &str, parameters: P) -> Result<Vec<u8>, CallError> {
    let mut message =
        serde_json::to_vec(&Call { method, parameters }).map_err(|error| CallError::Malformed(error.to_string()))?;
    message.push(0);
    Ok(message)
}

fn exchange<R: DeserializeOwned>(path: &Path, message: &[u8], deadline: &Deadline) -> Result<R, CallError> {
    let socket = reach(path, deadline)?;
    write(&socket, message, deadline)?;
    read_answer(&read(&socket, deadline)?)
}

/// One monotonic deadline for connecting, asking and answering together.
struct Deadline(Instant);

impl Deadline {
    fn leaves(&self, time: Duration) -> bool {
        self.0.saturating_duration_since(Instant::now()) > time
    }

    fn left(&self) -> Result<TimeVal, CallError> {
        let left = self.0.saturating_duration_since(Instant::now());
        // A socket timeout of zero means none.
        if left.is_zero() {
            return Err(CallError::TimedOut);
        }
        let micros = i64::try_from(left.as_micros()).unwrap_or(i64::MAX).max(1);
        Ok(TimeVal::microseconds(micros))
    }
}

fn reach(path: &Path, deadline: &Deadline) -> Result<OwnedFd, CallError> {
    let unreachable = |errno: Errno| CallError::Unreachable(errno.into());
    let address = UnixAddr::new(path).map_err(unreachable)?;
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(unreachable)?;
    loop {
        // A full backlog makes connect(2) wait for as long as the send timeout says.
        setsockopt(&socket, sockopt::SendTimeout, &deadline.left()?).map_err(unreachable)?;
        match connect(socket.as_raw_fd(), &address) {
            Ok(()) => break,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Err(CallError::TimedOut),
            Err(errno) => return Err(unreachable(errno)),
        }
    }
    let peer = getsockopt(&socket, sockopt::PeerCredentials).map_err(unreachable)?;
    if peer.uid() != 0 {
        return Err(CallError::Impostor { uid: peer.uid() });
    }
    Ok(socket)
}

fn write(socket: &OwnedFd, message: &[u8], deadline: &Deadline) -> Result<(), CallError> {
    let mut rest = message;
    while !rest.is_empty() {
        setsockopt(socket, sockopt::SendTimeout, &deadline.left()?).map_err(broken)?;
        match send(socket.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
            Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Err(CallError::TimedOut),
            Err(errno) => return Err(broken(errno)),
        }
    }
    Ok(())
}

/// Reads up to the NUL that ends a Varlink message.
fn read(socket: &OwnedFd, deadline: &Deadline) -> Result<Vec<u8>, CallError> {
    let mut answer = Vec::with_capacity(512);
    let mut chunk = [0_u8; 4096];
    loop {
        setsockopt(socket, sockopt::ReceiveTimeout, &deadline.left()?).map_err(broken)?;
        match recv(socket.as_raw_fd(), &mut chunk, MsgFlags::empty()) {
            Ok(0) => return Err(CallError::Broken(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(received) => answer.extend_from_slice(chunk.get(..received).unwrap_or_default()),
            Err(Errno::EINTR) => continue,
            Err(Errno::EAGAIN) => return Err(CallError::TimedOut),
            Err(errno) => return Err(broken(errno)),
        }
        if answer.last() == Some(&0) {
            answer.pop();
            return Ok(answer);
        }
        if answer.len() > LONGEST_ANSWER {
            return Err(CallError::Malformed(format!("longer than {LONGEST_ANSWER} bytes")));
        }
    }
}

fn broken(errno: Errno) -> CallError {
    CallError::Broken(errno.into())
}

/// Tells the answer from an error. Public for the fuzzer: these bytes are someone else's.
///
/// # Errors
///
/// [`CallError::Refused`] for an error reply, [`CallError::Malformed`] for anything that is no Varlink reply.
pub fn read_answer<R: DeserializeOwned>(bytes: &[u8]) -> Result<R, CallError> {
    let malformed = |error: serde_json::Error| CallError::Malformed(error.to_string());
    let kind: Answer<IgnoredAny> = serde_json::from_slice(bytes).map_err(malformed)?;
    if let Some(error) = kind.error {
        let answer: Answer<ErrorParameters> =
            serde_json::from_slice(bytes).unwrap_or(Answer { error: None, parameters: None });
        let given = answer.parameters.unwrap_or_default();
        let detail = given.detail.or(given.parameter).or(given.method).unwrap_or_default();
        return Err(CallError::Refused { error, detail });
    }
    let answer: Answer<R> = serde_json::from_slice(bytes).map_err(malformed)?;
    answer.parameters.ok_or_else(|| CallError::Malformed("it has no parameters".into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::ipc::{PamAnswer, Verdict};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::{AtomicBool, Ordering};

    const LIMIT: Duration = Duration::from_millis(200);
    const PERMIT: &[u8] = b"{\"parameters\":{\"verdict\":\"permit\"}}\0";

    fn call_once(path: &Path) -> Result<PamAnswer, CallError> {
        call(path, "io.curfew.Pam.Account", serde_json::json!({"user": "alice"}), LIMIT)
    }

    /// Serves one connection for each of `answers`, while `client` asks.
    fn served<R>(answers: &'static [&'static [u8]], client: impl FnOnce(&Path) -> R) -> R {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for answer in answers {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut question = [0; 1024];
                    let length = stream.read(&mut question).unwrap();
                    assert!(length == 0 || question[length - 1] == 0);
                    // A client that does not trust its peer is gone by now.
                    let _ = stream.write_all(answer);
                }
            });
            client(&path)
        })
    }

    /// The tests may run as another user than root, whom the client refuses to ask.
    fn are_root() -> bool {
        nix::unistd::geteuid().is_root()
    }

    #[test]
    fn an_answer_is_read_up_to_its_nul() {
        match served(&[PERMIT], call_once) {
            Ok(answer) => assert_eq!(answer.verdict, Verdict::Permit),
            Err(CallError::Impostor { uid }) => assert!(uid != 0 && !are_root()),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_question_that_a_peer_ended_with_is_asked_again_until_the_deadline() {
        if !are_root() {
            return;
        }
        let long = |path: &Path| {
            ask::<_, PamAnswer>(path, "io.curfew.Pam.Account", serde_json::json!({"user": "alice"}), LIMIT * 50)
        };
        assert_eq!(served(&[b"", b"{\"param", PERMIT], long).unwrap().verdict, Verdict::Permit);
        // An answer is one, whatever it says.
        assert!(matches!(served(&[b"{\"error\":\"e\"}\0"], long), Err(CallError::Refused { .. })));
        assert!(matches!(served(&[b"nonsense\0"], long), Err(CallError::Malformed(_))));
        // What changes something is not done twice.
        assert!(matches!(served(&[b""], call_once), Err(CallError::Broken(_))));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let over = AtomicBool::new(false);
        let start = Instant::now();
        let connections = std::thread::scope(|scope| {
            let ends = scope.spawn(|| {
                let mut ends = 0;
                while !over.load(Ordering::Relaxed) {
                    ends += u32::from(listener.accept().is_ok());
                }
                ends
            });
            let answer = ask::<_, PamAnswer>(&path, "io.curfew.Pam.Account", serde_json::json!({}), LIMIT * 5);
            over.store(true, Ordering::Relaxed);
            assert!(matches!(answer, Err(CallError::Broken(_))), "{answer:?}");
            ends.join().unwrap()
        });
        assert!((2..=6).contains(&connections), "{connections} connections in {:?}", start.elapsed());
        assert!(start.elapsed() < LIMIT * 5 + Duration::from_secs(2));
    }

    #[test]
    fn only_a_whole_permit_is_a_permit() {
        for bytes in [
            &b""[..],
            b"{}",
            b"{\"parameters\":{}}",
            b"{\"parameters\":{\"verdict\":\"PERMIT\"}}",
            b"{\"parameters\":{\"verdict\":\"permit\"}",
            b"{\"error\":\"io.curfew.Pam.Busy\",\"parameters\":{\"verdict\":\"permit\"}}",
            b"[\"permit\"]",
        ] {
            assert!(read_answer::<PamAnswer>(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_peer_that_never_answers_costs_the_deadline_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        let start = Instant::now();
        assert!(matches!(call_once(&path), Err(CallError::TimedOut | CallError::Impostor { .. })));
        assert!(start.elapsed() < LIMIT + Duration::from_secs(2));
    }

    #[test]
    fn a_full_backlog_costs_the_deadline_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener =
            nix::sys::socket::socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).unwrap();
        nix::sys::socket::bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        let _first = std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert!(matches!(call_once(&path), Err(CallError::TimedOut | CallError::Impostor { .. })));
    }

    #[test]
    fn a_missing_socket_is_unreachable() {
        assert!(matches!(call_once(Path::new("/nonexistent/socket")), Err(CallError::Unreachable(_))));
    }

    #[test]
    fn an_error_reply_keeps_its_name_and_detail() {
        let bytes = br#"{"error":"io.curfew.Agent.NotPermitted","parameters":{"detail":"only root may grant"}}"#;
        match read_answer::<PamAnswer>(bytes) {
            Err(CallError::Refused { error, detail }) => {
                assert_eq!(error, "io.curfew.Agent.NotPermitted");
                assert_eq!(detail, "only root may grant");
            }
            other => panic!("{other:?}"),
        }
    }
}
