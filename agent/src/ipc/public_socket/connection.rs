//! One connection: its calls are read, admitted and answered one after the other, one a turn.

use super::slots::Slot;
use super::users::User;
use super::{Hall, LONGEST_MESSAGE, LONGEST_SILENCE, LONGEST_WRITE};
use crate::ipc::answer::Answer;
use crate::ipc::anybody;
use crate::ipc::peer::Peer;
use crate::ipc::varlink::framing::{Bounded, write_all};
use crate::ipc::varlink::{ErrorReply, RawCall, written};
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::task::yield_now;
use zlink::{Call, Connection};

/// The longest message of anybody but root, in bytes: they only ask.
const LONGEST_QUESTION: usize = 8 * 1024;

/// A longer answer, in bytes, has to be taken before the next one is made for the same user: what they let lie is held in memory.
const LONG_ANSWER: usize = 64 * 1024;

type Reply = Result<Answer, ErrorReply>;

/// Somebody at the other end, and what bounds them; root is not bounded.
pub struct Visitor {
    /// Who it is; the groups are not known yet.
    pub peer: Peer,
    /// None for root.
    pub bounds: Option<(Rc<User>, Slot)>,
}

/// Answers the calls of one connection.
pub async fn answer_all(stream: UnixStream, visitor: Visitor, hall: Rc<Hall>) {
    let Visitor { mut peer, bounds } = visitor;
    let longest = if bounds.is_none() { LONGEST_MESSAGE } else { LONGEST_QUESTION };
    let stream = Arc::new(stream);
    let mut connection = Connection::new(Bounded { stream: Arc::clone(&stream), longest });
    let Ok(all) = connection.peer_credentials().await else { return };
    peer.groups = all.unix_supplementary_group_ids().iter().map(|group| group.as_raw()).collect();
    loop {
        let received = tokio::time::timeout(LONGEST_SILENCE, connection.receive_call::<RawCall>()).await;
        let received = match received {
            Ok(Ok((call, _descriptors))) => Ok(call),
            Ok(Err(zlink::Error::Json(error))) => Err(ErrorReply::malformed(&error.to_string())),
            Ok(Err(zlink::Error::BufferOverflow)) => {
                Err(ErrorReply::malformed(&format!("it is longer than {longest} bytes")))
            }
            Ok(Err(_)) | Err(_) => return,
        };
        let went_on = match &bounds {
            None => answer_root(&stream, &peer, received, &hall).await,
            Some((user, slot)) => {
                slot.note(true);
                let went_on = answer_anybody(&stream, &peer, user, received, &hall).await;
                slot.note(false);
                went_on
            }
        };
        if went_on.is_none() {
            return;
        }
        // One call a turn, however many were sent in one piece.
        yield_now().await;
    }
}

/// Answers root; none where the connection is to end.
async fn answer_root(
    stream: &UnixStream,
    peer: &Peer,
    call: Result<Call<RawCall>, ErrorReply>,
    hall: &Hall,
) -> Option<()> {
    let call = match call {
        Ok(call) => call,
        Err(malformed) => return refuse(stream, malformed).await,
    };
    let oneway = call.oneway();
    let RawCall { method, parameters } = call.method();
    let call = RawCall { method: method.clone(), parameters: parameters.clone() };
    let reply = hall.counter.ask_for_root(peer.clone(), call).await?;
    if oneway { Some(()) } else { send(stream, &written(&reply)?).await }
}

/// Answers somebody else, who has one call in hand at a time; none where the connection is to end.
async fn answer_anybody(
    stream: &UnixStream,
    peer: &Peer,
    user: &User,
    call: Result<Call<RawCall>, ErrorReply>,
    hall: &Hall,
) -> Option<()> {
    // What is no call counts as one.
    let turn = match user.turn().await {
        Ok(turn) => turn,
        Err(too_many) => return send(stream, &written::<Answer>(&Err(too_many))?).await,
    };
    let call = match call {
        Ok(call) => call,
        Err(malformed) => return refuse(stream, malformed).await,
    };
    if call.oneway() {
        // Whoever waits for no answer could send without end.
        return refuse(stream, ErrorReply::not_permitted("only root may call without an answer (oneway)")).await;
    }
    let reply: Reply = anybody::answer(&hall.counter, user, peer, call.method()).await?;
    let message = written(&reply)?;
    drop(reply);
    let _turn = (message.len() > LONG_ANSWER).then_some(turn);
    send(stream, &message).await
}

/// Says what is wrong, and ends the connection.
async fn refuse(stream: &UnixStream, error: ErrorReply) -> Option<()> {
    send(stream, &written::<Answer>(&Err(error))?).await?;
    None
}

/// Sends an answer; none if the peer did not take it.
async fn send(stream: &UnixStream, message: &[u8]) -> Option<()> {
    tokio::time::timeout(LONGEST_WRITE, write_all(stream, message)).await.ok()?.ok()
}
