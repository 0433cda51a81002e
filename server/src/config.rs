//! `server.toml`: what an operator may set, each key with its default.

mod bounds;
mod database;
mod mistake;

pub(crate) use bounds::set_lifetime;
pub(crate) use database::{shown, sqlite_file};
pub(crate) use mistake::ConfigError;

use crate::duration;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the configuration is.
pub(crate) const PATH: &str = "/etc/curfew/server.toml";

/// Where a server keeps what is its own.
pub(crate) const DATA: &str = "/var/lib/curfew-server";

/// The server's configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The address and port to listen on.
    #[serde(deserialize_with = "address")]
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
    /// How much of the disk of an SQLite file is left free by what hosts and strangers write for grants and administrators, in MiB.
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

/// What is wrong with a configuration, and with which keys of it.
#[derive(Debug)]
struct Wrong {
    keys: Vec<&'static str>,
    problem: String,
}

impl Wrong {
    fn of(key: &'static str, problem: String) -> Self {
        Self { keys: vec![key], problem }
    }
}

impl Config {
    /// Reads the file at `path`.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(path, &text)
    }

    /// Parses the text of the file `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| mistake::parsing(path.into(), text, &error))?;
        bounds::check(&config).map_err(|wrong| mistake::value(path.into(), text, wrong))?;
        Ok(config)
    }

    /// The endpoint's name: its first origin.
    pub(crate) fn issuer(&self) -> &str {
        self.origins.first().map_or("", String::as_str)
    }
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

/// A text that is parsed, and what is expected of it.
struct Parsed<T> {
    expected: &'static str,
    parse: fn(&str) -> Result<T, String>,
}

impl<T> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(Parsed { expected: "a duration in quotes, such as \"5m\"", parse: duration::parse })
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let expected = "an address and port in quotes, such as \"127.0.0.1:8443\"";
    let parse = |text: &str| {
        text.parse().map_err(|_| format!("{text:?} is no address and port; write it like 127.0.0.1:8443 or [::]:8443"))
    };
    deserializer.deserialize_str(Parsed { expected, parse })
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
        use std::io;

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
            ("\nlisten = \"8443\"\n", "line 2: listen: \"8443\" is no address and port; write it like 127.0.0.1:8443"),
            ("listen = 8443\n", "listen: invalid type: integer `8443`, expected an address and port in quotes"),
            ("set_lifetime = \"soon\"\n", "set_lifetime: \"soon\" is no duration"),
            (
                "set_lifetime = 300\n",
                "set_lifetime: invalid type: integer `300`, expected a duration in quotes, such as \"5m\"",
            ),
            ("listen = \"[::]:1\"\nlisten = \"[::]:2\"\n", "line 2: listen is there twice"),
            ("max_connections = \"100\"", "max_connections: invalid type: string \"100\", expected a number"),
            ("audit_daily_mib = -1", "audit_daily_mib: invalid value: integer `-1`, expected a number from 0 on"),
            ("\n\norigins = [\"http://a\"]\n", "line 3: origins: \"http://a\" is no origin"),
            ("origins = [\"https://a/b\"]\n", "\"https://a/b\" is no origin"),
            (
                "database_connections = 1\ndatabase = \"mysql://me:secret@db/x\"\n",
                "line 2: database is \"mysql://…@db/x\"",
            ),
            ("\nlongest_wait = \"5m\"\n", "line 2: set_lifetime is 5m and longest_wait 5m"),
            ("\nset_lifetime = \"31s\"\n", "line 2: set_lifetime is 31s and longest_wait 4m"),
            ("database = \"sqlite://curfew.db\"", "sqlite:///FILE"),
            ("listen = ", "line 1"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_would_do_harm_is_out_of_bounds() {
        for (value, says) in [
            ("audit_keep = \"1s\"", "line 1: audit_keep is 1s, and the audit of all hosts"),
            ("audit_keep = \"12m\"", "audit_keep is 12m (m is minutes), and the audit of all hosts"),
            ("audit_keep = \"23h\"", "at least 1d"),
            ("audit_daily_mib = 0", "audit_daily_mib is 0; at least 1"),
            ("set_lifetime = \"1s\"", "line 1: set_lifetime is 1s: a set is fresh for 30s to 30d"),
            ("set_lifetime = \"31d\"", "set_lifetime is 31d: a set is fresh for 30s to 30d"),
            ("max_offline = \"31d\"", "max_offline is 31d; at most 30d"),
            ("longest_wait = \"0s\"", "longest_wait is 0s; at least 10s"),
            ("max_connections = 63", "max_connections is 63; at least 64"),
            ("max_unknown_per_address = 0", "max_unknown_per_address is 0; at least 1"),
            ("database_connections = 0", "database_connections is 0; at least 1"),
            ("database_connections = 4000000000", "database_connections is 4000000000; at most 1000"),
        ] {
            let error = parse(value).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn what_is_at_the_bounds_holds() {
        for text in [
            "audit_keep = \"1d\"\nset_lifetime = \"30d\"\nmax_offline = \"30d\"\nmax_connections = 64\n",
            "set_lifetime = \"40s\"\nlongest_wait = \"10s\"\nmax_offline = \"0s\"\ndisk_reserve_mib = 0\n",
        ] {
            parse(text).unwrap();
        }
    }
}
