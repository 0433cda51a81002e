//! What a new set makes of the endpoint's grants that are held: a pure function of both.

use super::SetFacts;
use crate::grant::{Content, HeldGrant, KEPT_AFTER_END, Listing, Revocation, Source, State};
use curfew_protocol::grant::{Grant, LoginName};
use curfew_protocol::grant_set::{GrantSet, MOST_GRANTS, RefusedGrant};
use curfew_protocol::jws::PublicKey;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The most grants that are kept after sets had them no more; the last that ended stay.
const MOST_KEPT: usize = MOST_GRANTS;

/// A verified set, ready to be compared with what is held.
#[derive(Clone, Debug)]
pub struct NewSet {
    /// Its place and times.
    pub facts: SetFacts,
    /// The keys to pin from now on; empty for no change.
    pub keys: Vec<PublicKey>,
    grants: Vec<(Grant, Content)>,
    refused: Vec<RefusedGrant>,
}

impl NewSet {
    /// Takes a set apart. With thousands of grants that takes a while: not on the event loop.
    pub fn of(set: GrantSet) -> Self {
        let facts = SetFacts::of(&set);
        let with_content = |grant: Grant| {
            let content = Content::of(&grant);
            (grant, content)
        };
        let grants = set.grants.into_iter().map(with_content).collect();
        Self { facts, keys: set.keys, grants, refused: set.refused }
    }
}

impl NewSet {
    /// Whether it has a grant, or a content of one, that is not held.
    pub(super) fn adds_to(&self, held: &[HeldGrant]) -> bool {
        self.new_to(held).next().is_some()
    }

    /// The grants that are not held, or with another content.
    fn new_to<'s>(&'s self, held: &'s [HeldGrant]) -> impl Iterator<Item = &'s Grant> {
        let known: HashSet<(&str, Option<Content>)> = held
            .iter()
            .filter(|it| it.source == Source::Local || is_listed(it))
            .map(|it| (id(it), it.content))
            .collect();
        let is_known = move |grant: &Grant, content: Content| {
            let id = grant.id.as_str();
            known.contains(&(id, Some(content))) || known.contains(&(id, None))
        };
        self.grants.iter().filter(move |(grant, content)| !is_known(grant, *content)).map(|(grant, _)| grant)
    }
}

/// How much of a set counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// What it says of grants that are held: it is not stored, and opens nothing that is new.
    HeldAlone,
}

/// All of the endpoint's grants, by a new set.
#[derive(Debug, Default)]
pub struct Next {
    /// They, without the local ones.
    pub held: Vec<HeldGrant>,
    /// The ones that are new, or have a new content.
    pub received: Vec<HeldGrant>,
    /// What was superseded, beside what superseded it.
    pub changed: Vec<(HeldGrant, HeldGrant)>,
    /// What in the set is no grant here.
    pub refused: Vec<RefusedGrant>,
}

/// Whose grants are withdrawn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whose {
    /// Everybody's.
    Everybody,
    /// Those of people who get nothing new by the same set: nothing that is to come can cover what they have open.
    WhoGainsNothing,
}

/// BootTimeEnds the listed grants that the set has no more.
pub fn withdraw(held: &mut [HeldGrant], set: &NewSet, whose: Whose, now: Timestamp) -> bool {
    let ids: HashSet<&str> = set.grants.iter().map(|(grant, _)| grant.id.as_str()).collect();
    let gains: HashSet<LoginName> = match whose {
        Whose::Everybody => HashSet::new(),
        Whose::WhoGainsNothing => set.new_to(held).map(|grant| grant.user.clone()).collect(),
    };
    let mut any = false;
    let gone = |held: &&mut HeldGrant| {
        is_listed(held) && !ids.contains(held.grant.id.as_str()) && !gains.contains(&held.grant.user)
    };
    for held in held.iter_mut().filter(gone) {
        end(held, Listing::Withdrawn, now, "no longer in the endpoint's set");
        any = true;
    }
    any
}

/// BootTimeEnds a grant at `now`, unless it is over already.
pub fn end(held: &mut HeldGrant, listing: Listing, now: Timestamp, why: &str) {
    // What a wrong clock alone calls over would be back when that is mended.
    if !held.is_over_for_good() {
        held.revoked = Some(Revocation { at: now, reason: why.parse().ok(), by: None });
    }
    if held.listing == Listing::Listed {
        held.listing = listing;
    }
}

/// The endpoint's grants by `set`, of what is `held`. What the set has no more was withdrawn before.
pub fn next(
    held: &[HeldGrant],
    set: &NewSet,
    extent: Extent,
    revoked_here: &BTreeMap<String, Revocation>,
    now: Timestamp,
) -> Next {
    let local: HashSet<&str> = held.iter().filter(|it| it.source == Source::Local).map(id).collect();
    let listed: HashMap<&str, &HeldGrant> = held.iter().filter(|it| is_listed(it)).map(|it| (id(it), it)).collect();
    let mut next = Next { refused: set.refused.clone(), ..Next::default() };
    let mut over = Vec::new();
    for (grant, content) in &set.grants {
        let name = grant.id.as_str();
        let before = listed.get(name).copied();
        if local.contains(name) {
            let problem = format!("a local grant has the id {name}");
            next.refused.push(RefusedGrant { id: Some(grant.id.clone()), problem });
            continue;
        }
        let same = before.filter(|before| before.content == Some(*content));
        if let Some(same) = same {
            next.held.push(same.clone());
        } else if before.is_some() || extent == Extent::Whole {
            let revoked = revoked_here.get(name).cloned();
            let new = HeldGrant { revoked, ..HeldGrant::of_endpoint(grant.clone(), *content) };
            if let Some(before) = before {
                next.changed.push((before.clone(), new.clone()));
                over.extend(superseded(before, now));
            }
            next.received.push(new.clone());
            next.held.push(new);
        }
    }
    let back: HashSet<(&str, Option<Content>)> = next.held.iter().map(|it| (id(it), it.content)).collect();
    let kept = |it: &&HeldGrant| now.duration_since(it.end()) < KEPT_AFTER_END && !back.contains(&(id(it), it.content));
    over.extend(held.iter().filter(|it| is_over(it)).filter(kept).cloned());
    if over.len() > MOST_KEPT {
        over.sort_by_key(|it| std::cmp::Reverse(it.end()));
        over.truncate(MOST_KEPT);
    }
    next.held.extend(over);
    next
}

/// As [`next`], for a set that was stored: what newer sets withdrew is not back.
pub fn loaded(held: &[HeldGrant], set: &NewSet, extent: Extent, revoked_here: &BTreeMap<String, Revocation>) -> Next {
    let withdrawn: HashMap<(&str, Option<Content>), &HeldGrant> =
        held.iter().filter(|it| it.listing == Listing::Withdrawn).map(|it| ((id(it), it.content), it)).collect();
    let mut next = next(held, set, extent, revoked_here, set.facts.issued);
    for it in &mut next.held {
        if let Some(&over) = withdrawn.get(&(id(it), it.content)) {
            *it = over.clone();
        }
    }
    next
}

/// What stays of a content that another one took the place of. What was over before needs no second end.
fn superseded(before: &HeldGrant, now: Timestamp) -> Option<HeldGrant> {
    let mut before = before.clone();
    let goes_on = before.state(now) != State::Ended;
    end(&mut before, Listing::Superseded, now, "replaced in the endpoint's set");
    goes_on.then_some(before)
}

fn id(held: &HeldGrant) -> &str {
    held.grant.id.as_str()
}

fn is_listed(held: &HeldGrant) -> bool {
    held.source == Source::Endpoint && held.listing == Listing::Listed
}

fn is_over(held: &HeldGrant) -> bool {
    held.source == Source::Endpoint && held.listing != Listing::Listed
}
