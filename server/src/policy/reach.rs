//! What nobody could ever do: groups that nobody is in, and reviews that nobody may make.

use super::check::{Policies, Rule};
use super::facts::Person;
use super::fixed;
use super::names::{GroupName, PersonName};
use super::needs::Needs;
use super::people::Roster;
use super::problem::Problem;
use super::schema::Action;
use cedar_policy::{EntityUid, PrincipalConstraint};
use std::collections::BTreeSet;

impl Policies {
    /// Warnings of groups that nobody could be in, where it is known who there is, and of needs that no policy lets anybody fulfil. Conditions are not
    /// looked at: what is warned of is so whatever they say.
    pub fn unreachable(&self, roster: Option<&Roster>) -> Vec<Problem> {
        let people = roster.map(Roster::people);
        let mut problems = Vec::new();
        for rule in self.rules().values() {
            if let Some(people) = &people {
                problems.extend(nobody_in(rule, people));
            }
            problems.extend(self.nobody_reviews(rule, people.as_deref()));
        }
        problems
    }

    fn nobody_reviews(&self, rule: &Rule, people: Option<&[Person]>) -> Option<Problem> {
        let needs =
            rule.annotations.needs.as_ref().filter(|_| rule.actions.iter().any(|action| action.demands_needs()))?;
        let text = match people {
            Some(people) => {
                let may: Vec<_> = people.iter().filter(|person| self.may_review_by_head(person)).collect();
                let missing = needs.missing(may.iter().map(|person| (&person.name, &person.groups)))?;
                format!("it needs {needs}, and of those who may review there is nobody for {missing}")
            }
            None => {
                let missing = needs.iter().map(|(group, _)| group).find(|group| !self.group_may_review(group))?;
                format!("it needs {needs}, and no policy lets members of {missing} review")
            }
        };
        let next = "Permit them action == Action::\"review\", or need another group";
        Some(warning(rule, text).next(next))
    }

    fn reviews(&self) -> impl Iterator<Item = &Rule> {
        self.rules().values().filter(|rule| rule.permits && rule.actions.contains(&Action::Review))
    }

    /// Whether a policy lets this person review, as far as its head goes.
    fn may_review_by_head(&self, person: &Person) -> bool {
        let is = |uid: &EntityUid| match uid.type_name().basename() {
            "Group" => person.groups.iter().any(|group| group.as_str() == uid.id().unescaped()),
            _ => person.name.as_str() == uid.id().unescaped(),
        };
        fixed::may_act(person, Action::Review).is_ok()
            && self.reviews().any(|rule| named(rule).is_none_or(|uid| is(&uid)))
    }

    /// Whether a policy lets members of a group review, as far as its head goes; whether a person whom one names is in it is not known.
    fn group_may_review(&self, group: &GroupName) -> bool {
        let is = |uid: &EntityUid| uid.type_name().basename() != "Group" || uid.id().unescaped() == group.as_str();
        self.reviews().any(|rule| named(rule).is_none_or(|uid| is(&uid)))
    }
}

/// Groups and people that a policy names, and that there are none of.
fn nobody_in(rule: &Rule, people: &[Person]) -> Vec<Problem> {
    let in_one: BTreeSet<_> = people.iter().flat_map(|person| &person.groups).map(GroupName::as_str).collect();
    let there: BTreeSet<_> = people.iter().map(|person| PersonName::as_str(&person.name)).collect();
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    let literals = rule.policy.entity_literals();
    let groups = literals.iter().filter(|uid| uid.type_name().basename() == "Group").map(|uid| uid.id().unescaped());
    let needed = rule.annotations.needs.iter().flat_map(Needs::iter).map(|(group, _)| group.as_str());
    for group in groups.chain(needed).filter(|group| !in_one.contains(group)) {
        if seen.insert(group.to_owned()) {
            problems.push(warning(rule, format!("nobody is in the group {group}")).next("Look for a slip in its name"));
        }
    }
    for uid in literals.iter().filter(|uid| uid.type_name().basename() == "Person") {
        let name = uid.id().unescaped();
        if !there.contains(name) && seen.insert(format!("{name}\n")) {
            problems.push(warning(rule, format!("there is no person {name}")).next("Look for a slip in the name"));
        }
    }
    problems
}

fn named(rule: &Rule) -> Option<EntityUid> {
    match rule.policy.principal_constraint() {
        PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => Some(uid),
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
    }
}

fn warning(rule: &Rule, text: String) -> Problem {
    Problem::error(&rule.file, rule.place, text).of(rule.annotations.id.as_str()).warning()
}
