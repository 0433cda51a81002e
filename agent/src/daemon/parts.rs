//! The parts of one running agent: one of each owner, made once. The agent and a sweep in its stead are made of the
//! same.
//!
//! All run on one thread, and nothing is borrowed over an `await`.

use crate::audit::{self, Audit};
use crate::config::ConfigError;
use crate::endpoint::follower::Follower;
use crate::endpoint::{self, Endpoint};
use crate::enforce::adoption::Adoption;
use crate::enforce::closing;
use crate::enforce::departure::Departures;
use crate::enforce::drop_ins::{self, DropIns};
use crate::enforce::noninteractive::Noninteractive;
use crate::enforce::reconcile::Enforcer;
use crate::enforce::status::EnforcementStatus;
use crate::enforce::terminations::Terminations;
use crate::grant::ledger::Ledger;
use crate::grant::local;
use crate::grant::resolver::Resolver;
use crate::grant::sudo_rules::SudoRules;
use crate::host::logind::Logind;
use crate::host::sudo::HostSudo;
use crate::ipc::methods::Methods;
use crate::ipc::pam::Pam;
use crate::residue::Residue;
use crate::sessions::table::{self, Sessions};
use crate::sessions::watch::Watch;
use crate::settings::Settings;
use crate::trigger::Trigger;
use crate::wiring;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use tokio::sync::mpsc::unbounded_channel;

/// One running agent.
pub struct Parts {
    /// What is set.
    pub settings: Rc<Settings>,
    /// What wakes the enforcing loop.
    pub trigger: Rc<Trigger>,
    /// The audit.
    pub audit: Rc<Audit>,
    /// The grants, and how far they have come.
    pub ledger: Rc<Ledger>,
    /// Who watches over what is open.
    pub watch: Rc<Watch>,
    /// Who follows the central endpoint, where the host has one.
    pub follower: Rc<Follower>,
    /// What mends the difference.
    pub enforcer: Enforcer,
    /// Who answers PAM.
    pub pam: Rc<Pam>,
    /// Who answers people.
    pub methods: Rc<Methods>,
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

impl Parts {
    /// Reads what the host keeps, and goes on where the last agent was. It runs in a
    /// [`LocalSet`](tokio::task::LocalSet).
    ///
    /// # Errors
    ///
    /// [`StartError`] names the file.
    pub fn open() -> Result<Self, StartError> {
        let settings = Rc::new(Settings::open()?);
        let trigger = Rc::new(Trigger::default());
        let keep = settings.config().audit_keep_mib.saturating_mul(1024 * 1024);
        let audit = Rc::new(Audit::open(Path::new(audit::FOLDER), keep));
        let endpoint = Endpoint::open(Path::new(endpoint::STATE));
        audit.ships(endpoint.ships(None));
        let ledger = Rc::new(Ledger::open(
            endpoint.trust().as_ref(),
            SudoRules::within(Path::new(wiring::DROP_IN_FOLDER)),
            Rc::clone(&audit),
            Rc::clone(&trigger),
        )?);
        let mut sessions = Sessions::open(Path::new(table::FOLDER));
        let unwatched = Unwatched { settings, trigger, audit, ledger };
        sessions.take_over(Path::new(table::ONE_FILE));
        drop_ins::remove_leftovers(Path::new(wiring::DROP_IN_FOLDER));
        unwatched.ledger.resume();
        let parts = unwatched.with(endpoint, Rc::new(RefCell::new(sessions)));
        parts.ledger.note_what_was_stored(parts.follower.endpoint.problem());
        Ok(parts)
    }
}

/// What all others stand on.
struct Unwatched {
    settings: Rc<Settings>,
    trigger: Rc<Trigger>,
    audit: Rc<Audit>,
    ledger: Rc<Ledger>,
}

impl Unwatched {
    fn settings(&self) -> Rc<Settings> {
        Rc::clone(&self.settings)
    }

    fn trigger(&self) -> Rc<Trigger> {
        Rc::clone(&self.trigger)
    }

    fn audit(&self) -> Rc<Audit> {
        Rc::clone(&self.audit)
    }

    fn ledger(&self) -> Rc<Ledger> {
        Rc::clone(&self.ledger)
    }

    /// All parts: what is in `sessions` is watched over, and `endpoint` followed.
    fn with(self, endpoint: Endpoint, sessions: Rc<RefCell<Sessions>>) -> Parts {
        let resolver = Rc::new(Resolver::new(self.ledger(), self.trigger()));
        let status = EnforcementStatus::open(self.settings(), self.ledger(), self.audit(), self.trigger());
        let status = Rc::new(status);
        let follower = Follower::new(endpoint, self.settings(), self.ledger(), self.audit(), self.trigger());
        let follower = Rc::new(follower);
        let (ended, of_first_processes) = unbounded_channel();
        let watch = Rc::new(Watch::new(
            Rc::clone(&sessions),
            self.settings(),
            Rc::clone(&resolver),
            self.ledger(),
            self.trigger(),
            ended,
        ));
        let enforcer = self.enforcer(&sessions, &watch, &resolver, &status);
        tokio::task::spawn_local(closing::follow(Rc::clone(&enforcer.terminations), of_first_processes));
        let pam = Pam::new(
            self.settings(),
            self.ledger(),
            self.audit(),
            Rc::clone(&watch),
            Rc::clone(&resolver),
            Rc::clone(&status),
        );
        let methods = Methods::new(
            self.settings(),
            self.ledger(),
            self.audit(),
            self.trigger(),
            sessions,
            resolver,
            Rc::clone(&follower),
            status,
        );
        let (pam, methods) = (Rc::new(pam), Rc::new(methods));
        let Self { settings, trigger, audit, ledger } = self;
        Parts { settings, trigger, audit, ledger, watch, follower, enforcer, pam, methods }
    }

    fn enforcer(
        &self,
        sessions: &Rc<RefCell<Sessions>>,
        watch: &Rc<Watch>,
        resolver: &Rc<Resolver>,
        status: &Rc<EnforcementStatus>,
    ) -> Enforcer {
        let logind = Rc::new(Logind::default());
        let sudo = Rc::new(HostSudo::default());
        let residue = Rc::new(Residue::new(self.settings(), self.ledger(), self.trigger()));
        let terminations = Terminations::new(
            self.settings(),
            self.ledger(),
            self.trigger(),
            Rc::clone(sessions),
            Rc::clone(status),
            Rc::clone(&logind),
        );
        let departures = Departures::new(
            self.settings(),
            self.ledger(),
            Rc::clone(resolver),
            self.trigger(),
            Rc::clone(sessions),
            Rc::clone(status),
            Rc::clone(&logind),
        );
        let adoption = Adoption::new(
            self.settings(),
            self.ledger(),
            self.audit(),
            self.trigger(),
            Rc::clone(watch),
            Rc::clone(status),
            logind,
        );
        let drop_ins = DropIns::new(
            self.settings(),
            self.ledger(),
            self.audit(),
            self.trigger(),
            Rc::clone(&residue),
            Rc::clone(status),
            Rc::clone(&sudo),
        );
        Enforcer {
            settings: self.settings(),
            ledger: self.ledger(),
            resolver: Rc::clone(resolver),
            status: Rc::clone(status),
            terminations: Rc::new(terminations),
            departures: Rc::new(departures),
            adoption: Rc::new(adoption),
            drop_ins: Rc::new(drop_ins),
            noninteractive: Rc::new(Noninteractive::new(self.ledger(), sudo, self.trigger())),
            residue,
        }
    }
}
