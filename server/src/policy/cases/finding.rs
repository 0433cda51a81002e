//! What policies say to a question, and how that differs from what was expected.

use super::super::check::Policies;
use super::super::fixed::Actor;
use super::super::names::{PersonName, PolicyName};
use super::super::needs::Needs;
use super::super::people::Roster;
use super::super::schema::Action;
use super::super::verdict::{Answer, Approval, Reason, Verdict};
use super::{Expected, Question, Word};
use serde::Serialize;
use std::collections::BTreeSet;

/// What the policies say to a question.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What becomes of it.
    pub verdict: Word,
    /// Who has to approve, or of break-glass to review afterwards.
    pub needs: Option<Needs>,
    /// Whether it is granted at once, and reviewed afterwards.
    pub reviewed_afterwards: bool,
    /// Who of the people could review it.
    pub reviewers: BTreeSet<PersonName>,
    /// Whom of those that it needs there is nobody for.
    pub nobody_for: Option<Needs>,
    /// The policies that decided.
    pub policies: BTreeSet<PolicyName>,
    /// Why not, or why not at once.
    pub reasons: Vec<Reason>,
}

impl Policies {
    /// What the policies say to a question. Who could review is found among the people of the roster.
    pub fn find(&self, question: &Question, roster: &Roster) -> Finding {
        let Question { action, person, moment, .. } = question;
        let answer = match action {
            Action::BreakGlass => return self.found(self.break_glass(&question.asking()), question, roster),
            Action::Review => self.review(Actor::Person(person), &question.request(), moment),
            Action::Revoke => self.revoke(person, &question.request(), moment),
            Action::ReadAudit => self.read_audit(person, question.hosts.first(), moment),
            Action::Administer => self.administer(person, moment),
            Action::EditPolicy => self.edit_policy(person, moment),
            _ => return self.found(self.ask(&question.asking()), question, roster),
        };
        match answer {
            Answer::Permitted { policies, needs } => {
                let verdict = if needs.is_some() { Word::Review } else { Word::Permitted };
                Finding { verdict, needs, policies, ..Finding::refused(Vec::new()) }
            }
            Answer::Refused(refused) => Finding { policies: refused.policies(), ..Finding::refused(refused.reasons) },
        }
    }

    fn found(&self, verdict: Verdict, question: &Question, roster: &Roster) -> Finding {
        let permitted = match verdict {
            Verdict::Permitted(permitted) => permitted,
            Verdict::Refused(refused) => {
                return Finding { policies: refused.policies(), ..Finding::refused(refused.reasons) };
            }
        };
        let people = roster.people();
        let eligible = self.reviewers(&people, &question.request(), &permitted.needs, question.moment.now);
        let nobody_for = permitted.needs.missing(eligible.iter().map(|person| (&person.name, &person.groups)));
        let reviewers = eligible.iter().map(|person| person.name.clone()).collect();
        let mut policies = permitted.policies;
        let verdict = match permitted.approval {
            Approval::Reviews => Word::Review,
            Approval::BreakGlass => Word::Permitted,
            Approval::Automatic(by) => {
                policies.extend(by);
                Word::Permitted
            }
        };
        let reviewed_afterwards = question.action == Action::BreakGlass;
        let (needs, reasons) = (Some(permitted.needs), permitted.not_automatic);
        Finding { verdict, needs, reviewed_afterwards, reviewers, nobody_for, policies, reasons }
    }
}

impl Finding {
    fn refused(reasons: Vec<Reason>) -> Self {
        let (reviewers, policies) = (BTreeSet::new(), BTreeSet::new());
        let (verdict, reviewed_afterwards) = (Word::Refused, false);
        Self { verdict, needs: None, reviewed_afterwards, reviewers, nobody_for: None, policies, reasons }
    }

    /// How it differs from what was expected, in sentences; none if it does not.
    pub fn differences(&self, expected: &Expected) -> Vec<String> {
        let mut told = Vec::new();
        if expected.verdict != self.verdict {
            told.push(format!("expected {}, and it is {}", expected.verdict, self.verdict));
        }
        if let Some(needs) = expected.needs.as_ref().filter(|needs| Some(*needs) != self.needs.as_ref()) {
            let found = self.needs.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
            told.push(format!("expected needs {needs}, and it needs {found}"));
        }
        if let Some(reviewers) = expected.reviewers.as_ref().filter(|reviewers| **reviewers != self.reviewers) {
            told.push(format!("expected reviewers {}, and there are {}", listed(reviewers), listed(&self.reviewers)));
        }
        if let Some(policies) = expected.policies.as_ref().filter(|policies| **policies != self.policies) {
            told.push(format!("expected policies {}, and {} decided", listed(policies), listed(&self.policies)));
        }
        told
    }
}

/// Names as a list; `nobody` would not be right of policies.
pub fn listed<T: ToString>(items: &BTreeSet<T>) -> String {
    match items.is_empty() {
        true => "none".into(),
        false => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
