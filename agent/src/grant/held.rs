//! All grants that the host holds, from wherever they came, in one list: what every decision reads.

use super::account::directory::Directory;
use super::account::directory::known::Resolution;
use super::account::{Doubt, Holder};
use super::local::{LocalStore, MOST_GRANTS, StoreError};
use super::signed_set::EndpointStore;
use super::{HeldGrant, KEPT_AFTER_END, Revocation, Source, State};
use curfew_protocol::grant::{Grant, LoginName};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The grants, and the stores behind them.
#[derive(Debug)]
pub struct Grants {
    /// Sorted by person: a decision about one looks at their grants alone.
    pub(super) held: Vec<HeldGrant>,
    local: LocalStore,
    pub(super) endpoint: EndpointStore,
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

impl Grants {
    /// Reads what the host keeps: the local store at `path`, and its revocations that had to be kept elsewhere, at `spare`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`] where the local store can be neither read nor set aside.
    pub fn open(path: &Path, spare: &Path) -> Result<Self, StoreError> {
        let (local, held) = LocalStore::open(path, spare)?;
        let (endpoint, accounts) = (EndpointStore::default(), Directory::default());
        let mut grants = Self { held, local, endpoint, accounts, names: HashMap::new(), moved: Vec::new() };
        grants.settle();
        Ok(grants)
    }

    /// Takes what is known of accounts.
    pub fn know(&mut self, accounts: Directory) {
        self.accounts = accounts;
        self.settle();
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
        let mut stories = HashSet::with_capacity(self.held.len());
        for held in &mut self.held {
            let story = held.story();
            let holder = self.accounts.holder(&story, held.grant.user.as_str());
            if held.holder != holder {
                let user = held.grant.user.clone();
                // What the user database will have confirmed in a moment is no news.
                let passing = matches!(holder, Holder::InDoubt { why: Doubt::Outdated, .. });
                let problem = holder.problem(user.as_str());
                let is_news = !passing && self.accounts.is_news(&story, problem.as_deref());
                self.moved.push(Moved { id: held.grant.id.to_string(), user, holder: holder.clone(), is_news });
                held.holder = holder;
            }
            stories.insert(story);
        }
        self.accounts.note_settled(&stories);
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

    /// What is known of the endpoint's set.
    pub fn endpoint(&self) -> &EndpointStore {
        &self.endpoint
    }

    /// The local store.
    pub fn local(&self) -> &LocalStore {
        &self.local
    }

    /// Adds a local grant, and forgets the local ones that ended long before `now`.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing changed then.
    pub fn add(&mut self, grant: Grant, now: Timestamp) -> Result<(), StoreError> {
        if self.find(grant.id.as_str()).is_some() {
            return Err(StoreError::Taken(grant.id));
        }
        let mut held = self.held.clone();
        held.retain(|held| held.source != Source::Local || now.duration_since(held.end()) < KEPT_AFTER_END);
        if held.iter().filter(|held| held.source == Source::Local).count() >= MOST_GRANTS {
            return Err(StoreError::Full);
        }
        held.push(HeldGrant::new(grant, Source::Local));
        self.local.write(&held)?;
        self.held = held;
        self.settle();
        Ok(())
    }

    /// Revokes the grant with this id. That holds at once, also where the disk takes nothing: then it is stored as soon as
    /// [`store_again`](Self::store_again) succeeds.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where there is no such grant, or it is over.
    pub fn revoke(&mut self, id: &str, revocation: Revocation) -> Result<HeldGrant, StoreError> {
        let position = self.position(id);
        let Some(found) = position.and_then(|position| self.held.get_mut(position)) else {
            return Err(StoreError::Unknown(id.to_owned()));
        };
        // What the wall clock alone calls over may come back.
        if found.is_over_for_good() {
            return Err(StoreError::Over { id: found.grant.id.clone(), how: found.end_word(), at: found.end() });
        }
        found.revoked = Some(revocation.clone());
        let revoked = found.clone();
        match revoked.source {
            Source::Local => self.local.note_unstored(),
            Source::Endpoint => self.endpoint.note_revoked_here(id, revocation),
        }
        self.store_again();
        Ok(revoked)
    }

    /// Stores what the disk did not take before.
    pub fn store_again(&mut self) {
        self.local.store_again(&self.held);
        self.endpoint.store_again(&self.held);
    }

    /// Why a revocation that holds could not be stored, and what would forget it.
    pub fn unstored(&self) -> Option<&str> {
        self.local.unstored().or(self.endpoint.unstored())
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::grant::account::{Account, Answer};
    use serde_json::json;
    use std::fs;

    fn grant(id: &str) -> Grant {
        Grant::from_value(&json!({
            "id": id, "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "login": {}, "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
        }))
        .unwrap()
    }

    fn open(path: &Path) -> Result<Grants, StoreError> {
        Grants::open(path, &path.with_extension("spare"))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn grants_and_revocations_are_back_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.json");
        let now = at("2026-11-21T20:10:00Z");
        let mut store = open(&path).unwrap();
        store.add(grant("a"), now).unwrap();
        store.add(grant("b"), now).unwrap();
        assert!(matches!(store.add(grant("a"), now), Err(StoreError::Taken(_))));
        store.revoke("a", Revocation { at: now, reason: Some("done".parse().unwrap()) }).unwrap();
        let store = open(&path).unwrap();
        assert_eq!(store.find("a").unwrap().state(now), State::Ended);
        assert_eq!(store.find("b").unwrap().state(now), State::Live);
    }

    #[test]
    fn the_grants_of_one_user_are_found_among_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.json");
        let now = at("2026-11-21T20:10:00Z");
        let mut store = open(&path).unwrap();
        for (id, user) in [("1", "carol"), ("2", "alice"), ("3", "bob"), ("4", "alice"), ("5", "alicia")] {
            store.add(Grant { user: user.parse().unwrap(), ..grant(id) }, now).unwrap();
        }
        for store in [store, open(&path).unwrap()] {
            let ids = |user| store.of(user).iter().map(|held| held.grant.id.to_string()).collect::<Vec<_>>();
            assert_eq!(ids("alice"), ["2", "4"]);
            assert_eq!(ids("bob"), ["3"]);
            assert!(ids("ali").is_empty() && ids("").is_empty() && ids("zoe").is_empty());
        }
    }

    #[test]
    fn the_grants_of_one_user_id_stand_together_by_whatever_name_and_no_name_gets_anothers() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder.path().join("local.json")).unwrap();
        let now = at("2026-11-21T20:10:00Z");
        let users = ["carol", "ally", "alice@corp.example", "alice", "bob", "Alice"];
        for user in users {
            store.add(Grant { user: user.parse().unwrap(), ..grant(&user.replace(['@', '.'], "_")) }, now).unwrap();
        }
        for (user, uid, name) in [
            ("carol", 4_000_003, "carol"),
            ("ally", 4_000_001, "ally"),
            ("alice@corp.example", 4_000_001, "alice"),
            ("alice", 4_000_001, "alice"),
            ("Alice", 4_000_001, "alice"),
        ] {
            // sudo asks for each of them as alice, who is the first with that user id.
            let owner = if uid == 4_000_001 { "alice" } else { name };
            let account = Some(Account { uid, name: name.into(), owner: owner.into() });
            store.accounts_mut().learn(user, Ok(Answer { account, heir: None }), std::time::Instant::now());
        }
        assert_eq!(store.take_moved().len(), 5);
        let ids = |user| store.of(user).iter().map(|held| held.grant.id.to_string()).collect::<Vec<_>>();
        for user in ["alice", "ally", "alice@corp.example", "Alice"] {
            assert_eq!(ids(user), ["Alice", "alice", "alice_corp_example", "ally"], "{user}");
        }
        assert_eq!(ids("carol"), ["carol"]);
        assert_eq!(ids("bob"), ["bob"], "of whom nothing is known yet");
        let of = |user: &str, held: &HeldGrant| (held.is_of(user), held.is_of_uid_of(user));
        let (allys, alices) = (store.find("ally").unwrap(), store.find("alice_corp_example").unwrap());
        // To log in as somebody takes a grant for that account; sudo can't tell the two names apart.
        assert_eq!((of("alice", allys), of("alice", alices)), ((false, true), (true, true)));
        assert_eq!((of("ally", allys), of("ally", alices)), ((true, true), (false, false)));
        assert_eq!(store.judged_name("alice"), "alice");
        // logind knows the user id alone.
        assert_eq!((store.name_with(4_000_001, "alice"), store.name_with(7, "zoe")), ("alice".into(), "zoe".into()));
    }

    #[test]
    fn a_revoked_grant_does_not_come_back_when_the_clock_goes_back() {
        let revoked = HeldGrant {
            revoked: Some(Revocation { at: at("2026-11-21T20:10:00Z"), reason: None }),
            ..HeldGrant::new(grant("a"), Source::Local)
        };
        assert_eq!(revoked.state(at("2026-11-21T20:05:00Z")), State::Ended);
    }

    #[test]
    fn revoking_twice_or_nothing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let now = at("2026-11-21T20:10:00Z");
        let mut store = open(&folder.path().join("local.json")).unwrap();
        store.add(grant("a"), now).unwrap();
        let revocation = Revocation { at: now, reason: None };
        assert!(matches!(store.revoke("b", revocation.clone()), Err(StoreError::Unknown(_))));
        store.revoke("a", revocation.clone()).unwrap();
        assert!(matches!(store.revoke("a", revocation), Err(StoreError::Over { how: "revoked", .. })));
    }

    #[test]
    fn a_bad_entry_is_refused_alone_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.json");
        let mut bad = serde_json::to_value(grant("bad")).unwrap();
        *bad.pointer_mut("/user").unwrap() = json!("alice ALL=(ALL) ALL");
        let good = serde_json::to_value(grant("good")).unwrap();
        let text = json!({"version": 1, "grants": [{"grant": bad}, {"grant": good}, {"grant": good}, 7]}).to_string();
        fs::write(&path, &text).unwrap();
        let mut store = open(&path).unwrap();
        assert_eq!(store.held().len(), 1);
        let problems: Vec<_> = store.local().refused().iter().map(|refused| refused.problem.as_str()).collect();
        assert!(problems.iter().any(|it| it.contains("`user`") && it.contains("alice ALL=(ALL) ALL")), "{problems:?}");
        assert!(problems.iter().any(|it| it.contains("twice")), "{problems:?}");
        store.add(grant("new"), at("2026-11-21T20:00:00Z")).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("alice ALL=(ALL) ALL"));
        assert_eq!(open(&path).unwrap().local().refused().len(), 3);
    }

    #[test]
    fn a_corrupt_store_is_set_aside_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.json");
        for (number, garbage) in
            ["", "{\"version\":1,\"grants\":[", "{\"version\":2,\"grants\":[]}", "[1,[]]"].iter().enumerate()
        {
            fs::write(&path, garbage).unwrap();
            let store = open(&path).unwrap();
            assert!(store.held().is_empty());
            let aside = store.local().set_aside().unwrap();
            assert!(aside.path.ends_with(format!("local.json.set-aside-{}", number + 1)), "{}", aside.path.display());
            assert_eq!(fs::read_to_string(&aside.path).unwrap(), *garbage);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_store_that_can_not_be_written_keeps_what_it_had() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.json");
        let now = at("2026-11-21T20:00:00Z");
        let mut store = open(&path).unwrap();
        store.add(grant("a"), now).unwrap();
        store.local.path = folder.path().join("gone/local.json");
        assert!(matches!(store.add(grant("b"), now), Err(StoreError::Write { .. })));
        assert!(store.find("b").is_none());
        // A revocation does not wait for the disk.
        store.revoke("a", Revocation { at: now, reason: None }).unwrap();
        assert_eq!(store.find("a").unwrap().state(now), State::Ended);
        assert!(store.local().unstored().is_some_and(|problem| problem.contains("a reboot would forget it")));
        // Nor does it wait for the agent to live on.
        assert_eq!(Grants::open(&path, &store.local.spare).unwrap().find("a").unwrap().state(now), State::Ended);
        fs::remove_file(&path).unwrap();
        store.local.path = path.clone();
        store.store_again();
        assert!(store.local().unstored().is_none() && !store.local.spare.exists());
        assert_eq!(open(&path).unwrap().find("a").unwrap().state(now), State::Ended);
    }

    #[test]
    fn grants_that_ended_long_ago_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder.path().join("local.json")).unwrap();
        store.add(grant("a"), at("2026-11-21T20:00:00Z")).unwrap();
        store.add(grant("b"), at("2026-11-28T20:29:59Z")).unwrap();
        assert!(store.find("a").is_some());
        store.add(grant("c"), at("2026-11-28T20:30:00Z")).unwrap();
        assert!(store.find("a").is_none());
    }
}
