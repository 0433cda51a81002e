//! What always holds, a function a sentence: what was seen on the host, judged by the [`Reference`].
//!
//! Whatever the agent has to do for it is asked only while the agent is up and has settled; what must hold without it, always.

use crate::reference::{Mode, Reference};
use crate::seen::Seen;
use std::fmt::Debug;

/// One sentence.
type Invariant = fn(&Reference, &Seen) -> Result<(), String>;

macro_rules! sentences {
    ($($name:ident,)*) => {
        /// Every sentence, by its name.
        pub const ALL: &[(&str, Invariant)] = &[$((stringify!($name), $name)),*];
    };
}

sentences! {
    nobody_gets_in_without_a_live_grant,
    whoever_has_a_live_grant_gets_in,
    nobody_is_in_without_a_live_grant,
    nothing_of_sudo_is_left_after_its_end,
    exempt_people_are_never_ended,
    covered_access_is_never_disturbed,
    no_drop_in_is_there_without_a_live_sudo_grant,
    a_live_sudo_grant_has_its_drop_in,
    a_confirmed_revocation_holds_for_good,
    what_has_ended_never_lives_again,
    the_audits_numbers_have_no_gap,
    every_answer_is_in_the_audit,
}

/// Whoever asks at a door, or for sudo, without a live grant that opens it is refused.
fn nobody_gets_in_without_a_live_grant(reference: &Reference, seen: &Seen) -> Result<(), String> {
    let in_by = seen.doors.iter().find(|(who, door, permitted)| *permitted && !reference.lets_in(*who, *door));
    let sudo_by = seen.sudo.iter().find(|(who, permitted)| *permitted && !reference.lets_sudo(*who));
    none(in_by)?;
    none(sudo_by)
}

/// Whoever asks with a live grant is let in: access is the union of the grants.
fn whoever_has_a_live_grant_gets_in(reference: &Reference, seen: &Seen) -> Result<(), String> {
    let out = seen.doors.iter().find(|(who, door, permitted)| !permitted && reference.lets_in(*who, *door));
    let without_sudo = seen.sudo.iter().find(|(who, permitted)| !permitted && reference.lets_sudo(*who));
    none(out)?;
    none(without_sudo)
}

/// Nothing lives of a login that no grant covers any more, wherever its programs went.
fn nobody_is_in_without_a_live_grant(reference: &Reference, seen: &Seen) -> Result<(), String> {
    let over = reference.logins.iter().zip(&seen.logins).filter(|(login, _)| reference.up && login.over);
    none(over.into_iter().find(|(_, remains)| !remains.living.is_empty()))
}

/// Nothing lives of a run of sudo that no grant covers any more, though the login goes on.
fn nothing_of_sudo_is_left_after_its_end(reference: &Reference, seen: &Seen) -> Result<(), String> {
    let over = reference.runs.iter().zip(&seen.runs).filter(|(run, _)| reference.up && run.over);
    none(over.into_iter().find(|(_, remains)| !remains.living.is_empty()))
}

/// All that is covered lives on: logins, what they left running, and runs of sudo; with the agent dead, too.
fn covered_access_is_never_disturbed(reference: &Reference, seen: &Seen) -> Result<(), String> {
    let logins = reference.logins.iter().zip(&seen.logins).filter(|(login, _)| !login.over);
    none(logins.into_iter().find(|(_, remains)| !remains.lost.is_empty()))?;
    let runs = reference.runs.iter().zip(&seen.runs).filter(|(run, _)| !run.over);
    none(runs.into_iter().find(|(_, remains)| !remains.lost.is_empty()))
}

/// What exempt people have open is left alone, whatever else ends.
fn exempt_people_are_never_ended(reference: &Reference, seen: &Seen) -> Result<(), String> {
    let exempt = reference.logins.iter().zip(&seen.logins).filter(|(login, _)| login.who.is_exempt());
    none(exempt.into_iter().find(|(login, remains)| login.over || !remains.lost.is_empty()))
}

/// sudo has no rule by a grant that is not live, and none of a stranger's; while Curfew only observes, none at all.
fn no_drop_in_is_there_without_a_live_sudo_grant(reference: &Reference, seen: &Seen) -> Result<(), String> {
    let wanted = wanted_drop_ins(reference);
    none(seen.drop_ins.iter().find(|name| reference.up && !name.is_some_and(|grant| wanted.contains(&grant))))
}

/// sudo has a rule by each grant that is live.
fn a_live_sudo_grant_has_its_drop_in(reference: &Reference, seen: &Seen) -> Result<(), String> {
    let wanted = wanted_drop_ins(reference);
    none(wanted.iter().find(|&&grant| reference.up && !seen.drop_ins.contains(&Some(grant))))
}

fn wanted_drop_ins(reference: &Reference) -> Vec<usize> {
    let enforces = reference.mode == Mode::Enforce;
    let wanted = reference.grants.iter().enumerate();
    let wanted = wanted.filter(|(_, grant)| enforces && grant.sudo.is_some() && reference.holds(grant));
    wanted.map(|(number, _)| number).collect()
}

/// What the agent confirmed to be revoked has ended, also after a crash and where the clock was set back.
fn a_confirmed_revocation_holds_for_good(reference: &Reference, seen: &Seen) -> Result<(), String> {
    let revoked = reference.grants.iter().enumerate().filter(|(_, grant)| grant.revoked);
    none(revoked.into_iter().find(|(number, _)| reference.up && !seen.ended.contains(number)))
}

/// A grant of which the audit says that it ended is shown so ever after, wherever the clock goes.
fn what_has_ended_never_lives_again(reference: &Reference, seen: &Seen) -> Result<(), String> {
    none(seen.once_ended.iter().find(|number| reference.up && !seen.ended.contains(number)))
}

/// The records are numbered from 1 on, each number once.
fn the_audits_numbers_have_no_gap(_: &Reference, seen: &Seen) -> Result<(), String> {
    none(seen.out_of_order.first())
}

/// Each question that was answered has its record by then, but for the many of one person's, which are counted.
fn every_answer_is_in_the_audit(_: &Reference, seen: &Seen) -> Result<(), String> {
    none(seen.unrecorded.first())
}

/// That there is no counterexample.
fn none(counterexample: Option<impl Debug>) -> Result<(), String> {
    counterexample.map_or(Ok(()), |it| Err(format!("{it:?}")))
}
