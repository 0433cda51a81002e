//! The stores of grants, and the list of what they hold. Every change of what is held comes by here, and is stored
//! before it is in force, or as soon as the disk takes it.

use super::account::directory::Directory;
use super::held::{HeldGrants, Moved};
use super::local::{LocalStore, MOST_GRANTS, StoreError};
use super::signed_set::files::StorePaths;
use super::signed_set::{EndpointStore, NewSet, Taken, Trust, Whose};
use super::{HeldGrant, KEPT_AFTER_END, Revocation, Source};
use curfew_protocol::grant::Grant;
use jiff::Timestamp;
use std::path::Path;

/// The grants, and the stores behind them.
#[derive(Debug)]
pub struct Grants {
    held: HeldGrants,
    local: LocalStore,
    endpoint: EndpointStore,
}

impl Grants {
    /// Reads what the host keeps: the local store at `path`, and its revocations that had to be kept elsewhere, at `spare`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`] where the local store can be neither read nor set aside.
    pub fn open(path: &Path, spare: &Path) -> Result<Self, StoreError> {
        let (local, held) = LocalStore::open(path, spare)?;
        Ok(Self { held: HeldGrants::new(held), local, endpoint: EndpointStore::default() })
    }

    /// Takes what is known of accounts.
    pub fn know(&mut self, accounts: Directory) {
        self.held.know(accounts);
    }

    /// Reads the endpoint's store. Without `trust` there is no endpoint, and what is left is what became of its grants.
    pub fn open_endpoint(&mut self, places: StorePaths, trust: Option<&Trust>) {
        self.endpoint = EndpointStore::open(places, trust, &mut self.held);
    }

    /// The grants, sorted by person, those of one user in the order in which they came.
    pub fn held(&self) -> &[HeldGrant] {
        self.held.held()
    }

    /// The grants, to note how far they have come. Nothing of this is stored.
    pub fn held_mut(&mut self) -> &mut [HeldGrant] {
        self.held.held_mut()
    }

    /// The grants of one person: of every name of the user id that `user` stands for.
    pub fn of(&self, user: &str) -> &[HeldGrant] {
        self.held.of(user)
    }

    /// The grant with this id: the content of it that the newest set has, or else the last one that was held.
    pub fn find(&self, id: &str) -> Option<&HeldGrant> {
        self.held.find(id)
    }

    /// The name under which the person is judged who is called `user`.
    pub fn judged_name<'s>(&'s self, user: &'s str) -> &'s str {
        self.held.judged_name(user)
    }

    /// Who it may be that has a session under `uid`, for which the user database gives the name `owner`.
    pub fn name_with(&self, uid: u32, owner: &str) -> String {
        self.held.name_with(uid, owner)
    }

    /// The people who have grants that have not ended for good.
    pub fn people(&self) -> impl Iterator<Item = &str> {
        self.held.people()
    }

    /// What is known of accounts.
    pub fn accounts(&self) -> &Directory {
        self.held.accounts()
    }

    /// What is known of accounts, to be added to.
    pub fn accounts_mut(&mut self) -> &mut Directory {
        self.held.accounts_mut()
    }

    /// What changed of whose grants are, since the last time.
    pub fn take_moved(&mut self) -> Vec<Moved> {
        self.held.take_moved()
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
        let mut held = self.held().to_vec();
        held.retain(|held| held.source != Source::Local || now.duration_since(held.end()) < KEPT_AFTER_END);
        if held.iter().filter(|held| held.source == Source::Local).count() >= MOST_GRANTS {
            return Err(StoreError::Full);
        }
        held.push(HeldGrant::new(grant, Source::Local));
        self.local.write(&held)?;
        self.held.replace(held);
        Ok(())
    }

    /// Revokes the grant with this id. That holds at once, also where the disk takes nothing: then it is stored as soon as
    /// [`store_again`](Self::store_again) succeeds.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where there is no such grant, or it is over.
    pub fn revoke(&mut self, id: &str, revocation: Revocation) -> Result<HeldGrant, StoreError> {
        let Some(found) = self.held.find_mut(id) else { return Err(StoreError::Unknown(id.to_owned())) };
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
        self.local.store_again(self.held.held());
        self.endpoint.store_again(self.held.held());
    }

    /// Why a revocation that holds could not be stored, and what would forget it.
    pub fn unstored(&self) -> Option<&str> {
        self.local.unstored().or(self.endpoint.unstored())
    }

    /// What the set has no more is over from `now` on, before anything is stored. Returns whether anything was.
    pub fn withdraw(&mut self, set: &NewSet, whose: Whose, now: Timestamp) -> bool {
        self.endpoint.withdraw(&mut self.held, set, whose, now)
    }

    /// As [`withdraw`](Self::withdraw), for a set whose times are not right by this host's clock: it takes away, brings nothing, and is not the newest.
    pub fn withdraw_untimely(&mut self, set: &NewSet, now: Timestamp) -> bool {
        self.endpoint.withdraw_untimely(&mut self.held, set, now)
    }

    /// Stores what becomes of grants by the set, where that changes: before the set itself, so that a crash between the two brings nothing back.
    pub fn prepare(&mut self, set: &NewSet, now: Timestamp) {
        self.endpoint.prepare(self.held.held(), set, now);
    }

    /// Whether the set adds to what the one before it said.
    pub fn says_something_new(&self, set: &NewSet) -> bool {
        self.endpoint.is_news(self.held.held(), set)
    }

    /// The set is on the disk.
    pub fn note_stored(&mut self, set: &NewSet) {
        self.endpoint.note_stored(set);
    }

    /// Puts the set in force: the whole of a stored one; of one that is not, only what it says of grants that are held.
    pub fn take(&mut self, set: &NewSet, stored: bool, now: Timestamp) -> Taken {
        self.endpoint.take(&mut self.held, set, stored, now)
    }

    /// The host leaves its endpoint: the endpoint's grants are over, and its history begins anew with another one.
    pub fn leave_endpoint(&mut self, now: Timestamp) {
        self.endpoint.leave(&mut self.held, now);
        self.store_again();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::grant::State;
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
        store.revoke("a", Revocation { at: now, reason: Some("done".parse().unwrap()), by: None }).unwrap();
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
            revoked: Some(Revocation { at: at("2026-11-21T20:10:00Z"), reason: None, by: None }),
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
        let revocation = Revocation { at: now, reason: None, by: None };
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
        store.revoke("a", Revocation { at: now, reason: None, by: None }).unwrap();
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
