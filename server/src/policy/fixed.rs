//! The rules that hold whatever policies say. Policies are asked after them, and nothing that policies answer takes one of them back.

pub(super) mod rule;

use super::facts::{Person, Request};
use super::names::PersonName;
use super::needs::Needs;
use super::schema::Action;
use super::verdict::{Approval, Permitted};
use serde::Serialize;
use std::collections::BTreeSet;

pub use rule::Fixed;

/// The group whose members read the audit, and write nothing.
pub const AUDITORS: &str = "auditors";

/// Who acts.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// A person.
    Person(&'a Person),
    /// A token, by its name: a machine.
    Token(&'a str),
}

/// What has to happen when somebody breaks the glass. Only [`announce`] makes one, so that none is silent.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[must_use]
pub struct Announcement {
    tell: BTreeSet<PersonName>,
    after_review: Needs,
}

impl Announcement {
    /// Everybody who is told at once; never nobody.
    pub fn tell(&self) -> &BTreeSet<PersonName> {
        &self.tell
    }

    /// Who has to review it afterwards.
    pub fn after_review(&self) -> &Needs {
        &self.after_review
    }
}

/// Whether a person may do this at all.
///
/// # Errors
///
/// The rule that refuses it.
pub fn may_act(person: &Person, action: Action) -> Result<(), Fixed> {
    if person.disabled {
        return Err(Fixed::Disabled);
    }
    if !person.known && !matches!(action, Action::Ask | Action::AskByLabel) {
        return Err(Fixed::Unknown);
    }
    let auditor = person.groups.iter().any(|group| group.as_str() == AUDITORS);
    if auditor && action != Action::ReadAudit { Err(Fixed::Auditor) } else { Ok(()) }
}

/// Whether somebody may review a request, as far as who they are goes.
///
/// # Errors
///
/// The rule that refuses it.
pub fn may_review(actor: Actor<'_>, request: &Request<'_>) -> Result<(), Fixed> {
    let Actor::Person(person) = actor else { return Err(Fixed::Token) };
    may_act(person, Action::Review)?;
    if person.name == request.requester.name {
        Err(Fixed::OwnRequest)
    } else if person.name == request.filer.name {
        Err(Fixed::OwnFiling)
    } else if request.owners.contains(&person.name) {
        Err(Fixed::OwnAccount)
    } else {
        Ok(())
    }
}

/// What a request needs at least: two reviewers where nobody knows whose it is, since one might be the very person.
pub fn least(needs: Needs, requester: &Person, filer: &Person) -> Needs {
    if requester.known && filer.known { needs } else { needs.by_two_at_least() }
}

/// Whether anything of theirs may be granted without reviews: not where nobody knows whose it is.
pub fn may_be_automatic(requester: &Person, filer: &Person) -> bool {
    requester.known && filer.known
}

/// What has to happen for break-glass that policies permit: `eligible` are those who could review it.
///
/// # Errors
///
/// [`Fixed::NobodyToTell`] where that is nobody, or nobody but those who take it.
pub fn announce(permitted: &Permitted, request: &Request<'_>, eligible: &[&Person]) -> Result<Announcement, Fixed> {
    let others = eligible.iter().filter(|person| may_review(Actor::Person(person), request).is_ok());
    let tell: BTreeSet<_> = others.map(|person| person.name.clone()).collect();
    if tell.is_empty() || permitted.approval != Approval::BreakGlass {
        return Err(Fixed::NobodyToTell);
    }
    Ok(Announcement { tell, after_review: permitted.needs.clone() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::testing::{asked, asking, host, person, policies, request};

    #[test]
    fn what_somebody_may_do_at_all() {
        let alice = person("alice", &["dev"]);
        let disabled = Person { disabled: true, ..alice.clone() };
        let unknown = Person { known: false, ..alice.clone() };
        let auditor = person("erin", &["auditors", "admins"]);
        for action in Action::ALL {
            assert_eq!(may_act(&alice, action), Ok(()));
            assert_eq!(may_act(&disabled, action), Err(Fixed::Disabled));
            let asks = matches!(action, Action::Ask | Action::AskByLabel);
            assert_eq!(may_act(&unknown, action).is_ok(), asks, "{}", action.name());
            assert_eq!(may_act(&auditor, action).is_ok(), action == Action::ReadAudit, "{}", action.name());
        }
    }

    #[test]
    fn nobody_reviews_what_is_theirs_in_any_way() {
        let (alice, bob, carol) = (person("alice", &[]), person("bob", &[]), person("carol", &[]));
        let (hosts, asked) = ([host("web-1", &[])], asked("deploy"));
        let asking = super::super::Asking { filer: &bob, ..asking(&alice, &hosts, &asked) };
        let owners = BTreeSet::from(["carol".parse().unwrap()]);
        let request = request(&asking, &owners);
        let may = |person: &Person| may_review(Actor::Person(person), &request);
        assert_eq!(may(&alice), Err(Fixed::OwnRequest));
        assert_eq!(may(&bob), Err(Fixed::OwnFiling));
        assert_eq!(may(&carol), Err(Fixed::OwnAccount));
        assert_eq!(may(&person("dan", &[])), Ok(()));
        assert_eq!(may(&Person { disabled: true, ..person("dan", &[]) }), Err(Fixed::Disabled));
        assert_eq!(may_review(Actor::Token("ci"), &request), Err(Fixed::Token));
    }

    #[test]
    fn break_glass_is_told_to_others_or_does_not_happen() {
        let text = "@id(\"a\") @needs(\"2:ops\") permit(principal, action == Action::\"breakGlass\", resource);\n\
                    @id(\"b\") @needs(\"1:ops\") permit(principal, action == Action::\"ask\", resource);";
        let policies = policies(text);
        let (alice, bob) = (person("alice", &["ops"]), person("bob", &["ops"]));
        let (hosts, asked) = ([host("web-1", &[])], asked("alice"));
        let asking = asking(&alice, &hosts, &asked);
        let owners = BTreeSet::new();
        let request = request(&asking, &owners);
        let verdict = policies.break_glass(&asking);
        let permitted = verdict.permitted().unwrap();
        let announcement = announce(permitted, &request, &[&alice, &bob]).unwrap();
        assert_eq!(announcement.tell(), &BTreeSet::from(["bob".parse().unwrap()]));
        assert_eq!(announcement.after_review().to_string(), "2:ops");
        for nobody in [&[][..], &[&alice], &[&Person { disabled: true, ..bob.clone() }]] {
            assert_eq!(announce(permitted, &request, nobody), Err(Fixed::NobodyToTell));
        }
        // What is only asked for is no emergency.
        let ordinary = policies.ask(&asking);
        assert!(announce(ordinary.permitted().unwrap(), &request, &[&bob]).is_err());
    }
}
