//! The doctor: every precondition of Curfew on this host, each with what was found and the mend.
//!
//! | part | looks at |
//! |---|---|
//! | `agent` | the configuration, the agent, its module, the exempt list, the endpoint, the clock |
//! | `units` | what systemd starts, and in which order |
//! | `pam` | the wiring: is our line asked, and asked first? Is our session line reached? |
//! | `access` | what else lets people log in or become root |
//! | `way_in` | whether somebody can log in at all |
//! | `ssh` | whether sshd lets root in, and whom it shuts out by itself |
//! | `sudo`, `sudoers` | which sudo, whether it reads our rules and asks PAM |
//! | `granted` | what live grants give, as sudo itself sees it |
//! | `standing` | who has root's rights without a grant |
//! | `journal` | whether the audit's copy in the journal stays |
//! | `confinement` | what SELinux and AppArmor say of us |
//!
//! It changes nothing. What can't be looked at is told as such, and is no pass.

mod access;
mod agent;
mod confinement;
mod granted;
mod journal;
mod pam;
pub mod ssh;
mod standing;
mod sudo;
mod units;
pub mod way_in;

use crate::config::exempt_list::{self, Void};
use crate::config::{self, Config};
use crate::ipc::messages::{ShownClock, Status};
use curfew_protocol::exempt;
use serde::Serialize;
use std::path::Path;

/// What a check came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// As it has to be.
    Pass,
    /// It works; somebody should know.
    Warn,
    /// It does not work, or is no lock.
    Fail,
}

impl Finding {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One precondition, and how it stands.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Check {
    /// Its name, which holds still.
    pub name: &'static str,
    /// How it stands.
    pub result: Finding,
    /// What was found, as a sentence.
    pub detail: String,
    /// What to do, where there is something to do.
    pub mend: Option<String>,
}

impl Check {
    fn pass(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, result: Finding::Pass, detail: detail.into(), mend: None }
    }

    fn warn(name: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, result: Finding::Warn, detail: detail.into(), mend: Some(mend.into()) }
    }

    /// Something that does not work, and what mends it.
    pub fn fail(name: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, result: Finding::Fail, ..Self::warn(name, detail, mend) }
    }
}

/// What the doctor is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Occasion {
    /// How the host stands.
    Visit,
    /// Whether it can be wired: what wiring itself mends is left out.
    BeforeWiring,
}

/// What the checks look at, read once.
pub struct Host {
    /// The agent's own word, or why there is none.
    pub status: Result<Status, String>,
    /// What it believes of the clock, or why it does not say.
    pub clock: Result<ShownClock, String>,
    config: Result<Config, String>,
    exempt: Result<Vec<String>, Void>,
}

impl Host {
    /// Reads the files; the agent was asked by the caller.
    pub fn look(status: Result<Status, String>, clock: Result<ShownClock, String>) -> Self {
        Self {
            status,
            clock,
            config: Config::load(Path::new(config::PATH)).map_err(|error| error.to_string()),
            exempt: exempt_list::names(Path::new(exempt::EXEMPT_LIST)),
        }
    }

    /// The configuration as the file has it, or else the defaults.
    fn config(&self) -> Config {
        self.config.clone().unwrap_or_default()
    }

    fn exempts(&self, user: &str) -> bool {
        self.exempt.as_ref().is_ok_and(|names| names.iter().any(|name| name == user))
    }
}

/// Every check, in the order in which things depend on each other.
pub fn examine(host: &Host, occasion: Occasion) -> Vec<Check> {
    let mut checks = agent::checks(host);
    checks.extend(units::checks());
    if occasion == Occasion::Visit {
        checks.extend(pam::checks(host));
        checks.extend(granted::check(host));
    }
    checks.extend(access::checks(host, occasion));
    checks.extend(ssh::checks(host));
    checks.extend(sudo::checks(host, occasion));
    checks.extend(standing::checks(host));
    checks.extend(journal::checks());
    checks.extend(confinement::checks());
    checks
}
