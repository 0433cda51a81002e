//! The rules of a grant, as sudoers(5) has them.
//!
//! A grant is hostile input to a sudoers file. Its values can't hold what sudoers would take for more (see
//! `curfew_protocol::grant`), users are written by number, and the host's own visudo(8) has to accept the file before it counts.

use crate::grant::{Content, HeldGrant};
use crate::host::program;
use crate::host::sudo::{Flavour, HostSudo};
use crate::wiring::DROP_IN_FOLDER;
use curfew_protocol::grant::LoginName;
use jiff::{SignedDuration, Timestamp};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::sync::Semaphore;

/// The first line of a drop-in tells for which sudo it is.
const FOR_CLASSIC: &str = ", for classic sudo. ";

const FOR_RS: &str = ", for sudo-rs. ";

/// The second line tells which content of the grant it is for, where a grant can have several.
const CONTENT: &str = "# Content ";

/// The largest user id that sudo-rs 0.2.5 reads: a rule with a longer one is for nobody, and its visudo has no objection.
const LARGEST_UID_OF_RS: u32 = 999_999_999;

/// How many visudo run at a time.
static VISUDO: Semaphore = Semaphore::const_new(4);

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
    /// Which sudo would read the rules can't be told.
    #[error("which sudo the host runs can't be told: {0}")]
    Sudo(String),
    /// sudo-rs has no words for it.
    #[error("sudo-rs can't be told {what}; {mend}")]
    NotForRs {
        /// What the grant asks for.
        what: String,
        /// What to do about it.
        mend: &'static str,
    },
    /// visudo did not accept the rules.
    #[error("visudo refuses the rules: {0}")]
    Refused(String),
    /// visudo could not be asked.
    #[error("visudo could not be asked: {0}")]
    Visudo(String),
}

fn head(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    fs::File::open(path).ok()?.take(256).read_to_end(&mut head).ok()?;
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// The content that a drop-in was written for.
pub(super) fn content_of(path: &Path) -> Option<Content> {
    head(path)?.lines().nth(1)?.strip_prefix(CONTENT)?.parse().ok()
}

/// The user id that a drop-in was written for.
pub(super) fn uid_in(path: &Path) -> Option<u32> {
    let head = head(path)?;
    head.lines().find_map(|line| line.strip_prefix('#')?.split_once(" ALL=")?.0.parse().ok())
}

/// The sudo that a drop-in was written for.
pub(super) fn flavour_of(path: &Path) -> Option<Flavour> {
    let head = head(path)?;
    let line = head.lines().next()?;
    match (line.contains(FOR_CLASSIC), line.contains(FOR_RS)) {
        (true, false) => Some(Flavour::Classic),
        (false, true) => Some(Flavour::Rs),
        _ => None,
    }
}

/// Writes the rules of `held` beside their place and has visudo check them. [`Checked::put`] puts them there.
///
/// # Errors
///
/// [`SudoersError`]; nothing is in place then.
pub async fn check(
    sudo: &HostSudo,
    folder: &Path,
    held: &HeldGrant,
    uid: Result<u32, SudoersError>,
    password: bool,
) -> Result<Checked, SudoersError> {
    let flavour = sudo.flavour().map_err(SudoersError::Sudo)?;
    let rules = rules(held, uid?, password, flavour)?;
    check_text(sudo, folder.join(held.grant.id.as_str()), &rules, flavour).await
}

/// Writes a text for `flavour` beside its place and has visudo check it.
///
/// # Errors
///
/// As [`check`].
pub async fn check_text(sudo: &HostSudo, path: PathBuf, text: &str, flavour: Flavour) -> Result<Checked, SudoersError> {
    let file = |source| SudoersError::File { path: path.clone(), source };
    let folder = path.parent().unwrap_or(Path::new(DROP_IN_FOLDER));
    let mut new = tempfile::Builder::new().prefix(".").suffix(".new").tempfile_in(folder).map_err(file)?;
    new.as_file().set_permissions(fs::Permissions::from_mode(0o440)).map_err(file)?;
    new.write_all(text.as_bytes()).map_err(file)?;
    let visudo = sudo.visudo(flavour).map_err(SudoersError::Visudo)?;
    // Ten thousand grants may open at once; people's lookups do not stand here.
    let _turn = VISUDO.acquire().await.map_err(|error| SudoersError::Visudo(error.to_string()))?;
    ask_visudo(&visudo, new.path()).await?;
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

/// The drop-in of a grant.
fn rules(held: &HeldGrant, uid: u32, password: bool, flavour: Flavour) -> Result<String, SudoersError> {
    let grant = &held.grant;
    let Some(sudo) = &grant.sudo else { return Ok(String::new()) };
    let (written_for, limit) = match flavour {
        Flavour::Classic => (FOR_CLASSIC, format!("NOTAFTER={} ", last_second(grant.window.not_after()))),
        // It has no NOTAFTER: the end is ours and PAM's alone.
        Flavour::Rs => {
            fits_rs(uid, &sudo.run_as)?;
            (FOR_RS, String::new())
        }
    };
    let run_as = sudo.run_as.iter().map(run_as).collect::<Vec<_>>().join(", ");
    let tag = if password { "PASSWD" } else { "NOPASSWD" };
    let rule = |command: &curfew_protocol::grant::Command| {
        format!("#{uid} ALL=({run_as}) {limit}{tag}: {}\n", command.to_sudoers())
    };
    let head = format!("# Curfew: grant {}{written_for}Written while it is live, and removed at its end.\n", grant.id);
    let content = held.content.map(|content| format!("{CONTENT}{content}\n")).unwrap_or_default();
    Ok(head + &content + &sudo.commands.iter().map(rule).collect::<String>())
}

/// Refuses what the visudo of sudo-rs accepts and sudo-rs reads as something else. 0.2.5 takes `"root@example.org"` for root: it ends
/// a name before the first character that it does not know.
fn fits_rs(uid: u32, run_as: &[LoginName]) -> Result<(), SudoersError> {
    if uid > LARGEST_UID_OF_RS {
        let what = format!("of a user with the id {uid}");
        return Err(SudoersError::NotForRs { what, mend: "it reads nine digits" });
    }
    let fits = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    match run_as.iter().find(|name| !fits(name.as_str())) {
        Some(name) => Err(SudoersError::NotForRs {
            what: format!("to run commands as {name}"),
            mend: "it knows no names with @ or +, nor with _ at the beginning",
        }),
        None => Ok(()),
    }
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

async fn ask_visudo(visudo: &Path, rules: &Path) -> Result<(), SudoersError> {
    let said = program::run(visudo, "visudo", &["-cf".as_ref(), rules.as_os_str()]).await;
    let said = said.map_err(SudoersError::Visudo)?;
    if said.success {
        Ok(())
    } else {
        Err(SudoersError::Refused(said.text().split_whitespace().collect::<Vec<_>>().join(" ")))
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
        HeldGrant::new(grant.unwrap(), crate::grant::Source::Local)
    }

    #[test]
    fn rules_name_the_user_by_number_and_end_with_the_grant() {
        let held = held(json!({"run_as": ["root", "www-data"], "commands": ["/usr/bin/id", "/bin/a b=c"]}));
        assert_eq!(
            rules(&held, 1001, false, Flavour::Classic).unwrap(),
            "# Curfew: grant g1, for classic sudo. Written while it is live, and removed at its end.\n\
             #1001 ALL=(root, www-data) NOTAFTER=20261121202959Z NOPASSWD: /usr/bin/id\n\
             #1001 ALL=(root, www-data) NOTAFTER=20261121202959Z NOPASSWD: /bin/a b\\=c\n"
        );
        assert!(rules(&held, 1001, true, Flavour::Classic).unwrap().contains(" PASSWD: "));
    }

    #[test]
    fn rules_for_sudo_rs_have_nothing_that_it_does_not_know() {
        let held = held(json!({"run_as": ["root", "Bob"], "commands": ["/usr/bin/id"]}));
        assert_eq!(
            rules(&held, 1001, true, Flavour::Rs).unwrap(),
            "# Curfew: grant g1, for sudo-rs. Written while it is live, and removed at its end.\n\
             #1001 ALL=(root, \"Bob\") PASSWD: /usr/bin/id\n"
        );
    }

    #[test]
    fn what_sudo_rs_would_read_as_something_else_is_refused() {
        for name in ["root@corp.example", "root+x", "_apt"] {
            let held = held(json!({"run_as": ["bob", name], "commands": ["ALL"]}));
            let refused = rules(&held, 1001, true, Flavour::Rs).unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
            assert!(rules(&held, 1001, true, Flavour::Classic).is_ok());
        }
        let held = held(json!({"run_as": ["root"], "commands": ["ALL"]}));
        assert!(rules(&held, 1_234_500_500, true, Flavour::Rs).is_err());
        assert!(rules(&held, 999_999_999, true, Flavour::Rs).is_ok());
    }

    #[test]
    fn a_drop_in_tells_which_sudo_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g1");
        let held = held(json!({"run_as": ["root"], "commands": ["ALL"]}));
        for flavour in [Flavour::Classic, Flavour::Rs] {
            fs::write(&path, rules(&held, 1001, true, flavour).unwrap()).unwrap();
            assert_eq!(flavour_of(&path), Some(flavour));
        }
        fs::write(folder.path().join("old"), "# Curfew: grant g1. Written while it is live.\n").unwrap();
        assert_eq!(flavour_of(&folder.path().join("old")), None);
        assert_eq!(flavour_of(&folder.path().join("none")), None);
    }

    #[test]
    fn a_drop_in_tells_which_content_of_its_grant_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g1");
        let held = held(json!({"run_as": ["root"], "commands": ["ALL"]}));
        fs::write(&path, rules(&held, 1001, true, Flavour::Classic).unwrap()).unwrap();
        assert_eq!(content_of(&path), None);
        let content = Content::of(&held.grant);
        let held = HeldGrant::of_endpoint(held.grant, content);
        fs::write(&path, rules(&held, 1001, true, Flavour::Classic).unwrap()).unwrap();
        assert_eq!((content_of(&path), flavour_of(&path)), (Some(content), Some(Flavour::Classic)));
    }

    #[test]
    fn a_run_as_name_is_never_an_alias() {
        let held = held(json!({"run_as": ["ADMINS", "a@b.example"], "commands": ["ALL"]}));
        let rules = rules(&held, 1, false, Flavour::Classic).unwrap();
        assert!(rules.contains("ALL=(\"ADMINS\", \"a@b.example\") "));
    }

    #[test]
    fn part_of_a_second_is_never_rounded_up_past_the_end() {
        assert_eq!(last_second("2026-11-21T20:30:00Z".parse().unwrap()), "20261121202959Z");
        assert_eq!(last_second("2026-11-21T20:30:00.5Z".parse().unwrap()), "20261121203000Z");
    }
}
