//! `Grant` and `Revoke`: local grants, made and ended by root.

use super::Methods;
use crate::grant::local::StoreError;
use crate::grant::resolver;
use crate::grant::settle::settle;
use crate::grant::{HeldGrant, Revocation, Source};
use crate::host::users;
use crate::ipc::messages::{GrantOrder, Granted, LONGEST_GRANT, Revoke, Revoked};
use crate::ipc::peer::Peer;
use crate::ipc::program_check::{self, Findings};
use crate::ipc::varlink::ErrorReply;
use crate::ipc::{no_effect, person};
use crate::wiring;
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::grant::{Grant, LoginAccess, LoginName, SudoAccess, Window};
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

pub(super) async fn grant(methods: &Methods, peer: &Peer, order: GrantOrder) -> Result<Granted, ErrorReply> {
    // The person behind root's shell is who asks and who approves.
    let person = person::behind(&methods.sessions, peer).await;
    match resolver::look_up(&methods.resolver, order.user.as_str()).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            return Err(ErrorReply::bad_parameter("user", &format!("there is no user {} on this host", order.user)));
        }
        Err(problem) => return Err(ErrorReply::failed(&format!("user {} can't be looked up: {problem}", order.user))),
    }
    for name in order.sudo.iter().flat_map(|sudo| &sudo.run_as) {
        check_run_as(name).await?;
    }
    let commands = order.sudo.as_ref().map(|sudo| sudo.commands.clone()).unwrap_or_default();
    let Findings { problems, mut warnings } = program_check::examine(commands).await;
    if !problems.is_empty() && !order.unchecked {
        return Err(ErrorReply::bad_parameter("command", &refused_commands(&problems)));
    }
    let reading = methods.ledger.read_clocks();
    if let Some(problem) = methods.ledger.clock.problem(reading) {
        return Err(ErrorReply::failed(&problem));
    }
    let grant = compose(order, &person, reading.wall)?;
    // A clock that stands wrong makes nobody forget a grant.
    let known = methods.ledger.clock.floor(reading.boot).unwrap_or(reading.wall);
    methods.ledger.grants_mut().add(grant.clone(), known).map_err(|error| ErrorReply::failed(&error.to_string()))?;
    let held = HeldGrant::new(grant.clone(), Source::Local);
    let granted = held.entry(Event::LocalGranted).with(Field::Actor, person).with(Field::Pid, peer.pid);
    methods.audit.write(granted.with(Field::Unchecked, problems.clone()));
    // Whoever reads the answer uses what was granted.
    let mut no_sudo_yet = settle(&methods.ledger, &[grant.id.to_string()]).await.pop().map(|(_, why)| why);
    if no_sudo_yet.is_none() && grant.sudo.is_some() {
        methods.status.sudo_view.settled(grant.user.as_str()).await;
        no_sudo_yet = methods.status.sudo_view.problem(grant.id.as_str());
    }
    warnings.extend(no_effect::for_exempt(&methods.resolver, &grant));
    warnings.extend(problems.into_iter().map(|problem| format!("taken unchecked: {problem}")));
    Ok(Granted { grant, no_sudo_yet, warnings, not_in_force: no_effect::of_every_grant(&methods.status) })
}

/// Whoever makes a user of that name later would not be whom the grant means.
async fn check_run_as(name: &LoginName) -> Result<(), ErrorReply> {
    // For a local account, root above all, no directory has to answer.
    if users::local(0, name.as_str()).is_some() {
        return Ok(());
    }
    match users::home(name.as_str()).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(ErrorReply::bad_parameter(
            "run_as",
            &format!("there is no user {name} on this host to run commands as"),
        )),
        Err(problem) => Err(ErrorReply::failed(&format!("user {name} can't be looked up: {problem}"))),
    }
}

fn refused_commands(problems: &[String]) -> String {
    format!(
        "{}. Whoever can put a program there would be root: grant one that only root can write, or add --unchecked",
        problems.join("; ")
    )
}

/// Makes a grant of an order; the same checks as for any other grant.
fn compose(order: GrantOrder, person: &str, now: Timestamp) -> Result<Grant, ErrorReply> {
    let length = Duration::from_secs(order.seconds);
    if length.is_zero() || length > LONGEST_GRANT {
        let problem = format!("{} s; a grant holds for a second at least and a year at most", order.seconds);
        return Err(ErrorReply::bad_parameter("seconds", &problem));
    }
    let login = order.login.map(|it| LoginAccess { services: once_each(it.services), from: once_each(it.from) });
    let sudo = order.sudo.map(|it| SudoAccess { run_as: once_each(it.run_as), commands: once_each(it.commands) });
    // Whole seconds, as people and sudoers write them; never less than was asked for.
    let whole = |mode| now.round(jiff::TimestampRound::new().smallest(jiff::Unit::Second).mode(mode)).unwrap_or(now);
    let (begin, end) = (whole(jiff::RoundMode::Floor), whole(jiff::RoundMode::Ceil));
    let window = end.checked_add(length).ok().and_then(|end| Window::new(begin, end).ok());
    let Some(window) = window else {
        return Err(ErrorReply::bad_parameter(
            "seconds",
            &format!("{} s from now is past the calendar", order.seconds),
        ));
    };
    let grant = json!({
        "id": ulid::Ulid::generate().to_string(),
        "user": order.user,
        "not_before": window.not_before(),
        "not_after": window.not_after(),
        "login": login,
        "sudo": sudo,
        "reason": order.reason,
        "ticket": order.ticket,
        "requested_by": person,
        "approved_by": [person],
    });
    Grant::from_value(&grant).map_err(|error| ErrorReply::bad_parameter("grant", &error.to_string()))
}

/// A list without what it has already.
fn once_each<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    items.into_iter().fold(Vec::new(), |mut kept, item| {
        if !kept.contains(&item) {
            kept.push(item);
        }
        kept
    })
}

pub(super) async fn revoke(methods: &Methods, peer: &Peer, order: Revoke) -> Result<Revoked, ErrorReply> {
    let person = person::behind_at_once(&methods.sessions, peer).await;
    let by = person.parse().ok();
    let revocation = Revocation { at: methods.ledger.now(), reason: order.reason.clone(), by };
    let revoked = methods.ledger.grants_mut().revoke(&order.id, revocation).map_err(|error| match error {
        StoreError::Unknown(_) => ErrorReply::bad_parameter("id", &error.to_string()),
        other => ErrorReply::failed(&other.to_string()),
    })?;
    methods.audit.write(revocation_entry(&revoked, &person).with(Field::Pid, peer.pid));
    // Its sudo rule goes with the look, and what it had opened is struck.
    let id = revoked.grant.id.as_str();
    settle(&methods.ledger, &[]).await;
    let rule_stays = methods
        .ledger
        .sudo_rules
        .are_in_place(id)
        .then(|| format!("its sudo rule is still in {}", wiring::DROP_IN_FOLDER));
    let unstored = methods.ledger.grants().unstored().map(str::to_owned);
    Ok(Revoked { grant: revoked.grant, unstored, rule_stays })
}

/// Who revoked it, and why where they said so: the reason for the grant is none for its end.
fn revocation_entry(revoked: &HeldGrant, person: &str) -> Entry {
    let mut entry = revoked.entry(Event::LocalRevoked).with(Field::Actor, person);
    entry.fields.remove(&Field::Reason);
    let reason = revoked.revoked.as_ref().and_then(|revocation| revocation.reason.as_ref());
    entry.with(Field::Reason, reason.map(|reason| reason.as_str().to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_twice_is_granted_once() {
        let order: GrantOrder = serde_json::from_value(json!({
            "user": "alice", "seconds": 60, "reason": "x", "login": {"from": ["10.0.0.0/8", "10.0.0.0/8"]},
            "sudo": {"run_as": ["root", "bob", "root"], "commands": ["ALL", "ALL"]},
        }))
        .unwrap();
        let grant = compose(order, "root", Timestamp::UNIX_EPOCH).unwrap();
        let (login, sudo) = (grant.login.unwrap(), grant.sudo.unwrap());
        assert_eq!((login.from.len(), sudo.commands.len()), (1, 1));
        assert_eq!(sudo.run_as.iter().map(LoginName::as_str).collect::<Vec<_>>(), ["root", "bob"]);
    }

    #[test]
    fn a_time_out_of_bounds_is_refused_whoever_asks() {
        for (seconds, is_taken) in
            [(0, false), (1, true), (366 * 86_400, true), (366 * 86_400 + 1, false), (u64::MAX, false)]
        {
            let order = json!({"user": "alice", "seconds": seconds, "reason": "x", "login": {}});
            let order: GrantOrder = serde_json::from_value(order).unwrap();
            assert_eq!(compose(order, "root", Timestamp::UNIX_EPOCH).is_ok(), is_taken, "{seconds}");
        }
    }

    #[test]
    fn a_revocation_is_told_of_who_revoked_and_without_the_reason_for_the_grant() {
        let grant = Grant::from_value(&json!({
            "id": "a", "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "login": {}, "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
        }));
        let mut held = HeldGrant::new(grant.unwrap(), Source::Local);
        for reason in [None, Some("done")] {
            let at = Timestamp::UNIX_EPOCH;
            held.revoked =
                Some(Revocation { at, reason: reason.map(|reason| reason.parse().unwrap()), by: "carol".parse().ok() });
            let entry = revocation_entry(&held, "carol");
            assert_eq!(entry.text(Field::Actor).as_deref(), Some("carol"));
            assert_eq!(entry.text(Field::Reason).as_deref(), reason);
            let how = reason.map_or("revoked by carol".to_owned(), |reason| format!("revoked by carol: {reason}"));
            assert_eq!(held.revocation(), Some(how));
        }
    }
}
