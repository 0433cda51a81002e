//! The drop-ins in `/run/curfew/sudoers.d`: one a live sudo grant, and nothing else (sudoers(5)).
//!
//! A grant is hostile input to a sudoers file. Its values can't hold what sudoers would take for more (see
//! `curfew_protocol::grant`), users are written by number, and the host's own visudo(8) has to accept the file before it counts.

use crate::grant::{HeldGrant, State};
use curfew_protocol::grant::LoginName;
use jiff::{SignedDuration, Timestamp};
use nix::unistd::User;
use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Where the drop-ins are.
pub const FOLDER: &str = "/run/curfew/sudoers.d";

/// How long visudo may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where visudo may be.
const VISUDO: [&str; 2] = ["/usr/sbin/visudo", "/usr/bin/visudo"];

/// Why a drop-in was not written; sudo gives nothing by this grant then.
#[derive(Debug, thiserror::Error)]
pub enum SudoersError {
    /// The user is not there, or can't be looked up.
    #[error("user {user} can't be looked up: {problem}")]
    User {
        /// The user.
        user: String,
        /// What the system says.
        problem: String,
    },
    /// The file can't be written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// visudo did not accept the rules.
    #[error("visudo refuses the rules: {0}")]
    Refused(String),
    /// visudo could not be asked.
    #[error("visudo could not be asked: {0}")]
    Visudo(String),
}

/// The grants whose drop-in should be there now.
pub fn wanted(grants: &[HeldGrant], now: Timestamp) -> impl Iterator<Item = &HeldGrant> {
    grants.iter().filter(move |held| held.grant.sudo.is_some() && held.state(now) == State::Live)
}

/// Removes every drop-in but those of `wanted`, and returns the names of those that went.
pub fn remove_unwanted(folder: &Path, wanted: &HashSet<&str>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // A name with a dot is one that is being written; sudo skips it.
    let unwanted: Vec<String> = names.filter(|name| !name.contains('.') && !wanted.contains(name.as_str())).collect();
    unwanted
        .into_iter()
        .filter(|name| match fs::remove_file(folder.join(name)) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(grant = %name, "a sudo drop-in could not be removed: {error}");
                false
            }
        })
        .collect()
}

/// Removes what an agent that was killed left half written.
pub fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with('.')
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::error!(path = %entry.path().display(), "a leftover could not be removed: {error}");
        }
    }
}

/// Writes the rules of `held` beside their place and has visudo check them. [`Checked::put`] puts them there.
///
/// # Errors
///
/// [`SudoersError`]; nothing is in place then.
pub async fn check(folder: &Path, held: &HeldGrant, password: bool) -> Result<Checked, SudoersError> {
    let user = held.grant.user.clone();
    let uid = tokio::task::spawn_blocking(move || uid_of(&user))
        .await
        .map_err(|error| SudoersError::Visudo(error.to_string()))??;
    let path = folder.join(held.grant.id.as_str());
    let file = |source| SudoersError::File { path: path.clone(), source };
    let rules = rules(held, uid, password);
    let mut new = tempfile::Builder::new().prefix(".").suffix(".new").tempfile_in(folder).map_err(file)?;
    new.as_file().set_permissions(fs::Permissions::from_mode(0o440)).map_err(file)?;
    new.write_all(rules.as_bytes()).map_err(file)?;
    ask_visudo(new.path()).await?;
    Ok(Checked { new, path })
}

/// Rules that visudo accepted.
#[must_use]
pub struct Checked {
    new: tempfile::NamedTempFile,
    path: PathBuf,
}

impl Checked {
    /// Renames them into their place.
    ///
    /// # Errors
    ///
    /// What rename(2) says.
    pub fn put(self) -> Result<(), SudoersError> {
        let path = self.path;
        self.new.persist(&path).map(drop).map_err(|error| SudoersError::File { path, source: error.error })
    }
}

fn uid_of(user: &LoginName) -> Result<u32, SudoersError> {
    let unknown = |problem: String| SudoersError::User { user: user.to_string(), problem };
    match User::from_name(user.as_str()) {
        Ok(Some(found)) => Ok(found.uid.as_raw()),
        Ok(None) => Err(unknown("no such user on this host".into())),
        Err(errno) => Err(unknown(errno.to_string())),
    }
}

/// The drop-in of a grant.
fn rules(held: &HeldGrant, uid: u32, password: bool) -> String {
    let grant = &held.grant;
    let Some(sudo) = &grant.sudo else { return String::new() };
    let run_as = sudo.run_as.iter().map(run_as).collect::<Vec<_>>().join(", ");
    let not_after = last_second(grant.window.not_after());
    let tag = if password { "PASSWD" } else { "NOPASSWD" };
    let rule = |command: &curfew_protocol::grant::Command| {
        format!("#{uid} ALL=({run_as}) NOTAFTER={not_after} {tag}: {}\n", command.to_sudoers())
    };
    let head = format!("# Curfew: grant {}. Written while it is live, and removed at its end.\n", grant.id);
    head + &sudo.commands.iter().map(rule).collect::<String>()
}

/// A name that sudoers can only take for a user's: what could be an alias is quoted.
fn run_as(name: &LoginName) -> String {
    let name = name.as_str();
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    if plain { name.to_owned() } else { format!("\"{name}\"") }
}

/// The last whole second that lies in a window, in sudoers' generalized time: sudo still permits in the second of NOTAFTER.
fn last_second(not_after: Timestamp) -> String {
    let last = not_after - SignedDuration::from_nanos(1);
    last.strftime("%Y%m%d%H%M%SZ").to_string()
}

async fn ask_visudo(path: &Path) -> Result<(), SudoersError> {
    let visudo = VISUDO.iter().find(|visudo| Path::new(visudo).exists());
    let visudo = visudo.ok_or_else(|| SudoersError::Visudo(format!("there is none at {}", VISUDO.join(" or "))))?;
    let mut command = tokio::process::Command::new(visudo);
    command.arg("-cf").arg(path).stdin(Stdio::null()).env_clear().kill_on_drop(true);
    match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = [output.stderr, output.stdout].concat();
            Err(SudoersError::Refused(String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ")))
        }
        Ok(Err(error)) => Err(SudoersError::Visudo(error.to_string())),
        Err(_) => Err(SudoersError::Visudo(format!("it took longer than {PATIENCE:?}"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use curfew_protocol::grant::Grant;
    use serde_json::json;

    fn held(sudo: serde_json::Value) -> HeldGrant {
        let grant = Grant::from_value(&json!({
            "id": "g1", "user": "first.last", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "sudo": sudo, "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
        }));
        HeldGrant { grant: grant.unwrap(), revoked: None, reached: None }
    }

    #[test]
    fn rules_name_the_user_by_number_and_end_with_the_grant() {
        let held = held(json!({"run_as": ["root", "www-data"], "commands": ["/usr/bin/id", "/bin/a b=c"]}));
        assert_eq!(
            rules(&held, 1001, false),
            "# Curfew: grant g1. Written while it is live, and removed at its end.\n\
             #1001 ALL=(root, www-data) NOTAFTER=20261121202959Z NOPASSWD: /usr/bin/id\n\
             #1001 ALL=(root, www-data) NOTAFTER=20261121202959Z NOPASSWD: /bin/a b\\=c\n"
        );
        assert!(rules(&held, 1001, true).contains(" PASSWD: "));
    }

    #[test]
    fn a_run_as_name_is_never_an_alias() {
        let held = held(json!({"run_as": ["ADMINS", "a@b.example"], "commands": ["ALL"]}));
        assert!(rules(&held, 1, false).contains("ALL=(\"ADMINS\", \"a@b.example\") "));
    }

    #[test]
    fn part_of_a_second_is_never_rounded_up_past_the_end() {
        assert_eq!(last_second("2026-11-21T20:30:00Z".parse().unwrap()), "20261121202959Z");
        assert_eq!(last_second("2026-11-21T20:30:00.5Z".parse().unwrap()), "20261121203000Z");
    }

    #[test]
    fn only_wanted_drop_ins_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["live", "ended", "planted", ".tmp.new"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut gone = remove_unwanted(folder.path(), &HashSet::from(["live"]));
        gone.sort();
        assert_eq!(gone, ["ended", "planted"]);
        assert!(folder.path().join("live").exists());
    }
}
