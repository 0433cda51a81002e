//! Departure: a person whose last login grant has ended leaves nothing running behind.
//!
//! Their sessions are ended by `terminate`. What is left then is their own service manager, with user units and lingering, and whatever
//! still carries their login uid outside of any session. Their lingering ends with their last grant of any kind, so that nothing
//! of theirs comes back at the next boot.

use super::accounts;
use super::kill::target::Target;
use super::kill::{self, Ending};
use crate::agent::Agent;
use crate::clock;
use crate::config::exempt_list;
use crate::grant::decision::ReasonCode;
use crate::grant::{HeldGrant, State};
use crate::host::cgroup::{Scope, user_manager};
use crate::host::systemd;
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
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

/// Looks at the people of whom something ended since the last look, in tasks of their own. Who is being looked at has to wait for the next.
pub fn start(agent: &Rc<Agent>) {
    if !agent.in_force.borrow().holds() {
        return;
    }
    let mut seen_off = agent.seen_off.borrow_mut();
    let mut departing = agent.departing.borrow_mut();
    let people: Vec<String> = departing.iter().filter(|user| !seen_off.contains(*user)).cloned().collect();
    if !people.is_empty() {
        departing.retain(|user| seen_off.contains(user));
        seen_off.extend(people.iter().cloned());
        agent.trigger.spawn_tracked(see_off(Rc::clone(agent), people));
    }
}

/// Ends what is left of those who have departed, and audits what that was. Those who can be told at once are struck together, by one look at the
/// processes; nobody waits for somebody else's lookup, nor for what follows.
async fn see_off(agent: Rc<Agent>, people: Vec<String>) {
    let mut lookups = JoinSet::new();
    for user in people {
        let agent = Rc::clone(&agent);
        lookups.spawn_local(async move {
            let ending = ending_of(&agent, &user).await;
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
                    endings.extend(ending.filter(|ending| has_departed(&agent, ending)));
                    people.push(user);
                }
                Err(problem) => {
                    tokio::task::spawn_local(look_up_again(Rc::clone(&agent), user, problem));
                }
            }
        }
        if !endings.is_empty() {
            kill::strike_groups(&mut endings);
        }
        agent.trigger.spawn_tracked(follow_up(Rc::clone(&agent), people, endings));
    }
}

/// Follows the kills up, and ends the lingering of those who have departed.
async fn follow_up(agent: Rc<Agent>, people: Vec<String>, mut endings: Vec<Ending>) {
    if !endings.is_empty() {
        kill::follow_up(&mut endings).await;
        for ending in endings.into_iter().filter(Ending::killed_any) {
            let doorman = Rc::clone(&agent);
            agent.trigger.spawn_tracked(async move { report(&doorman, &ending).await });
        }
    }
    for user in people {
        let doorman = Rc::clone(&agent);
        agent.trigger.spawn_tracked(async move {
            end_lingering(&doorman, &user).await;
            doorman.seen_off.borrow_mut().remove(&user);
        });
    }
}

/// Has somebody looked at again, of whom the user database does not tell who they are.
async fn look_up_again(agent: Rc<Agent>, user: String, problem: String) {
    tracing::error!(user, "what is left of a person can't be told, since they can't be looked up: {problem}");
    // Without logind's mark nothing of theirs comes back at the next boot; that needs no number.
    end_lingering(&agent, &user).await;
    tokio::time::sleep(TRIED_AGAIN_AFTER).await;
    agent.departing.borrow_mut().insert(user.clone());
    agent.seen_off.borrow_mut().remove(&user);
    agent.trigger.pull();
}

/// What is to be ended of `user`; none where they have a grant or are not there.
///
/// # Errors
///
/// What the user database says, or that it took too long.
async fn ending_of(agent: &Agent, user: &str) -> Result<Option<Ending>, String> {
    let Some(last) = last_end(agent, user, clock::now()) else { return Ok(None) };
    // The one that they had by that grant, whoever has it now, and whatever their name stood for in others.
    let uid = if last.uid.is_some() { last.uid } else { accounts::uid(agent, user).await? };
    Ok(uid.map(|uid| {
        let sessions = agent.sessions.borrow();
        let of_units = sessions.sessions().iter().filter(|session| session.of_unit);
        let spared = of_units.filter_map(|session| session.audit_session).collect();
        Ending::new(Target::Person { user: user.to_owned(), uid, spared })
    }))
}

/// Whether nothing of theirs may go on. Root's own things are everybody's, whoever else has that number.
fn has_departed(agent: &Agent, ending: &Ending) -> bool {
    let Target::Person { user, uid, .. } = ending.target() else { return false };
    last_end(agent, user, clock::now()).is_some() && *uid != 0 && !goes_on(agent, user, *uid)
}

/// The end of a person's last login grant.
struct LastEnd {
    ended: Timestamp,
    reason: ReasonCode,
    /// The user id that the grant is for.
    uid: Option<u32>,
}

/// How the person's last login grant ended; none where they have one by any name of theirs, never had, or are exempt.
fn last_end(agent: &Agent, user: &str, now: Timestamp) -> Option<LastEnd> {
    let grants = agent.ledger.grants();
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
fn goes_on(agent: &Agent, user: &str, uid: u32) -> bool {
    let shared = {
        let (grants, now) = (agent.ledger.grants(), clock::now());
        let others = grants.held().iter().filter(|held| held.uid() == Some(uid) && held.grant.login.is_some());
        others.into_iter().any(|held| held.covers(now)) || !grants.accounts().exempt_with(uid).is_empty()
    };
    let sessions = agent.sessions.borrow();
    let own = || sessions.sessions().iter().filter(|session| session.user == user || session.uid == Some(uid));
    // Another name of the same user id: what runs under that can't be told apart.
    if shared {
        return true;
    }
    // A unit that root set up for their user id is no login of theirs.
    let mut logins = own().filter(|session| !session.of_unit);
    if logins.any(|session| session.exempt || !agent.governs(&session.service, session.opened_us)) {
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

async fn report(agent: &Agent, ending: &Ending) {
    let Target::Person { user, uid, .. } = ending.target() else { return };
    let now = clock::now();
    let Some(LastEnd { ended, reason, .. }) = last_end(agent, user, now) else { return };
    let ended = ended.min(now);
    let manager = user_manager(*uid);
    let entry = Entry::new(Event::SessionTerminated)
        .with(Field::User, user.as_str())
        .with(Field::Service, manager.as_str())
        .with(Field::ReasonCode, reason.name());
    let last = {
        let grants = agent.ledger.grants();
        let last = grants.of(user).iter().filter(|held| held.grant.login.is_some()).max_by_key(|held| held.end());
        last.map(|held| held.grant.id.to_string())
    };
    agent.ledger.write_under(last.as_deref(), ending.report(entry, ended));
    if let Err(error) = systemd::reset_failed(&manager).await {
        tracing::debug!(unit = %manager, "PID 1 keeps its mark of failure: {error}");
    }
}

/// Ends the lingering of somebody who has no grant of any kind any more.
async fn end_lingering(agent: &Agent, user: &str) {
    let now = clock::now();
    let (departed, account) = {
        let grants = agent.ledger.grants();
        let own = grants.of(user);
        let ended = |held: &HeldGrant| held.is_of(user) && (held.state(now) == State::Ended || held.holder.is_gone());
        let departed = own.iter().any(ended) && !own.iter().any(|held| held.covers(now));
        (departed, own.iter().filter(|held| held.is_of(user)).find_map(|held| held.holder.account().cloned()))
    };
    // logind knows people by the name that the user database writes.
    let name = account.as_ref().map_or(user, |account| account.name.as_str());
    let mark = Path::new(LINGERING).join(name);
    if !departed || !agent.settings.config().end_lingering || !mark.exists() || exempt_list::is_exempt(user) {
        return;
    }
    // It is told the user id, and whoever is the first with it is who ends to linger.
    let is_first = agent.ledger.grants().accounts().is_owner(name);
    let ended = match account.filter(|_| is_first) {
        Some(account) => agent.logind.end_lingering(account.uid).await.map_err(|error| error.to_string()),
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
