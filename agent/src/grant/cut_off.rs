//! When somebody's access is really cut: the end of a grant of which something is not covered by another one.

use super::{HeldGrant, State};
use curfew_protocol::grant::{Command, Grant, LoginAccess, SudoAccess};
use jiff::Timestamp;

/// The next time at which somebody loses something, by the grants that are held at `now`.
pub fn next(grants: &[&HeldGrant], now: Timestamp) -> Option<Timestamp> {
    let holds = |held: &&&HeldGrant| held.state(now) != State::Ended && !held.holder.is_gone();
    let (mut reached, mut coming): (Vec<&HeldGrant>, Vec<&HeldGrant>) =
        grants.iter().filter(holds).partition(|held| held.state(now) == State::Live);
    // What opens before the access of its person has ended is part of it.
    loop {
        let opens_within = |it: &&HeldGrant| {
            reached.iter().any(|held| is_same_person(it, held) && it.grant.window.not_before() <= held.end())
        };
        let (joins, rest): (Vec<&HeldGrant>, Vec<&HeldGrant>) = coming.into_iter().partition(opens_within);
        coming = rest;
        if joins.is_empty() {
            break;
        }
        reached.extend(joins);
    }
    reached.into_iter().filter(|held| !goes_on(held, grants)).map(HeldGrant::end).min()
}

/// Whether other grants of the same person cover all that one gives, from its end on.
fn goes_on(ending: &HeldGrant, grants: &[&HeldGrant]) -> bool {
    let end = ending.end();
    let later: Vec<&Grant> = grants
        .iter()
        .filter(|it| it.revoked.is_none() && it.holder.may_open() && is_same_person(it, ending))
        .filter(|it| it.grant.window.not_before() <= end && it.end() > end)
        .map(|it| &it.grant)
        .collect();
    let login =
        |wanted: &LoginAccess| later.iter().filter_map(|it| it.login.as_ref()).any(|it| holds_login(it, wanted));
    let sudo = |wanted: &SudoAccess| later.iter().filter_map(|it| it.sudo.as_ref()).any(|it| holds_sudo(it, wanted));
    ending.grant.login.as_ref().is_none_or(login) && ending.grant.sudo.as_ref().is_none_or(sudo)
}

fn is_same_person(one: &HeldGrant, other: &HeldGrant) -> bool {
    one.grant.user == other.grant.user || (one.uid().is_some() && one.uid() == other.uid())
}

fn holds_login(wide: &LoginAccess, wanted: &LoginAccess) -> bool {
    within(&wanted.services, &wide.services) && within(&wanted.from, &wide.from)
}

/// Whether a list narrows at least as much as another; an empty one does not narrow.
fn within<T: PartialEq>(wanted: &[T], wide: &[T]) -> bool {
    wide.is_empty() || (!wanted.is_empty() && wanted.iter().all(|it| wide.contains(it)))
}

fn holds_sudo(wide: &SudoAccess, wanted: &SudoAccess) -> bool {
    let any = wide.commands.contains(&Command::All);
    wanted.run_as.iter().all(|it| wide.run_as.contains(it))
        && (any || wanted.commands.iter().all(|it| wide.commands.contains(it)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::grant::Source;
    use serde_json::{Value, json};

    fn held(user: &str, minutes: (i64, i64), login: Value, sudo: Value) -> HeldGrant {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let grant = json!({"id": format!("g{}-{}", minutes.0, minutes.1), "user": user, "not_before": at(minutes.0), "not_after": at(minutes.1),
            "login": login, "sudo": sudo, "reason": "x", "requested_by": "a", "approved_by": ["b"]});
        HeldGrant::new(Grant::from_value(&grant).unwrap(), Source::Local)
    }

    fn next_minute(grants: &[HeldGrant]) -> Option<i64> {
        next(&grants.iter().collect::<Vec<_>>(), Timestamp::from_second(60).unwrap()).map(|at| at.as_second() / 60)
    }

    #[test]
    fn the_next_end_is_the_one_at_which_somebody_loses_something() {
        let (any, none) = (json!({}), Value::Null);
        let first = held("alice", (0, 5), any.clone(), none.clone());
        assert_eq!(next_minute(std::slice::from_ref(&first)), Some(5));
        // Another one goes on, and a third after that.
        let second = held("alice", (0, 10), any.clone(), none.clone());
        let third = held("alice", (10, 20), any.clone(), none.clone());
        assert_eq!(next_minute(&[first.clone(), second.clone()]), Some(10));
        assert_eq!(next_minute(&[first.clone(), second, third]), Some(20));
        assert_eq!(next_minute(&[held("alice", (5, 9), any.clone(), none.clone())]), None);
        // Of somebody else, with a gap, narrower, or of another kind: it does not go on.
        for other in [
            held("bob", (0, 10), any.clone(), none.clone()),
            held("alice", (6, 10), any.clone(), none.clone()),
            held("alice", (0, 10), json!({"from": ["10.0.0.0/8"]}), none.clone()),
            held("alice", (0, 10), none.clone(), json!({"commands": ["ALL"]})),
        ] {
            assert_eq!(next_minute(&[first.clone(), other]), Some(5));
        }
        let one = held("alice", (0, 5), none.clone(), json!({"commands": ["/usr/bin/id"]}));
        assert_eq!(
            next_minute(&[one.clone(), held("alice", (0, 9), none.clone(), json!({"commands": ["ALL"]}))]),
            Some(9)
        );
        assert_eq!(next_minute(&[one, held("alice", (0, 9), none, json!({"commands": ["/usr/bin/w"]}))]), Some(5));
        assert_eq!(next_minute(&[]), None);
    }
}
