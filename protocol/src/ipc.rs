//! The questions that the PAM module asks the agent, and its answers.
//!
//! They travel as [Varlink](https://varlink.org) calls on [`PAM_SOCKET`], which only root may open.
//! The command line talks to the same agent on [`AGENT_SOCKET`], which anyone may open.

use serde::{Deserialize, Serialize};

/// Where the PAM module asks. Mode 0600: only sshd, sudo and other programs of root reach it.
pub const PAM_SOCKET: &str = "/run/curfew/io.curfew.Pam";

/// Where the command line asks. Mode 0666: the agent reads who asks from the socket's peer credentials.
pub const AGENT_SOCKET: &str = "/run/curfew/io.curfew.Agent";

/// The agent keeps this file while it only observes: an agent that is dead refuses nobody then, either.
pub const OBSERVE_MARK: &str = "/run/curfew/observe";

/// The PAM hook that asks, pam_sm_authenticate(3), pam_sm_acct_mgmt(3) or pam_sm_open_session(3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hook {
    /// Before anybody is asked for a password: would this elevation be denied? Nothing is permitted here.
    Authenticate,
    /// May this person come in, or run sudo, now?
    Account,
    /// The same once more when the session opens; the agent then watches over it.
    OpenSession,
}

impl Hook {
    /// The Varlink method that carries this hook's question.
    pub fn method(self) -> &'static str {
        match self {
            Self::Authenticate => "io.curfew.Pam.Authenticate",
            Self::Account => "io.curfew.Pam.Account",
            Self::OpenSession => "io.curfew.Pam.OpenSession",
        }
    }
}

/// What PAM knows of a login or an elevation (pam_get_item(3)); the asking process is the socket's peer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PamQuestion {
    /// `PAM_SERVICE`: the name of the service file, such as `sshd`.
    pub service: String,
    /// `PAM_USER`: who logs in, or whom an elevation turns into.
    pub user: String,
    /// `PAM_RUSER`: who runs sudo or su.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruser: Option<String>,
    /// `PAM_RHOST`: the address that a login comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rhost: Option<String>,
    /// `PAM_TTY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<String>,
    /// The module found the person in the exempt list and permits whatever the agent answers: this is for the audit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exempt: bool,
}

/// The agent's answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PamAnswer {
    /// Whether to go on.
    pub verdict: Verdict,
    /// Lines for the person: what to do on a denial, the time left on entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A decision.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Access is permitted now.
    Permit,
    /// Access is refused now.
    Deny,
}
