//! What ended by itself: told as such, and looked after until nothing of it is left.

use super::kill::Ending;
use super::kill::target::Target;
use super::terminations::{Terminations, how_it_ended};
use crate::grant::decision::ReasonCode;
use crate::grant::sudo_command::SudoCommand;
use crate::host::apart;
use crate::host::process_table::{Table, Wanted};
use crate::host::processes::ProcessId;
use crate::sessions::claim::Claim;
use crate::sessions::hung_up::HungUp;
use crate::sessions::last_words;
use crate::sessions::outlook::outlook;
use crate::sessions::run::Elevation;
use crate::sessions::run_groups;
use crate::sessions::session::Session;
use crate::sessions::standing::Standing;
use crate::sessions::watch::Ended;
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// What somebody started ends a moment after their login or their run of sudo.
const A_MOMENT: Duration = Duration::from_millis(50);

/// The shortest and the longest pause between two looks for what a login or a run of sudo left when it ended by itself.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How many times as long as a look the pause after it is: looks never take more than a hundredth of the time.
const PAUSE_PER_LOOK: u32 = 100;

/// Audits the sessions whose first process is gone. What they left behind is watched until it is gone, too.
pub fn note_closed(terminations: &Rc<Terminations>) {
    let closed = terminations.sessions.borrow_mut().take_closed();
    {
        let ending = terminations.ending.borrow();
        for session in closed.iter().filter(|session| !session.exempt && !ending.contains(&session.leader)) {
            if is_hung_up(terminations, session) {
                // What is left of it has until its end: that is when it is told, or when nothing is left.
                continue;
            }
            terminations.sessions.borrow_mut().update_session(session.leader, |it| it.hung_up = HungUp::default());
            let now = terminations.ledger.now();
            let owed_to = {
                let grants = terminations.ledger.grants();
                let grants = grants.of(&session.user);
                session.owed_to(&session.standing(grants, now), grants, now)
            };
            write_under(terminations, owed_to, session.entry(Event::SessionClosed));
        }
    }
    let ended = ended_runs(terminations);
    ended.iter().for_each(|run| note_run_over(terminations, run));
    look_behind(terminations);
}

/// Whether a login that has ended did so since it had HUP and TERM: not where its end was put off after that, and it went on.
fn is_hung_up(terminations: &Terminations, session: &Session) -> bool {
    let now = terminations.ledger.now();
    let standing = session.standing(terminations.ledger.grants().of(&session.user), now);
    !session.hung_up.is_empty() && is_for(session.hung_up_for, &standing)
}

/// Whether what was done for an end was done for this one.
fn is_for(done_for: Option<Timestamp>, standing: &Standing) -> bool {
    match standing {
        Standing::Covered { until, .. } => done_for == Some(*until),
        Standing::Over { .. } => true,
    }
}

/// Audits what ended in the grace before its end, by HUP and TERM, and left nothing.
fn note_ended_in_grace(terminations: &Terminations, target: &Target) {
    let now = terminations.ledger.now();
    let grants = terminations.ledger.grants();
    let (entry, owed_to, is_meant, standing) = match target {
        // That it had them for this end was seen when it closed.
        Target::Session(it) if !it.is_left_alone() && !it.hung_up.is_empty() => {
            let standing = it.standing(grants.of(&it.user), now);
            let owed_to = it.owed_to(&standing, grants.of(&it.user), now);
            let grant = last_words::grant_of_session(it, grants.of(&it.user), now);
            let how = how_it_ended(&grants, &standing, grant.as_deref(), None);
            (it.entry(Event::SessionTerminated).with(Field::End, how), owed_to, it.closed, standing)
        }
        Target::Elevation { ended: it, .. } if !it.hung_up.is_empty() => {
            let outlook =
                outlook(&terminations.ledger, &|service, at| terminations.status.governs(service, at), it, now);
            let owed_to = it.claim.owed_to(grants.of(&it.claim.user), now);
            let how = how_it_ended(&grants, &outlook.standing, outlook.grant.as_deref(), outlook.reason.as_deref());
            let entry = it.entry(Event::SudoTerminated).with(Field::End, how).with(Field::Reason, outlook.reason);
            (entry, owed_to, is_for(it.hung_up_for, &outlook.standing), outlook.standing)
        }
        _ => return,
    };
    if !is_meant {
        return;
    }
    let reason = match &standing {
        Standing::Covered { .. } => ReasonCode::Ended,
        Standing::Over { reason, .. } => *reason,
    };
    drop(grants);
    if let Target::Elevation { ended, .. } = target {
        note_told(terminations, ended);
    }
    write_under(terminations, owed_to, Ending::ended_in_grace(target, entry.with(Field::ReasonCode, reason.name())));
}

/// What of a run had HUP and TERM is told of it, and not of the logins and runs around it again.
fn note_told(terminations: &Terminations, run: &Elevation) {
    let mut sessions = terminations.sessions.borrow_mut();
    let leaders: Vec<_> = sessions.sessions().iter().map(|session| session.leader).collect();
    let others = sessions.elevations().iter().map(|other| other.root).filter(|root| *root != run.root);
    let others: Vec<_> = others.collect();
    leaders.into_iter().for_each(|it| sessions.update_session(it, |session| session.hung_up.note_told(&run.hung_up)));
    others.into_iter().for_each(|it| sessions.update_elevation(it, |other| other.hung_up.note_told(&run.hung_up)));
}

/// Records what came of something under the grant to which it was owed last, whichever it opened under.
pub(super) fn write_under(terminations: &Terminations, owed_to: Option<String>, entry: Entry) {
    terminations.ledger.write_under(owed_to.as_deref(), entry.with(Field::Grant, owed_to.clone()));
}

/// The runs of sudo and su whose first process has ended and of which more is to be told.
fn ended_runs(terminations: &Terminations) -> Vec<Elevation> {
    let (sessions, ending) = (terminations.sessions.borrow(), terminations.ending.borrow());
    let ended = |run: &&Elevation| !run.gone && !ending.contains(&run.root) && !sessions.lives(run.root);
    sessions.elevations().iter().filter(ended).cloned().collect()
}

/// A run of sudo or su whose first process has ended is over when its control group is empty. This costs the same on any host.
fn note_run_over(terminations: &Terminations, run: &Elevation) {
    let Some(group) = run.group.as_ref().filter(|group| group.is_empty().unwrap_or(false)) else { return };
    let target = Target::of_run(&terminations.sessions.borrow(), run, |_| true);
    note_ended_in_grace(terminations, &target);
    retire(terminations, run);
    run_groups::remove(group);
}

/// Nothing is left of the run in its group. What root moved out of it may be: one entry for each login and grant is kept to look for that.
fn retire(terminations: &Terminations, run: &Elevation) {
    let now = terminations.ledger.now();
    // What it left is found at the end of those that it was within, too: they are its own login's, and began before it.
    let run = &Elevation { within: Vec::new(), ..run.clone() };
    let standing = run.claim.standing(terminations.ledger.grants().of(&run.claim.user), now);
    let mut sessions = terminations.sessions.borrow_mut();
    let retired = match standing {
        // It listed or renewed, and ran nothing.
        _ if run.claim.command == SudoCommand::Nothing => return sessions.remove_elevation(run.root),
        Standing::Covered { grant, .. } if run.audit_session.is_some() => {
            let claim = Claim { pinned: vec![grant], ..run.claim.clone() };
            Elevation { claim, gone: true, hung_up: HungUp::default(), ..run.clone() }
        }
        // Its end has come: that looks for what is left.
        Standing::Over { .. } if run.audit_session.is_some() => {
            Elevation { gone: true, hung_up: HungUp::default(), ..run.clone() }
        }
        // By nothing could it be found.
        _ => return sessions.remove_elevation(run.root),
    };
    // The oldest of a login is kept: what started, or got rights to give, since then is looked for. Of logins that nobody follows, and so nobody
    // will forget, one is kept in all.
    let is_followed = |run: &Elevation| sessions.sessions().iter().any(|it| it.audit_session == run.audit_session);
    let says_it = |known: &&Elevation| {
        let strangers = || !is_followed(known) && !is_followed(&retired);
        known.leaves_as(&retired)
            || (known.is_of_who_logged_in()
                && retired.is_of_who_logged_in()
                && known.leaves_elsewhere_as(&retired)
                && strangers())
    };
    let known = sessions.elevations().iter().find(says_it);
    match known.map(|known| (known.root, known.opened_us)) {
        Some((_, opened_us)) if opened_us <= retired.opened_us => sessions.remove_elevation(run.root),
        younger => {
            younger.into_iter().for_each(|(root, _)| sessions.remove_elevation(root));
            sessions.update_elevation(run.root, |run| *run = retired);
        }
    }
}

/// Looks, off everybody's path and one look at a time, for what is left of logins that ended by themselves, and of runs of sudo that have no
/// control group to tell. Of what nothing is left is forgotten.
fn look_behind(terminations: &Rc<Terminations>) {
    if terminations.looking_behind.get() || left_open(terminations).is_empty() {
        return;
    }
    terminations.looking_behind.set(true);
    let terminations = Rc::clone(terminations);
    tokio::task::spawn_local(async move {
        let targets = left_open(&terminations);
        let mut wanted = Wanted::default();
        wanted.extend(targets.iter().map(Target::wanted));
        let begun = Instant::now();
        match apart::run(move || Table::look(&wanted)).await.flatten() {
            Ok(table) => forget_what_is_gone(&terminations, &targets, &table),
            Err(error) => tracing::error!("what logins left behind can't be looked for: {error}"),
        }
        tokio::time::sleep((begun.elapsed() * PAUSE_PER_LOOK).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
        terminations.looking_behind.set(false);
        if left_open(&terminations).iter().any(|it| !targets.iter().any(|known| known.first() == it.first())) {
            look_behind(&terminations);
        }
    });
}

/// What ended by itself and may have left something.
fn left_open(terminations: &Terminations) -> Vec<Target> {
    let (sessions, ending) = (terminations.sessions.borrow(), terminations.ending.borrow());
    // What its scope still holds is there without a look, and what can't be seen is not gone.
    let empty = |session: &&Session| session.scope().is_none_or(|scope| scope.is_empty().unwrap_or(false));
    let closed = sessions.sessions().iter().filter(|session| session.closed && !ending.contains(&session.leader));
    let ungrouped = |run: &&Elevation| run.group.is_none() && !run.gone && !sessions.lives(run.root);
    let runs = sessions.elevations().iter().filter(|run| !ending.contains(&run.root)).filter(ungrouped);
    let runs = runs.map(|run| Target::of_run(&sessions, run, |_| true));
    closed.filter(empty).map(|session| Target::Session(session.clone())).chain(runs).collect()
}

fn forget_what_is_gone(terminations: &Terminations, targets: &[Target], table: &Table) {
    let ending = terminations.ending.borrow().clone();
    let gone = |target: &&Target| target.find(table).is_ok_and(|found| found.is_empty());
    for target in targets.iter().filter(|target| target.first().is_some_and(|it| !ending.contains(&it))).filter(gone) {
        note_ended_in_grace(terminations, target);
        match target {
            Target::Session(session) => forget_session(terminations, session),
            Target::Elevation { ended, .. } => terminations.sessions.borrow_mut().remove_elevation(ended.root),
            Target::Person { .. } => {}
        }
    }
}

/// Nothing is left of the session. If it was the person's last, what they have elsewhere is looked at.
pub(super) fn forget_session(terminations: &Terminations, session: &Session) {
    let mut sessions = terminations.sessions.borrow_mut();
    sessions.remove_session(session.leader);
    // Nothing of its runs of sudo is left, either, but for what their person may start elsewhere: for that the oldest run serves.
    let of_it = |run: &Elevation| session.audit_session.is_some() && run.audit_session == session.audit_session;
    let gone: Vec<&Elevation> = sessions.elevations().iter().filter(|run| run.gone && of_it(run)).collect();
    let is_told_by_older = |run: &Elevation| {
        let age = |run: &Elevation| (run.opened_us, run.root.pid);
        let mut others = sessions.elevations().iter().filter(|other| age(other) < age(run));
        others.any(|other| other.is_of_who_logged_in() && other.leaves_elsewhere_as(run))
    };
    let useless = gone.into_iter().filter(|run| !run.is_of_who_logged_in() || is_told_by_older(run));
    let useless: Vec<ProcessId> = useless.map(|run| run.root).collect();
    useless.into_iter().for_each(|root| sessions.remove_elevation(root));
    terminations.ledger.departing.borrow_mut().insert(session.user.clone());
}

/// Notes the ends of first processes, for as long as there are any to be told.
pub async fn follow(terminations: Rc<Terminations>, mut ended: UnboundedReceiver<Ended>) {
    while let Some(ended) = ended.recv().await {
        tokio::task::spawn_local(note_ended(Rc::clone(&terminations), ended));
    }
}

async fn note_ended(terminations: Rc<Terminations>, ended: Ended) {
    match ended {
        Ended::Login => {
            // What it started ends a moment after it.
            tokio::time::sleep(A_MOMENT).await;
            note_closed(&terminations);
            // What a person leaves behind is looked at once nothing covers them any more.
            if !terminations.ledger.departing.borrow().is_empty() {
                terminations.trigger.pull();
            }
        }
        Ended::Run(root) => {
            // What is being ended dies of that, and is told by who ends it.
            let is_being_ended = terminations.ending.borrow().contains(&root);
            let run =
                terminations.sessions.borrow().elevation(root).filter(|run| !run.gone && !is_being_ended).cloned();
            run.into_iter().for_each(|run| note_run_over(&terminations, &run));
            if terminations.sessions.borrow().elevation(root).is_some_and(|run| !run.gone) {
                tokio::time::sleep(A_MOMENT).await;
                note_closed(&terminations);
            }
        }
    }
}
