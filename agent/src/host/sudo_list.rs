//! What the host's sudo lists for a person (`sudo -ll -U USER`), and whether that is what a grant says: rules of others
//! may come behind ours and win, or sudo may read other rules altogether. That runs nothing, asks for nothing, and
//! refuses nobody; classic sudo asks PAM about root meanwhile.

pub mod listing;

use self::listing::{Listing, Ruling};
use super::program::{self, Said};
use super::sudo::SUDO;
use super::systemd::SYSTEMD_RUN;
use curfew_protocol::display::printable;
use curfew_protocol::grant::{Grant, SudoAccess};
use std::ffi::OsStr;
use std::path::Path;

/// sudo's arguments before the user's name: print no prompt, list in the long form, for another user.
const LIST: [&str; 3] = ["-n", "-ll", "-U"];

/// So long a list was cut short, in bytes (see `program`).
const LONGEST_LIST: usize = 64 * 1024;

/// At most so many questions about one grant's commands are told.
const MOST_TOLD: usize = 5;

/// What does not work of the live grants of `user`, by what sudo lists for them now.
///
/// # Errors
///
/// Why sudo can't be asked.
pub fn problems_of(user: &str, grants: &[&Grant], password: bool) -> Result<Vec<String>, String> {
    let arguments: Vec<&str> = LIST.into_iter().chain([user]).collect();
    let listing = listed(program::run_and_wait(SUDO, &arguments)?)?;
    let problems = grants.iter().filter_map(|grant| {
        let problem = problem(grant, &listing, password)?;
        Some(format!("grant {}: {problem}", grant.id))
    });
    Ok(problems.collect())
}

/// Whether a command line of root's is such a question.
pub fn is_question(arguments: &[String]) -> bool {
    let behind = arguments.get(1..).unwrap_or_default();
    behind.len() == LIST.len() + 1 && behind.iter().zip(LIST).all(|(argument, listed)| argument == listed)
}

/// What sudo lists for `user`, by PID 1: the agent has no right to change user ids, which sudo wants. `asked_at` tells
/// one question from another.
///
/// # Errors
///
/// Why sudo can't be asked.
pub async fn listed_by_pid_1(user: &str, asked_at: u128) -> Result<Listing, String> {
    // One that hangs keeps its name for a while. What is named so is no residue of sudo's.
    let unit = format!("--unit=curfew-sudo-listing-{}", asked_at);
    let wrapped =
        ["--quiet", "--collect", "--pipe", "--wait", unit.as_str(), "--property=RuntimeMaxSec=10", "--", SUDO];
    let arguments: Vec<&OsStr> = wrapped.into_iter().chain(LIST).chain([user]).map(OsStr::new).collect();
    listed(program::run(Path::new(SYSTEMD_RUN), SYSTEMD_RUN, &arguments).await?)
}

/// What sudo said, unless it failed. Whom it allows nothing gets no list, and exit code 1, too.
fn listed(said: Said) -> Result<Listing, String> {
    let allows_nothing = |said: &str| said.contains("is not allowed to");
    if said.success || allows_nothing(&said.output) || allows_nothing(&said.errors) {
        whole(&said.output)
    } else {
        Err(format!("sudo failed: {}", said.errors.trim()))
    }
}

/// A list that was read to its end: the last rule counts.
fn whole(output: &str) -> Result<Listing, String> {
    if output.len() < LONGEST_LIST { Ok(Listing::parse(output)) } else { Err("it is longer than is read".into()) }
}

/// What does not work of a grant, by what sudo lists for its user.
pub fn problem(grant: &Grant, listing: &Listing, password: bool) -> Option<String> {
    let SudoAccess { run_as, commands } = grant.sudo.as_ref()?;
    let user = &grant.user;
    let questions = run_as.iter().flat_map(|run_as| commands.iter().map(move |command| (command, run_as)));
    let wrong = questions.filter_map(|(command, run_as)| {
        let what = command.to_sudoers();
        match listing.ruling(command, run_as.as_str()) {
            Ruling::Runs => None,
            Ruling::AsksForPassword(_) if password => None,
            Ruling::AsksForPassword(rule) => Some(format!(
                "sudo asks {user} for a password for {what} as {run_as}, by the rule {rule}, which comes behind the grant's; take it out, or have its \
                 file's name sort before `curfew`"
            )),
            Ruling::Forbidden(rule) => {
                Some(format!("sudo forbids {user} {what} as {run_as}, by the rule {rule}, which comes behind the grant's; take it out"))
            }
            Ruling::NoRule => Some(format!(
                "sudo has no rule for {user} and {what} as {run_as}: it does not read the grant's; see `curfew doctor`, and sudoers_file in \
                 /etc/sudo.conf"
            )),
        }
    });
    let told: Vec<String> = wrong.take(MOST_TOLD).map(|it| printable(&it)).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn grant(commands: &[&str]) -> Grant {
        Grant::from_value(&json!({
            "id": "g", "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T21:00:00Z",
            "sudo": {"commands": commands}, "reason": "r", "requested_by": "a", "approved_by": []
        }))
        .unwrap()
    }

    #[test]
    fn what_does_not_work_is_told_with_the_rule_and_what_to_do() {
        let ours = "Sudoers entry:\n    RunAsUsers: root\n    Options: !authenticate\n    Commands:\n\t/usr/bin/id\n";
        let devs = "\nSudoers entry: /etc/sudoers.d/devs\n    RunAsUsers: ALL\n    Commands:\n\tALL\n";
        let told = |text: &str, password| problem(&grant(&["/usr/bin/id"]), &Listing::parse(text), password);
        assert_eq!(told(ours, false), None);
        assert!(told(&format!("{ours}{devs}"), false).unwrap().contains("/etc/sudoers.d/devs"));
        assert_eq!(told(&format!("{ours}{devs}"), true), None);
        assert!(told("", false).unwrap().contains("does not read the grant's"));
    }

    #[test]
    fn only_our_question_is_taken_for_it() {
        let line = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_question(&line("/usr/bin/sudo -n -ll -U alice")));
        for other in ["/usr/bin/sudo -n -ll -U alice id", "sudo -n -ll id", "sudo -i", "sudo -n -ll -u alice"] {
            assert!(!is_question(&line(other)), "{other}");
        }
    }
}
