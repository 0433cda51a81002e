//! Who follows the endpoint: the endpoint, and what its sets change here.

use super::Endpoint;
use crate::audit::Audit;
use crate::grant::ledger::Ledger;
use crate::settings::Settings;
use crate::trigger::Trigger;
use std::rc::Rc;

/// What following the endpoint takes.
pub struct Follower {
    /// The endpoint, where the host has one.
    pub endpoint: Endpoint,
    pub(super) settings: Rc<Settings>,
    pub(super) ledger: Rc<Ledger>,
    pub(super) audit: Rc<Audit>,
    pub(super) trigger: Rc<Trigger>,
}

impl Follower {
    /// Follows `endpoint`, and puts its sets into the ledger.
    pub fn new(
        endpoint: Endpoint,
        settings: Rc<Settings>,
        ledger: Rc<Ledger>,
        audit: Rc<Audit>,
        trigger: Rc<Trigger>,
    ) -> Self {
        Self { endpoint, settings, ledger, audit, trigger }
    }
}
