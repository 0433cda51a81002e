//! The approved grant: who may log in or run sudo, in which window, why, and who approved it.
//!
//! A [`Grant`] is parsed from JSON and can't hold a bad value: an unknown field, an empty window, a name or a command that
//! could mean something else to sudo, or a text with terminal escapes refuses the grant. Whoever wrote the JSON is
//! taken for hostile.

mod command;
mod login_name;
mod network;
mod text;
mod window;

pub use command::{Command, CommandError};
pub use login_name::{LoginName, LoginNameError};
pub use network::Network;
pub use text::{GrantId, GrantIdError, Text, TextError};
pub use window::{Window, WindowError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest list (commands, networks, services, run-as users, approvers) that a grant may carry.
pub const LONGEST_LIST: usize = 64;

/// The longest grant that is parsed, in bytes of JSON.
pub const LONGEST_GRANT: usize = 64 * 1024;

/// An approved grant. Only [`Grant::from_json`], [`Grant::from_value`] and serde make one, and they check it whole.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "GrantDocument", into = "GrantDocument")]
pub struct Grant {
    /// Its name, unique on the host.
    pub id: GrantId,
    /// Whom it lets in.
    pub user: LoginName,
    /// When it holds.
    pub window: Window,
    /// The logins that it permits, if any.
    pub login: Option<LoginAccess>,
    /// The elevation that it permits, if any.
    pub sudo: Option<SudoAccess>,
    /// Why it was asked for.
    pub reason: Text,
    /// The ticket behind it.
    pub ticket: Option<Text>,
    /// Who asked for it.
    pub requested_by: Text,
    /// Who approved it.
    pub approved_by: Vec<Text>,
    /// The request that it answers.
    pub request: Option<Text>,
    /// The policy that allowed it.
    pub policy: Option<Text>,
}

/// The logins that a grant permits. Empty lists don't narrow: `{}` is any login service from any source.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LoginAccess {
    /// PAM service names; empty for every login service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Text>,
    /// The networks to come from; empty for anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Network>,
}

/// The elevation that a grant permits.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SudoAccess {
    /// The users whom the commands may run as.
    #[serde(default = "root_alone")]
    pub run_as: Vec<LoginName>,
    /// The commands; one of them may be `ALL`.
    pub commands: Vec<Command>,
}

impl Grant {
    /// What it gives, in words: `login from 10.0.0.0/8; sudo: /usr/bin/id`.
    pub fn access(&self) -> String {
        let login = self.login.as_ref().map(ToString::to_string);
        let sudo = self.sudo.as_ref().map(ToString::to_string);
        login.into_iter().chain(sudo).collect::<Vec<_>>().join("; ")
    }
}

impl SudoAccess {
    /// The commands that may run as `user`.
    pub fn commands_as(&self, user: &str) -> &[Command] {
        if self.run_as.iter().any(|granted| granted.as_str() == user) { &self.commands } else { &[] }
    }
}

impl std::fmt::Display for LoginAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("login")?;
        if !self.services.is_empty() {
            write!(f, " over {}", listed(&self.services))?;
        }
        if self.from.is_empty() { Ok(()) } else { write!(f, " from {}", listed(&self.from)) }
    }
}

impl std::fmt::Display for SudoAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sudo")?;
        if self.run_as != root_alone() {
            write!(f, " as {}", listed(&self.run_as))?;
        }
        match self.commands.contains(&Command::All) {
            true => f.write_str(": any command"),
            false => write!(f, ": {}", listed(&self.commands)),
        }
    }
}

fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why a grant was refused.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// A field is missing, unknown or holds a bad value.
    #[error("grant field `{place}`: {problem}")]
    Field {
        /// The path to the field, such as `sudo.commands[1]`.
        place: String,
        /// What is wrong with it, with the value.
        problem: String,
    },
    /// The fields don't go together.
    #[error("grant {id}: {problem}")]
    Whole {
        /// The grant's id.
        id: GrantId,
        /// What is wrong with it.
        problem: WholeError,
    },
    /// It is longer than [`LONGEST_GRANT`].
    #[error("grant: {length} bytes, and {LONGEST_GRANT} is the most")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

/// Fields that are right alone and wrong together.
#[derive(Debug, thiserror::Error)]
pub enum WholeError {
    /// The window is empty or can't be.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// It grants nothing.
    #[error("it has neither `login` nor `sudo`, so it would grant nothing")]
    Nothing,
    /// A list that must name something is empty.
    #[error("`{0}` is empty; name at least one, or leave the object out")]
    Empty(&'static str),
    /// A list is too long.
    #[error("`{list}` has {length} entries, and {LONGEST_LIST} is the most")]
    TooMany {
        /// The list.
        list: &'static str,
        /// How many entries it has.
        length: usize,
    },
}

impl Grant {
    /// Parses one grant.
    ///
    /// # Errors
    ///
    /// [`GrantError`] names the field and the value.
    pub fn from_json(bytes: &[u8]) -> Result<Self, GrantError> {
        if bytes.len() > LONGEST_GRANT {
            return Err(GrantError::TooLong { length: bytes.len() });
        }
        Self::only_an_object(bytes.trim_ascii_start().starts_with(b"{"))?;
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let document = serde_path_to_error::deserialize(&mut json).map_err(GrantError::from_path)?;
        json.end().map_err(|error| GrantError::Field { place: ".".into(), problem: error.to_string() })?;
        Self::from_document(document)
    }

    /// Parses one grant of a document that is already JSON.
    ///
    /// # Errors
    ///
    /// [`GrantError`] names the field and the value.
    pub fn from_value(value: &serde_json::Value) -> Result<Self, GrantError> {
        Self::only_an_object(value.is_object())?;
        Self::from_document(serde_path_to_error::deserialize(value).map_err(GrantError::from_path)?)
    }

    /// serde would also take a list of the fields' values for the fields.
    fn only_an_object(is_object: bool) -> Result<(), GrantError> {
        if is_object {
            Ok(())
        } else {
            Err(GrantError::Field { place: ".".into(), problem: "it is no JSON object".into() })
        }
    }

    fn from_document(document: GrantDocument) -> Result<Self, GrantError> {
        let id = document.id.clone();
        Self::try_from(document).map_err(|problem| GrantError::Whole { id, problem })
    }
}

impl GrantError {
    fn from_path(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        let place = error.path().to_string();
        Self::Field { place, problem: error.into_inner().to_string() }
    }
}

/// The grant as it is written in JSON; see the field of the same name in [`Grant`].
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GrantDocument {
    id: GrantId,
    user: LoginName,
    #[serde(deserialize_with = "timestamp")]
    not_before: Timestamp,
    #[serde(deserialize_with = "timestamp")]
    not_after: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<LoginAccess>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sudo: Option<SudoAccess>,
    reason: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ticket: Option<Text>,
    requested_by: Text,
    approved_by: Vec<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<Text>,
}

impl TryFrom<GrantDocument> for Grant {
    type Error = WholeError;

    fn try_from(document: GrantDocument) -> Result<Self, WholeError> {
        let window = Window::new(document.not_before, document.not_after)?;
        if document.login.is_none() && document.sudo.is_none() {
            return Err(WholeError::Nothing);
        }
        if let Some(login) = &document.login {
            bounded("login.services", login.services.len())?;
            bounded("login.from", login.from.len())?;
        }
        if let Some(sudo) = &document.sudo {
            named("sudo.commands", sudo.commands.len())?;
            named("sudo.run_as", sudo.run_as.len())?;
        }
        bounded("approved_by", document.approved_by.len())?;
        Ok(Self {
            id: document.id,
            user: document.user,
            window,
            login: document.login,
            sudo: document.sudo,
            reason: document.reason,
            ticket: document.ticket,
            requested_by: document.requested_by,
            approved_by: document.approved_by,
            request: document.request,
            policy: document.policy,
        })
    }
}

impl From<Grant> for GrantDocument {
    fn from(grant: Grant) -> Self {
        Self {
            id: grant.id,
            user: grant.user,
            not_before: grant.window.not_before(),
            not_after: grant.window.not_after(),
            login: grant.login,
            sudo: grant.sudo,
            reason: grant.reason,
            ticket: grant.ticket,
            requested_by: grant.requested_by,
            approved_by: grant.approved_by,
            request: grant.request,
            policy: grant.policy,
        }
    }
}

fn bounded(list: &'static str, length: usize) -> Result<(), WholeError> {
    if length > LONGEST_LIST { Err(WholeError::TooMany { list, length }) } else { Ok(()) }
}

fn named(list: &'static str, length: usize) -> Result<(), WholeError> {
    if length == 0 { Err(WholeError::Empty(list)) } else { bounded(list, length) }
}

/// An RFC 3339 time; the error names the value, which jiff's own does not.
fn timestamp<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!("{text:?} is no RFC 3339 time; write it like 2026-11-21T20:30:00Z"))
    })
}

fn root_alone() -> Vec<LoginName> {
    vec![LoginName::root()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> serde_json::Value {
        json!({
            "id": "01JD8Z6Q3M4T5V6W7X8Y9Z0A1B", "user": "alice",
            "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "login": {"services": ["sshd"], "from": ["10.0.0.0/8"]},
            "sudo": {"run_as": ["root"], "commands": ["/usr/bin/systemctl restart nginx"]},
            "reason": "INC-4711 disk full", "ticket": "INC-4711",
            "requested_by": "alice", "approved_by": ["bob"]
        })
    }

    fn with(pointer: &str, value: serde_json::Value) -> serde_json::Value {
        let mut document = document();
        match document.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => document[pointer.trim_start_matches('/')] = value,
        }
        document
    }

    #[test]
    fn what_a_grant_gives_is_said_in_full() {
        let access = |login: serde_json::Value, sudo: serde_json::Value| {
            let login: Option<LoginAccess> = serde_json::from_value(login).unwrap();
            let sudo: Option<SudoAccess> = serde_json::from_value(sudo).unwrap();
            (login.map(|it| it.to_string()), sudo.map(|it| it.to_string()))
        };
        let narrow = access(
            serde_json::json!({"services": ["sshd"], "from": ["10.0.0.0/8", "192.0.2.7/32"]}),
            serde_json::json!({"run_as": ["bob"], "commands": ["/usr/bin/id -u", "/usr/bin/w"]}),
        );
        assert_eq!(narrow.0.as_deref(), Some("login over sshd from 10.0.0.0/8, 192.0.2.7/32"));
        assert_eq!(narrow.1.as_deref(), Some("sudo as bob: /usr/bin/id -u, /usr/bin/w"));
        let wide = access(serde_json::json!({}), serde_json::json!({"commands": ["ALL"]}));
        assert_eq!((wide.0.as_deref(), wide.1.as_deref()), (Some("login"), Some("sudo: any command")));
    }

    #[test]
    fn a_grant_comes_back_as_it_was_written() {
        let grant = Grant::from_value(&document()).unwrap();
        assert_eq!(serde_json::to_value(&grant).unwrap(), document());
    }

    #[test]
    fn a_refusal_names_the_place_and_the_value() {
        for (pointer, value, place, says) in [
            ("/colour", json!("red"), "colour", "unknown field `colour`"),
            ("/id", json!("a/b"), "id", "a/b"),
            ("/user", json!("alice\n"), "user", "alice\\n"),
            ("/not_after", json!("tomorrow"), "not_after", "tomorrow"),
            ("/login/from", json!(["10.0.0.0/8", "10.0.0.0/33"]), "login.from[1]", "10.0.0.0/33"),
            ("/login", json!({"service": ["sshd"]}), "login.service", "unknown field `service`"),
            ("/sudo/commands", json!(["bash"]), "sudo.commands[0]", "bash"),
            ("/sudo/run_as", json!(["%wheel"]), "sudo.run_as[0]", "%wheel"),
            ("/reason", json!("\u{1b}[2J"), "reason", "control"),
        ] {
            let error = Grant::from_value(&with(pointer, value)).unwrap_err().to_string();
            assert!(error.contains(&format!("`{place}`")), "{error}");
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn fields_that_contradict_each_other_are_refused() {
        for (pointer, value, says) in [
            ("/not_after", json!("2026-11-21T20:00:00Z"), "ends before it begins"),
            ("/sudo/commands", json!([]), "sudo.commands"),
            ("/sudo/run_as", json!([]), "sudo.run_as"),
            ("/approved_by", json!(vec!["bob"; 65]), "65"),
        ] {
            let error = Grant::from_value(&with(pointer, value)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let mut nothing = document();
        nothing.as_object_mut().unwrap().remove("login");
        nothing.as_object_mut().unwrap().remove("sudo");
        assert!(Grant::from_value(&nothing).unwrap_err().to_string().contains("neither"));
    }

    #[test]
    fn a_field_given_twice_or_bytes_behind_the_grant_are_refused() {
        let text = document().to_string();
        let twice = text.replacen("\"user\":\"alice\"", "\"user\":\"alice\",\"user\":\"root\"", 1);
        assert!(Grant::from_json(twice.as_bytes()).is_err());
        assert!(Grant::from_json(format!("{text} {{}}").as_bytes()).is_err());
        let list = serde_json::to_string(&document().as_object().unwrap().values().collect::<Vec<_>>()).unwrap();
        assert!(Grant::from_json(list.as_bytes()).unwrap_err().to_string().contains("no JSON object"));
        assert!(Grant::from_json(text.as_bytes()).is_ok());
    }

    #[test]
    fn sudo_without_run_as_means_root() {
        let grant = Grant::from_value(&with("/sudo", json!({"commands": ["ALL"]}))).unwrap();
        assert_eq!(grant.sudo.unwrap().run_as, [LoginName::root()]);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
            let _ = Grant::from_json(&bytes);
        }

        #[test]
        fn any_accepted_reason_is_printable(reason in ".*") {
            if let Ok(grant) = Grant::from_value(&with("/reason", json!(reason))) {
                assert!(!grant.reason.as_str().chars().any(char::is_control));
            }
        }
    }
}
