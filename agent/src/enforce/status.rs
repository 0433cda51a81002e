//! What the enforcer publishes: whether, and since when, Curfew is in force, in which services, and what an operator
//! must know of its work.

use super::deadline::Deadline;
use super::in_force::{self, InForce};
use super::noninteractive;
use super::sudo_view::SudoView;
use super::wired_services::Wired;
use crate::audit::Audit;
use crate::clock::monotonic_us;
use crate::config::exempt_list::ExemptList;
use crate::config::{ConfigError, Mode};
use crate::grant::ledger::Ledger;
use crate::settings::Settings;
use crate::trigger::Trigger;
use crate::wiring::access_paths::opened::Opened;
use crate::wiring::cause::Cause;
use curfew_protocol::ipc::OBSERVE_MARK;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

/// How enforcement stands.
pub struct EnforcementStatus {
    settings: Rc<Settings>,
    ledger: Rc<Ledger>,
    audit: Rc<Audit>,
    trigger: Rc<Trigger>,
    since: RefCell<InForce>,
    /// The services that are wired, as of the last look.
    wired: Wired,
    /// What the log was told of the exempt list.
    exempt_list: ExemptList,
    /// What lets people in that opened since Curfew was enabled.
    pub opened: Opened,
    /// The next end, for PID 1 to keep.
    pub deadline: Deadline,
    /// How the host's sudo sees the grants.
    pub sudo_view: SudoView,
}

impl EnforcementStatus {
    /// As the last agent left it: what was wired is, until a look says otherwise.
    pub fn open(settings: Rc<Settings>, ledger: Rc<Ledger>, audit: Rc<Audit>, trigger: Rc<Trigger>) -> Self {
        let sudo_view = SudoView::new(Rc::clone(&settings), Rc::clone(&ledger));
        let since = InForce::open(Path::new(in_force::PATH));
        let wired = Wired::default();
        ledger.sudo_rules.set_in_force(since.holds());
        if since.holds() {
            wired.resume(&settings.config());
        }
        let (exempt_list, opened, deadline) = (ExemptList::default(), Opened::default(), Deadline::default());
        let since = RefCell::new(since);
        Self { settings, ledger, audit, trigger, since, wired, exempt_list, opened, deadline, sudo_view }
    }

    /// Reads the configuration again, and has what the last one kept from being done tried anew. One that can't be used
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the file, the line and the value.
    pub fn reload(&self) -> Result<(), ConfigError> {
        self.settings.reload()?;
        self.ledger.sudo_rules.keep_problems(|_| false);
        self.opened.look_soon();
        self.trigger.pull();
        Ok(())
    }

    /// Whether sudo asks PAM in the name of this user id under `-n` since it is told to here; by itself it would have
    /// said that it needs a password.
    pub fn has_sudo_ask(&self, uid: Option<u32>) -> bool {
        noninteractive::has_sudo_ask(uid)
    }

    /// Whether Curfew is in force.
    pub fn holds(&self) -> bool {
        self.since.borrow().holds()
    }

    /// Compares whether Curfew should be in force with whether it is. Returns whether it came into force just now.
    pub fn update(&self) -> bool {
        let config = self.settings.config();
        self.wired.look(&config);
        self.exempt_list.look();
        mark_observe(config.mode == Mode::Observe);
        let mut in_force = self.since.borrow_mut();
        let before = in_force.holds();
        self.wired.tell(&self.audit, config.mode, before);
        if let Err(error) = in_force.update(!self.wired.is_empty() && config.mode == Mode::Enforce, monotonic_us()) {
            tracing::error!(path = in_force::PATH, "since when Curfew is in force could not be written down: {error}");
        }
        self.ledger.sudo_rules.set_in_force(in_force.holds());
        !before && in_force.holds()
    }

    /// Audits what somebody did about the wiring that changed nothing.
    pub fn tell_wiring(&self, cause: &Cause) {
        self.audit.write(cause.told(self.wired.entry(self.settings.mode())));
    }

    /// Whether PAM asks us about anything, as of the last look.
    pub fn is_wired(&self) -> bool {
        !self.wired.is_empty()
    }

    /// Whether PAM asks us about `service`, as of the last look.
    pub fn is_asked_about(&self, service: &str) -> bool {
        self.wired.has(service)
    }

    /// Whether what opened over `service` at `opened_us` may be ended.
    pub fn governs(&self, service: &str, opened_us: u64) -> bool {
        self.since.borrow().governs(opened_us) && self.wired.has(service)
    }
}

/// Tells the PAM module, should the agent die, that nobody is to be refused.
fn mark_observe(observes: bool) {
    let mark = Path::new(OBSERVE_MARK);
    if observes == mark.exists() {
        return;
    }
    let marked = if observes { std::fs::write(mark, "") } else { std::fs::remove_file(mark) };
    if let Err(error) = marked {
        tracing::error!("whether the agent only observes could not be marked in {OBSERVE_MARK}: {error}");
    }
}
