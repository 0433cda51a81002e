//! `curfew status`: what is granted on this host, and how long it still holds.

use super::{CliError, Outcome, ask, print};
use crate::clock;
use crate::grant::State;
use crate::human;
use crate::ipc::messages::{ShownGrant, ShownSession, ShownSet, Status as Answer};
use clap::Args;
use curfew_protocol::grant::Text;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::time::Duration;

/// Show my grants and the time left; for root, everybody's.
#[derive(Args, Debug)]
pub struct Status {
    /// Show every grant that has ended, too, and not those of the last day alone.
    #[arg(long)]
    all: bool,
}

/// How long a grant that has ended is shown.
const SHOWN_AFTER_END: SignedDuration = SignedDuration::from_hours(24);

impl Status {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, CliError> {
        let status: Answer = ask("Status", json!({}))?;
        print(json, &status, || text(&status, clock::now(), self.all))?;
        Ok(Outcome::Yes)
    }
}

fn text(status: &Answer, now: Timestamp, all: bool) -> String {
    let force = match (status.in_force, status.wired, status.mode.as_str()) {
        (true, ..) => "in force",
        (false, true, "observe") => "observing: nobody is refused",
        (false, ..) => "not enabled, and nobody is refused: run `curfew enable`",
    };
    let mut text = format!("{}: Curfew is {force}.", status.host);
    // Nothing ends by a grant otherwise.
    if let Some(end) = status.next_end.filter(|_| status.in_force) {
        text += &format!(" The next access ends in {}, at {}.", human::left(now, end), human::time(end));
    }
    text.push('\n');
    if let Some(until) = status.confirm_by {
        let (left, at) = (human::left(now, until), human::time(until));
        text += &match status.wired {
            true => format!(
                "NOT CONFIRMED: what `curfew enable` did is undone in {left}, at {at}, unless `curfew confirm` comes from a new login.\n"
            ),
            false => format!(
                "`curfew enable` is at work, or was broken off: what it leaves behind is undone in {left}, at {at}; at once: curfew disable\n"
            ),
        };
    }
    text += &status.set.as_ref().map(set_line).unwrap_or_default();
    for problem in &status.problems {
        text += &format!("problem: {}\n", human::printable(&human::localized(problem)));
    }
    if status.grants.is_empty() {
        text += "No grants.\n";
    } else {
        let (shown, hidden) = listed(&status.grants, now, all);
        let rows: Vec<Vec<String>> = shown.into_iter().map(|grant| row(grant, now)).collect();
        text.push('\n');
        text += &human::table(&["GRANT", "USER", "STATE", "LEFT", "ENDS", "ACCESS", "APPROVED BY", "REASON"], &rows);
        if hidden > 0 {
            text += &format!("{hidden} more ended over a day ago: curfew status --all\n");
        }
    }
    if !status.sessions.is_empty() {
        let rows: Vec<Vec<String>> = status
            .sessions
            .iter()
            .map(|it| {
                vec![
                    it.session.clone().unwrap_or_else(|| "-".into()),
                    it.user.clone(),
                    it.service.clone(),
                    it.rhost.clone().unwrap_or_else(|| "-".into()),
                    ends(it),
                ]
            })
            .collect();
        text.push('\n');
        text += &human::table(&["SESSION", "USER", "SERVICE", "FROM", "ENDS"], &rows);
    }
    text
}

/// When a session ends, and by which grant.
fn ends(session: &ShownSession) -> String {
    let ShownSession { governed, exempt, not_after, grant, .. } = session;
    match (not_after, grant) {
        _ if *exempt => "never (exempt)".into(),
        _ if !governed => "by itself".into(),
        (Some(end), Some(grant)) => format!("{}, with grant {grant}", human::time(*end)),
        // It is being ended.
        _ => "now".into(),
    }
}

/// The endpoint and its set in one line.
pub(super) fn set_line(set: &ShownSet) -> String {
    let ShownSet { endpoint, host, .. } = set;
    let known = match (set.version, set.age_s.and_then(|age| u64::try_from(age).ok())) {
        (Some(version), Some(age)) => {
            let opens = set.opens_until.map(|at| format!(", opens until {}", human::time(at))).unwrap_or_default();
            format!("set version {version}, {} old{opens}", human::duration(Duration::from_secs(age)))
        }
        _ => "no set yet".into(),
    };
    let problem = set
        .problem
        .as_deref()
        .map(|problem| format!(": {}", human::printable(&human::localized(problem))))
        .unwrap_or_default();
    format!("Endpoint {endpoint} (host {host}): {}, {known}{problem}\n", set.state)
}

/// The grants to show, the live ones first, and how many are left out.
fn listed(grants: &[ShownGrant], now: Timestamp, all: bool) -> (Vec<&ShownGrant>, usize) {
    let is_shown = |it: &&ShownGrant| all || it.state != State::Ended || now.duration_since(end(it)) < SHOWN_AFTER_END;
    let mut shown: Vec<&ShownGrant> = grants.iter().filter(is_shown).collect();
    shown.sort_by_key(|it| match it.state {
        State::Live => (0, end(it).as_second()),
        State::Coming => (1, it.grant.window.not_before().as_second()),
        // The last to end comes first.
        State::Ended => (2, -end(it).as_second()),
    });
    let hidden = grants.len() - shown.len();
    (shown, hidden)
}

fn end(shown: &ShownGrant) -> Timestamp {
    shown.revoked_at.unwrap_or(shown.grant.window.not_after())
}

fn row(shown: &ShownGrant, now: Timestamp) -> Vec<String> {
    let grant = &shown.grant;
    let end = end(shown);
    let (state, left) = match shown.state {
        // First: its window says nothing then.
        State::Coming | State::Live if shown.problem.is_some() => ("account changed", "-".into()),
        State::Coming => ("coming", format!("opens in {}", human::left(now, grant.window.not_before()))),
        State::Live => ("live", human::left(now, end)),
        State::Ended if shown.revoked_at.is_some() => ("revoked", "-".into()),
        State::Ended => ("ended", "-".into()),
    };
    vec![
        grant.id.to_string(),
        grant.user.to_string(),
        state.into(),
        left,
        human::time(end),
        grant.access(),
        grant.approved_by.iter().map(Text::as_str).collect::<Vec<_>>().join(", "),
        grant.reason.to_string(),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(id: &str, state: &str, hours: i64, now: Timestamp) -> ShownGrant {
        let at = |hours| now + SignedDuration::from_hours(hours);
        serde_json::from_value(json!({
            "id": id, "user": "alice", "not_before": at(hours - 1), "not_after": at(hours), "sudo": {"commands": ["/usr/bin/id"]},
            "reason": "x", "requested_by": "a", "approved_by": ["b"], "state": state, "source": "local",
        }))
        .unwrap()
    }

    #[test]
    fn a_session_says_when_and_why_it_ends() {
        let session = |more: serde_json::Value| {
            let mut session =
                json!({"user": "alice", "service": "sshd", "rhost": null, "session": "3", "governed": true});
            session.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            ends(&serde_json::from_value(session).unwrap())
        };
        assert_eq!(session(json!({"governed": false, "exempt": true})), "never (exempt)");
        assert_eq!(session(json!({"governed": false})), "by itself");
        let covered = session(json!({"not_after": "2026-11-21T20:30:00Z", "grant": "g1"}));
        assert!(covered.starts_with("2026-11-2") && covered.ends_with("with grant g1"), "{covered}");
        assert_eq!(session(json!({})), "now");
    }

    #[test]
    fn nothing_is_said_to_end_where_curfew_is_not_in_force() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut status: Answer = serde_json::from_value(json!({
            "host": "h", "mode": "enforce", "in_force": false, "grants": [], "next_end": now, "set": null, "problems": [], "sessions": [],
        }))
        .unwrap();
        assert!(!text(&status, now, false).contains("ends in"));
        status.in_force = true;
        assert!(text(&status, now, false).contains("The next access ends in"));
    }

    #[test]
    fn what_waits_to_be_confirmed_is_told_and_what_never_was_wired_is_not_taken_for_it() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let told = |wired: bool| {
            let status: Answer = serde_json::from_value(json!({
                "host": "h", "mode": "enforce", "in_force": wired, "wired": wired, "grants": [], "next_end": null, "set": null, "problems": [],
                "sessions": [], "confirm_by": now + SignedDuration::from_mins(5),
            }))
            .unwrap();
            text(&status, now, false)
        };
        assert!(told(true).contains("NOT CONFIRMED"));
        assert!(!told(false).contains("NOT CONFIRMED") && told(false).contains("broken off"), "{}", told(false));
    }

    #[test]
    fn live_grants_come_first_and_old_ones_are_counted() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut status: Answer = serde_json::from_value(json!({
            "host": "h", "mode": "enforce", "in_force": false, "grants": [], "next_end": null, "set": null, "problems": [], "sessions": [],
        }))
        .unwrap();
        for (id, state, hours) in [
            ("older", "ended", -30),
            ("ended", "ended", -2),
            ("later", "ended", -1),
            ("soon", "coming", 9),
            ("live", "live", 1),
        ] {
            status.grants.push(shown(id, state, hours, now));
        }
        let told = text(&status, now, false);
        let ids = |told: &str| {
            told.lines()
                .filter_map(|line| line.split_once("  alice"))
                .map(|(id, _)| id.trim().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&told), ["live", "soon", "later", "ended"], "{told}");
        assert!(
            told.contains("1 more") && told.contains("sudo: /usr/bin/id") && told.contains("not enabled"),
            "{told}"
        );
        assert_eq!(ids(&text(&status, now, true)).len(), 5);
        // A grant for an account that is another now opens nothing, whatever its window says.
        status.grants.iter_mut().for_each(|grant| grant.problem = Some("it is for another account".into()));
        let changed = text(&status, now, false);
        assert_eq!(changed.matches("account changed").count(), 2, "{changed}");
        // Unwired, it does not observe either.
        status.mode = "observe".into();
        assert!(!text(&status, now, true).contains("observing"));
        status.wired = true;
        assert!(text(&status, now, true).contains("observing"));
    }
}
