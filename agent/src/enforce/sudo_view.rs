//! Whether sudo gives what the grants say: asked after rules were written, one person at a time, and seldom (see
//! `host::sudo_list`).

use crate::clock;
use crate::grant::State;
use crate::grant::ledger::Ledger;
use crate::host::sudo_list::listing::Listing;
use crate::host::sudo_list::{self, listed_by_pid_1};
use crate::settings::Settings;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

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

/// What is known of how sudo sees the grants.
pub struct SudoView {
    settings: Rc<Settings>,
    ledger: Rc<Ledger>,
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
    /// Asks for what the ledger's grants give.
    pub fn new(settings: Rc<Settings>, ledger: Rc<Ledger>) -> Self {
        let (at, problems) = (RefCell::default(), RefCell::default());
        Self {
            settings,
            ledger,
            waiting: RefCell::default(),
            at,
            woken: Notify::new(),
            looked: Notify::new(),
            problems,
        }
    }

    /// Has somebody look at what the person's grants give.
    pub fn look_at(&self, user: &str) {
        if wait(&mut self.waiting.borrow_mut(), user) {
            self.woken.notify_one();
        }
    }

    /// What does not work of a grant, as of the last look.
    pub fn problem(&self, grant: &str) -> Option<String> {
        self.problems.borrow().get(grant).map(|problem| problem.text.clone())
    }

    /// The problems of grants that are live, as sentences.
    pub fn problems(&self) -> Vec<String> {
        let grants = self.ledger.grants();
        let is_live = |id: &str| grants.find(id).is_some_and(|held| held.state(clock::now()) == State::Live);
        let problems = self.problems.borrow();
        let live = problems.iter().filter(|(id, _)| is_live(id));
        live.map(|(id, problem)| format!("grant {id} does not give what it says: {}", problem.text)).collect()
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

/// Has somebody wait for a look; `false` where too many do.
fn wait(waiting: &mut BTreeSet<String>, user: &str) -> bool {
    let is_free = waiting.len() < MOST_WAITING;
    if is_free {
        waiting.insert(user.to_owned());
    }
    is_free
}

/// Looks at whoever waits for it, one after the other, for as long as the agent runs.
pub async fn follow(view: &SudoView) {
    loop {
        let Some(user) = view.next() else {
            view.wait().await;
            continue;
        };
        let begun = Instant::now();
        for tried in 1..=TRIES {
            // Rules that are written while sudo lists may be missing in the list.
            let written = written(view, &user);
            match listed_by_pid_1(&user, clock::boot_time().as_millis()).await {
                Ok(listing) => {
                    compare(view, &user, &written, &listing);
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
fn written(view: &SudoView, user: &str) -> BTreeSet<String> {
    let grants = view.ledger.grants();
    let live = grants.of(user).iter().filter(|held| held.state(clock::now()) == State::Live);
    live.filter(|held| view.ledger.sudo_rules.are_current(held)).map(|held| held.grant.id.to_string()).collect()
}

/// Compares the person's grants with what sudo lists.
fn compare(view: &SudoView, user: &str, written: &BTreeSet<String>, listing: &Listing) {
    let password = view.settings.config().sudo_password;
    let grants = view.ledger.grants();
    let live = grants.of(user).iter().filter(|held| held.state(clock::now()) == State::Live);
    let written =
        live.filter(|held| written.contains(held.grant.id.as_str()) && view.ledger.sudo_rules.are_current(held));
    let found: Vec<(String, Option<String>)> =
        written.map(|held| (held.grant.id.to_string(), sudo_list::problem(&held.grant, listing, password))).collect();
    let mut problems = view.problems.borrow_mut();
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn few_wait_for_a_look_at_a_time() {
        let mut waiting = BTreeSet::new();
        let taken = (0..1000).filter(|number| wait(&mut waiting, &format!("u{number}"))).count();
        assert_eq!((waiting.len(), taken), (MOST_WAITING, MOST_WAITING));
    }
}
