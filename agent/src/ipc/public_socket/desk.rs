//! Where calls from the public socket come to the agent's thread: root's first, and of all others no more than its share of time takes.

use crate::ipc::answer::Answer;
use crate::ipc::answer::Question;
use crate::ipc::methods::{self, Methods};
use crate::ipc::peer::Peer;
use crate::ipc::varlink::{ErrorReply, RawCall};
use std::rc::Rc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{spawn_local, yield_now};

/// How many calls may wait here, root's and those of all others. Whoever comes then waits on the public socket's thread.
const LONGEST_QUEUE: usize = 16;

/// After a call of somebody else than root nothing of the kind is answered for so many times as long as it took: all users together get a fifth
/// of the agent's thread at most.
const REST: u32 = 4;

type Reply = Result<Answer, ErrorReply>;

struct RootsCall {
    peer: Peer,
    call: RawCall,
    reply: oneshot::Sender<Reply>,
}

struct AnybodysCall {
    question: Question,
    reply: oneshot::Sender<Reply>,
}

/// The side of the public socket.
#[derive(Clone)]
pub struct Counter {
    root: mpsc::Sender<RootsCall>,
    anybody: mpsc::Sender<AnybodysCall>,
}

/// The agent's side.
pub struct Desk {
    root: mpsc::Receiver<RootsCall>,
    anybody: mpsc::Receiver<AnybodysCall>,
}

/// Both sides.
pub fn pair() -> (Counter, Desk) {
    let (root, roots) = mpsc::channel(LONGEST_QUEUE);
    let (anybody, anybodys) = mpsc::channel(LONGEST_QUEUE);
    (Counter { root, anybody }, Desk { root: roots, anybody: anybodys })
}

impl Counter {
    /// Has the agent answer root; none where it ends meanwhile.
    pub async fn ask_for_root(&self, peer: Peer, call: RawCall) -> Option<Reply> {
        let (reply, answer) = oneshot::channel();
        self.root.send(RootsCall { peer, call, reply }).await.ok()?;
        answer.await.ok()
    }

    /// Has the agent answer somebody else; none where it ends meanwhile.
    pub async fn ask(&self, question: Question) -> Option<Reply> {
        let (reply, answer) = oneshot::channel();
        self.anybody.send(AnybodysCall { question, reply }).await.ok()?;
        answer.await.ok()
    }
}

impl Desk {
    /// Answers until the public socket's thread is gone.
    pub async fn serve(mut self, methods: Rc<Methods>) {
        let mut rested = Instant::now();
        loop {
            let anybody = async {
                tokio::time::sleep_until(rested.into()).await;
                self.anybody.recv().await
            };
            tokio::select! {
                biased;
                call = self.root.recv() => match call {
                    Some(call) => drop(spawn_local(answer_root(call, Rc::clone(&methods)))),
                    None => return,
                },
                call = anybody => match call {
                    Some(AnybodysCall { question, reply }) => {
                        let begun = Instant::now();
                        // Who has left is answered all the same.
                        let _ = reply.send(methods::answer_anybody(&methods, &question));
                        rested = Instant::now() + begun.elapsed() * REST;
                    }
                    None => return,
                },
            }
            // PAM and the ends have their turn before the next call.
            yield_now().await;
        }
    }
}

async fn answer_root(RootsCall { peer, call, reply }: RootsCall, methods: Rc<Methods>) {
    // Who has left has it done all the same.
    let _ = reply.send(methods::answer(&methods, &peer, &call).await);
}
