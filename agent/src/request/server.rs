//! The public Varlink socket: connections taken, bounded and answered.
//!
//! Anybody may connect, so what one peer can make the agent hold is bounded: connections a user, bytes a message, seconds of
//! silence, seconds of not reading. PAM's own socket is apart (`pam_socket`), and nobody but root gets to it.

use super::admin;
use super::peer::Peer;
use crate::agent::Agent;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use zlink::Connection;
use zlink::connection::PassedCredentials;
use zlink::connection::socket::{self, ReadResult};

/// The longest message of root, in bytes: a grant, and a little more.
pub const LONGEST_MESSAGE: usize = 128 * 1024;

/// The longest message of anybody else, who only asks.
const LONGEST_QUESTION: usize = 8 * 1024;

/// The most connections at once on a socket.
const MOST_CONNECTIONS: usize = 1024;

/// The most connections at once of one user but root.
const MOST_A_USER: usize = 64;

/// How long a connection may be silent.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// How long a peer may take to read its answer.
const LONGEST_WRITE: Duration = Duration::from_secs(5);

/// A Varlink call, before its method and parameters are looked at. Public for the fuzzer.
#[derive(Debug, Deserialize)]
pub struct RawCall {
    /// The method's full name.
    pub method: String,
    /// Its parameters.
    #[serde(default)]
    pub parameters: Option<Box<RawValue>>,
}

/// An error reply.
#[derive(Debug, Serialize)]
pub struct ErrorReply {
    error: &'static str,
    parameters: Value,
}

impl ErrorReply {
    /// No such method.
    pub fn unknown_method(method: &str) -> Self {
        Self {
            error: "org.varlink.service.MethodNotFound",
            parameters: json!({"method": method, "detail": format!("there is no method {method:?} here")}),
        }
    }

    /// A parameter is missing, unknown or holds a bad value.
    pub fn bad_parameter(parameter: &str, problem: &str) -> Self {
        Self {
            error: "org.varlink.service.InvalidParameter",
            parameters: json!({"parameter": parameter, "detail": format!("parameter `{parameter}`: {problem}")}),
        }
    }

    /// The message is no Varlink call.
    pub fn malformed(problem: &str) -> Self {
        Self {
            error: "io.curfew.Agent.MalformedMessage",
            parameters: json!({"detail": format!("the message is no call: {problem}")}),
        }
    }

    /// The caller may not do this.
    pub fn not_permitted(detail: &str) -> Self {
        Self { error: "io.curfew.Agent.NotPermitted", parameters: json!({"detail": detail}) }
    }

    /// It was tried, and failed.
    pub fn failed(detail: &str) -> Self {
        Self { error: "io.curfew.Agent.Failed", parameters: json!({"detail": detail}) }
    }
}

/// Takes the parameters of a call apart.
///
/// # Errors
///
/// The error reply, with the place and the value.
pub fn parameters<T: for<'de> Deserialize<'de>>(call: &RawCall) -> Result<T, ErrorReply> {
    let text = call.parameters.as_deref().map_or("{}", RawValue::get);
    if !text.starts_with('{') {
        return Err(ErrorReply::bad_parameter("parameters", "they are no JSON object"));
    }
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text))
        .map_err(|error| ErrorReply::bad_parameter(&error.path().to_string(), &error.inner().to_string()))
}

/// Takes connections from `listener` for good.
pub async fn serve(listener: UnixListener, agent: Rc<Agent>) {
    let open: Rc<RefCell<HashMap<u32, usize>>> = Rc::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: let some connections end first.
                tracing::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(credentials) = stream.peer_cred() else { continue };
        let Some(place) = Place::take(&open, credentials.uid()) else { continue };
        let agent = Rc::clone(&agent);
        tokio::task::spawn_local(async move {
            let _place = place;
            answer_all(stream, credentials, &agent).await;
        });
        // Who is here is answered before the next one is looked for.
        tokio::task::yield_now().await;
    }
}

/// A connection's place among those that are open.
struct Place {
    open: Rc<RefCell<HashMap<u32, usize>>>,
    uid: u32,
}

impl Place {
    fn take(open: &Rc<RefCell<HashMap<u32, usize>>>, uid: u32) -> Option<Self> {
        let mut places = open.borrow_mut();
        let all: usize = places.values().sum();
        let own = places.entry(uid).or_insert(0);
        // Root is never crowded out.
        if uid != 0 && (all >= MOST_CONNECTIONS || *own >= MOST_A_USER) {
            return None;
        }
        *own += 1;
        Some(Self { open: Rc::clone(open), uid })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.open.borrow_mut();
        if let Some(own) = places.get_mut(&self.uid) {
            *own -= 1;
            if *own == 0 {
                places.remove(&self.uid);
            }
        }
    }
}

/// Answers the calls of one connection, one after the other.
async fn answer_all(stream: UnixStream, credentials: UCred, agent: &Rc<Agent>) {
    let Some(pid) = credentials.pid() else { return };
    let mut peer = Peer { pid, uid: credentials.uid(), groups: Vec::new() };
    let longest = if peer.is_root() { LONGEST_MESSAGE } else { LONGEST_QUESTION };
    let stream = Arc::new(stream);
    let mut connection = Connection::new(Bounded { stream: Arc::clone(&stream), longest });
    let Ok(all) = connection.peer_credentials().await else { return };
    peer.groups = all.unix_supplementary_group_ids().iter().map(|group| group.as_raw()).collect();
    loop {
        let received = tokio::time::timeout(LONGEST_SILENCE, connection.receive_call::<RawCall>()).await;
        let call = match received {
            Ok(Ok((call, _descriptors))) => call,
            Ok(Err(zlink::Error::Json(error))) => {
                reply(&stream, Err(ErrorReply::malformed(&error.to_string()))).await;
                return;
            }
            Ok(Err(zlink::Error::BufferOverflow)) => {
                let problem = format!("it is longer than {longest} bytes");
                reply(&stream, Err(ErrorReply::malformed(&problem))).await;
                return;
            }
            Ok(Err(_)) | Err(_) => return,
        };
        let answer = admin::answer(agent, &peer, call.method()).await;
        if !call.oneway() && !reply(&stream, answer).await {
            return;
        }
    }
}

/// Sends an answer; `false` if the peer did not take it. zlink alone would write a long answer anew for each 256 bytes of it, and hold up
/// everybody meanwhile.
async fn reply(stream: &UnixStream, answer: Result<Value, ErrorReply>) -> bool {
    let message = match answer {
        Ok(parameters) => serde_json::to_vec(&json!({"parameters": parameters})),
        Err(error) => serde_json::to_vec(&error),
    };
    let Ok(mut message) = message else { return false };
    message.push(0);
    matches!(tokio::time::timeout(LONGEST_WRITE, write_all(stream, &message)).await, Ok(Ok(())))
}

async fn write_all(stream: &UnixStream, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// A socket whose messages are bounded: zlink alone would hold 100 MB a connection.
#[derive(Debug)]
struct Bounded {
    stream: Arc<UnixStream>,
    /// The longest message, in bytes.
    longest: usize,
}

#[derive(Debug)]
struct BoundedRead {
    stream: Arc<UnixStream>,
    /// How much of a message came since the last one ended, in bytes.
    unfinished: usize,
    longest: usize,
}

#[derive(Debug)]
struct BoundedWrite(Arc<UnixStream>);

impl socket::Socket for Bounded {
    type ReadHalf = BoundedRead;
    type WriteHalf = BoundedWrite;

    fn split(self) -> (BoundedRead, BoundedWrite) {
        let write = BoundedWrite(Arc::clone(&self.stream));
        (BoundedRead { stream: self.stream, unfinished: 0, longest: self.longest }, write)
    }
}

impl socket::ReadHalf for BoundedRead {
    async fn read(&mut self, buffer: &mut [u8]) -> zlink::Result<ReadResult> {
        let length = read(&self.stream, buffer).await?;
        let received = buffer.get(..length).unwrap_or_default();
        self.unfinished = match received.iter().rposition(|&byte| byte == 0) {
            Some(end) => length - end - 1,
            None => self.unfinished + length,
        };
        if self.unfinished > self.longest { Err(zlink::Error::BufferOverflow) } else { Ok(ReadResult::new(length)) }
    }
}

impl socket::WriteHalf for BoundedWrite {
    async fn write(
        &mut self,
        buffer: &[u8],
        _descriptors: &[impl AsFd],
        _credentials: Option<&PassedCredentials>,
    ) -> zlink::Result<()> {
        write_all(&self.0, buffer).await.map_err(Into::into)
    }
}

impl AsFd for BoundedRead {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl socket::UnixSocket for BoundedRead {}
