//! `curfew enroll`, `leave`, `rotate-key` and `sync`: this host and its central endpoint.

use super::{CliError, Outcome, order_patiently, print};
use crate::endpoint::identity::Place;
use crate::endpoint::tls;
use crate::ipc::messages::{EnrollOrder, Joined, ShownSet, StaticOrder};
use clap::Args;
use curfew_protocol::grant_set::HostId;
use curfew_protocol::jws::PublicKey;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the endpoint may take, with everything that can be slow on the way.
const PATIENCE: Duration = Duration::from_secs(100);

/// The longest file that is read, in bytes: what fits into one message to the agent.
const LONGEST_FILE: u64 = 64 * 1024;

/// Join a central endpoint, whose grants this host follows from then on. Root alone.
///
/// The host makes a key, which never leaves it, and shows the endpoint a one-use token. If the answer is lost, the same command with the same
/// token does it. With --static, the endpoint is a web server that hands out the host's grants as a signed file.
#[derive(Args, Debug)]
pub struct Enroll {
    /// The endpoint's address, such as https://curfew.example.org:8443.
    #[arg(value_parser = parse_url)]
    url: String,
    /// The file with the one-use token; - for standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "files")]
    token_file: Option<PathBuf>,
    /// The authority that alone may vouch for the endpoint (PEM); the system's if left out.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// What people at the endpoint are to know this host by; its host name if left out.
    #[arg(long, value_name = "NAME", conflicts_with = "files")]
    name: Option<String>,
    /// A web server that hands out files: URL/HOST.jws.
    #[arg(long = "static", id = "files", requires = "host", requires = "keys", conflicts_with = "token_file")]
    files: bool,
    /// This host's name there.
    #[arg(long, value_name = "ID", requires = "files")]
    host: Option<HostId>,
    /// The file with the keys that sign sets (`curfew-server export` writes it as keys.json).
    #[arg(long, value_name = "FILE", requires = "files")]
    keys: Option<PathBuf>,
    /// Leave the endpoint that the host has now, with all its grants.
    #[arg(long)]
    replace: bool,
}

/// Leave the central endpoint: its grants end now, and the host's key is destroyed. Root alone.
#[derive(Args, Debug)]
pub struct Leave {}

/// Change the key by which the central endpoint knows this host for a new one. Root alone.
#[derive(Args, Debug)]
pub struct RotateKey {}

/// Ask the central endpoint for this host's grants now. Root alone.
#[derive(Args, Debug)]
pub struct Sync {}

impl Enroll {
    pub(super) fn run(self, json: bool) -> Result<Outcome, CliError> {
        let ca = self.ca.as_deref().map(authorities).transpose()?;
        let (url, replace) = (self.url, self.replace);
        let joined: Joined = match (self.host, self.keys, self.token_file) {
            (Some(host), Some(keys), _) if self.files => {
                let keys = keys_in(&keys)?;
                order_patiently("EnrollStatic", StaticOrder { url, host, keys, ca, replace }, PATIENCE)?
            }
            (_, _, Some(token)) => {
                let token = read("--token-file", &token)?.trim().to_owned();
                order_patiently("Enroll", EnrollOrder { url, token, ca, name: self.name, replace }, PATIENCE)?
            }
            _ => return Err(CliError::Usage("give --token-file, or --static with --host and --keys".into())),
        };
        print(json, &joined, || format!("This host is {} at {} now.\n", joined.host, joined.endpoint))?;
        Ok(Outcome::Yes)
    }
}

impl Leave {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, CliError> {
        let done: Value = order_patiently("Leave", json!({}), PATIENCE)?;
        print(json, &done, || {
            "This host has left its endpoint: the endpoint's grants have ended, and the host's key is gone.\n".into()
        })?;
        Ok(Outcome::Yes)
    }
}

impl RotateKey {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, CliError> {
        #[derive(Deserialize, serde::Serialize)]
        struct Rotated {
            key: String,
        }
        let rotated: Rotated = order_patiently("RotateKey", json!({}), PATIENCE)?;
        print(json, &rotated, || format!("The host's key is {} now.\n", rotated.key))?;
        Ok(Outcome::Yes)
    }
}

impl Sync {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, CliError> {
        #[derive(Deserialize)]
        struct Synced {
            set: ShownSet,
        }
        let Synced { set } = order_patiently("Sync", json!({}), PATIENCE)?;
        print(json, &set, || super::status::set_line(&set))?;
        Ok(Outcome::Yes)
    }
}

/// An address that can be an endpoint's. The agent, which follows it, judges by itself.
fn parse_url(text: &str) -> Result<String, String> {
    Place::parse(text, None).map(|_| text.to_owned())
}

/// Reads certificates of authorities.
fn authorities(path: &Path) -> Result<String, CliError> {
    let pem = read("--ca", path)?;
    match tls::authorities(&pem) {
        Ok(_) => Ok(pem),
        Err(error) => Err(CliError::Failed(format!("--ca {}: {error}", path.display()))),
    }
}

/// Reads the file that an option names whole; `-` is standard input.
fn read(option: &str, path: &Path) -> Result<String, CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("{option} {}: {error}", path.display()));
    let mut text = String::new();
    let length = if path == Path::new("-") {
        std::io::stdin().lock().take(LONGEST_FILE + 1).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(LONGEST_FILE + 1).read_to_string(&mut text))
    };
    match length.map_err(failed)? {
        length if length as u64 > LONGEST_FILE => Err(CliError::Failed(format!(
            "{option} {}: longer than {LONGEST_FILE} bytes, which is the most",
            path.display()
        ))),
        _ => Ok(text),
    }
}

/// Reads a JWK set (RFC 7517), or a list of keys.
fn keys_in(path: &Path) -> Result<Vec<PublicKey>, CliError> {
    #[derive(Deserialize)]
    struct KeySet {
        keys: Vec<PublicKey>,
    }
    let text = read("--keys", path)?;
    let listed = text.trim_start().starts_with('[');
    let keys =
        if listed { serde_json::from_str(&text) } else { serde_json::from_str(&text).map(|KeySet { keys }| keys) };
    let keys = keys.map_err(|error| CliError::Failed(format!("--keys {}: no set of keys: {error}", path.display())))?;
    if keys.is_empty() {
        return Err(CliError::Failed(format!("--keys {}: there is no key in it", path.display())));
    }
    Ok(keys)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::Parser;

    #[test]
    fn what_is_wrong_is_told_with_the_argument_that_it_is_wrong_with() {
        let error = Cli::try_parse_from(["curfew", "enroll", "http://e", "--token-file", "t"]).unwrap_err();
        let text = error.to_string();
        assert!(error.exit_code() == 2 && text.contains("<URL>") && text.contains("not https"), "{text}");
        let missing = read("--token-file", Path::new("/nonexistent/token")).unwrap_err().to_string();
        assert!(missing.starts_with("--token-file /nonexistent/token: No such file"), "{missing}");
    }
}
