//! `/etc/curfew/agent.toml`: what an operator may set, each key with its default.
//!
//! A file that can't be used never opens a door: the agent goes on with the last one that could be, and says so.

pub mod edit;
pub mod exempt_list;
pub mod service;

use crate::durable;
use curfew_protocol::host_api::LONGEST_WAIT_S;
pub use curfew_protocol::human_time::parse_duration;
use curfew_protocol::human_time::typed_duration;
use serde::{Deserialize, Deserializer};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the configuration is.
pub const PATH: &str = "/etc/curfew/agent.toml";

/// The agent's configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// PAM services in which `PAM_USER` is judged.
    #[serde(deserialize_with = "services")]
    pub login_services: Vec<String>,
    /// PAM services in which `PAM_RUSER` is judged.
    #[serde(deserialize_with = "services")]
    pub elevation_services: Vec<String>,
    /// PAM services that run what people left for later, such as cron: nobody's jobs run there without a live grant of theirs.
    #[serde(deserialize_with = "services")]
    pub background_services: Vec<String>,
    /// Whether a person's lingering ends with their last grant.
    pub end_lingering: bool,
    /// How long before the end of access the person is warned, each time.
    #[serde(deserialize_with = "durations")]
    pub warn_before: Vec<Duration>,
    /// How long before the end a session's programs get HUP and TERM.
    #[serde(deserialize_with = "grace")]
    pub grace: Duration,
    /// What a denial tells people to do.
    #[serde(deserialize_with = "printable")]
    pub request_hint: String,
    /// Whether sudo asks for the person's password under a grant.
    pub sudo_password: bool,
    /// How much of the audit spool is kept, in MiB.
    pub audit_keep_mib: u64,
    /// Whether the host is looked at before and after sudo, and what changed in between is audited.
    pub residue_report: bool,
    /// How long the endpoint may hold a question for changes.
    #[serde(deserialize_with = "poll_wait")]
    pub poll_wait: Duration,
    /// How often an endpoint is asked that only hands out files.
    #[serde(deserialize_with = "poll_interval")]
    pub poll_interval: Duration,
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Refuse, end and write.
    #[default]
    Enforce,
    /// Decide and audit, and do nothing else.
    Observe,
}

impl Mode {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            mode: Mode::Enforce,
            login_services: names(&["sshd", "login"]),
            elevation_services: names(&["sudo", "sudo-i", "su", "su-l"]),
            background_services: Vec::new(),
            end_lingering: true,
            warn_before: vec![minutes(15), minutes(5), minutes(1)],
            grace: Duration::from_secs(5),
            request_hint: "Ask an operator of this host for a grant.".into(),
            sudo_password: false,
            audit_keep_mib: 1024,
            residue_report: true,
            poll_wait: Duration::from_secs(50),
            poll_interval: Duration::from_secs(60),
        }
    }
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It can't be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What reading it said.
        source: io::Error,
    },
    /// It is not TOML, or has a key or a value that means nothing.
    #[error("{path}, line {line}: {problem}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there, with the value.
        problem: String,
    },
    /// Values that do not go together.
    #[error("{path}: {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the key and the value.
        problem: String,
    },
}

impl Config {
    /// Reads the file at `path`; a missing one is all defaults.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the file, the line and the value.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        match Self::load_existing(path) {
            Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            loaded => loaded,
        }
    }

    /// As [`Config::load`], where the file has to be there.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the file, the line and the value.
    pub fn load_existing(path: &Path) -> Result<Self, ConfigError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(source) => Err(ConfigError::Read { path: path.into(), source }),
        }
    }

    /// Reads the file at `path` and remembers it at `last_good`; if it can't be used, reads what was remembered.
    ///
    /// # Errors
    ///
    /// The file's own [`ConfigError`] where nothing usable was remembered.
    pub fn load_or_last_good(path: &Path, last_good: &Path) -> Result<(Self, Option<ConfigError>), ConfigError> {
        match Self::load(path) {
            Ok(config) => {
                // Best effort: without the copy, a later mistake in the file is an error instead of a warning.
                let _ = match fs::read(path) {
                    Ok(text) if fs::read(last_good).is_ok_and(|kept| kept == text) => Ok(()),
                    Ok(text) => durable::write(last_good, &text),
                    Err(_) => fs::remove_file(last_good),
                };
                Ok((config, None))
            }
            Err(error) if last_good.exists() => match Self::load(last_good) {
                Ok(config) => Ok((config, Some(error))),
                Err(_) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Parses the text of the file `path`. Public for the fuzzer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the file, the line and the value.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let wrong = |key: &str, error: &toml::de::Error| ConfigError::Parse {
            path: path.into(),
            line: error.span().map_or(1, |span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1),
            problem: with_key(key, error.message()),
        };
        let document = toml::Deserializer::parse(text).map_err(|error| wrong("", &error))?;
        let config: Self = serde_path_to_error::deserialize(document)
            .map_err(|error| wrong(&error.path().to_string(), error.inner()))?;
        config.check().map_err(|problem| ConfigError::Value { path: path.into(), problem })?;
        Ok(config)
    }

    /// Every PAM service that is judged.
    pub fn services(&self) -> impl Iterator<Item = &String> {
        self.login_services.iter().chain(&self.elevation_services).chain(&self.background_services)
    }

    fn check(&self) -> Result<(), String> {
        let mut seen = HashSet::new();
        if let Some(twice) = self.services().find(|name| !seen.insert(*name)) {
            let lists = "login_services, elevation_services and background_services";
            return Err(format!("{twice:?} is twice in {lists}; a service can be in one of them, once"));
        }
        Ok(())
    }
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-@+".contains(c))
}

/// What is wrong, with the key that it is wrong with. What names a key already needs none.
fn with_key(key: &str, problem: &str) -> String {
    let names_it = key.is_empty() || key == "." || problem.contains(&format!("`{key}`"));
    if names_it { problem.to_owned() } else { format!("{key}: {problem}") }
}

/// Reads a duration within bounds, in seconds. Bounds are checked here, where the line is known.
fn bounded<'de, D: Deserializer<'de>>(deserializer: D, least: u64, most: u64) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let duration = parse_duration(&text).map_err(serde::de::Error::custom)?;
    let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = (typed_duration(least), typed_duration(most));
    Err(serde::de::Error::custom(format!("it is {text}; between {least} and {most}")))
}

fn grace<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    bounded(deserializer, 0, 600)
}

fn poll_wait<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    bounded(deserializer, 1, LONGEST_WAIT_S)
}

fn poll_interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    bounded(deserializer, 1, 3600)
}

fn printable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.chars().any(char::is_control) {
        return Err(serde::de::Error::custom(format!("it has a control character: {text:?}")));
    }
    Ok(text)
}

fn services<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    if let Some(bad) = names.iter().find(|name| !is_file_name(name)) {
        return Err(serde::de::Error::custom(format!("{bad:?} is no PAM service: name a file in /etc/pam.d")));
    }
    Ok(names)
}

fn durations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| parse_duration(text).map_err(serde::de::Error::custom)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("agent.toml"), text)
    }

    #[test]
    fn the_shipped_file_shows_every_key_at_its_default() {
        let shipped = include_str!("../../packaging/agent.toml");
        assert_eq!(parse(shipped).unwrap(), Config::default());
        let bare: String =
            shipped.lines().filter_map(|line| line.strip_prefix("#")).fold(String::new(), |text, line| {
                if line.contains(" = ") && !line.starts_with("  ") { text + line.trim() + "\n" } else { text }
            });
        assert_eq!(parse(&bare).unwrap(), Config::default());
        assert_eq!(bare.lines().count(), 13, "{bare}");
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_value() {
        for (text, says) in [
            ("mode = \"observe\"\ncolour = 1\n", "agent.toml, line 2: unknown field `colour`"),
            ("\n\nmode = \"watch\"\n", "agent.toml, line 3: mode: unknown variant `watch`"),
            ("grace = \"soon\"\n", "\"soon\" is no duration"),
            ("grace = \"-5s\"\n", "\"-5s\" is no duration"),
            ("warn_before = [\"1m\", \"x\"]\n", "\"x\" is no duration"),
            ("login_services = [\"sudo\"]\n", "\"sudo\" is twice in login_services, elevation_services"),
            ("login_services = [\"../shadow\"]\n", "\"../shadow\" is no PAM service"),
            ("\ngrace = \"2h\"\n", "agent.toml, line 2: grace: it is 2h; between 0s and 10m"),
            ("poll_wait = \"6m\"\n", "line 1: poll_wait: it is 6m; between 1s and 5m"),
            ("poll_interval = \"0s\"\n", "line 1: poll_interval: it is 0s; between 1s and 1h"),
            ("\nlogin_services = \"sshd\"\n", "agent.toml, line 2: login_services: invalid type"),
            ("\nrequest_hint = \"\\u001b\"\n", "agent.toml, line 2: request_hint: it has a control character"),
            ("mode = ", "line 1"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_bad_file_leaves_the_last_good_one_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let (path, last_good) = (folder.path().join("agent.toml"), folder.path().join("last-good"));
        fs::write(&path, "mode = \"observe\"\n").unwrap();
        assert!(Config::load_or_last_good(&path, &last_good).unwrap().1.is_none());
        fs::write(&path, "mode = \"nonsense\"\n").unwrap();
        let (config, error) = Config::load_or_last_good(&path, &last_good).unwrap();
        assert_eq!(config.mode, Mode::Observe);
        assert!(error.unwrap().to_string().contains("nonsense"));
        fs::remove_file(&last_good).unwrap();
        assert!(Config::load_or_last_good(&path, &last_good).is_err());
    }
}
