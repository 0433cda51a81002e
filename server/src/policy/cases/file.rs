//! A file of cases, as it is written.

use super::super::names::{PersonName, PolicyName};
use super::super::needs::Needs;
use super::super::people::{Labels, Member, Roster, parsed};
use super::super::problem::Problem;
use super::super::schema::Action;
use super::super::source::Source;
use super::{Case, Cases, Expected, Facts, Question, Word};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The most cases of a file.
const MOST: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    people: BTreeMap<PersonName, Member>,
    #[serde(default)]
    hosts: BTreeMap<String, Labels>,
    #[serde(default)]
    case: Vec<CaseDocument>,
}

/// A case as it is written: one of the actions, with the facts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseDocument {
    name: String,
    expect: Word,
    needs: Option<Needs>,
    reviewers: Option<BTreeSet<PersonName>>,
    policies: Option<BTreeSet<PolicyName>>,
    ask: Option<Facts>,
    #[serde(rename = "breakGlass")]
    break_glass: Option<Facts>,
    review: Option<Facts>,
    revoke: Option<Facts>,
    #[serde(rename = "readAudit")]
    read_audit: Option<Facts>,
    administer: Option<Facts>,
    #[serde(rename = "editPolicy")]
    edit_policy: Option<Facts>,
}

impl Cases {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong with it: the place, or the case.
    pub fn read(source: &Source) -> Result<Self, Problem> {
        let File { people, hosts, case } = parsed(source)?;
        let roster = Roster::new(people, hosts);
        let problem = |text: String| Problem::error(&source.name, None, text);
        if case.len() > MOST {
            return Err(problem(format!("{} cases, and {MOST} is the most", case.len())));
        }
        let mut names = BTreeSet::new();
        let mut cases = Vec::with_capacity(case.len());
        for document in case {
            let name = document.name.clone();
            if !names.insert(name.clone()) {
                return Err(problem(format!("case {name:?} is there twice")).next("Give each a name of its own"));
            }
            cases.push(document.case(&roster).map_err(|error| problem(format!("case {name:?}: {error}")))?);
        }
        Ok(Self { roster, cases })
    }
}

impl CaseDocument {
    fn case(self, roster: &Roster) -> Result<Case, String> {
        let asked = [
            (Action::Ask, self.ask),
            (Action::BreakGlass, self.break_glass),
            (Action::Review, self.review),
            (Action::Revoke, self.revoke),
            (Action::ReadAudit, self.read_audit),
            (Action::Administer, self.administer),
            (Action::EditPolicy, self.edit_policy),
        ];
        let mut asked = asked.into_iter().filter_map(|(action, facts)| Some((action, facts?)));
        let (Some((action, facts)), None) = (asked.next(), asked.next()) else {
            return Err(
                "it asks not one thing: ask, breakGlass, review, revoke, readAudit, administer or editPolicy".into()
            );
        };
        let question = Question::new(action, facts, roster)?;
        let Self { name, expect: verdict, needs, reviewers, policies, .. } = self;
        Ok(Case { name, question, expected: Expected { verdict, needs, reviewers, policies } })
    }
}
