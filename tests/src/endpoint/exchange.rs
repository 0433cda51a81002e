//! The wire: connections, requests, answers, byte by byte, since the faults are there.

use std::sync::Arc;
use std::time::Duration;

use curfew_protocol::host_api::{HostToken, Problem, ProblemKind};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::answer::{self, Answer};
use super::{Fault, HOST_ID, ORIGIN, Shared, State};

/// The most bytes of a request's head and body.
const LONGEST: usize = 4 * 1024 * 1024;
/// How much of a body without an end is sent before the stand-in has had enough.
const ENOUGH: u64 = 1024 * 1024 * 1024;

/// A request that came in, as the test sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its header lines.
    pub head: Vec<String>,
    /// Whether its token was good.
    pub authentic: bool,
}

/// A request.
#[derive(Debug)]
pub(super) struct Asked {
    pub method: String,
    pub path: String,
    head: Vec<String>,
    pub body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The problem that its token is, if it is one.
    pub fn refusal(&self, state: &State) -> Option<Answer> {
        let token = self.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let origins = [ORIGIN.to_owned()];
        let verified = match (token, &state.host_key) {
            (Some(token), Some(key)) => HostToken::verify(token, key, &origins, Timestamp::now(), &self.body)
                .map(drop)
                .map_err(|error| error.to_string()),
            _ => Err("no token".into()),
        };
        verified.err().map(|detail| {
            let body = serde_json::to_vec(&Problem::new(ProblemKind::Unauthorized, detail)).expect("JSON");
            Answer { status: 401, content_type: "application/problem+json", head: String::new(), body }
        })
    }
}

/// Serves every connection that comes.
pub(super) async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, Arc::clone(shared)));
        }
    }
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>) {
    let (tls, fault) = {
        let state = shared.state();
        (Arc::clone(&state.tls), state.fault.clone())
    };
    if fault == Fault::PlainHttp {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    } else if let Ok(mut stream) = TlsAcceptor::from(tls).accept(stream).await {
        while let Some(asked) = read(&mut stream).await {
            if serve(&mut stream, &asked, &shared).await.is_none() {
                break;
            }
        }
        let _gone = stream.shutdown().await;
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > LONGEST || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(head + 4);
    let text = String::from_utf8(bytes).ok()?;
    let mut lines = text.lines().filter(|line| !line.is_empty()).map(str::to_owned);
    let first = lines.next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let mut asked = Asked { method: words.next()?, path: words.next()?, head: lines.collect(), body: Vec::new() };
    let length: usize = asked.header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    while body.len() < length.min(LONGEST) {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    asked.body = body;
    Some(asked)
}

/// Answers one request. None ends the connection.
async fn serve(stream: &mut (impl AsyncWrite + AsyncRead + Unpin), asked: &Asked, shared: &Arc<Shared>) -> Option<()> {
    let for_grants = asked.method == "GET" && asked.path == format!("/v1/hosts/{HOST_ID}/grants");
    let refusal = {
        let mut state = shared.state();
        let refusal = if for_grants { asked.refusal(&state) } else { None };
        let authentic = asked.refusal(&state).is_none();
        let (method, path, head) = (asked.method.clone(), asked.path.clone(), asked.head.clone());
        state.seen.push(Seen { at: Timestamp::now(), method, path, head, authentic });
        refusal
    };
    if let Some(refusal) = refusal {
        return send(stream, &refusal).await;
    }
    if !for_grants {
        let answer = answer::other(&mut shared.state(), asked);
        return send(stream, &answer).await;
    }
    let parked = park(asked, shared).await;
    let (fault, mut answer) = {
        let state = shared.state();
        (state.fault.clone(), answer::grants(&state))
    };
    if parked {
        answer.head.push_str("Preference-Applied: wait\r\n");
    }
    match fault {
        // Connections that are to come meet the second one.
        Fault::HangUp | Fault::PlainHttp => None,
        Fault::Silent => {
            // Until the host has had enough, or this thread ends.
            let _gone = stream.read_u8().await;
            None
        }
        Fault::CutMidBody => {
            let whole = bytes(&answer, answer.body.len());
            stream.write_all(&whole[..whole.len() - answer.body.len() / 2]).await.ok()?;
            stream.flush().await.ok()?;
            None
        }
        Fault::Gigabyte => {
            let head = Answer { body: Vec::new(), ..answer };
            stream.write_all(&bytes(&head, usize::try_from(ENOUGH).expect("64 bits"))).await.ok()?;
            let piece = vec![b'A'; 64 * 1024];
            for _ in 0..ENOUGH / 65_536 {
                stream.write_all(&piece).await.ok()?;
            }
            None
        }
        Fault::NeverEnding => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/jose\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok()?;
            loop {
                stream.write_all(b"1\r\nA\r\n").await.ok()?;
                stream.flush().await.ok()?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        _ => send(stream, &answer).await,
    }
}

/// Waits as it was asked to, until something changes. Returns whether it did.
async fn park(asked: &Asked, shared: &Arc<Shared>) -> bool {
    let wait = asked.header("prefer").and_then(|it| it.strip_prefix("wait=")).and_then(|it| it.parse().ok());
    let mut changes = shared.changes.subscribe();
    let same = {
        let state = shared.state();
        let etag = format!("\"{}-{}\"", state.epoch, state.version);
        state.fault == Fault::None && asked.header("if-none-match") == Some(&etag)
    };
    match wait.filter(|_| same) {
        Some(wait) => {
            let _either = tokio::time::timeout(Duration::from_secs(wait), changes.changed()).await;
            true
        }
        None => false,
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), answer: &Answer) -> Option<()> {
    stream.write_all(&bytes(answer, answer.body.len())).await.ok()?;
    stream.flush().await.ok()
}

fn bytes(answer: &Answer, length: usize) -> Vec<u8> {
    let Answer { status, content_type, head, body } = answer;
    let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let head = format!(
        "HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{head}\r\n"
    );
    [head.as_bytes(), body].concat()
}
