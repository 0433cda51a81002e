//! What the tasks of one running agent share. All run on one thread, and nothing is borrowed over an `await`.

use crate::audit::{self, Audit};
use crate::clock::monotonic_us;
use crate::config::exempt_list::ExemptList;
use crate::config::{ConfigError, Mode};
use crate::endpoint::{self, Endpoint};
use crate::enforce::adoption::Openings;
use crate::enforce::deadline::Deadline;
use crate::enforce::drop_ins::{self, DropIns};
use crate::enforce::in_force::{self, InForce};
use crate::enforce::noninteractive::Noninteractive;
use crate::enforce::sudo_view::SudoView;
use crate::enforce::wired_services::Wired;
use crate::grant::account::lookup::Lookups;
use crate::grant::ledger::Ledger;
use crate::grant::local;
use crate::grant::sudo_rules::SudoRules;
use crate::host::logind::Logind;
use crate::host::processes::ProcessId;
use crate::host::sudo::HostSudo;
use crate::ipc::pam::again::Again;
use crate::ipc::pam::uncovered::Undecided;
use crate::residue::Residue;
use crate::sessions::run_groups::RunGroups;
use crate::sessions::table::{self, Sessions};
use crate::settings::Settings;
use crate::trigger::Trigger;
use crate::wiring;
use crate::wiring::access_paths::opened::Opened;
use crate::wiring::cause::Cause;
use curfew_protocol::ipc::OBSERVE_MARK;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::rc::Rc;

/// One running agent.
pub struct Agent {
    /// What is set.
    pub settings: Settings,
    /// What wakes the enforcing loop.
    pub trigger: Rc<Trigger>,
    /// The grants, and how far they have come.
    pub ledger: Ledger,
    /// The central endpoint, where the host has one.
    pub endpoint: Endpoint,
    /// The audit.
    pub audit: Rc<Audit>,
    /// What is open.
    pub sessions: RefCell<Sessions>,
    /// What is being ended, by its first process.
    pub ending: RefCell<HashSet<ProcessId>>,
    /// The control groups of runs of sudo that are being made.
    pub run_groups: RunGroups,
    /// What PAM asked of elevations just now.
    pub again: RefCell<Again>,
    /// Runs of sudo for what no live grant covers, until they come to the account.
    pub undecided: RefCell<Undecided>,
    /// Whether somebody looks for what logins and runs of sudo left when they ended by themselves.
    pub looking_behind: Cell<bool>,
    /// What is under way with the drop-ins.
    pub drop_ins: DropIns,
    /// The names of people that are being looked up.
    pub lookups: Lookups,
    /// One after the other stores whose grant is whose.
    pub accounts_turn: tokio::sync::Mutex<()>,
    /// The looks at the host before and after sudo.
    pub residue: Residue,
    /// What sudo is told of those who would be denied under `-n`.
    pub noninteractive: Noninteractive,
    /// Which sudo the host runs.
    pub sudo: HostSudo,
    /// How that sudo sees the grants.
    pub sudo_view: SudoView,
    /// The services that are wired, as of the last look.
    wired: Wired,
    /// What the log was told of the exempt list.
    exempt_list: ExemptList,
    /// What lets people in that opened since Curfew was enabled.
    pub opened: Opened,
    /// Whether, and since when, Curfew is in force.
    pub in_force: RefCell<InForce>,
    /// People of whom something ended, to be looked at.
    pub departing: RefCell<BTreeSet<String>>,
    /// People who are being looked at.
    pub seen_off: RefCell<HashSet<String>>,
    /// The next end, for PID 1 to keep.
    pub deadline: Deadline,
    /// logind.
    pub logind: Logind,
    /// Sessions of logind's that may be unknown.
    pub openings: Openings,
}

/// Why an agent can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration can't be used, and none before it could.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store can be neither read nor set aside.
    #[error(transparent)]
    Store(#[from] local::StoreError),
}

impl Agent {
    /// Reads what the host keeps.
    ///
    /// # Errors
    ///
    /// [`StartError`] names the file.
    pub fn open() -> Result<Self, StartError> {
        let settings = Settings::open()?;
        let trigger = Rc::new(Trigger::default());
        let keep = settings.config().audit_keep_mib.saturating_mul(1024 * 1024);
        let audit = Rc::new(Audit::open(Path::new(audit::FOLDER), keep));
        let endpoint = Endpoint::open(Path::new(endpoint::STATE));
        audit.ships(endpoint.ships(None));
        let ledger = Ledger::open(
            endpoint.trust().as_ref(),
            SudoRules::within(Path::new(wiring::DROP_IN_FOLDER)),
            Rc::clone(&audit),
            Rc::clone(&trigger),
        )?;
        let agent = Self {
            settings,
            trigger,
            ledger,
            endpoint,
            audit,
            sessions: RefCell::new(Sessions::open(Path::new(table::FOLDER))),
            ending: RefCell::default(),
            run_groups: RunGroups::default(),
            again: RefCell::default(),
            undecided: RefCell::default(),
            looking_behind: Cell::default(),
            drop_ins: DropIns::default(),
            lookups: Lookups::default(),
            accounts_turn: tokio::sync::Mutex::default(),
            residue: Residue::default(),
            noninteractive: Noninteractive::default(),
            sudo: HostSudo::default(),
            sudo_view: SudoView::default(),
            wired: Wired::default(),
            exempt_list: ExemptList::default(),
            opened: Opened::default(),
            in_force: RefCell::new(InForce::open(Path::new(in_force::PATH))),
            departing: RefCell::default(),
            seen_off: RefCell::default(),
            deadline: Deadline::default(),
            logind: Logind::default(),
            openings: Openings::default(),
        };
        agent.resume();
        agent.ledger.note_what_was_stored(agent.endpoint.problem());
        Ok(agent)
    }

    /// Goes on where the last agent was: how far the grants had come, and that what was wired is, until a look says otherwise.
    fn resume(&self) {
        self.sessions.borrow_mut().take_over(Path::new(table::ONE_FILE));
        drop_ins::remove_leftovers(Path::new(wiring::DROP_IN_FOLDER));
        self.departing.borrow_mut().extend(self.ledger.resume());
        self.ledger.sudo_rules.set_in_force(self.in_force.borrow().holds());
        if self.in_force.borrow().holds() {
            self.wired.resume(&self.settings.config());
        }
    }

    /// Reads the configuration again. One that can't be used changes nothing.
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

    /// Compares whether Curfew should be in force with whether it is. Returns whether it came into force just now.
    pub fn update_in_force(&self) -> bool {
        let config = self.settings.config();
        self.wired.look(&config);
        self.exempt_list.look();
        mark_observe(config.mode == Mode::Observe);
        let mut in_force = self.in_force.borrow_mut();
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
        self.in_force.borrow().governs(opened_us) && self.wired.has(service)
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
