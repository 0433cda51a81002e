//! What is known of one name, and what is kept of all over restarts.

use crate::grant::account::local_file::Trace;
use crate::grant::account::{Account, Answer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often a directory is asked again for what it said. Of the host's own accounts the file tells.
pub(super) const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// How soon one that failed is asked again.
pub(super) const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How soon a name that is suddenly missing is asked for again: a file that is being written is not whole for a moment.
pub(super) const CONFIRMED_AFTER: Duration = Duration::from_secs(2);

/// What is kept over restarts.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Kept {
    pub(super) names: BTreeMap<String, Known>,
    /// The account that each grant is for, by the grant's revision key.
    pub(super) grants: BTreeMap<String, Bound>,
}

/// The account that a grant is for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Bound {
    pub(super) account: Account,
    /// Why the grant opens nothing, as the audit last heard it.
    #[serde(default)]
    pub(super) told: Option<String>,
}

/// What is known of a name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Known {
    /// The account that it stands for, or stood for last.
    pub(super) account: Option<Account>,
    /// It stands for none now.
    #[serde(default)]
    pub(super) missing: bool,
    /// Who has the user id now, where it stands for none.
    #[serde(default)]
    pub(super) heir: Option<String>,
    /// A later look found it missing, too.
    #[serde(default)]
    pub(super) confirmed: bool,
    /// What /etc/passwd said of it then.
    pub(super) trace: Trace,
    /// The account was the host's own, and no directory's.
    #[serde(default)]
    pub(super) local: bool,
    /// /etc/passwd says something else by now.
    #[serde(skip)]
    pub(super) outdated: bool,
    #[serde(skip)]
    pub(super) missing_since: Option<Instant>,
    #[serde(skip)]
    pub(super) answered: Option<Instant>,
    #[serde(skip)]
    pub(super) tried: Option<Instant>,
    /// Why there was no answer.
    #[serde(skip)]
    pub(super) problem: Option<String>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resolution<'a> {
    /// There was no answer yet.
    Unasked,
    /// This account.
    Is(&'a Account),
    /// /etc/passwd has changed since the answer.
    Outdated,
    /// None. `settled`: it is not only away for a moment.
    Missing {
        /// Whether it is gone for certain.
        settled: bool,
    },
}

impl Known {
    pub(super) fn resolution(&self) -> Resolution<'_> {
        match &self.account {
            _ if self.outdated => Resolution::Outdated,
            _ if self.missing => Resolution::Missing { settled: self.heir.is_some() || (self.local && self.confirmed) },
            Some(account) => Resolution::Is(account),
            None => Resolution::Unasked,
        }
    }

    /// When it is to be asked for again; none for now.
    pub(super) fn due(&self) -> Option<Instant> {
        let pause = if self.problem.is_some() || self.outdated || self.answered.is_none() {
            TRIED_AGAIN_AFTER
        } else if self.missing && self.local && !self.confirmed {
            CONFIRMED_AFTER
        } else {
            ASKED_AGAIN_AFTER
        };
        self.tried.map(|tried| tried + pause)
    }

    pub(super) fn take(&mut self, answer: Answer, trace: Trace, now: Instant) {
        if !trace.agrees_with(&answer) {
            self.problem = Some("the user database and /etc/passwd do not say the same".into());
            self.outdated = true;
            return;
        }
        self.missing = answer.account.is_none();
        if let Some(account) = answer.account {
            self.local = trace.uid.is_some();
            self.account = Some(account);
            (self.missing_since, self.confirmed) = (None, false);
        } else {
            let since = *self.missing_since.get_or_insert(now);
            self.confirmed |= now.duration_since(since) >= CONFIRMED_AFTER;
        }
        // Whoever had the user id before is no heir: a second name for it is gone.
        let had = |heir: &String| self.account.as_ref().is_some_and(|it| it.owner == *heir || it.name == *heir);
        self.heir = answer.heir.filter(|heir| !had(heir));
        (self.trace, self.answered) = (trace, Some(now));
        (self.outdated, self.problem) = (false, None);
    }

    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        self.resolution() == other.resolution() && self.answered.is_some() == other.answered.is_some()
    }

    /// Whether /etc/passwd alone tells of a change.
    pub(super) fn is_told_by_the_file(&self) -> bool {
        self.trace.uid.is_some() && self.problem.is_none() && !self.outdated && self.answered.is_some()
    }
}
