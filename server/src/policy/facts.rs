//! What decisions are about: people, hosts, what is asked, and the moment. Whoever asks for a decision brings them.

use super::names::{GroupName, PersonName};
use curfew_protocol::grant::{Command, LoginAccess, LoginName, SudoAccess};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A human, or a login name of which nobody knows whose it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Person {
    /// Their name.
    pub name: PersonName,
    /// The groups that they are in now.
    pub groups: BTreeSet<GroupName>,
    /// Whether they were deactivated: they do nothing then.
    pub disabled: bool,
    /// Whether it is a person at all, and no login name that belongs to nobody.
    pub known: bool,
}

/// A host with its labels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// What administrators say of it, as `env` and `prod`.
    pub labels: BTreeMap<String, String>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// Hosts by name: none beside them, whatever comes.
    Hosts(&'a [Host]),
    /// All hosts with these labels, tomorrow's, too.
    Labels {
        /// The labels.
        labels: &'a BTreeMap<String, String>,
        /// The hosts that have them now.
        hosts: &'a [Host],
    },
}

/// A ticket that somebody named.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ticket {
    /// Its id, such as `INC-4711`.
    pub id: String,
    /// Whether the configured verifier confirmed it.
    pub confirmed: bool,
}

/// What is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// The login name on the hosts.
    pub account: LoginName,
    /// The logins, if any.
    pub login: Option<LoginAccess>,
    /// The elevation, if any.
    pub sudo: Option<SudoAccess>,
    /// For how long.
    pub length: Duration,
    /// In how long it is to begin; zero for at once.
    pub starts_in: Duration,
    /// Whether it lengthens access that is live.
    pub extends: bool,
    /// The template that it was made from.
    pub template: Option<String>,
    /// The ticket.
    pub ticket: Option<Ticket>,
}

/// The way by which somebody acts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// The endpoint's own pages.
    #[default]
    Web,
    /// A command line that is signed in.
    Cli,
    /// A host, by the word of its agent.
    Host,
    /// A button in Slack.
    Slack,
    /// Any other program.
    Api,
}

/// When and how somebody acts.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// How long ago they used a passkey in this sign-in; nothing if they did not.
    pub mfa_age: Option<Duration>,
    /// By which way.
    pub channel: Channel,
}

/// Somebody asks for access.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Whose access it will be.
    pub person: &'a Person,
    /// Who files it: the same, or somebody else.
    pub filer: &'a Person,
    /// Where.
    pub target: Target<'a>,
    /// What.
    pub asked: &'a Asked,
    /// Their after-reviews of break-glass that are overdue.
    pub overdue_reviews: u64,
    /// When and how it is filed.
    pub moment: Moment,
}

/// A request as it stands, to be reviewed or revoked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whose access it is.
    pub requester: &'a Person,
    /// Who filed it.
    pub filer: &'a Person,
    /// Everybody to whom the account belongs for which it was filed, or from which: none of them reviews it.
    pub owners: &'a BTreeSet<PersonName>,
    /// Where.
    pub target: Target<'a>,
    /// What.
    pub asked: &'a Asked,
    /// Whether it was taken in an emergency.
    pub break_glass: bool,
}

impl Channel {
    /// All ways.
    pub const ALL: [Self; 5] = [Self::Web, Self::Cli, Self::Host, Self::Slack, Self::Api];

    /// Its name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Cli => "cli",
            Self::Host => "host",
            Self::Slack => "slack",
            Self::Api => "api",
        }
    }
}

impl<'a> Target<'a> {
    /// The hosts that it is for now.
    pub fn hosts(&self) -> &'a [Host] {
        match self {
            Self::Hosts(hosts) | Self::Labels { hosts, .. } => hosts,
        }
    }

    /// Whether it is for tomorrow's hosts, too.
    pub fn by_label(&self) -> bool {
        matches!(self, Self::Labels { .. })
    }
}

impl Asked {
    /// The commands of its sudo, as policies see them.
    pub(super) fn commands(&self) -> impl Iterator<Item = String> {
        self.sudo.iter().flat_map(|sudo| sudo.commands.iter().map(ToString::to_string))
    }

    /// The users of its sudo.
    pub(super) fn run_as(&self) -> impl Iterator<Item = &str> {
        self.sudo.iter().flat_map(|sudo| sudo.run_as.iter().map(LoginName::as_str))
    }

    /// Whether it is sudo as root.
    pub(super) fn as_root(&self) -> bool {
        self.run_as().any(|user| user == "root")
    }

    /// Whether its sudo runs every command.
    pub(super) fn any_command(&self) -> bool {
        self.sudo.as_ref().is_some_and(|sudo| sudo.commands.contains(&Command::All))
    }
}

/// Labels as people write them: `env=prod,role=web`.
pub fn written(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}
