#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::files::{forget, store, store_spare};
use super::*;
use crate::grant::stores::Grants;
use crate::grant::{Listing, State};
use curfew_protocol::grant::Grant;
use curfew_protocol::grant_set::Claims;
use curfew_protocol::jws::SigningKey;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;

const NOW: i64 = 1_700_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(NOW + second).unwrap()
}

fn grant(id: &str, until: i64) -> Value {
    json!({
        "id": id, "user": "alice", "not_before": at(-60).to_string(), "not_after": at(until).to_string(),
        "login": {}, "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
    })
}

/// A host with an endpoint, in a folder of its own.
struct Home {
    folder: tempfile::TempDir,
    key: SigningKey,
    ver: u64,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), key: SigningKey::generate().unwrap(), ver: 0 }
    }

    fn places(&self) -> StorePaths {
        let memory = self.folder.path().join("run");
        fs::create_dir_all(&memory).unwrap();
        StorePaths::within(self.folder.path(), &memory)
    }

    fn open(&self) -> Grants {
        let path = self.folder.path().join("local.json");
        let mut grants = Grants::open(&path, &path.with_extension("spare")).unwrap();
        let trust = Trust { host: "web-1".parse().unwrap(), keys: vec![self.key.public()] };
        grants.open_endpoint(self.places(), Some(&trust));
        grants
    }

    fn set(&mut self, grants: &[Value]) -> (String, NewSet) {
        self.ver += 1;
        let claims: Claims = serde_json::from_value(json!({
            "iss": "https://curfew.example", "aud": "web-1", "iat": NOW, "exp": NOW + 300, "epoch": 1, "ver": self.ver,
            "max_offline_s": 3600, "grants": grants
        }))
        .unwrap();
        let text = claims.sign(&self.key).unwrap();
        let set = GrantSet::verify_stored(&text, &[self.key.public()], &claims.aud).unwrap();
        (text, NewSet::of(set))
    }

    fn apply(&mut self, held: &mut Grants, grants: &[Value]) -> Taken {
        let (text, set) = self.set(grants);
        held.withdraw(&set, Whose::WhoGainsNothing, at(0));
        held.prepare(&set, at(0));
        store(&self.places(), &text, Some(set.facts.mark)).unwrap();
        held.withdraw(&set, Whose::Everybody, at(0));
        held.take(&set, true, at(0))
    }
}

fn states(held: &Grants) -> Vec<(&str, State, &'static str)> {
    held.held().iter().map(|it| (it.grant.id.as_str(), it.state(at(0)), it.end_word())).collect()
}

#[test]
fn a_set_is_in_force_and_back_after_a_restart() {
    let mut home = Home::new();
    let mut held = home.open();
    let taken = home.apply(&mut held, &[grant("a", 600), grant("b", 600)]);
    assert_eq!((taken.received.len(), taken.new_version), (2, true));
    for held in [&held, &home.open()] {
        assert_eq!(states(held), [("a", State::Live, "expired"), ("b", State::Live, "expired")]);
        assert_eq!(held.endpoint().mark(), Mark { epoch: 1, ver: 1, iat: NOW });
        assert!(!held.endpoint().is_stale(at(3899)) && held.endpoint().is_stale(at(3900)));
    }
}

#[test]
fn what_a_person_gets_by_the_same_set_comes_in_one_with_what_they_lose() {
    let mut home = Home::new();
    let mut held = home.open();
    home.apply(&mut held, &[grant("a", 600)]);
    let (text, set) = home.set(&[grant("b", 600)]);
    // While the set is on its way to the disk, what they have is covered by what they had.
    assert!(!held.withdraw(&set, Whose::WhoGainsNothing, at(0)));
    held.prepare(&set, at(0));
    assert_eq!(states(&held), [("a", State::Live, "expired")]);
    store(&home.places(), &text, Some(set.facts.mark)).unwrap();
    held.withdraw(&set, Whose::Everybody, at(0));
    held.take(&set, true, at(0));
    let mut now = states(&held);
    now.sort_unstable();
    assert_eq!(now, [("a", State::Ended, "revoked"), ("b", State::Live, "expired")]);
    assert_eq!(home.open().find("a").unwrap().state(at(0)), State::Ended);
}

#[test]
fn a_set_whose_times_are_wrong_here_takes_away_and_brings_nothing() {
    let mut home = Home::new();
    let mut held = home.open();
    home.apply(&mut held, &[grant("a", 600), grant("b", 600)]);
    let mark = held.endpoint().mark();
    let (_, set) = home.set(&[grant("b", 600), grant("c", 600)]);
    assert!(held.withdraw_untimely(&set, at(0)));
    let mut now = states(&held);
    now.sort_unstable();
    assert_eq!(now, [("a", State::Ended, "revoked"), ("b", State::Live, "expired")]);
    // The next one may be older than this one claims to be.
    assert_eq!(held.endpoint().mark(), mark);
}

#[test]
fn what_a_newer_set_has_no_more_is_revoked_before_anything_is_stored() {
    let mut home = Home::new();
    let mut held = home.open();
    home.apply(&mut held, &[grant("a", 600), grant("b", 600)]);
    let (_, set) = home.set(&[grant("b", 600)]);
    assert!(held.withdraw(&set, Whose::WhoGainsNothing, at(0)));
    assert_eq!(held.find("a").unwrap().state(at(0)), State::Ended);
    assert_eq!(held.find("a").unwrap().revoked.as_ref().unwrap().at, at(0));
    // Killed here, the agent knows of nothing yet; with the next step done, it stays so.
    assert_eq!(home.open().find("a").unwrap().state(at(0)), State::Live);
    held.prepare(&set, at(0));
    assert_eq!(states(&home.open()), [("b", State::Live, "expired"), ("a", State::Ended, "revoked")]);
}

#[test]
fn a_set_that_is_signed_anew_says_nothing_new_and_need_not_be_stored_again() {
    let mut home = Home::new();
    let mut held = home.open();
    home.apply(&mut held, &[grant("a", 600)]);
    home.ver -= 1;
    let (_, same) = home.set(&[grant("a", 600)]);
    assert!(!held.says_something_new(&same));
    home.ver -= 1;
    let (_, other) = home.set(&[grant("a", 900)]);
    assert!(held.says_something_new(&other));
    for held in [&mut held, &mut home.open()] {
        held.note_stored(&same);
        assert!(held.endpoint().stored_is_fresh(at(299)) && !held.endpoint().stored_is_fresh(at(300)));
    }
}

#[test]
fn a_grant_that_comes_back_is_held_again() {
    let mut home = Home::new();
    let mut held = home.open();
    home.apply(&mut held, &[grant("a", 600)]);
    home.apply(&mut held, &[]);
    assert_eq!(states(&held), [("a", State::Ended, "revoked")]);
    assert_eq!(home.apply(&mut held, &[grant("a", 600)]).received.len(), 1);
    for held in [&held, &home.open()] {
        assert_eq!(states(held), [("a", State::Live, "expired")]);
    }
}

#[test]
fn another_content_takes_over_and_the_old_one_is_superseded() {
    let mut home = Home::new();
    let mut held = home.open();
    home.apply(&mut held, &[grant("a", 600)]);
    let taken = home.apply(&mut held, &[grant("a", 900)]);
    assert_eq!(taken.changed.len(), 1);
    for held in [&held, &home.open()] {
        assert_eq!(states(held), [("a", State::Live, "expired"), ("a", State::Ended, "superseded")]);
        assert_eq!(held.find("a").unwrap().end(), at(900));
        assert_ne!(held.held()[0].revision_key(), held.held()[1].revision_key());
    }
    // What was over before needs no second end.
    let mut held = home.open();
    home.apply(&mut held, &[grant("b", -10)]);
    home.apply(&mut held, &[grant("b", 600)]);
    assert_eq!(held.of("alice").iter().filter(|it| it.grant.id.as_str() == "b").count(), 1);
}

#[test]
fn a_local_grant_keeps_its_id() {
    let mut home = Home::new();
    let mut held = home.open();
    held.add(Grant::from_value(&grant("a", 600)).unwrap(), at(0)).unwrap();
    let taken = home.apply(&mut held, &[grant("a", 900), grant("b", 600)]);
    assert_eq!(held.find("a").unwrap().source, Source::Local);
    assert_eq!(held.held().len(), 2);
    assert!(taken.refused[0].problem.contains("a local grant has the id a"));
    // Said once, not at every set.
    assert!(home.apply(&mut held, &[grant("a", 900), grant("b", 600)]).refused.is_empty());
}

#[test]
fn what_root_revokes_here_stays_so_across_sets_contents_and_restarts() {
    let mut home = Home::new();
    let mut held = home.open();
    home.apply(&mut held, &[grant("a", 600)]);
    held.revoke("a", Revocation { at: at(0), reason: None, by: None }).unwrap();
    assert!(held.unstored().is_none());
    home.apply(&mut held, &[grant("a", 600), grant("b", 600)]);
    home.apply(&mut held, &[grant("a", 900)]);
    for held in [&held, &home.open()] {
        assert_eq!(held.find("a").unwrap().state(at(0)), State::Ended);
        assert_eq!(held.find("a").unwrap().end_word(), "revoked");
    }
}

#[test]
fn a_set_that_the_disk_does_not_take_ends_and_narrows_and_adds_nothing() {
    let mut home = Home::new();
    let mut held = home.open();
    home.apply(&mut held, &[grant("gone", 600), grant("shorter", 600)]);
    let (text, set) = home.set(&[grant("shorter", 60), grant("new", 600)]);
    held.withdraw(&set, Whose::Everybody, at(0));
    store_spare(&home.places(), &text).unwrap();
    held.take(&set, false, at(0));
    for held in [&held, &home.open()] {
        assert_eq!(held.find("gone").unwrap().state(at(0)), State::Ended);
        assert_eq!(held.find("shorter").unwrap().end(), at(60));
        assert!(held.find("new").is_none());
        // The version in force is the one that is stored; the mark has seen the newer one.
        assert_eq!(held.endpoint().facts().unwrap().mark.ver, 1);
        assert_eq!(held.endpoint().mark().ver, 2);
    }
    // The disk takes it again.
    held.prepare(&set, at(0));
    store(&home.places(), &text, Some(set.facts.mark)).unwrap();
    assert_eq!(held.take(&set, true, at(0)).received.len(), 1);
    for held in [&held, &home.open()] {
        assert_eq!(held.find("new").unwrap().state(at(0)), State::Live);
    }
    assert!(!home.places().spare_set.exists());
}

#[test]
fn a_set_that_can_not_be_believed_any_more_is_set_aside_and_the_mark_stays() {
    let mut home = Home::new();
    let mut held = home.open();
    home.apply(&mut held, &[grant("a", 600)]);
    let path = home.places().set;
    let mut text = fs::read_to_string(&path).unwrap();
    text.replace_range(100..101, if &text[100..101] == "A" { "B" } else { "A" });
    fs::write(&path, &text).unwrap();
    let held = home.open();
    assert!(held.held().is_empty() && !path.exists());
    assert!(held.endpoint().set_aside().unwrap().path.ends_with("grants.jws.set-aside-1"));
    assert_eq!(held.endpoint().mark().ver, 1);
}

#[test]
fn a_host_that_leaves_keeps_no_access_and_knows_why() {
    let mut home = Home::new();
    let mut held = home.open();
    home.apply(&mut held, &[grant("a", 600)]);
    held.leave_endpoint(at(0));
    forget(&home.places()).unwrap();
    let held = home.open();
    assert_eq!(states(&held), [("a", State::Ended, "revoked")]);
    assert_eq!(held.endpoint().mark(), Mark::default());
}

proptest! {
    /// Whatever sets come one after the other, and wherever the agent is killed, what is live is what the last set that was stored says, less what
    /// root revoked.
    #[test]
    fn what_is_live_is_what_the_last_set_says(
        sets in proptest::collection::vec((proptest::collection::btree_map(0..4_u8, 1..4_i64, 0..4), 0..4_u8, 0..6_u8), 1..8)
    ) {
        let mut home = Home::new();
        let mut held = home.open();
        let mut revoked = HashSet::new();
        for (set, crash, revoke) in sets {
            let grants: Vec<Value> = set.iter().map(|(id, until)| grant(&format!("g{id}"), until * 100)).collect();
            if crash == 0 {
                let (_, set) = home.set(&grants);
                held.withdraw(&set, Whose::Everybody, at(0));
                held.prepare(&set, at(0));
                held = home.open();
            }
            home.apply(&mut held, &grants);
            if crash == 1 {
                held = home.open();
            }
            let id = format!("g{revoke}");
            if held.revoke(&id, Revocation { at: at(0), reason: None, by: None }).is_ok() {
                revoked.insert(id);
            }
            revoked.retain(|id| held.find(id).is_some());
            let live: HashSet<(String, i64)> = held.held().iter().filter(|it| it.state(at(0)) == State::Live)
                .map(|it| (it.grant.id.to_string(), it.end().as_second() - NOW)).collect();
            let wanted: HashSet<(String, i64)> = set.iter().map(|(id, until)| (format!("g{id}"), until * 100))
                .filter(|(id, _)| !revoked.contains(id)).collect();
            prop_assert_eq!(&live, &wanted);
            prop_assert!(held.held().iter().filter(|it| it.listing == Listing::Listed).count() == set.len());
            let keys: HashSet<String> = held.held().iter().map(HeldGrant::revision_key).collect();
            prop_assert_eq!(keys.len(), held.held().len());
        }
    }
}
