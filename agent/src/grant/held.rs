//! All grants that the host holds, from wherever they came, in one list: what every decision reads. It knows of no
//! store.

use super::account::directory::Directory;
use super::account::directory::known::Resolution;
use super::account::{Doubt, Holder};
use super::{HeldGrant, Source, State};
use curfew_protocol::grant::LoginName;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};

/// The grants, and whose they are.
#[derive(Debug, Default)]
pub struct HeldGrants {
    /// Sorted by person: a decision about one looks at their grants alone.
    held: Vec<HeldGrant>,
    /// What the names of people stand for.
    accounts: Directory,
    /// The names that stand for a user id: several may be of one person.
    names: HashMap<String, u32>,
    /// Changes of whose a grant is, of which nobody was told yet.
    moved: Vec<Moved>,
}

/// A grant of which it changed whose it is.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Its id.
    pub id: String,
    /// Its user.
    pub user: LoginName,
    /// Whose it is.
    pub holder: Holder,
    /// The audit has not heard of it.
    pub is_news: bool,
}

/// Whose grants stand together: those of one user id, or else of one name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Person<'n> {
    Uid(u32),
    Name(&'n str),
}

impl<'n> Person<'n> {
    fn of(held: &'n HeldGrant) -> Self {
        match &held.holder {
            Holder::Is(account) | Holder::InDoubt { account, .. } => Self::Uid(account.uid),
            Holder::Gone { now: Some(uid), .. } => Self::Uid(*uid),
            Holder::Gone { now: None, .. } | Holder::Unknown => Self::Name(held.grant.user.as_str()),
        }
    }
}

impl HeldGrants {
    /// The list of these.
    pub(super) fn new(held: Vec<HeldGrant>) -> Self {
        let mut grants = Self { held, ..Self::default() };
        grants.settle();
        grants
    }

    /// Takes what is known of accounts.
    pub fn know(&mut self, accounts: Directory) {
        self.accounts = accounts;
        self.settle();
    }

    /// Has these grants instead of those that are held.
    pub(super) fn replace(&mut self, held: Vec<HeldGrant>) {
        self.held = held;
        self.settle();
    }

    /// Has these grants of the endpoint instead of those that are held.
    pub(super) fn replace_endpoints(&mut self, held: Vec<HeldGrant>) {
        self.held.retain(|held| held.source == Source::Local);
        self.held.extend(held);
        self.settle();
    }

    /// The grant with this id, to be revoked.
    pub(super) fn find_mut(&mut self, id: &str) -> Option<&mut HeldGrant> {
        self.position(id).and_then(|position| self.held.get_mut(position))
    }

    /// The grants, sorted by person, those of one user in the order in which they came.
    pub fn held(&self) -> &[HeldGrant] {
        &self.held
    }

    /// The grants of one person: of every name of the user id that `user` stands for.
    pub fn of(&self, user: &str) -> &[HeldGrant] {
        let person = self.names.get(user).map_or(Person::Name(user), |&uid| Person::Uid(uid));
        let begin = self.held.partition_point(|held| Person::of(held) < person);
        let end = self.held.partition_point(|held| Person::of(held) <= person);
        self.held.get(begin..end).unwrap_or_default()
    }

    /// What is known of accounts.
    pub fn accounts(&self) -> &Directory {
        &self.accounts
    }

    /// What is known of accounts, to be added to. What that changes holds with [`settle`](Self::settle).
    pub fn accounts_mut(&mut self) -> &mut Directory {
        &mut self.accounts
    }

    /// The name under which the person is judged who is called `user`: the one of grants, or the one that the user database writes.
    pub fn judged_name<'s>(&'s self, user: &'s str) -> &'s str {
        if self.is_known(user) {
            return user;
        }
        match self.accounts.resolve(user) {
            Resolution::Is(account) => &account.name,
            _ => user,
        }
    }

    /// Whether a grant uses the name, or its account has it.
    pub fn is_known(&self, user: &str) -> bool {
        self.names.contains_key(user) || !self.of(user).is_empty()
    }

    /// Who it may be that has a session under `uid`, for which the user database gives the name `owner`: whoever has grants, where several names
    /// share the user id.
    pub fn name_with(&self, uid: u32, owner: &str) -> String {
        let own = self.of(owner);
        let other =
            own.iter().find(|held| held.uid() == Some(uid) && held.grant.login.is_some() && held.holder.may_open());
        match other.filter(|_| !own.iter().any(|held| held.is_of(owner))) {
            Some(other) => other.holder.account().map_or(owner, |account| &account.name).to_owned(),
            None => owner.to_owned(),
        }
    }

    /// The people who have grants that have not ended for good: one that is over by the wall clock alone may hold again.
    pub fn people(&self) -> impl Iterator<Item = &str> {
        let current = self.held.iter().filter(|held| !held.is_over_for_good());
        current.map(|held| held.grant.user.as_str())
    }

    /// Has each grant know whose it is, and the grants of each person stand together.
    pub(super) fn settle(&mut self) {
        let mut keys = HashSet::with_capacity(self.held.len());
        for held in &mut self.held {
            let key = held.revision_key();
            let holder = self.accounts.holder(&key, held.grant.user.as_str());
            if held.holder != holder {
                let user = held.grant.user.clone();
                // What the user database will have confirmed in a moment is no news.
                let passing = matches!(holder, Holder::InDoubt { why: Doubt::Outdated, .. });
                let problem = holder.problem(user.as_str());
                let is_news = !passing && self.accounts.is_news(&key, problem.as_deref());
                self.moved.push(Moved { id: held.grant.id.to_string(), user, holder: holder.clone(), is_news });
                held.holder = holder;
            }
            keys.insert(key);
        }
        self.accounts.note_settled(&keys);
        self.held.sort_by(|a, b| {
            let by_user = || a.grant.user.cmp(&b.grant.user).then(a.listing.cmp(&b.listing));
            Person::of(a).cmp(&Person::of(b)).then_with(by_user)
        });
        self.names = names(&self.held);
    }

    /// As [`settle`](Self::settle), where something is newly known. Returns what changed since the last time.
    pub fn take_moved(&mut self) -> Vec<Moved> {
        if self.accounts.is_unsettled() {
            self.settle();
        }
        std::mem::take(&mut self.moved)
    }

    /// The grants, to note how far they have come. Nothing of this is stored.
    pub fn held_mut(&mut self) -> &mut [HeldGrant] {
        &mut self.held
    }

    /// The grant with this id: the content of it that the newest set has, or else the last one that was held.
    pub fn find(&self, id: &str) -> Option<&HeldGrant> {
        self.position(id).and_then(|position| self.held.get(position))
    }

    fn position(&self, id: &str) -> Option<usize> {
        let same = self.held.iter().enumerate().filter(|(_, held)| held.grant.id.as_str() == id);
        same.min_by_key(|(_, held)| held.listing).map(|(position, _)| position)
    }
}

/// The names that stand for a user id, by the accounts of the grants. A name that a grant uses stands before one that the user database gives.
fn names(held: &[HeldGrant]) -> HashMap<String, u32> {
    let mut names = HashMap::new();
    for held in held {
        if let Person::Uid(uid) = Person::of(held) {
            names.insert(held.grant.user.to_string(), uid);
        }
    }
    for held in held {
        if let Holder::Is(account) | Holder::InDoubt { account, .. } = &held.holder {
            names.entry(account.name.clone()).or_insert(account.uid);
        }
    }
    for held in held {
        if let Holder::Is(account) = &held.holder {
            names.entry(account.owner.clone()).or_insert(account.uid);
        }
    }
    names
}

/// The grants whose drop-in should be there now: rules are for the account that the user's name stands for, and for none that it may stand for.
pub fn with_rules(grants: &[HeldGrant], now: Timestamp) -> impl Iterator<Item = &HeldGrant> {
    giving_sudo(grants, now).filter(|held| matches!(held.holder, Holder::Is(_)))
}

/// The grants that give sudo now.
pub fn giving_sudo(grants: &[HeldGrant], now: Timestamp) -> impl Iterator<Item = &HeldGrant> {
    grants.iter().filter(move |held| held.grant.sudo.is_some() && held.state(now) == State::Live)
}
