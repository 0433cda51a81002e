//! `server.toml`: what an operator may set, each key with its default.

use crate::duration;
use serde::{Deserialize, Deserializer};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the configuration is.
pub(crate) const PATH: &str = "/etc/curfew/server.toml";

/// Where a server keeps what is its own.
pub(crate) const DATA: &str = "/var/lib/curfew-server";

/// How much longer a set has to be fresh than a poll may wait: the time to fetch the next one.
const FRESH_BEYOND_WAIT: Duration = Duration::from_secs(30);

/// The server's configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// The URLs by which hosts and people reach this endpoint; the first is its name in what it signs.
    pub origins: Vec<String>,
    /// The database's URL.
    pub database: String,
    /// The most connections to a PostgreSQL, or readers of an SQLite file.
    pub database_connections: u32,
    /// The server's certificate and the ones between it and its CA, in PEM.
    pub certificate: PathBuf,
    /// The certificate's private key, in PEM.
    pub certificate_key: PathBuf,
    /// The CA that the command line on this machine trusts; nothing for the system's.
    pub ca: PathBuf,
    /// The folder of the keys that sign sets.
    pub key_folder: PathBuf,
    /// For how long a set is fresh.
    #[serde(deserialize_with = "duration")]
    pub set_lifetime: Duration,
    /// How long beyond that a host without a fresh one still lets people in.
    #[serde(deserialize_with = "duration")]
    pub max_offline: Duration,
    /// The longest that a host's poll is parked.
    #[serde(deserialize_with = "duration")]
    pub longest_wait: Duration,
    /// The most connections of hosts and people.
    pub max_connections: usize,
    /// The most connections of one address that have not shown a credential.
    pub max_unknown_per_address: usize,
    /// The socket for administrators on the machine itself; nothing for none.
    pub socket: PathBuf,
    /// How long the audit is kept.
    #[serde(deserialize_with = "duration")]
    pub audit_keep: Duration,
    /// How much audit one host may add a day, in MiB.
    pub audit_daily_mib: u32,
    /// How much of the disk of an SQLite file the hosts' audit leaves free for grants and administrators, in MiB.
    pub disk_reserve_mib: u32,
}

impl Default for Config {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            listen: SocketAddr::new(IpAddr::from([0_u16; 8]), 8443),
            origins: Vec::new(),
            database: database_in(Path::new(DATA)),
            database_connections: 16,
            certificate: certificate_in(Path::new(DATA)),
            certificate_key: certificate_key_in(Path::new(DATA)),
            ca: ca_in(Path::new(DATA)),
            key_folder: key_folder_in(Path::new(DATA)),
            set_lifetime: minutes(5),
            max_offline: minutes(4 * 60),
            longest_wait: minutes(4),
            max_connections: 20_000,
            max_unknown_per_address: 256,
            socket: "/run/curfew-server/admin.sock".into(),
            audit_keep: minutes(400 * 24 * 60),
            audit_daily_mib: 256,
            disk_reserve_mib: 512,
        }
    }
}

/// The database of a server that keeps its data in `data`.
pub(crate) fn database_in(data: &Path) -> String {
    format!("sqlite://{}", data.join("curfew.db").display())
}

/// Its certificate.
pub(crate) fn certificate_in(data: &Path) -> PathBuf {
    data.join("tls/server.pem")
}

/// Its certificate's key.
pub(crate) fn certificate_key_in(data: &Path) -> PathBuf {
    data.join("tls/server.key")
}

/// Its socket for administrators on the machine itself.
pub(crate) fn socket_in(data: &Path) -> PathBuf {
    data.join("admin.sock")
}

/// Its CA.
pub(crate) fn ca_in(data: &Path) -> PathBuf {
    data.join("tls/ca.pem")
}

/// Its signing keys.
pub(crate) fn key_folder_in(data: &Path) -> PathBuf {
    data.join("keys")
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It can't be read.
    #[error("{path}: {source}. {}", next(source, path))]
    Read { path: PathBuf, source: io::Error },
    /// It is not TOML, or has a key or a value that means nothing.
    #[error("{path}, line {line}: {problem}")]
    Parse { path: PathBuf, line: usize, problem: String },
    /// A value is out of bounds.
    #[error("{path}, line {line}: {problem}")]
    Value { path: PathBuf, line: usize, problem: String },
}

impl Config {
    /// Reads the file at `path`.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(path, &text)
    }

    /// Parses the text of the file `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.into(),
            line: error.span().map_or(1, |span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1),
            problem: error.message().to_owned(),
        })?;
        config.check().map_err(|(key, problem)| {
            let line = text.lines().position(|line| line.trim_start().starts_with(key));
            ConfigError::Value { path: path.into(), line: line.map_or(1, |line| line + 1), problem }
        })?;
        Ok(config)
    }

    /// The endpoint's name: its first origin.
    pub(crate) fn issuer(&self) -> &str {
        self.origins.first().map_or("", String::as_str)
    }

    /// The key that is wrong, and what is wrong with it.
    fn check(&self) -> Result<(), (&'static str, String)> {
        for origin in &self.origins {
            check_origin(origin).map_err(|problem| ("origins", format!("origins: {problem}")))?;
        }
        let known = ["sqlite:///", "postgres://", "postgresql://"];
        if !known.iter().any(|scheme| self.database.starts_with(scheme)) {
            let problem = format!(
                "database is {:?}; sqlite:///FILE, postgres://… or postgresql://… is expected",
                shown(&self.database)
            );
            return Err(("database", problem));
        }
        if self.database_connections == 0 {
            return Err(("database_connections", "database_connections is 0; at least 1".into()));
        }
        if self.max_connections == 0 {
            return Err(("max_connections", "max_connections is 0; at least 1".into()));
        }
        if self.max_unknown_per_address == 0 {
            return Err(("max_unknown_per_address", "max_unknown_per_address is 0; at least 1".into()));
        }
        if self.set_lifetime < self.longest_wait.saturating_add(FRESH_BEYOND_WAIT) {
            let problem = format!(
                "longest_wait is {:?} and set_lifetime {:?}: sets would go stale while hosts wait; leave 30 s between",
                self.longest_wait, self.set_lifetime
            );
            return Err(("longest_wait", problem));
        }
        Ok(())
    }
}

/// What to do where a configuration can't be read.
fn next(error: &io::Error, path: &Path) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "Say it as root, or let the server's user read it: chown root:curfew-server {0}; chmod 0640 {0}",
            path.display()
        ),
        io::ErrorKind::NotFound => "Make one with: curfew-server init".into(),
        _ => "It has to be a file in TOML".into(),
    }
}

/// The file of an SQLite database, whatever characters its name has.
pub(crate) fn sqlite_file(database: &str) -> Option<&Path> {
    database.strip_prefix("sqlite://").map(Path::new)
}

/// An origin as RFC 6454 writes it: `https://NAME[:PORT]`, and nothing behind.
pub(crate) fn check_origin(origin: &str) -> Result<(), String> {
    let name = origin.strip_prefix("https://").unwrap_or_default();
    let holds = name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    if name.is_empty() || !holds {
        return Err(format!("{origin:?} is no origin; write it like https://curfew.example.org:8443"));
    }
    Ok(())
}

/// A database's URL without its password.
pub(crate) fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}"),
        _ => url.to_owned(),
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("server.toml"), text)
    }

    #[test]
    fn the_shipped_file_shows_every_key_at_its_default() {
        let shipped = include_str!("../../packaging/server.toml");
        assert_eq!(parse(shipped).unwrap(), Config::default());
        let bare: String =
            shipped.lines().filter_map(|line| line.strip_prefix("#")).fold(String::new(), |text, line| {
                if line.contains(" = ") && !line.starts_with(' ') { text + line.trim() + "\n" } else { text }
            });
        assert_eq!(parse(&bare).unwrap(), Config::default());
        assert_eq!(bare.lines().count(), 17, "{bare}");
    }

    #[test]
    fn only_one_that_is_not_there_is_to_be_made() {
        for (kind, says, silent) in [
            (io::ErrorKind::NotFound, "curfew-server init", "chown"),
            (io::ErrorKind::PermissionDenied, "chown root:curfew-server a.toml; chmod 0640 a.toml", "init"),
            (io::ErrorKind::IsADirectory, "a file", "init"),
        ] {
            let error = ConfigError::Read { path: "a.toml".into(), source: kind.into() }.to_string();
            assert!(error.contains(says) && !error.contains(silent), "{error}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_value() {
        for (text, says) in [
            ("listen = \"[::]:1\"\ncolour = 1\n", "server.toml, line 2: unknown field `colour`"),
            ("\nlisten = \"everywhere\"\n", "server.toml, line 2: "),
            ("set_lifetime = \"soon\"\n", "\"soon\" is no duration"),
            ("\n\norigins = [\"http://a\"]\n", "line 3: origins: \"http://a\" is no origin"),
            ("origins = [\"https://a/b\"]\n", "\"https://a/b\" is no origin"),
            ("database = \"mysql://me:secret@db/x\"\n", "mysql://…@db/x"),
            ("\nlongest_wait = \"5m\"\n", "line 2: longest_wait is 300s and set_lifetime 300s"),
            ("database = \"sqlite://curfew.db\"", "sqlite:///FILE"),
            ("max_connections = 0", "at least 1"),
            ("listen = ", "line 1"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
