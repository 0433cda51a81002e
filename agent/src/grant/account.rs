//! Accounts: what a login name stands for on this host, now.
//!
//! A name is not a person: several can stand for one user id (a directory's `alice@example.org` beside `alice`, or a second line of passwd(5)
//! with the same number), and one that is deleted and made anew stands for somebody else. So a name is resolved where it matters, by the user
//! database (`lookup`), and each answer holds only for as long as what /etc/passwd says of it stays the same (`local_file`). The `directory`
//! has the answers, and which account each grant is for.

pub mod directory;
pub mod local_file;
pub mod lookup;

use serde::{Deserialize, Serialize};

/// Where the answers are kept over restarts, and whose grant is whose.
pub const PATH: &str = "/var/lib/curfew/accounts.json";

/// An account, as the user database has it (getpwnam(3)).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Account {
    /// The user id: what processes, files and sudo rules go by.
    pub uid: u32,
    /// The name that the database itself writes, whatever name it was asked for.
    pub name: String,
    /// The name that the database gives for the user id: the first of several. sudo asks under this one.
    pub owner: String,
}

/// What the user database says of a name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// The account that it stands for, where there is one.
    pub account: Option<Account>,
    /// Who has the user id that the name stood for before, where it stands for nothing now.
    pub heir: Option<String>,
}

/// Whose a grant is on this host. A grant is for the account that its user's name stood for when it was first resolved here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Holder {
    /// The name was not resolved yet.
    #[default]
    Unknown,
    /// The name stands for the account.
    Is(Account),
    /// Whether it still does is in doubt: nothing new opens, and what is open goes on.
    InDoubt {
        /// The account.
        account: Account,
        /// Why.
        why: Doubt,
    },
    /// The name stands for another account or for none: the grant covers nothing.
    Gone {
        /// The account that it stood for.
        account: Account,
        /// The user id that it stands for now.
        now: Option<u32>,
    },
}

/// Why it is in doubt whether a name still stands for its account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Doubt {
    /// /etc/passwd says something else of it, and the user database has not answered yet.
    Outdated,
    /// The user database does not know it at the moment.
    NotFound,
    /// The account shares its user id with this exempt user, so that no end could be kept.
    Shared(String),
}

impl Holder {
    /// The account that the grant is for.
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Unknown => None,
            Self::Is(account) | Self::InDoubt { account, .. } | Self::Gone { account, .. } => Some(account),
        }
    }

    /// Whether the grant covers nothing any more.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }

    /// Whether the grant may open something.
    pub fn may_open(&self) -> bool {
        matches!(self, Self::Unknown | Self::Is(_))
    }

    /// The same, where an operator has to know: not while the user database is being asked.
    pub fn lasting_problem(&self, user: &str) -> Option<String> {
        let passes = matches!(self, Self::InDoubt { why: Doubt::Outdated, .. });
        self.problem(user).filter(|_| !passes)
    }

    /// Why the grant opens nothing, in words; none where it may.
    pub fn problem(&self, user: &str) -> Option<String> {
        match self {
            Self::Unknown | Self::Is(_) => None,
            Self::InDoubt { account, why: Doubt::Outdated } => Some(format!(
                "the account of {user} (user id {}) has changed and is being looked up again",
                account.uid
            )),
            Self::InDoubt { account, why: Doubt::NotFound } => {
                Some(format!("there is no account {user} at the moment; it had the user id {}", account.uid))
            }
            Self::InDoubt { account, why: Doubt::Shared(name) } => Some(format!(
                "{user} has the user id {} of the exempt user {name}, whom no end could be told from",
                account.uid
            )),
            Self::Gone { account, now: Some(now) } => {
                Some(format!("it is for the account {user} with the user id {}, which has {now} now", account.uid))
            }
            Self::Gone { account, now: None } => {
                Some(format!("it is for the account {user} with the user id {}, which is gone", account.uid))
            }
        }
    }
}
