//! Departure: a person whose last login grant has ended leaves nothing running behind.
//!
//! Their sessions are ended by `terminate`. What is left then is their own service manager, with user units and
//! lingering, and whatever still carries their login uid outside of any session. Their lingering ends with their last
//! grant of any kind, so that nothing of theirs comes back at the next boot.

use super::kill::target::Target;
use super::kill::{self, Ending};
use super::status::EnforcementStatus;
use crate::clock;
use crate::config::exempt_list;
use crate::grant::decision::ReasonCode;
use crate::grant::ledger::Ledger;
use crate::grant::resolver::{self, Resolver};
use crate::grant::{HeldGrant, State};
use crate::host::cgroup::{Scope, user_manager};
use crate::host::logind::Logind;
use crate::host::systemd;
use crate::sessions::table::Sessions;
use crate::settings::Settings;
use crate::trigger::Trigger;
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Where logind remembers who lingers (loginctl(1)).
const LINGERING: &str = "/var/lib/systemd/linger";

/// How long people's lookups are gathered, so that one look at the processes serves many.
const GATHERED: Duration = Duration::from_millis(1);

/// How long after the user database did not answer it is asked again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The people of whom something ended.
pub struct Departures {
    settings: Rc<Settings>,
    ledger: Rc<Ledger>,
    resolver: Rc<Resolver>,
    trigger: Rc<Trigger>,
    sessions: Rc<RefCell<Sessions>>,
    status: Rc<EnforcementStatus>,
    logind: Rc<Logind>,
    /// Those who are being looked at.
    cleanup_running: RefCell<HashSet<String>>,
}

impl Departures {
    /// Of the ledger's people.
    pub fn new(
        settings: Rc<Settings>,
        ledger: Rc<Ledger>,
        resolver: Rc<Resolver>,
        trigger: Rc<Trigger>,
        sessions: Rc<RefCell<Sessions>>,
        status: Rc<EnforcementStatus>,
        logind: Rc<Logind>,
    ) -> Self {
        let cleanup_running = RefCell::default();
        Self { settings, ledger, resolver, trigger, sessions, status, logind, cleanup_running }
    }
}

/// Looks at the people of whom something ended since the last look, in tasks of their own. Who is being looked at has to wait for the next.
pub fn start(departures: &Rc<Departures>) {
    if !departures.status.holds() {
        return;
    }
    let mut cleanup_running = departures.cleanup_running.borrow_mut();
    let mut departing = departures.ledger.departing.borrow_mut();
    let people: Vec<String> = departing.iter().filter(|user| !cleanup_running.contains(*user)).cloned().collect();
    if !people.is_empty() {
        departing.retain(|user| cleanup_running.contains(user));
        cleanup_running.extend(people.iter().cloned());
        departures.trigger.spawn_tracked(see_off(Rc::clone(departures), people));
    }
}

/// Ends what is left of those who have departed, and audits what that was. Those who can be told at once are struck together, by one look at the
/// processes; nobody waits for somebody else's lookup, nor for what follows.
async fn see_off(departures: Rc<Departures>, people: Vec<String>) {
    let mut lookups = JoinSet::new();
    for user in people {
        let departures = Rc::clone(&departures);
        lookups.spawn_local(async move {
            let ending = ending_of(&departures, &user).await;
            (user, ending)
        });
    }
    while let Some(first) = lookups.join_next().await {
        tokio::time::sleep(GATHERED).await;
        let mut told = vec![first];
        told.extend(std::iter::from_fn(|| lookups.try_join_next()));
        let mut endings = Vec::new();
        let mut people = Vec::new();
        for (user, ending) in told.into_iter().flatten() {
            match ending {
                Ok(ending) => {
                    // A grant may have come meanwhile.
                    endings.extend(ending.filter(|ending| has_departed(&departures, ending)));
                    people.push(user);
                }
                Err(problem) => {
                    tokio::task::spawn_local(look_up_again(Rc::clone(&departures), user, problem));
                }
            }
        }
        if !endings.is_empty() {
            kill::strike_groups(&mut endings);
        }
        departures.trigger.spawn_tracked(follow_up(Rc::clone(&departures), people, endings));
    }
}

/// Follows the kills up, and ends the lingering of those who have departed.
async fn follow_up(departures: Rc<Departures>, people: Vec<String>, mut endings: Vec<Ending>) {
    if !endings.is_empty() {
        kill::follow_up(&mut endings).await;
        for ending in endings.into_iter().filter(Ending::killed_any) {
            let own = Rc::clone(&departures);
            departures.trigger.spawn_tracked(async move { report(&own, &ending).await });
        }
    }
    for user in people {
        let own = Rc::clone(&departures);
        departures.trigger.spawn_tracked(async move {
            end_lingering(&own, &user).await;
            own.cleanup_running.borrow_mut().remove(&user);
        });
    }
}

/// Has somebody looked at again, of whom the user database does not tell who they are.
async fn look_up_again(departures: Rc<Departures>, user: String, problem: String) {
    tracing::error!(user, "what is left of a person can't be told, since they can't be looked up: {problem}");
    // Without logind's mark nothing of theirs comes back at the next boot; that needs no number.
    end_lingering(&departures, &user).await;
    tokio::time::sleep(TRIED_AGAIN_AFTER).await;
    departures.ledger.departing.borrow_mut().insert(user.clone());
    departures.cleanup_running.borrow_mut().remove(&user);
    departures.trigger.pull();
}

/// What is to be ended of `user`; none where they have a grant or are not there.
///
/// # Errors
///
/// What the user database says, or that it took too long.
async fn ending_of(departures: &Departures, user: &str) -> Result<Option<Ending>, String> {
    let Some(last) = last_end(departures, user, clock::now()) else { return Ok(None) };
    // The one that they had by that grant, whoever has it now, and whatever their name stood for in others.
    let uid = if last.uid.is_some() { last.uid } else { resolver::uid(&departures.resolver, user).await? };
    Ok(uid.map(|uid| {
        let sessions = departures.sessions.borrow();
        let of_units = sessions.sessions().iter().filter(|session| session.of_unit);
        let spared = of_units.filter_map(|session| session.audit_session).collect();
        Ending::new(Target::Person { user: user.to_owned(), uid, spared })
    }))
}

/// Whether nothing of theirs may go on. Root's own things are everybody's, whoever else has that number.
fn has_departed(departures: &Departures, ending: &Ending) -> bool {
    let Target::Person { user, uid, .. } = ending.target() else { return false };
    last_end(departures, user, clock::now()).is_some() && *uid != 0 && !goes_on(departures, user, *uid)
}

/// The end of a person's last login grant.
struct LastEnd {
    ended: Timestamp,
    reason: ReasonCode,
    /// The user id that the grant is for.
    uid: Option<u32>,
}

/// How the person's last login grant ended; none where they have one by any name of theirs, never had, or are exempt.
fn last_end(departures: &Departures, user: &str, now: Timestamp) -> Option<LastEnd> {
    let grants = departures.ledger.grants();
    let logins = || grants.of(user).iter().filter(|held| held.grant.login.is_some());
    if logins().any(|held| held.covers(now)) || exempt_list::is_exempt(user) {
        return None;
    }
    let own = || logins().filter(|held| held.is_of(user));
    if let Some(held) = own().find(|held| held.holder.is_gone() && held.state(now) == State::Live) {
        return Some(LastEnd { ended: now, reason: ReasonCode::AccountChanged, uid: held.uid() });
    }
    let last = own().filter(|held| held.state(now) == State::Ended).max_by_key(|held| held.end())?;
    if last.holder.is_gone() {
        // What they left was looked for at the end, or when the name stopped to stand for them. Who has that user id since is somebody else.
        return None;
    }
    let reason = if last.revoked.is_some() { ReasonCode::Revoked } else { ReasonCode::Ended };
    Some(LastEnd { ended: last.end(), reason, uid: last.uid() })
}

/// Whether a session of theirs, or of whoever shares their user id, goes on: one that Curfew leaves alone, or one of a service that is not its to judge.
fn goes_on(departures: &Departures, user: &str, uid: u32) -> bool {
    let shared = {
        let (grants, now) = (departures.ledger.grants(), clock::now());
        let others = grants.held().iter().filter(|held| held.uid() == Some(uid) && held.grant.login.is_some());
        others.into_iter().any(|held| held.covers(now)) || !grants.accounts().exempt_with(uid).is_empty()
    };
    let sessions = departures.sessions.borrow();
    let own = || sessions.sessions().iter().filter(|session| session.user == user || session.uid == Some(uid));
    // Another name of the same user id: what runs under that can't be told apart.
    if shared {
        return true;
    }
    // A unit that root set up for their user id is no login of theirs.
    let mut logins = own().filter(|session| !session.of_unit);
    if logins.any(|session| session.exempt || !departures.status.governs(&session.service, session.opened_us)) {
        return true;
    }
    let known = |id: &String| own().any(|session| session.logind_id.as_ref() == Some(id));
    match Scope::populated_sessions(uid) {
        Ok(ids) => ids.iter().any(|id| !known(id)),
        Err(error) => {
            tracing::error!(user, "their sessions can't be listed: {error}");
            false
        }
    }
}

async fn report(departures: &Departures, ending: &Ending) {
    let Target::Person { user, uid, .. } = ending.target() else { return };
    let now = clock::now();
    let Some(LastEnd { ended, reason, .. }) = last_end(departures, user, now) else { return };
    let ended = ended.min(now);
    let manager = user_manager(*uid);
    let entry = Entry::new(Event::SessionTerminated)
        .with(Field::User, user.as_str())
        .with(Field::Service, manager.as_str())
        .with(Field::ReasonCode, reason.name());
    let (last, how) = {
        let grants = departures.ledger.grants();
        let last = grants.of(user).iter().filter(|held| held.grant.login.is_some()).max_by_key(|held| held.end());
        (last.map(|held| held.grant.id.to_string()), last.and_then(HeldGrant::revocation))
    };
    let how = how.filter(|_| reason == ReasonCode::Revoked);
    departures.ledger.write_under(last.as_deref(), ending.report(entry.with(Field::End, how), ended));
    if let Err(error) = systemd::reset_failed(&manager).await {
        tracing::debug!(unit = %manager, "PID 1 keeps its mark of failure: {error}");
    }
}

/// Ends the lingering of somebody who has no grant of any kind any more.
async fn end_lingering(departures: &Departures, user: &str) {
    let now = clock::now();
    let (departed, account) = {
        let grants = departures.ledger.grants();
        let own = grants.of(user);
        let ended = |held: &HeldGrant| held.is_of(user) && (held.state(now) == State::Ended || held.holder.is_gone());
        let departed = own.iter().any(ended) && !own.iter().any(|held| held.covers(now));
        (departed, own.iter().filter(|held| held.is_of(user)).find_map(|held| held.holder.account().cloned()))
    };
    // logind knows people by the name that the user database writes.
    let name = account.as_ref().map_or(user, |account| account.name.as_str());
    let mark = Path::new(LINGERING).join(name);
    if !departed || !departures.settings.config().end_lingering || !mark.exists() || exempt_list::is_exempt(user) {
        return;
    }
    // It is told the user id, and whoever is the first with it is who ends to linger.
    let is_first = departures.ledger.grants().accounts().is_owner(name);
    let ended = match account.filter(|_| is_first) {
        Some(account) => departures.logind.end_lingering(account.uid).await.map_err(|error| error.to_string()),
        None => Err("logind knows them by no user id of their own".into()),
    };
    // Without logind, its mark is what counts: it reads it when it starts.
    let removed = match ended {
        Ok(()) => Ok(()),
        Err(problem) => std::fs::remove_file(&mark).map_err(|error| format!("{problem}; {}: {error}", mark.display())),
    };
    match removed {
        Ok(()) => tracing::info!(user, "their lingering ended with their last grant"),
        Err(problem) => tracing::error!(user, "their lingering could not be ended: {problem}"),
    }
}
