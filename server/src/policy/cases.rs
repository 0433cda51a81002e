//! Cases: what policies are expected to say, in a file beside them.
//!
//! ```toml
//! [[case]]
//! name = "whoever is in dev asks for production, and two of sre have to approve"
//! ask = { person = "alice", hosts = ["web-1"], for = "1h", sudo = ["/usr/bin/systemctl restart nginx"] }
//! expect = "review"
//! needs = "2:sre"
//! reviewers = ["bob", "carol"]
//! ```
//!
//! People and hosts stand in the same file, as [`super::people`] has them. [`Policies::find`](super::check::Policies::find) answers a case, and any other [`Question`].

mod file;
mod finding;

pub use finding::{Finding, listed};

use super::facts::{Asked, Asking, Channel, Host, Moment, Person, Request, Target, Ticket};
use super::names::{PersonName, PolicyName};
use super::needs::Needs;
use super::people::{Labels, Roster};
use super::schema::Action;
use curfew_protocol::grant::{Command, LoginAccess, LoginName, SudoAccess};
use curfew_protocol::human_time::parse_duration;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// When a case plays that does not say: a Monday, at noon in UTC.
pub const NOON: &str = "2026-01-05T12:00:00Z";

/// A file of cases.
#[derive(Clone, Debug)]
pub struct Cases {
    /// The people and hosts.
    pub roster: Roster,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it says, in a sentence.
    pub name: String,
    /// What is asked.
    pub question: Question,
    /// What is expected.
    pub expected: Expected,
}

/// What a case expects; only what it says counts.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What becomes of it.
    pub verdict: Word,
    /// Who has to approve.
    pub needs: Option<Needs>,
    /// Who of the people could.
    pub reviewers: Option<BTreeSet<PersonName>>,
    /// The policies that decide.
    pub policies: Option<BTreeSet<PolicyName>>,
}

/// What becomes of something.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// It is refused.
    Refused,
    /// It is permitted once others have approved.
    Review,
    /// It is permitted at once.
    Permitted,
}

/// A question, with all the facts.
#[derive(Clone, Debug)]
pub struct Question {
    action: Action,
    person: Person,
    filer: Person,
    requester: Option<Person>,
    owners: BTreeSet<PersonName>,
    hosts: Vec<Host>,
    labels: Option<BTreeMap<String, String>>,
    asked: Asked,
    break_glass: bool,
    overdue_reviews: u64,
    moment: Moment,
}

/// A question as people write it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// Who acts.
    pub person: Option<PersonName>,
    /// The hosts.
    pub hosts: Vec<String>,
    /// Or the labels, as `env=prod`.
    pub labels: Option<String>,
    /// Whose request is reviewed or revoked.
    pub requester: Option<PersonName>,
    /// Who filed it, if somebody else.
    pub filed_by: Option<PersonName>,
    /// The login name; the person's own, if left out.
    pub account: Option<LoginName>,
    /// For how long; `1h` if left out.
    #[serde(rename = "for", deserialize_with = "duration")]
    pub length: Option<Duration>,
    /// In how long it is to begin.
    #[serde(deserialize_with = "duration")]
    pub starts_in: Option<Duration>,
    /// Whether to log in; if neither it nor commands are given, it is so.
    pub login: Option<bool>,
    /// The commands for sudo.
    pub sudo: Vec<Command>,
    /// The users to run them as.
    pub run_as: Vec<LoginName>,
    /// Whether it lengthens access that is live.
    pub extends: bool,
    /// The template.
    pub template: Option<String>,
    /// The ticket.
    pub ticket: Option<String>,
    /// Whether it is confirmed.
    pub ticket_ok: bool,
    /// Whether the request was taken in an emergency.
    pub break_glass: bool,
    /// After-reviews that are overdue.
    pub overdue_reviews: u64,
    /// When.
    pub at: Option<Timestamp>,
    /// How long ago they used a passkey.
    #[serde(deserialize_with = "duration")]
    pub mfa_age: Option<Duration>,
    /// By which way.
    pub channel: Channel,
}

impl Question {
    /// A question about the people and hosts of a roster.
    ///
    /// # Errors
    ///
    /// A sentence that says which fact is missing, or is no such thing.
    pub fn new(action: Action, facts: Facts, roster: &Roster) -> Result<Self, String> {
        if matches!(action, Action::AskByLabel | Action::AskFor | Action::AutoApprove) {
            return Err(format!("{} is asked with ask, by labels, filed_by, or of its own", action.name()));
        }
        let person = somebody(roster, facts.person.as_ref().ok_or("it does not say which person")?)?;
        let reviews = matches!(action, Action::Review | Action::Revoke);
        let requester = match &facts.requester {
            Some(name) if reviews => Some(somebody(roster, name)?),
            None if reviews => {
                return Err(format!("it does not say whose request: requester = \"alice\" for {}", action.name()));
            }
            Some(_) => return Err(format!("requester means nothing for {}", action.name())),
            None => None,
        };
        let whose = requester.as_ref().unwrap_or(&person);
        let filer = facts.filed_by.as_ref().map_or_else(|| Ok(whose.clone()), |name| somebody(roster, name))?;
        let labels = facts.labels.clone().map(Labels::try_from).transpose()?.map(|labels| labels.0);
        let hosts = match &labels {
            Some(labels) if facts.hosts.is_empty() => roster.labelled(labels),
            Some(_) => return Err("it names hosts and labels; one of them".into()),
            None => facts
                .hosts
                .iter()
                .map(|name| roster.host(name).ok_or_else(|| no_host(name)))
                .collect::<Result<_, _>>()?,
        };
        let account = facts.account.clone().or_else(|| whose.name.as_str().parse().ok());
        let account = account.ok_or("it does not say which account, and the person's name is no login name")?;
        let noon = || NOON.parse().map_err(|error| format!("{NOON}: {error}"));
        let now = facts.at.map_or_else(noon, Ok)?;
        Ok(Self {
            action,
            owners: roster.owners(&account),
            moment: Moment { now, mfa_age: facts.mfa_age, channel: facts.channel },
            break_glass: facts.break_glass,
            overdue_reviews: facts.overdue_reviews,
            asked: facts.asked(account),
            person,
            filer,
            requester,
            hosts,
            labels,
        })
    }

    fn target(&self) -> Target<'_> {
        match &self.labels {
            Some(labels) => Target::Labels { labels, hosts: &self.hosts },
            None => Target::Hosts(&self.hosts),
        }
    }

    fn request(&self) -> Request<'_> {
        Request {
            id: "request",
            requester: self.requester.as_ref().unwrap_or(&self.person),
            filer: &self.filer,
            owners: &self.owners,
            target: self.target(),
            asked: &self.asked,
            break_glass: self.break_glass || self.action == Action::BreakGlass,
        }
    }

    fn asking(&self) -> Asking<'_> {
        Asking {
            person: &self.person,
            filer: &self.filer,
            target: self.target(),
            asked: &self.asked,
            overdue_reviews: self.overdue_reviews,
            moment: self.moment,
        }
    }
}

impl Facts {
    fn asked(self, account: LoginName) -> Asked {
        let sudo = !self.sudo.is_empty() || !self.run_as.is_empty();
        let run_as = if self.run_as.is_empty() { vec![LoginName::root()] } else { self.run_as };
        let commands = if self.sudo.is_empty() { vec![Command::All] } else { self.sudo };
        Asked {
            account,
            login: self.login.unwrap_or(!sudo).then(LoginAccess::default),
            sudo: sudo.then_some(SudoAccess { run_as, commands }),
            length: self.length.unwrap_or(Duration::from_secs(3600)),
            starts_in: self.starts_in.unwrap_or_default(),
            extends: self.extends,
            template: self.template,
            ticket: self.ticket.map(|id| Ticket { id, confirmed: self.ticket_ok }),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Review => "review",
            Self::Permitted => "permitted",
        })
    }
}

fn somebody(roster: &Roster, name: &PersonName) -> Result<Person, String> {
    roster.person(name).ok_or_else(|| format!("there is no person {name:?} in [people]", name = name.as_str()))
}

fn no_host(name: &str) -> String {
    format!("there is no host {name:?} in [hosts]")
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::source::Source;
    use super::*;
    use crate::policy::DEFAULT;
    use crate::policy::testing::policies;

    const PEOPLE: &str = "[people]\nalice = [\"dev\"]\nbob = [\"approvers\"]\n[hosts]\nweb-1 = \"env=prod\"\n";

    fn read(case: &str) -> Result<Cases, String> {
        let text = format!("{PEOPLE}[[case]]\nname = \"a\"\n{case}\n");
        Cases::read(&Source::new("a.toml", text)).map_err(|problem| problem.to_string())
    }

    #[test]
    fn what_is_wrong_with_a_case_is_told_with_its_name_or_its_line() {
        for (case, says) in [
            ("expect = \"yes\"", "a.toml, line 8, column 10: unknown variant `yes`"),
            ("expect = \"review\"", "case \"a\": it asks not one thing"),
            ("expect = \"review\"\nask = {}\nreview = {}", "it asks not one thing"),
            ("expect = \"review\"\nask = {}", "it does not say which person"),
            ("expect = \"review\"\nask = { person = \"alcie\" }", "there is no person \"alcie\" in [people]"),
            (
                "expect = \"review\"\nask = { person = \"alice\", hosts = [\"web\"] }",
                "there is no host \"web\" in [hosts]",
            ),
            (
                "expect = \"review\"\nask = { person = \"alice\", host = \"web-1\" }",
                "line 9, column 27: unknown field `host`",
            ),
            ("expect = \"review\"\nask = { person = \"alice\", for = \"soon\" }", "\"soon\" is no duration"),
            ("expect = \"review\"\nask = { person = \"alice\", sudo = [\"id\"] }", "is no absolute path"),
            (
                "expect = \"review\"\nask = { person = \"alice\", requester = \"bob\" }",
                "requester means nothing for ask",
            ),
            ("expect = \"review\"\nreview = { person = \"bob\" }", "it does not say whose request"),
            ("expect = \"review\"\nneeds = \"0:a\"\nask = { person = \"alice\" }", "is no number of reviewers"),
            (
                "expect = \"review\"\nask = { person = \"alice\" }\n[[case]]\nname = \"a\"\nexpect = \"review\"\nask = { person = \"bob\" }",
                "case \"a\" is there twice",
            ),
        ] {
            let error = read(case).unwrap_err();
            assert!(error.contains(says), "{case}\n{error}");
        }
    }

    #[test]
    fn a_case_that_is_not_as_expected_is_told_with_what_was_found() {
        let policies = policies(DEFAULT);
        let found = |case: &str| {
            let Cases { roster, cases } = read(case).unwrap();
            let case = cases.first().unwrap();
            policies.find(&case.question, &roster).differences(&case.expected).join("; ")
        };
        let ask = "ask = { person = \"alice\", hosts = [\"web-1\"] }";
        assert_eq!(found(&format!("expect = \"review\"\nreviewers = [\"bob\"]\n{ask}")), "");
        assert_eq!(found(&format!("expect = \"refused\"\n{ask}")), "expected refused, and it is review");
        assert_eq!(
            found(&format!("expect = \"review\"\nneeds = \"2:sre\"\nreviewers = []\npolicies = [\"x\"]\n{ask}")),
            "expected needs 2:sre, and it needs 1:approvers; expected reviewers none, and there are bob; \
             expected policies x, and everybody-asks decided"
        );
    }

    #[test]
    fn cases_may_be_json() {
        let text = r#"{"people": {"alice": []}, "hosts": {"h": "env=test"}, "case": [
            {"name": "a", "expect": "review", "ask": {"person": "alice", "labels": "env=test", "for": "2h"}}]}"#;
        let cases = Cases::read(&Source::new("a.json", text)).unwrap();
        let case = cases.cases.first().unwrap();
        assert_eq!(policies(DEFAULT).find(&case.question, &cases.roster).verdict, Word::Review);
    }
}
