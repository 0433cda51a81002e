//! `curfew-server policy explain`.

use super::super::{CliError, Global, output};
use crate::duration;
use crate::labels::Labels;
use crate::policy::cases::{Facts, Finding, Question, Word, listed};
use crate::policy::people::Roster;
use crate::policy::schema::Action;
use crate::policy::{Channel, GroupName, PersonName, Policies};
use clap::Args;
use curfew_protocol::grant::{Command, LoginName};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Explain what policies say to one question, and by which policies.
///
/// Exit code 0 means that it is permitted, at once or after reviews, and 1 that it is refused. Who is in no file of people has the groups of --group.
#[derive(Args, Debug)]
pub(in crate::cli) struct Explain {
    /// A file of policies; once for each.
    #[arg(long = "policy", required = true, value_name = "FILE")]
    policies: Vec<PathBuf>,
    /// A file with people and hosts, in TOML or JSON, as for `policy test`; it says who could review.
    #[arg(long, value_name = "FILE")]
    people: Option<PathBuf>,
    /// Who acts.
    #[arg(long, value_name = "NAME")]
    person: PersonName,
    /// A group that they are in, if they are in no file.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<GroupName>,
    /// What they do: ask, breakGlass, review, revoke, readAudit, administer or editPolicy.
    #[arg(long, value_name = "ACTION", default_value = "ask", value_parser = action)]
    action: Action,
    /// A host.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// The labels of the hosts that are in no file, such as env=prod,role=web.
    #[arg(long, value_name = "LABELS")]
    host_labels: Option<Labels>,
    /// Ask for all hosts with these labels instead.
    #[arg(long = "label", value_name = "LABELS", conflicts_with = "hosts")]
    labels: Option<Labels>,
    /// Whose request is reviewed or revoked.
    #[arg(long, value_name = "NAME")]
    requester: Option<PersonName>,
    /// Who filed it, if somebody else.
    #[arg(long, value_name = "NAME")]
    filed_by: Option<PersonName>,
    /// The login name on the hosts; the person's, if left out.
    #[arg(long, value_name = "USER")]
    account: Option<LoginName>,
    /// For how long.
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = duration::parse)]
    length: Duration,
    /// In how long it is to begin.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    starts_in: Option<Duration>,
    /// To log in; without it and --sudo, the login is meant.
    #[arg(long)]
    login: bool,
    /// To use sudo: for every command, or for those of --command.
    #[arg(long)]
    sudo: bool,
    /// A command for sudo.
    #[arg(long = "command", value_name = "COMMAND")]
    commands: Vec<Command>,
    /// A user to run them as; root, if left out.
    #[arg(long, value_name = "USER")]
    run_as: Vec<LoginName>,
    /// A template that it is made from.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// A ticket, taken for confirmed.
    #[arg(long, value_name = "TICKET")]
    ticket: Option<String>,
    /// When; now, if left out. A time such as 2026-11-28T10:00:00+01:00.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// How long ago they used a passkey; never, if left out.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    mfa_age: Option<Duration>,
    /// By which way: web, cli, host, slack or api.
    #[arg(long, value_name = "CHANNEL", default_value = "web", value_parser = channel)]
    channel: Channel,
}

/// What was found, with where the policies stand that decided.
#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    finding: Finding,
    /// Each policy's file and line.
    places: BTreeMap<String, String>,
}

impl Explain {
    pub(super) fn run(self, global: &Global) -> Result<(), CliError> {
        let policies = super::policies(&self.policies)?;
        let roster = self.roster()?;
        let question = Question::new(self.action, self.facts(), &roster).map_err(CliError::Usage)?;
        let finding = policies.find(&question, &roster);
        let verdict = finding.verdict;
        let explained = Explained { places: places(&policies, &finding), finding };
        output::print(global, &explained, said)?;
        if verdict == Word::Refused { Err(CliError::Told(1)) } else { Ok(()) }
    }

    /// The people and hosts: those of the file, and those of the flags.
    fn roster(&self) -> Result<Roster, CliError> {
        let people = self.people.as_deref().map(super::source).transpose()?;
        let roster = people.as_ref().map(Roster::read).transpose().map_err(|problem| super::failed(&[problem]))?;
        let mut roster = roster.unwrap_or_default();
        roster.add_person(&self.person, self.groups.iter().cloned());
        for other in self.requester.iter().chain(&self.filed_by) {
            roster.add_person(other, []);
        }
        let labels = self.host_labels.as_ref();
        let labels: BTreeMap<_, _> = labels.iter().flat_map(|it| it.iter()).map(owned).collect();
        for host in &self.hosts {
            roster.add_host(host, &labels);
        }
        Ok(roster)
    }

    fn facts(self) -> Facts {
        let any = if self.sudo && self.commands.is_empty() { vec![Command::All] } else { Vec::new() };
        Facts {
            person: Some(self.person),
            hosts: self.hosts,
            labels: self.labels.map(|labels| labels.to_string()),
            requester: self.requester,
            filed_by: self.filed_by,
            account: self.account,
            length: Some(self.length),
            starts_in: self.starts_in,
            login: self.login.then_some(true),
            sudo: self.commands.into_iter().chain(any).collect(),
            run_as: self.run_as,
            template: self.template,
            ticket_ok: self.ticket.is_some(),
            ticket: self.ticket,
            at: Some(self.at.unwrap_or_else(Timestamp::now)),
            mfa_age: self.mfa_age,
            channel: self.channel,
            ..Facts::default()
        }
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.into(), value.into())
}

fn places(policies: &Policies, finding: &Finding) -> BTreeMap<String, String> {
    let place = |name| {
        let rule = policies.rules().get(name)?;
        Some((name.to_string(), format!("{}, line {}", rule.file, rule.place.line)))
    };
    finding.policies.iter().filter_map(place).collect()
}

fn said(explained: &Explained) -> String {
    let Explained { finding, places } = explained;
    let mut text = match (finding.verdict, &finding.needs) {
        (Word::Refused, _) => "refused\n".to_owned(),
        (Word::Permitted, None) => "permitted\n".to_owned(),
        (Word::Permitted, Some(needs)) if finding.reviewed_afterwards => {
            format!("permitted at once; {needs} have to review it afterwards\n")
        }
        (Word::Permitted, Some(needs)) => format!("permitted at once; by reviews it would need {needs}\n"),
        (Word::Review, needs) => {
            format!(
                "permitted once {} approved\n",
                needs.as_ref().map_or_else(|| "others".to_owned(), ToString::to_string)
            )
        }
    };
    if !finding.reviewers.is_empty() {
        text += &format!("could review: {}\n", listed(&finding.reviewers));
    }
    if let Some(needs) = finding.nobody_for.as_ref().filter(|_| !finding.reviewers.is_empty()) {
        text += &format!("of the people in the file, there is nobody for {needs}\n");
    }
    for (policy, place) in places {
        text += &format!("policy {policy} ({place})\n");
    }
    text.extend(finding.reasons.iter().map(|reason| match finding.verdict {
        Word::Refused => format!("because {reason}\n"),
        _ => format!("not at once: {reason}\n"),
    }));
    text
}

fn action(name: &str) -> Result<Action, String> {
    Action::named(name).ok_or_else(|| {
        format!(
            "{name:?} is no action; there are ask, breakGlass, review, revoke, readAudit, administer and editPolicy"
        )
    })
}

fn channel(name: &str) -> Result<Channel, String> {
    let found = Channel::ALL.into_iter().find(|channel| channel.name() == name);
    found.ok_or_else(|| format!("{name:?} is no channel; there are web, cli, host, slack and api"))
}
