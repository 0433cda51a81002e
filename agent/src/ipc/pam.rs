//! Answers to PAM: a question is classified here, a login judged in `login`, an elevation in `elevation`, and `record` is what the audit says of it.

pub mod again;
mod elevation;
mod login;
mod record;
mod run_as;
mod typed;
pub mod uncovered;
mod unit;
mod within;

use self::again::{Again, said_already};
use self::record::{asked, record, refusal, typed};
use self::uncovered::Undecided;
use super::peer::Peer;
use super::varlink::{ErrorReply, RawCall, parameters};
use crate::audit::Audit;
use crate::clock;
use crate::config::Mode;
use crate::config::service::{Kind, is_asked_twice};
use crate::enforce::status::EnforcementStatus;
use crate::grant::decision::{ReasonCode, Request};
use crate::grant::ledger::Ledger;
use crate::grant::resolver::{self, Resolver};
use crate::host::processes;
use crate::host::sudo_list;
use crate::host::system_account::is_system_account;
use crate::sessions::table::Sessions;
use crate::sessions::watch::{self, Watch};
use crate::settings::Settings;
use curfew_protocol::audit::{Event, Field};
use curfew_protocol::ipc::{Hook, PamAnswer, PamQuestion, Verdict};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;

/// Who answers PAM.
pub struct Pam {
    settings: Rc<Settings>,
    ledger: Rc<Ledger>,
    audit: Rc<Audit>,
    sessions: Rc<RefCell<Sessions>>,
    /// Who watches over what opens.
    pub watch: Rc<Watch>,
    /// Who asks what the names of people stand for.
    pub resolver: Rc<Resolver>,
    status: Rc<EnforcementStatus>,
    /// What was asked of elevations just now.
    again: RefCell<Again>,
    /// Runs of sudo for what no live grant covers, until they come to the account.
    undecided: RefCell<Undecided>,
}

impl Pam {
    /// Judges by the ledger, and has what opens watched over by `watch`.
    pub fn new(
        settings: Rc<Settings>,
        ledger: Rc<Ledger>,
        audit: Rc<Audit>,
        watch: Rc<Watch>,
        resolver: Rc<Resolver>,
        status: Rc<EnforcementStatus>,
    ) -> Self {
        let sessions = Rc::clone(&watch.sessions);
        let (again, undecided) = (RefCell::default(), RefCell::default());
        Self { settings, ledger, audit, sessions, watch, resolver, status, again, undecided }
    }
}

/// Answers one call of the PAM module.
///
/// # Errors
///
/// The error reply; the module takes it for no permit.
pub fn answer(pam: &Rc<Pam>, peer: &Peer, call: &RawCall) -> Result<Value, ErrorReply> {
    let hooks = [Hook::Authenticate, Hook::Account, Hook::OpenSession];
    let hook = hooks.into_iter().find(|hook| hook.method() == call.method);
    let Some(hook) = hook else { return Err(ErrorReply::unknown_method(&call.method)) };
    if !peer.is_root() {
        return Err(ErrorReply::not_permitted("only root's programs ask on this socket"));
    }
    let mut question: PamQuestion = parameters(call)?;
    resolver::look(&pam.resolver);
    question.exempt |= is_exempt_by_another_name(pam, &question);
    Ok(json!(judge(pam, peer, hook, &question)))
}

/// Whether a session opens: whoever asks starts nothing before there is an answer.
pub fn opens_session(call: &RawCall) -> bool {
    call.method == Hook::OpenSession.method()
}

/// The name that the user database has to be asked for before this call can be answered; none where all is known.
pub fn name_to_ask_for(pam: &Pam, peer: &Peer, call: &RawCall) -> Option<String> {
    let question: PamQuestion = parameters(call).ok()?;
    let name = match pam.settings.config().kind(&question.service) {
        Kind::Elevation => question.ruser?,
        Kind::Login | Kind::Background => question.user,
        Kind::Other => return None,
    };
    (peer.is_root() && !question.exempt && resolver::has_to_be_asked(&pam.resolver, &name)).then_some(name)
}

/// The exempt list has the account under another name than the one that was typed: the one that the user database writes. Of an elevation that says
/// nothing: whoever shares the user id would be meant.
fn is_exempt_by_another_name(pam: &Pam, question: &PamQuestion) -> bool {
    matches!(pam.settings.config().kind(&question.service), Kind::Login | Kind::Background)
        && resolver::is_exempt_by_another_name(&pam.resolver, &question.user)
}

fn judge(pam: &Rc<Pam>, peer: &Peer, hook: Hook, question: &PamQuestion) -> PamAnswer {
    let permit = PamAnswer { verdict: Verdict::Permit, message: None };
    match pam.settings.config().kind(&question.service) {
        // Whoever only observes says it once: of the account.
        _ if hook == Hook::Authenticate && pam.settings.mode() == Mode::Observe => permit,
        kind if question.exempt => {
            match (hook, kind) {
                (Hook::Account, _) => note_exempt(pam, peer, question),
                (Hook::OpenSession, Kind::Login) => {
                    let opened = watch::Opened { admitted: true, ..watch::Opened::default() };
                    drop(watch::session(&pam.watch, peer.pid, question, opened, clock::now()));
                }
                (Hook::Authenticate | Hook::OpenSession, _) => {}
            }
            permit
        }
        Kind::Other => permit,
        // Before the password, elevations alone are judged.
        Kind::Background | Kind::Login if hook == Hook::Authenticate => permit,
        Kind::Background if is_system_account(&question.user) => permit,
        Kind::Background => {
            let user = &pam.ledger.grants().judged_name(&question.user).to_owned();
            login::judge(pam, peer, hook, question, &Request::Background { user })
        }
        // By su's service as well: nobody turns into anybody.
        Kind::Login | Kind::Elevation if unit::asks(peer, hook, &question.service) => {
            if hook == Hook::OpenSession {
                login::open_for_unit(pam, peer, question);
            }
            permit
        }
        Kind::Login => {
            let user = &pam.ledger.grants().judged_name(&question.user).to_owned();
            let from = question.rhost.as_deref();
            login::judge(pam, peer, hook, question, &Request::Login { user, service: &question.service, from })
        }
        Kind::Elevation => match &question.ruser {
            Some(ruser) => elevation::judge(pam, peer, hook, question, ruser),
            None => refuse_nobody(pam, peer, hook, question),
        },
    }
}

fn note_exempt(pam: &Pam, peer: &Peer, question: &PamQuestion) {
    if is_our_own(peer, question) {
        return;
    }
    let who = match pam.settings.config().kind(&question.service) {
        Kind::Elevation => question.ruser.as_deref().unwrap_or(&question.user),
        Kind::Login | Kind::Background | Kind::Other => &question.user,
    };
    let entry = asked(pam, peer, Event::ExemptUsed, question, who).with(Field::ReasonCode, "exempt");
    let entry = entry.with(Field::Outcome, "permit").with(Field::Command, typed(pam, peer, question));
    if !(is_asked_twice(&question.service) && said_already(pam, peer, &entry)) {
        record(pam, peer, question, entry);
    }
}

/// The agent or the doctor has sudo list what it gives somebody: root's sudo, which runs nothing.
fn is_our_own(peer: &Peer, question: &PamQuestion) -> bool {
    let by_root = question.user == "root" && question.ruser.as_deref() == Some("root");
    by_root && processes::command_line(peer.pid).is_some_and(|line| sudo_list::is_question(&line))
}

/// An elevation of nobody: a program that does not say who invokes it, and whose process does not tell the module, either.
fn refuse_nobody(pam: &Pam, peer: &Peer, hook: Hook, question: &PamQuestion) -> PamAnswer {
    let entry = asked(pam, peer, Event::SudoDenied, question, "").with(Field::RunAs, question.user.as_str());
    let message = format!("Curfew: {} does not say who invokes it, and that can't be told.", question.service);
    refusal(pam, peer, hook, question, entry, ReasonCode::NoGrant, message)
}
