//! What anybody but root may ask, on the public socket's thread: the call is taken apart and permitted here, and only a question that the
//! agent alone can answer, at little cost, is put to it.

use super::answer::{Answer, Question};
use super::messages::WhyQuestion;
use super::methods::{self, audit::audit_page};
use super::peer::{self, Peer};
use super::public_socket::desk::Counter;
use super::public_socket::users::{Hangs, THREADS_TIME, User};
use super::varlink::Nothing;
use super::varlink::service;
use super::varlink::{ErrorReply, RawCall, parameters};
use crate::audit::query;
use crate::host::users;

/// Answers one call of `peer`, who is not root; none where the agent ends meanwhile.
pub async fn answer(agent: &Counter, user: &User, peer: &Peer, call: &RawCall) -> Option<Result<Answer, ErrorReply>> {
    if let Some(answer) = service::answer(call) {
        return Some(answer.map(Answer::Json));
    }
    match call.method.as_str() {
        "io.curfew.Agent.Audit" => Some(match parameters(call) {
            Ok(query) => audit(user, peer, query).await,
            Err(error) => Err(error),
        }),
        _ => match question(user, peer, call).await {
            Ok(question) => agent.ask(question).await,
            Err(error) => Some(Err(error)),
        },
    }
}

async fn question(user: &User, peer: &Peer, call: &RawCall) -> Result<Question, ErrorReply> {
    match call.method.as_str() {
        "io.curfew.Agent.Status" => {
            let Nothing {} = parameters(call)?;
            Ok(Question::Status { user: name(user, peer).await?.unwrap_or_default() })
        }
        "io.curfew.Agent.Why" => {
            let question: WhyQuestion = parameters(call)?;
            if name(user, peer).await?.as_ref() != Some(&question.user) {
                return Err(ErrorReply::not_permitted("you may ask about yourself; only root may ask about others"));
            }
            Ok(Question::Why(question))
        }
        "io.curfew.Agent.Clock" => {
            let Nothing {} = parameters(call)?;
            Ok(Question::Clock)
        }
        other => Err(match methods::only_root_may(other) {
            Some(what) => ErrorReply::not_permitted(&format!("only root may {what}")),
            None => ErrorReply::unknown_method(other),
        }),
    }
}

/// The name of the asker, if the user database knows one.
async fn name(user: &User, peer: &Peer) -> Result<Option<String>, ErrorReply> {
    let uid = peer.uid;
    user.in_time(move || users::name_of(uid)).await.map_err(|Hangs| {
        let problem = format!("the user database did not answer within {THREADS_TIME:?}; try again later");
        ErrorReply::failed(&problem)
    })
}

async fn audit(user: &User, peer: &Peer, query: query::Query) -> Result<Answer, ErrorReply> {
    let groups = peer.groups.clone();
    if !user.in_time(move || peer::may_audit(&groups)).await.unwrap_or(false) {
        return Err(ErrorReply::not_permitted("only root and members of systemd-journal or adm may read the audit"));
    }
    let page = user.on_thread(move || audit_page(&query)).await;
    page.unwrap_or_else(|Hangs| Err(ErrorReply::failed("the audit can't be read: it takes too long")))
}
