//! The decisions: what may be asked and what it needs, who may review, revoke, read and administer.
//!
//! Fixed rules come first, then the policies, host by host: each has to permit it. Pure: the facts are given, and so is the time.

use super::annotations::Zone;
use super::check::Policies;
use super::entities::{Resource, Untold};
use super::facts::{Asking, Channel, Host, Moment, Person, Request, Target, written};
use super::fixed::{self, Actor, Fixed};
use super::index::Outcome;
use super::names::PolicyName;
use super::needs::Needs;
use super::schema::Action;
use super::verdict::{Answer, Approval, Failure, Forbidding, Permitted, Reason, Refused, Verdict, WhyNot};
use cedar_policy::{Context, Entities};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the policies said at one place, or of one thing.
struct Said {
    place: Option<String>,
    action: Action,
    outcome: Outcome,
}

impl Policies {
    /// What becomes of a request for access: refused, granted at once, or once those that it needs have approved.
    pub fn ask(&self, asking: &Asking<'_>) -> Verdict {
        self.asked(asking, Action::Ask)
    }

    /// What becomes of access that somebody takes in an emergency. Where it is permitted, [`fixed::announce`] says what has to happen with it.
    pub fn break_glass(&self, asking: &Asking<'_>) -> Verdict {
        self.asked(asking, Action::BreakGlass)
    }

    fn asked(&self, asking: &Asking<'_>, action: Action) -> Verdict {
        if let Err(rule) = may_ask(asking, action) {
            return Verdict::Refused(Refused::by(action, WhyNot::Fixed { rule }));
        }
        let mut contexts = Contexts::new();
        let mut said = self.filing(asking, &mut contexts);
        said.extend(self.at_each_place(asking, action, &mut contexts));
        let policies = match self.all_permit(said) {
            Ok(policies) => policies,
            Err(reasons) => return Verdict::Refused(Refused { reasons }),
        };
        // A policy that permits asking says what it needs; the check holds it.
        let needs =
            policies.iter().filter_map(|policy| self.needs(policy)).cloned().reduce(|all, more| all.strictest(&more));
        let Some(needs) = needs else {
            return Verdict::Refused(Refused::by(action, WhyNot::NonePermits));
        };
        let needs = fixed::least(needs, asking.person, asking.filer);
        let (approval, not_automatic) = match action {
            Action::BreakGlass => (Approval::BreakGlass, Vec::new()),
            _ => self.automatic(asking, &mut contexts),
        };
        Verdict::Permitted(Permitted { needs, approval, policies, not_automatic })
    }

    /// Whether the filer may file it for the person, where that is somebody else.
    fn filing(&self, asking: &Asking<'_>, contexts: &mut Contexts) -> Vec<Said> {
        if asking.filer.name == asking.person.name {
            return Vec::new();
        }
        let action = Action::AskFor;
        let outcome = self.vocabulary.person(asking.person).map(|person| {
            self.outcome(action, asking.filer, &[asking.person], person, &mut |zone| {
                shared(contexts, zone, || self.vocabulary.asking(asking, zone))
            })
        });
        vec![Said {
            place: Some(asking.person.name.to_string()),
            action,
            outcome: outcome.unwrap_or_else(Outcome::failed),
        }]
    }

    /// What the policies say of each host, and of the labels.
    fn at_each_place(&self, asking: &Asking<'_>, action: Action, contexts: &mut Contexts) -> Vec<Said> {
        let hosts = asking.target.hosts().iter().map(|host| (action, host.name.clone(), self.vocabulary.host(host)));
        let selector = match asking.target {
            Target::Hosts(_) => None,
            Target::Labels { labels, .. } => {
                let action = if action == Action::Ask { Action::AskByLabel } else { action };
                Some((action, written(labels), self.vocabulary.selector(labels)))
            }
        };
        let people = [asking.filer];
        let places = selector.into_iter().chain(hosts);
        let said = places.map(|(action, place, resource)| {
            let outcome = resource.map(|resource| {
                self.outcome(action, asking.person, &people, resource, &mut |zone| {
                    shared(contexts, zone, || self.vocabulary.asking(asking, zone))
                })
            });
            Said { place: Some(place), action, outcome: outcome.unwrap_or_else(Outcome::failed) }
        });
        said.collect()
    }

    /// Whether it is granted at once, and if not, why.
    fn automatic(&self, asking: &Asking<'_>, contexts: &mut Contexts) -> (Approval, Vec<Reason>) {
        let action = Action::AutoApprove;
        if !fixed::may_be_automatic(asking.person, asking.filer) {
            let reason = Reason { place: None, action, why: WhyNot::Fixed { rule: Fixed::Unknown } };
            return (Approval::Reviews, vec![reason]);
        }
        match self.all_permit(self.at_each_place(asking, action, contexts)) {
            Ok(policies) => (Approval::Automatic(policies), Vec::new()),
            Err(reasons) => (Approval::Reviews, reasons),
        }
    }

    /// Whether somebody may approve or deny a request.
    pub fn review(&self, actor: Actor<'_>, request: &Request<'_>, moment: &Moment) -> Answer {
        match (fixed::may_review(actor, request), actor) {
            (Ok(()), Actor::Person(person)) => self.about_request(Action::Review, person, request, moment),
            (rule, _) => refused(Action::Review, rule.err().unwrap_or(Fixed::Token)),
        }
    }

    /// Whether somebody may end what a request gave. Whoever it was given to always may.
    pub fn revoke(&self, person: &Person, request: &Request<'_>, moment: &Moment) -> Answer {
        if person.name == request.requester.name && !person.disabled {
            return Answer::Permitted { policies: BTreeSet::new(), needs: None };
        }
        match fixed::may_act(person, Action::Revoke) {
            Ok(()) => self.about_request(Action::Revoke, person, request, moment),
            Err(rule) => refused(Action::Revoke, rule),
        }
    }

    /// Whether somebody may read the audit of a host, or all of it.
    pub fn read_audit(&self, person: &Person, host: Option<&Host>, moment: &Moment) -> Answer {
        let resource = host.map_or_else(|| self.vocabulary.endpoint(), |host| self.vocabulary.host(host));
        self.at(Action::ReadAudit, person, host.map(|host| host.name.clone()), resource, moment)
    }

    /// Whether somebody may change people, hosts, tokens, keys and settings.
    pub fn administer(&self, person: &Person, moment: &Moment) -> Answer {
        self.at(Action::Administer, person, None, self.vocabulary.endpoint(), moment)
    }

    /// Whether somebody may put other policies in force, and who has to approve it.
    pub fn edit_policy(&self, person: &Person, moment: &Moment) -> Answer {
        self.at(Action::EditPolicy, person, None, self.vocabulary.endpoint(), moment)
    }

    /// Of these people, those who could review the request: by the fixed rules, by policy over any channel right after they used a passkey, and by being in a
    /// group that it needs.
    pub fn reviewers<'p>(
        &self,
        people: impl IntoIterator<Item = &'p Person>,
        request: &Request<'_>,
        needs: &Needs,
        now: jiff::Timestamp,
    ) -> Vec<&'p Person> {
        let wanted = |person: &Person| needs.iter().any(|(group, _)| person.groups.contains(group));
        let may = |person: &Person| {
            Channel::ALL.into_iter().any(|channel| {
                let moment = Moment { now, mfa_age: Some(Duration::ZERO), channel };
                self.review(Actor::Person(person), request, &moment).is_permitted()
            })
        };
        people.into_iter().filter(|person| wanted(person) && may(person)).collect()
    }

    /// A decision about a request, at each of its hosts, and at its labels.
    fn about_request(&self, action: Action, person: &Person, request: &Request<'_>, moment: &Moment) -> Answer {
        let hosts =
            request.target.hosts().iter().map(|host| (host.name.clone(), self.vocabulary.host(host), &host.labels));
        let selector = match request.target {
            Target::Hosts(_) => None,
            Target::Labels { labels, .. } => Some((written(labels), self.vocabulary.selector(labels), labels)),
        };
        let mut contexts = Contexts::new();
        let people = [request.requester, request.filer];
        let said = selector.into_iter().chain(hosts).map(|(place, resource, labels)| {
            let resource = resource.and_then(|resource| self.vocabulary.request(request, resource, labels));
            let outcome = resource.map(|resource| {
                self.outcome(action, person, &people, resource, &mut |zone| {
                    shared(&mut contexts, zone, || self.vocabulary.acting(moment, zone))
                })
            });
            Said { place: Some(place), action, outcome: outcome.unwrap_or_else(Outcome::failed) }
        });
        let said: Vec<_> = said.collect();
        if said.is_empty() {
            return refused(action, Fixed::NoHost);
        }
        self.answer(said)
    }

    /// A decision about one thing.
    fn at(
        &self,
        action: Action,
        person: &Person,
        place: Option<String>,
        resource: Result<Resource, Untold>,
        moment: &Moment,
    ) -> Answer {
        if let Err(rule) = fixed::may_act(person, action) {
            return refused(action, rule);
        }
        let mut contexts = Contexts::new();
        let outcome = resource.map(|it| {
            self.outcome(action, person, &[], it, &mut |zone| {
                shared(&mut contexts, zone, || self.vocabulary.acting(moment, zone))
            })
        });
        self.answer(vec![Said { place, action, outcome: outcome.unwrap_or_else(Outcome::failed) }])
    }

    fn answer(&self, said: Vec<Said>) -> Answer {
        match self.all_permit(said) {
            Ok(policies) => {
                let needs = policies.iter().filter_map(|policy| self.needs(policy)).cloned();
                let needs = needs.reduce(|all, more| all.strictest(&more));
                Answer::Permitted { policies, needs }
            }
            Err(reasons) => Answer::Refused(Refused { reasons }),
        }
    }

    /// Asks the policies one question. `others` are people whom they may look at besides.
    fn outcome(
        &self,
        action: Action,
        person: &Person,
        others: &[&Person],
        resource: Resource,
        context: &mut dyn FnMut(Option<&Zone>) -> Result<Context, Untold>,
    ) -> Outcome {
        let mut asked = || -> Result<Outcome, Untold> {
            let principal = self.vocabulary.person(person)?;
            let mut entities = principal.entities.clone();
            for other in others.iter().filter(|other| other.name != person.name) {
                entities.extend(self.vocabulary.person(other)?.entities);
            }
            // What is there twice has to be the same.
            entities.extend(resource.entities.iter().cloned());
            let entities = Entities::from_entities(entities, None).map_err(|error| error.to_string())?;
            let action = (action, self.vocabulary.action(action)?);
            Ok(self.index.ask(action, &principal, &resource, &entities, context))
        };
        asked().unwrap_or_else(Outcome::failed)
    }

    /// The policies that permit, where all do; or every reason why not.
    fn all_permit(&self, said: Vec<Said>) -> Result<BTreeSet<PolicyName>, Vec<Reason>> {
        let (mut policies, mut reasons) = (BTreeSet::new(), Vec::new());
        for Said { place, action, outcome } in said {
            if outcome.permits() {
                policies.extend(outcome.permits);
                continue;
            }
            let why = self.why_not(outcome);
            reasons.push(Reason { place, action, why });
        }
        if reasons.is_empty() { Ok(policies) } else { Err(reasons) }
    }

    fn why_not(&self, outcome: Outcome) -> WhyNot {
        if !outcome.failures.is_empty() {
            let failures = outcome.failures.into_iter().map(|(policy, problem)| Failure { policy, problem });
            return WhyNot::Failed { policies: failures.collect() };
        }
        if outcome.forbids.is_empty() {
            return WhyNot::NonePermits;
        }
        let forbidding = outcome.forbids.into_iter().map(|policy| {
            let advice = self.rules().get(&policy).and_then(|rule| rule.annotations.advice.as_ref());
            let advice = advice.map(ToString::to_string);
            Forbidding { policy, advice }
        });
        WhyNot::Forbidden { policies: forbidding.collect() }
    }
}

/// The contexts of one decision, one a zone: all hosts share them.
type Contexts = BTreeMap<Option<String>, Context>;

/// The context of a zone, made once.
fn shared(
    contexts: &mut Contexts,
    zone: Option<&Zone>,
    make: impl FnOnce() -> Result<Context, Untold>,
) -> Result<Context, Untold> {
    let name = zone.map(|zone| zone.name.clone());
    match contexts.entry(name) {
        Entry::Occupied(there) => Ok(there.get().clone()),
        Entry::Vacant(place) => Ok(place.insert(make()?).clone()),
    }
}

/// Whether both may do this at all, and it is for something.
fn may_ask(asking: &Asking<'_>, action: Action) -> Result<(), Fixed> {
    fixed::may_act(asking.person, action)?;
    let filing = if asking.filer.name == asking.person.name { action } else { Action::AskFor };
    fixed::may_act(asking.filer, filing)?;
    let for_nothing = matches!(asking.target, Target::Hosts([]));
    if for_nothing { Err(Fixed::NoHost) } else { Ok(()) }
}

fn refused(action: Action, rule: Fixed) -> Answer {
    Answer::Refused(Refused::by(action, WhyNot::Fixed { rule }))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod properties;
