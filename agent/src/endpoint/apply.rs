//! One set, from the wire into force: verified, stored, held, audited.
//!
//! What it has no more is over as soon as it is verified; what it adds opens once it is stored. Only then does the sync remember what it was called.

use super::client::Link;
use super::failure::Failure;
use super::follower::Follower;
use super::identity::Identity;
use crate::clock;
use crate::grant::lifecycle::refusal;
use crate::grant::settle::settle;
use crate::grant::signed_set::files::{store, store_spare};
use crate::grant::signed_set::{NewSet, SetFacts, Taken, Whose};
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::grant_set::{GrantSet, Mark, SetError};
use curfew_protocol::jws::PublicKey;
use std::rc::Rc;

/// The longest set that is verified on the event loop, in bytes: some dozens of grants, in less than a millisecond. A thread would cost more.
const LONGEST_AT_ONCE: usize = 32 * 1024;

/// Verifies the set that came over `link` and puts it in force. Returns whether it says something new.
///
/// # Errors
///
/// [`Failure::Refused`] and [`Failure::Unstored`]; the last good set stays in force, less what a set that can't be stored, or whose
/// times are wrong by this host's clock, has no more.
pub async fn apply(follower: &Rc<Follower>, link: &Link, text: String) -> Result<bool, Failure> {
    let _alone = follower.endpoint.at_work.lock().await;
    // It may have left, or enrolled elsewhere, meanwhile.
    let Some(identity) = follower.endpoint.identity().filter(|identity| link.serves(identity)) else {
        return Ok(false);
    };
    let had = follower.ledger.grants().endpoint().mark();
    let (keys, host, now) = (identity.keys.clone(), identity.host.clone(), clock::now());
    let short = text.len() <= LONGEST_AT_ONCE;
    let verify = move || {
        let set = GrantSet::verify_order(&text, &keys, &host, had)?;
        let untimely = set.is_timely(now).err();
        Ok::<_, SetError>((text, NewSet::of(set), untimely))
    };
    let (text, set, untimely) = if short {
        verify()?
    } else {
        tokio::task::spawn_blocking(verify).await.map_err(|error| Failure::Broken(error.to_string()))??
    };
    if let Some(untimely) = untimely {
        // Whoever sets this host's clock must not keep a revocation from it.
        if follower.ledger.grants_mut().withdraw_untimely(&set, clock::now()) {
            follower.trigger.look_now().await;
        }
        return Err(untimely.into());
    }
    time_is_proven(follower, &set.facts, had);
    // At once, but for people who get something by the same set: what that covers must not end in between.
    let withdrawn = follower.ledger.grants_mut().withdraw(&set, Whose::WhoGainsNothing, clock::now());
    if withdrawn {
        follower.trigger.look_now().await;
    }
    let is_new = withdrawn || follower.ledger.grants().says_something_new(&set);
    let pinned = pin(follower, &identity, &set);
    if !is_new && pinned.is_ok() && follower.ledger.grants().endpoint().stored_is_fresh(clock::now()) {
        // A fleet that writes what it has, every minute, is heavy on its disks: once a lifetime is enough.
        return Ok(hold(follower, &set, true));
    }
    let kept = match pinned {
        Ok(()) => keep(follower, text, &set, is_new).await,
        Err(problem) => Err(problem),
    };
    // From here on nothing waits: what the set has no more goes in one with what it brings.
    follower.ledger.grants_mut().withdraw(&set, Whose::Everybody, clock::now());
    match kept {
        Err(problem) if is_new => {
            hold(follower, &set, false);
            Err(Failure::Unstored(problem))
        }
        kept => {
            if let Err(problem) = kept {
                // It says what the stored one says.
                tracing::warn!("the endpoint's set was signed anew and could not be stored: {problem}");
            }
            Ok(hold(follower, &set, true))
        }
    }
}

/// A set that is newer than all before proves that the time at which it was signed has passed.
fn time_is_proven(follower: &Follower, set: &SetFacts, had: Mark) {
    if set.mark > had {
        follower.ledger.clock.prove(set.issued);
        tracing::debug!(issued = %set.issued, "a newer set was verified");
    }
}

/// Pins the keys that the set names instead of those before, where they are others: before the set, which may be the last that the old ones signed.
fn pin(follower: &Follower, identity: &Identity, set: &NewSet) -> Result<(), String> {
    let Some(pinned) = identity.pinning(&set.keys) else { return Ok(()) };
    follower.endpoint.become_known_as(pinned).map_err(|error| error.to_string())?;
    let kids: Vec<String> = set.keys.iter().map(PublicKey::kid).collect();
    tracing::info!(keys = %kids.join(", "), "the endpoint signs with other keys from now on");
    Ok(())
}

/// Makes the set durable; in memory where the disk takes nothing.
async fn keep(follower: &Follower, text: String, set: &NewSet, is_new: bool) -> Result<(), String> {
    follower.ledger.grants_mut().prepare(set, clock::now());
    let places = follower.ledger.grants().endpoint().places().clone();
    let mark = is_new.then_some(set.facts.mark);
    let keep = move || {
        store(&places, &text, mark).map_err(|error| {
            let path = places.set.display();
            match store_spare(&places, &text) {
                Ok(()) => format!("{path}: {error}"),
                Err(spare) => format!("{path}: {error}; {}: {spare}", places.spare_set.display()),
            }
        })
    };
    tokio::task::spawn_blocking(keep).await.map_err(|error| error.to_string())??;
    follower.ledger.grants_mut().note_stored(set);
    Ok(())
}

/// Puts the set in force, as far as it is stored, and audits what came of it before anything else can happen.
fn hold(follower: &Rc<Follower>, set: &NewSet, stored: bool) -> bool {
    let now = clock::now();
    let Taken { received, changed, refused, new_version } = follower.ledger.grants_mut().take(set, stored, now);
    for (before, after) in &changed {
        if (&before.grant.user, &before.grant.sudo) != (&after.grant.user, &after.grant.sudo) {
            follower.ledger.sudo_rules.note_outdated(before.grant.id.as_str());
        }
    }
    received.iter().for_each(|held| follower.audit.write(held.entry(Event::GrantReceived)));
    refused.iter().for_each(|refused| follower.audit.write(refusal(refused)));
    if new_version {
        let new = received.iter().chain(changed.iter().map(|(_, after)| after));
        let new = new.filter(|held| held.grant.sudo.is_some()).map(|held| held.grant.id.to_string());
        follower.trigger.spawn_tracked(tell_applied(Rc::clone(follower), new.collect(), set.facts.mark.ver));
    }
    follower.trigger.pull();
    new_version
}

/// Tells that a set is applied when what it grants works and what it took is gone, or cannot be waited for. Nothing else waits for that.
async fn tell_applied(follower: Rc<Follower>, new: Vec<String>, version: u64) {
    let _in_order = follower.endpoint.telling.lock().await;
    let failed = settle(&follower.ledger, &new).await;
    let entry = Entry::new(Event::SetApplied).with(Field::Source, "endpoint").with(Field::SetVersion, version);
    let reason = failed.first().map(|(id, why)| match failed.len() {
        1 => format!("no sudo yet by grant {id}: {why}"),
        several => format!("no sudo yet by {several} grants, such as {id}: {why}"),
    });
    follower.audit.write(entry.with(Field::Reason, reason));
}
