//! What ends, by itself or since no grant covers it any more: what is being ended now, and what that takes.

use super::status::EnforcementStatus;
use crate::grant::HeldGrant;
use crate::grant::decision::ReasonCode;

use crate::grant::ledger::Ledger;
use crate::grant::stores::Grants;
use crate::host::logind::Logind;
use crate::host::processes::ProcessId;
use crate::sessions::standing::Standing;
use crate::sessions::table::Sessions;
use crate::settings::Settings;
use crate::trigger::Trigger;
use curfew_protocol::audit::IN_GRACE;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

/// What ends.
pub struct Terminations {
    pub(super) settings: Rc<Settings>,
    pub(super) ledger: Rc<Ledger>,
    pub(super) trigger: Rc<Trigger>,
    /// What is open.
    pub(super) sessions: Rc<RefCell<Sessions>>,
    pub(super) status: Rc<EnforcementStatus>,
    pub(super) logind: Rc<Logind>,
    /// What is being ended, by its first process.
    pub(super) ending: RefCell<HashSet<ProcessId>>,
    /// Whether somebody looks for what logins and runs of sudo left when they ended by themselves.
    pub(super) looking_behind: Cell<bool>,
}

/// How something ended, or what its grant's end came of: what the reason code does not say. `outer` is the run that it is within, where it ends with that.
pub(super) fn how_it_ended(
    grants: &Grants,
    standing: &Standing,
    grant: Option<&str>,
    outer: Option<&str>,
) -> Option<String> {
    let revocation = |id| grants.find(id).and_then(HeldGrant::revocation);
    let how = match standing {
        Standing::Covered { .. } => Some(IN_GRACE.to_owned()),
        Standing::Over { reason: ReasonCode::Revoked, .. } => grant.and_then(revocation),
        Standing::Over { .. } => None,
    };
    match (how, outer) {
        (Some(how), Some(outer)) => Some(format!("{how} ({outer})")),
        (how, outer) => how.or_else(|| outer.map(str::to_owned)),
    }
}

impl Terminations {
    /// What ends of what is open in `sessions`.
    pub fn new(
        settings: Rc<Settings>,
        ledger: Rc<Ledger>,
        trigger: Rc<Trigger>,
        sessions: Rc<RefCell<Sessions>>,
        status: Rc<EnforcementStatus>,
        logind: Rc<Logind>,
    ) -> Self {
        let (ending, looking_behind) = (RefCell::default(), Cell::default());
        Self { settings, ledger, trigger, sessions, status, logind, ending, looking_behind }
    }

    /// Whether something is being ended.
    pub fn are_under_way(&self) -> bool {
        !self.ending.borrow().is_empty()
    }
}
