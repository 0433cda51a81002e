//! Answers to people, method by method. Root gets them all here; what others may ask comes by `anybody`.

pub mod audit;
mod clock;
mod endpoint;
mod grants;
mod status;
mod why;

use self::clock::{accept_clock, clock};
use self::grants::{grant, revoke};
use self::status::{Visible, status};
use self::why::why;
use super::answer::{Answer, Question};
use super::messages::WhyQuestion;
use super::peer::Peer;
use super::varlink::{ErrorReply, Nothing, RawCall, parameters, service};
use super::{confirmed, rehearsed};
use crate::audit::Audit;
use crate::endpoint::follower::Follower;
use crate::enforce::status::EnforcementStatus;
use crate::grant::ledger::Ledger;
use crate::grant::resolver::{self, Resolver};
use crate::sessions::table::Sessions;
use crate::settings::Settings;
use crate::trigger::Trigger;
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;

/// Who answers people.
pub struct Methods {
    settings: Rc<Settings>,
    ledger: Rc<Ledger>,
    audit: Rc<Audit>,
    trigger: Rc<Trigger>,
    sessions: Rc<RefCell<Sessions>>,
    resolver: Rc<Resolver>,
    follower: Rc<Follower>,
    status: Rc<EnforcementStatus>,
}

impl Methods {
    /// Answers from these.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        settings: Rc<Settings>,
        ledger: Rc<Ledger>,
        audit: Rc<Audit>,
        trigger: Rc<Trigger>,
        sessions: Rc<RefCell<Sessions>>,
        resolver: Rc<Resolver>,
        follower: Rc<Follower>,
        status: Rc<EnforcementStatus>,
    ) -> Self {
        Self { settings, ledger, audit, trigger, sessions, resolver, follower, status }
    }
}

/// What root alone may ask, as the others are told.
const ROOTS_ALONE: [(&str, &str); 12] = [
    ("Grant", "grant"),
    ("Revoke", "revoke"),
    ("Reload", "read the configuration again"),
    ("AcceptClock", "take the clock as right"),
    ("Reconcile", "have the agent look"),
    ("Rehearsed", "say what a rehearsal came to"),
    ("Confirmed", "say that the wiring is confirmed"),
    ("Enroll", endpoint::WHAT),
    ("EnrollStatic", endpoint::WHAT),
    ("Leave", endpoint::WHAT),
    ("RotateKey", endpoint::WHAT),
    ("Sync", endpoint::WHAT),
];

/// What root alone may do by this method, if it is one of those.
pub fn only_root_may(method: &str) -> Option<&'static str> {
    let name = method.strip_prefix("io.curfew.Agent.")?;
    ROOTS_ALONE.iter().find(|(method, _)| *method == name).map(|(_, what)| *what)
}

/// Whether a method is one of this interface.
pub fn answers(method: &str) -> bool {
    method.starts_with("io.curfew.Agent.")
}

/// Answers one call of root.
///
/// # Errors
///
/// The error reply.
pub async fn answer(methods: &Methods, peer: &Peer, call: &RawCall) -> Result<Answer, ErrorReply> {
    if !peer.is_root() {
        return Err(ErrorReply::not_permitted("only root is answered here"));
    }
    if !peer.is_still_root() {
        return Err(ErrorReply::not_permitted(
            "the process of root's that connected has ended, or is not root's any more",
        ));
    }
    if let Some(answer) = service::answer(call) {
        return answer.map(Answer::Json);
    }
    match call.method.as_str() {
        "io.curfew.Agent.Status" => {
            let Nothing {} = parameters(call)?;
            Ok(Answer::Status(Box::new(status(methods, &Visible::All))))
        }
        "io.curfew.Agent.Why" => {
            let question: WhyQuestion = parameters(call)?;
            // Without an answer, it is judged by what is known.
            let is_missing = resolver::has_to_be_asked(&methods.resolver, &question.user)
                && resolver::look_up(&methods.resolver, &question.user).await == Ok(None);
            why(methods, &question, is_missing).map(Answer::Why)
        }
        "io.curfew.Agent.Grant" => grant(methods, peer, parameters(call)?).await.map(|granted| json!(granted).into()),
        "io.curfew.Agent.Revoke" => revoke(methods, peer, parameters(call)?).await.map(|revoked| json!(revoked).into()),
        "io.curfew.Agent.Audit" => {
            let query = parameters(call)?;
            let page = tokio::task::spawn_blocking(move || audit::audit_page(&query)).await;
            page.unwrap_or_else(|error| Err(ErrorReply::failed(&format!("the audit can't be read: {error}"))))
        }
        "io.curfew.Agent.Reload" => {
            let Nothing {} = parameters(call)?;
            methods.status.reload().map(|()| json!({}).into()).map_err(|error| ErrorReply::failed(&error.to_string()))
        }
        "io.curfew.Agent.Clock" => {
            let Nothing {} = parameters(call)?;
            Ok(json!(clock(methods)).into())
        }
        "io.curfew.Agent.AcceptClock" => {
            accept_clock(methods, peer, parameters(call)?).await.map(|clock| json!(clock).into())
        }
        "io.curfew.Agent.Rehearsed" => {
            rehearsed::note(&methods.audit, peer, &parameters(call)?);
            Ok(json!({}).into())
        }
        "io.curfew.Agent.Confirmed" => {
            let Nothing {} = parameters(call)?;
            confirmed::note(&methods.status, &methods.sessions, peer).await;
            Ok(json!({}).into())
        }
        method if endpoint::answers(method) => endpoint::answer(methods, call).await.map(Answer::Json),
        "io.curfew.Agent.Reconcile" => {
            let Nothing {} = parameters(call)?;
            methods.trigger.look_now().await;
            Ok(json!({}).into())
        }
        other => Err(ErrorReply::unknown_method(other)),
    }
}

/// Answers a question of anybody's, on the spot.
///
/// # Errors
///
/// The error reply.
pub fn answer_anybody(methods: &Methods, question: &Question) -> Result<Answer, ErrorReply> {
    match question {
        Question::Status { user } => Ok(Answer::Status(Box::new(status(methods, &Visible::Of(user))))),
        Question::Why(question) => why(methods, question, false).map(Answer::Why),
        Question::Clock => Ok(json!(clock(methods)).into()),
    }
}
