//! `curfew status`: what is granted on this host, and how long it still holds.

use super::{CliError, Outcome, ask, print};
use crate::clock;
use crate::grant::State;
use crate::human;
use crate::request::messages::{ShownGrant, ShownSet, Status as Answer};
use clap::Args;
use curfew_protocol::grant::Text;
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

/// Show my grants and the time left; for root, everybody's.
#[derive(Args, Debug)]
pub struct Status {}

impl Status {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, CliError> {
        let status: Answer = ask("Status", json!({}))?;
        print(json, &status, || text(&status, clock::now()))?;
        Ok(Outcome::Yes)
    }
}

fn text(status: &Answer, now: Timestamp) -> String {
    let force = match (status.in_force, status.mode.as_str()) {
        (true, _) => "in force".into(),
        (false, "observe") => "observing: nobody is refused".into(),
        (false, _) => "not in force: run `curfew enable`".to_owned(),
    };
    let mut text = format!("{}: Curfew is {force}.", status.host);
    if let Some(end) = status.next_end {
        text += &format!(" The next grant ends in {}, at {}.", human::left(now, end), human::time(end));
    }
    text.push('\n');
    if let Some(until) = status.confirm_by {
        text += &format!(
            "NOT CONFIRMED: what `curfew enable` did is undone in {}, at {}, unless `curfew confirm` comes from a new login.\n",
            human::left(now, until),
            human::time(until)
        );
    }
    text += &status.set.as_ref().map(set_line).unwrap_or_default();
    for problem in &status.problems {
        text += &format!("problem: {}\n", human::printable(&human::localized(problem)));
    }
    if status.grants.is_empty() {
        text += "No grants.\n";
    } else {
        let rows: Vec<Vec<String>> = status.grants.iter().map(|grant| row(grant, now)).collect();
        text.push('\n');
        text += &human::table(&["GRANT", "USER", "STATE", "LEFT", "ENDS", "ACCESS", "APPROVED BY", "REASON"], &rows);
    }
    if !status.sessions.is_empty() {
        let rows: Vec<Vec<String>> = status
            .sessions
            .iter()
            .map(|it| {
                let ends = if it.governed { "with its grant" } else { "by itself" };
                vec![
                    it.session.clone().unwrap_or_else(|| "-".into()),
                    it.user.clone(),
                    it.service.clone(),
                    it.rhost.clone().unwrap_or_else(|| "-".into()),
                    ends.into(),
                ]
            })
            .collect();
        text.push('\n');
        text += &human::table(&["SESSION", "USER", "SERVICE", "FROM", "ENDS"], &rows);
    }
    text
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

fn row(shown: &ShownGrant, now: Timestamp) -> Vec<String> {
    let grant = &shown.grant;
    let end = shown.revoked_at.unwrap_or(grant.window.not_after());
    let (state, left) = match shown.state {
        State::Coming => ("coming", format!("opens in {}", human::left(now, grant.window.not_before()))),
        State::Live => ("live", human::left(now, end)),
        State::Ended if shown.revoked_at.is_some() => ("revoked", "-".into()),
        State::Ended => ("ended", "-".into()),
    };
    let access = match (&grant.login, &grant.sudo) {
        (Some(_), Some(_)) => "login, sudo",
        (Some(_), None) => "login",
        (None, _) => "sudo",
    };
    vec![
        grant.id.to_string(),
        grant.user.to_string(),
        state.into(),
        left,
        human::time(end),
        access.into(),
        grant.approved_by.iter().map(Text::as_str).collect::<Vec<_>>().join(", "),
        grant.reason.to_string(),
    ]
}
