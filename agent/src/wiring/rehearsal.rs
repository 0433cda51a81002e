//! The rehearsal: real PAM transactions of every wired service, before and after a change. Exempt users must get in as before, and whoever has
//! no grant must be refused, before anybody relies on it.
//!
//! Each transaction runs in a process of its own (`curfew rehearse`): what a module does there, or breaks, ends with it.

use super::PAM_FOLDER;
use super::kind::Kind;
use super::marks::wired;
use super::transaction::{Code, Item, Transaction};
use crate::host::program;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Who has no grant on any host.
pub const STRANGER: &str = "nobody";

/// Where the rehearsed person comes from.
const FROM: &str = "127.0.0.1";

/// The terminal that they say they have: the agent knows a rehearsal by it, and by our program.
pub const TERMINAL: &str = "curfew-enable";

/// At most so many exempt users are rehearsed.
pub const MOST_EXEMPT: usize = 8;

/// The name of the service that has our lines alone; one that is left is removed like every half-written file of ours.
const ALONE: &str = ".curfew-alone.new";

/// This program, as its own child finds it.
const MYSELF: &str = "/proc/self/exe";

/// One person who comes by one service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The service.
    pub service: String,
    /// Who is judged in it.
    pub kind: Kind,
    /// The person.
    pub user: String,
}

/// What our lines alone stand above: somebody is who they say they are.
const BELOW: &[u8] = b"auth    required    pam_permit.so\n";

/// What PAM said to them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// Before the account, without an answer of theirs; none where that was not asked.
    pub auth: Option<Code>,
    /// Of the account: may they in?
    pub account: Code,
    /// Of the session; none where it was not come to.
    pub session: Option<Code>,
}

impl Answer {
    fn text(self) -> String {
        match self.session {
            Some(session) if session != Code::SUCCESS => format!("no session: {}", session.text()),
            _ => match self.auth {
                Some(auth) if self.account == Code::SUCCESS && auth != Code::SUCCESS => auth.text(),
                _ => self.account.text(),
            },
        }
    }

    /// Whether an elevation is denied at once, before anybody is asked for a password.
    fn is_denied_at_once(self) -> bool {
        matches!(self.auth, None | Some(Code::PERM_DENIED | Code::CRED_INSUFFICIENT))
    }
}

/// What was rehearsed, and what PAM said.
pub type Rehearsed = Vec<(Entry, Result<Answer, String>)>;

/// Rehearses every service with the exempt users (the first eight), and with the stranger where nobody is let in as a system account: not in
/// `background` services.
pub fn rehearse(services: &[(String, Kind)], exempt: &[String], background: &[String]) -> Rehearsed {
    let entries = services.iter().flat_map(|(service, kind)| {
        let stranger = (!background.contains(service)).then_some(STRANGER);
        let people = exempt.iter().take(MOST_EXEMPT).map(String::as_str).chain(stranger);
        people.map(|user| Entry { service: service.clone(), kind: *kind, user: user.to_owned() })
    });
    entries.map(|entry| (entry.clone(), in_a_process(&entry, Asked::Account))).collect()
}

/// Rehearses the same after a change, up to the first that can't be tried: a door that hangs is given back then. Where the stranger `is_refused`,
/// that has to come before a password; nobody else is asked for one.
pub fn rehearse_again(before: &Rehearsed, is_refused: bool) -> Rehearsed {
    let mut after = Rehearsed::new();
    for (entry, _) in before {
        let at_once = is_refused && entry.user == STRANGER && entry.kind == Kind::Elevation;
        let answer = in_a_process(entry, if at_once { Asked::AuthToo } else { Asked::Account });
        let last = answer.is_err();
        after.push((entry.clone(), answer));
        if last {
            break;
        }
    }
    after
}

/// Tries our lines alone, in a service of their own that nobody comes by: a module that can't be loaded is found before a door has it.
///
/// # Errors
///
/// What is wrong.
pub fn try_alone(exempt: &[String]) -> Result<(), String> {
    let path = Path::new(PAM_FOLDER).join(ALONE);
    let lines = wired(BELOW, Kind::Elevation);
    fs::write(&path, lines).map_err(|error| format!("{}: {error}", path.display()))?;
    let entries = exempt.iter().take(MOST_EXEMPT).map(|user| Entry {
        service: ALONE.into(),
        kind: Kind::Elevation,
        user: user.clone(),
    });
    let problems: Vec<String> = entries
        .filter_map(|entry| match in_a_process(&entry, Asked::AuthToo) {
            Ok(Answer { auth: Some(Code::SUCCESS), account: Code::SUCCESS, session: Some(Code::SUCCESS) }) => None,
            Ok(answer) => Some(format!("{}, who is exempt, gets from our module alone: {}", entry.user, answer.text())),
            Err(problem) => Some(format!("our module could not be tried: {problem}")),
        })
        .collect();
    fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// What is wrong with the answers after a change, which may have ended early. `refuses` says whether the stranger has to be refused.
pub fn judge(before: &Rehearsed, after: &Rehearsed, refuses: Option<bool>) -> Vec<String> {
    let pairs = before.iter().zip(after);
    pairs.filter_map(|((entry, before), (_, after))| problem(entry, before, after, refuses)).collect()
}

fn problem(
    Entry { service, user, .. }: &Entry,
    before: &Result<Answer, String>,
    after: &Result<Answer, String>,
    refuses: Option<bool>,
) -> Option<String> {
    let after = match after {
        Ok(after) => *after,
        Err(problem) => return Some(format!("{service}: {user} could not be tried: {problem}")),
    };
    if user == STRANGER && refuses == Some(true) {
        if after.account != Code::PERM_DENIED {
            return Some(format!("{service}: {user}, who has no grant, is not refused but gets: {}", after.text()));
        }
        return (!after.is_denied_at_once())
            .then(|| format!("{service}: {user}, who has no grant, is asked for a password before that is said"));
    }
    if user == STRANGER && refuses.is_none() {
        return None;
    }
    match before {
        Ok(before) if *before == after => None,
        Ok(before) => Some(format!("{service}: {user} got {:?} before, and gets: {}", before.text(), after.text())),
        // Nothing is known of before: they have to get in.
        Err(_) if after.account == Code::SUCCESS && after.session.is_none_or(|session| session == Code::SUCCESS) => {
            None
        }
        Err(problem) => {
            Some(format!("{service}: {user} gets: {} (before, it could not be tried: {problem})", after.text()))
        }
    }
}

/// What PAM is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// Of the account and the session.
    Account,
    /// Before that, to authenticate.
    AuthToo,
}

fn in_a_process(entry: &Entry, asked: Asked) -> Result<Answer, String> {
    let mut arguments = vec!["rehearse", &entry.service, entry.kind.argument(), &entry.user];
    if asked == Asked::AuthToo {
        arguments.push("--auth");
    }
    let said = program::run_and_wait(MYSELF, &arguments)?;
    // A module may say something of its own before.
    let answer = said.output.lines().last().unwrap_or_default();
    serde_json::from_str(answer).map_err(|_| said.text().split_whitespace().collect::<Vec<_>>().join(" "))
}

/// One transaction in this process.
///
/// # Errors
///
/// PAM's code, where it does not come to an answer.
pub fn transact(service: &str, kind: Kind, user: &str, asked: Asked) -> Result<Answer, Code> {
    let mut transaction = match kind {
        Kind::Login => Transaction::begin(service, user)?,
        Kind::Elevation => Transaction::begin(service, "root")?,
    };
    match kind {
        Kind::Login => transaction.set(Item::Rhost, FROM)?,
        Kind::Elevation => transaction.set(Item::Ruser, user)?,
    }
    transaction.set(Item::Tty, TERMINAL)?;
    let auth = (asked == Asked::AuthToo).then(|| transaction.authenticate().err().unwrap_or(Code::SUCCESS));
    let account = transaction.account().err().unwrap_or(Code::SUCCESS);
    // Only who is let in opens a session, and nobody does in the stranger's name.
    let opens = account == Code::SUCCESS && user != STRANGER;
    let session = opens.then(|| transaction.session().err().unwrap_or(Code::SUCCESS));
    Ok(Answer { auth, account, session })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(user: &str, account: Code) -> Rehearsed {
        let entry = Entry { service: "sshd".into(), kind: Kind::Login, user: user.into() };
        vec![(entry, Ok(Answer { auth: None, account, session: None }))]
    }

    #[test]
    fn a_stranger_is_denied_before_a_password() {
        let open = said(STRANGER, Code::SUCCESS);
        let after = |auth: Option<Code>| -> Rehearsed {
            let answer = Answer { auth, account: Code::PERM_DENIED, session: None };
            open.iter().map(|(entry, _)| (entry.clone(), Ok(answer))).collect()
        };
        for auth in [None, Some(Code::PERM_DENIED), Some(Code::CRED_INSUFFICIENT)] {
            assert_eq!(judge(&open, &after(auth), Some(true)), Vec::<String>::new());
        }
        for auth in [Code::SUCCESS, Code(7)] {
            assert!(judge(&open, &after(Some(auth)), Some(true)).concat().contains("is asked for a password"));
        }
    }

    #[test]
    fn exempt_users_must_get_in_as_before() {
        let (open, shut) = (said("root", Code::SUCCESS), said("root", Code(28)));
        assert_eq!(judge(&open, &open, Some(true)), Vec::<String>::new());
        assert_eq!(judge(&shut, &shut, Some(true)), Vec::<String>::new());
        assert_eq!(judge(&open, &shut, Some(true)).len(), 1);
        assert_eq!(judge(&open, &shut, Some(false)).len(), 1);
    }

    #[test]
    fn a_stranger_must_be_refused_in_force_and_not_while_it_observes() {
        let (open, shut, broken) =
            (said(STRANGER, Code::SUCCESS), said(STRANGER, Code::PERM_DENIED), said(STRANGER, Code(9)));
        assert_eq!(judge(&open, &shut, Some(true)), Vec::<String>::new());
        assert_eq!(judge(&open, &open, Some(true)).len(), 1);
        assert_eq!(judge(&open, &broken, Some(true)).len(), 1);
        assert_eq!(judge(&open, &open, Some(false)), Vec::<String>::new());
        assert_eq!(judge(&open, &shut, Some(false)).len(), 1);
        assert_eq!(judge(&shut, &open, None), Vec::<String>::new());
    }

    #[test]
    fn what_could_not_be_tried_is_a_problem() {
        let open = said("root", Code::SUCCESS);
        let hung: Rehearsed =
            open.iter().map(|(entry, _)| (entry.clone(), Err("it took longer than 5s".into()))).collect();
        assert!(judge(&open, &hung, Some(true)).concat().contains("longer than 5s"));
        assert_eq!(judge(&hung, &open, Some(true)), Vec::<String>::new());
        assert_eq!(judge(&hung, &said("root", Code(28)), Some(true)).len(), 1);
    }
}
