//! Access paths: what on this host lets people log in or become root, and whether PAM asks Curfew there.
//!
//! | part | looks at |
//! |---|---|
//! | `listening` | the programs that listen on the network |
//! | `units` | what systemd starts at boot, or where somebody connects |
//! | `sshd`, `sshd_config` | each configuration of OpenSSH's server that is in use, with its Match blocks |
//! | `servers` | programs that are known to log people in |
//! | `services` | PAM's service files |
//! | `elevation` | polkit (run0, pkexec) and doas |
//! | `opened` | what opened since Curfew was enabled |
//!
//! Fed by the configuration and the host. The doctor and `curfew enable` tell all of it; the agent looks again when something changed, and tells what
//! is new. Nothing here changes the host.

mod elevation;
mod listening;
pub mod opened;
mod servers;
mod services;
mod sshd;
mod sshd_config;
mod units;

use crate::config::Config;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What an access path is, which is the name of the doctor's check.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A configuration of OpenSSH's server.
    SshServers,
    /// Another program that listens and logs people in.
    LoginServers,
    /// PAM's service files.
    PamServices,
    /// polkit: run0 and pkexec.
    Polkit,
    /// doas.
    Doas,
}

impl Kind {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::SshServers, Self::LoginServers, Self::PamServices, Self::Polkit, Self::Doas];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::SshServers => "sshd",
            Self::LoginServers => "login_servers",
            Self::PamServices => "pam_services",
            Self::Polkit => "polkit",
            Self::Doas => "doas",
        }
    }
}

/// How an access path stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// PAM asks Curfew there.
    Covered,
    /// People get in from the network, and nobody asks Curfew.
    OpenToTheNetwork,
    /// People who are on the host get more than Curfew granted them, or log in at the host itself.
    OpenOnTheHost,
    /// What it does can't be told.
    Unknown,
}

/// One way to log in or to become root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessPath {
    /// What it is.
    pub kind: Kind,
    /// What tells it from others, and stays the same while it is the same.
    pub key: String,
    /// How it stands.
    pub standing: Standing,
    /// That, as a sentence.
    pub detail: String,
    /// What to do about it, where there is something to do.
    pub fix: String,
}

impl AccessPath {
    fn covered(kind: Kind, key: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, key: key.into(), standing: Standing::Covered, detail: detail.into(), fix: String::new() }
    }

    /// Whether somebody gets by it what Curfew does not grant.
    pub fn is_open(&self) -> bool {
        matches!(self.standing, Standing::OpenToTheNetwork | Standing::OpenOnTheHost)
    }
}

/// What a look found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Every access path that is known.
    pub paths: Vec<AccessPath>,
    /// The files and folders that this depends on.
    pub read: BTreeSet<PathBuf>,
}

impl Survey {
    fn reads(&mut self, path: impl AsRef<Path>) {
        self.read.insert(path.as_ref().to_owned());
    }
}

/// Looks at the host: a walk of `/proc`, a few dozen small files, and some questions to systemd and sshd.
pub fn survey(config: &Config) -> Survey {
    let mut survey = Survey::default();
    let listeners = listening::listeners();
    let started = units::started(&mut survey);
    sshd::look(config, &listeners, &started, &mut survey);
    servers::look(config, &listeners, &started, &mut survey);
    services::look(config, &mut survey);
    elevation::look(config, &mut survey);
    once(&mut survey.paths);
    survey
}

/// One path may be seen in two ways; the first is told.
fn once(paths: &mut Vec<AccessPath>) {
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(path.key.clone()));
}

/// Whether the configuration names a PAM service.
fn is_judged(config: &Config, service: &str) -> bool {
    config.services().any(|judged| judged == service)
}
