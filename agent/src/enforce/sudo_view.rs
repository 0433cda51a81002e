//! What a grant gives as the host's sudo itself sees it: rules of others may come behind ours and win, or sudo may read other rules altogether.
//!
//! sudo is asked for what it lists for a person (`sudo -ll -U USER`) after their rules were written, and by the doctor. That runs nothing, asks for
//! nothing, and refuses nobody; classic sudo asks PAM about root meanwhile, and the agent makes no record of that. The agent has no right to change
//! user ids, which sudo wants, so PID 1 runs it; one at a time, and seldom.

mod listing;

use self::listing::{Listing, Ruling};
use crate::agent::Agent;
use crate::config::Config;
use crate::grant::State;
use crate::host::program::{self, Said};
use crate::host::sudo::SUDO;
use crate::{clock, human};
use curfew_protocol::grant::{Grant, SudoAccess};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const SYSTEMD_RUN: &str = "/usr/bin/systemd-run";

/// sudo's arguments before the user's name: print no prompt, list in the long form, for another user.
const LIST: [&str; 3] = ["-n", "-ll", "-U"];

/// At most so many people wait for a look; of ten thousand whose grants come at once, some are looked at.
const MOST_WAITING: usize = 32;

/// How often PID 1 is asked.
const TRIES: u32 = 3;

/// How long there is a rest after a look, by how long it took.
const RESTS: u32 = 10;

/// How soon what does not work is looked at again.
const LOOKED_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// How long whoever grants waits for the look.
const PATIENCE: Duration = Duration::from_secs(1);

/// So long a list was cut short, in bytes (see `program`).
const LONGEST_LIST: usize = 64 * 1024;

/// At most so many questions about one grant's commands are told.
const MOST_TOLD: usize = 5;

/// What is known of how sudo sees the grants.
#[derive(Debug, Default)]
pub struct SudoView {
    waiting: RefCell<BTreeSet<String>>,
    /// Who is looked at now.
    at: RefCell<Option<String>>,
    woken: Notify,
    looked: Notify,
    /// What does not work, by the grant's id.
    problems: RefCell<BTreeMap<String, Problem>>,
}

/// What does not work of one grant.
#[derive(Debug, Eq, PartialEq)]
struct Problem {
    user: String,
    text: String,
}

impl SudoView {
    /// Has somebody look at what the person's grants give.
    pub fn look_at(&self, user: &str) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < MOST_WAITING {
            waiting.insert(user.to_owned());
            self.woken.notify_one();
        }
    }

    /// What does not work of a grant, as of the last look.
    pub fn problem(&self, grant: &str) -> Option<String> {
        self.problems.borrow().get(grant).map(|problem| problem.text.clone())
    }

    /// Waits for a moment until the person's grants were looked at.
    pub async fn settled(&self, user: &str) {
        let settling = async {
            loop {
                let mut looked = std::pin::pin!(self.looked.notified());
                looked.as_mut().enable();
                let is_at = self.at.borrow().as_deref() == Some(user);
                if !is_at && !self.waiting.borrow().contains(user) {
                    return;
                }
                looked.await;
            }
        };
        // What comes later is in `curfew status`.
        drop(tokio::time::timeout(PATIENCE, settling).await);
    }

    /// Waits for somebody to look at. What does not work may work by now.
    async fn wait(&self) {
        let troubled: BTreeSet<String> = self.problems.borrow().values().map(|problem| problem.user.clone()).collect();
        if troubled.is_empty() {
            self.woken.notified().await;
        } else if tokio::time::timeout(LOOKED_AGAIN_AFTER, self.woken.notified()).await.is_err() {
            troubled.iter().for_each(|user| self.look_at(user));
        }
    }

    /// Whoever is next; rules that are written from here on want another look.
    fn next(&self) -> Option<String> {
        let next = self.waiting.borrow_mut().pop_first();
        self.at.borrow_mut().clone_from(&next);
        next
    }
}

/// Looks at whoever waits for it, one after the other, for as long as the agent runs.
pub async fn follow(agent: &Rc<Agent>) {
    let view = &agent.sudo_view;
    loop {
        let Some(user) = view.next() else {
            view.wait().await;
            continue;
        };
        let begun = Instant::now();
        for tried in 1..=TRIES {
            // Rules that are written while sudo lists may be missing in the list.
            let written = written(agent, &user);
            match listed_by_pid_1(&user).await {
                Ok(listing) => {
                    compare(agent, &user, &written, &listing);
                    break;
                }
                // Nothing is known then, and nothing said. A busy host may answer the next time.
                Err(problem) => {
                    tracing::debug!("what sudo lists for {user} is not known ({tried} of {TRIES}): {problem}")
                }
            }
        }
        view.at.take();
        view.looked.notify_waiters();
        tokio::time::sleep(begun.elapsed().saturating_mul(RESTS)).await;
    }
}

/// The person's live grants whose rules are in place. What is not written yet says so itself.
fn written(agent: &Agent, user: &str) -> BTreeSet<String> {
    let grants = agent.grants.borrow();
    let live = grants.of(user).iter().filter(|held| held.state(clock::now()) == State::Live);
    live.filter(|held| super::sudoers::is_current(agent, held)).map(|held| held.grant.id.to_string()).collect()
}

/// Compares the person's grants with what sudo lists.
fn compare(agent: &Agent, user: &str, written: &BTreeSet<String>, listing: &Listing) {
    let password = agent.config.borrow().sudo_password;
    let grants = agent.grants.borrow();
    let live = grants.of(user).iter().filter(|held| held.state(clock::now()) == State::Live);
    let written =
        live.filter(|held| written.contains(held.grant.id.as_str()) && super::sudoers::is_current(agent, held));
    let found: Vec<(String, Option<String>)> =
        written.map(|held| (held.grant.id.to_string(), problem(&held.grant, listing, password))).collect();
    let mut problems = agent.sudo_view.problems.borrow_mut();
    problems.retain(|id, _| grants.find(id).is_some_and(|held| held.state(clock::now()) == State::Live));
    for (id, problem) in found {
        let Some(text) = problem else {
            problems.remove(&id);
            continue;
        };
        let problem = Problem { user: user.to_owned(), text: text.clone() };
        let before = problems.insert(id.clone(), problem);
        if before.is_none_or(|before| before.text != text) {
            tracing::error!("grant {id} does not give what it says: {text}");
        }
    }
}

/// The problems of grants that are live, as sentences.
pub fn problems(agent: &Agent) -> Vec<String> {
    let grants = agent.grants.borrow();
    let is_live = |id: &str| grants.find(id).is_some_and(|held| held.state(clock::now()) == State::Live);
    let problems = agent.sudo_view.problems.borrow();
    let live = problems.iter().filter(|(id, _)| is_live(id));
    live.map(|(id, problem)| format!("grant {id} does not give what it says: {}", problem.text)).collect()
}

/// What does not work of the live grants of `user`, by what sudo lists for them now.
///
/// # Errors
///
/// Why sudo can't be asked.
pub fn problems_of(user: &str, grants: &[&Grant], config: &Config) -> Result<Vec<String>, String> {
    let arguments: Vec<&str> = LIST.into_iter().chain([user]).collect();
    let listing = listed(program::run_and_wait(SUDO, &arguments)?)?;
    let problems = grants.iter().filter_map(|grant| {
        let problem = problem(grant, &listing, config.sudo_password)?;
        Some(format!("grant {}: {problem}", grant.id))
    });
    Ok(problems.collect())
}

/// Whether a command line of root's is such a question.
pub fn is_question(arguments: &[String]) -> bool {
    let behind = arguments.get(1..).unwrap_or_default();
    behind.len() == LIST.len() + 1 && behind.iter().zip(LIST).all(|(argument, listed)| argument == listed)
}

async fn listed_by_pid_1(user: &str) -> Result<Listing, String> {
    // One that hangs keeps its name for a while. What is named so is no residue of sudo's.
    let unit = format!("--unit=curfew-sudo-listing-{}", clock::boot_time().as_millis());
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

fn problem(grant: &Grant, listing: &Listing, password: bool) -> Option<String> {
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
    let told: Vec<String> = wrong.take(MOST_TOLD).map(|it| human::printable(&it)).collect();
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

    #[test]
    fn few_wait_for_a_look_at_a_time() {
        let view = SudoView::default();
        (0..1000).for_each(|number| view.look_at(&format!("u{number}")));
        assert_eq!(view.waiting.borrow().len(), MOST_WAITING);
    }
}
