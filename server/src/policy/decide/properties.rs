//! What holds for policies, people and requests that are made at random.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::policy::facts::Asked;
use crate::policy::testing::{asked, asking, host, person, policies, request, root, saturday};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

/// A policy: of every kind, about few people and places, so that many of them meet.
fn policy() -> impl Strategy<Value = String> {
    let effect = prop_oneof![3 => Just("permit"), 1 => Just("forbid")];
    let whom = select(vec![
        "principal",
        "principal in Group::\"g1\"",
        "principal in Group::\"g2\"",
        "principal == Person::\"p1\"",
    ]);
    let place = select(vec!["resource", "resource in Label::\"env=a\"", "resource in Host::\"h1\""]);
    let action = select(Action::ALL.to_vec());
    // Some of them overflow, which is the error that validation can't rule out.
    let body = select(vec![
        "",
        "when { context.weekday * 9223372036854775807 >= 0 }",
        "when { context.minute > 600 }",
        "unless { principal.known }",
    ]);
    (effect, whom, action, place, body, 1_u8..4, "g[1-3]").prop_map(
        |(effect, whom, action, place, body, count, group)| {
            let place = match action {
                Action::AskFor | Action::Administer | Action::EditPolicy => "resource",
                _ => place,
            };
            let demands = matches!(action, Action::Ask | Action::AskByLabel | Action::BreakGlass) && effect == "permit";
            let needs = if demands { format!("@needs(\"{count}:{group}\")") } else { String::new() };
            format!("{needs} @zone(\"UTC\") {effect}({whom}, action == Action::\"{}\", {place}) {body};", action.name())
        },
    )
}

fn some_policies() -> impl Strategy<Value = Vec<String>> {
    vec(policy(), 0..12)
}

fn read(texts: &[String]) -> Policies {
    policies(&texts.iter().enumerate().map(|(n, text)| format!("@id(\"p{n}\") {text}\n")).collect::<String>())
}

fn some_person() -> impl Strategy<Value = Person> {
    let groups = btree_set(select(vec!["g1", "g2", "g3", "auditors"]), 0..3);
    (select(vec!["p1", "p2", "p3"]), groups, any::<bool>(), any::<bool>()).prop_map(
        |(name, groups, disabled, known)| {
            let groups: Vec<_> = groups.into_iter().collect();
            Person { disabled, known, ..person(name, &groups) }
        },
    )
}

fn some_hosts() -> impl Strategy<Value = Vec<Host>> {
    vec((select(vec!["h1", "h2"]), select(vec!["a", "b"])).prop_map(|(name, env)| host(name, &[("env", env)])), 0..3)
}

fn everything_asked(wide: bool) -> Asked {
    let sudo = if wide { root() } else { None };
    Asked { sudo, ..asked("p1") }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn no_policy_overrides_a_fixed_rule(
        texts in some_policies(), people in (some_person(), some_person(), some_person()), hosts in some_hosts(), wide: bool,
    ) {
        let policies = read(&texts);
        let (requester, filer, actor) = &people;
        let asked = everything_asked(wide);
        let asking = Asking { filer, ..asking(requester, &hosts, &asked) };
        let owners = BTreeSet::from(["p3".parse().unwrap()]);
        let request = request(&asking, &owners);
        let moment = saturday();
        let auditor = |person: &Person| person.groups.iter().any(|group| group.as_str() == fixed::AUDITORS);

        let reviews = policies.review(Actor::Person(actor), &request, &moment).is_permitted();
        if reviews {
            prop_assert!(actor.name != requester.name && actor.name != filer.name && !owners.contains(&actor.name));
            prop_assert!(!actor.disabled && actor.known && !auditor(actor) && !hosts.is_empty());
        }
        prop_assert!(!policies.review(Actor::Token("t"), &request, &moment).is_permitted());
        for answer in [policies.administer(actor, &moment), policies.edit_policy(actor, &moment)] {
            if answer.is_permitted() {
                prop_assert!(!actor.disabled && actor.known && !auditor(actor));
            }
        }
        if policies.read_audit(actor, None, &moment).is_permitted() {
            prop_assert!(!actor.disabled && actor.known);
        }
        if policies.revoke(actor, &request, &moment).is_permitted() {
            prop_assert!(!actor.disabled);
        }
        for verdict in [policies.ask(&asking), policies.break_glass(&asking)] {
            let Verdict::Permitted(permitted) = verdict else { continue };
            prop_assert!(!requester.disabled && !filer.disabled && !auditor(requester) && !hosts.is_empty());
            let unknown = !requester.known || !filer.known;
            prop_assert!(!unknown || permitted.needs.reviewers() >= 2 && permitted.approval == Approval::Reviews);
            let eligible = policies.reviewers([requester, filer, actor], &request, &permitted.needs, moment.now);
            prop_assert!(eligible.iter().all(|person| person.name != requester.name && person.name != filer.name));
            if let Ok(announcement) = fixed::announce(&permitted, &request, &[requester, filer, actor]) {
                prop_assert!(!announcement.tell().is_empty() && !announcement.tell().contains(&requester.name));
                prop_assert_eq!(announcement.after_review(), &permitted.needs);
            }
        }
    }

    #[test]
    fn a_policy_that_fails_never_permits(texts in some_policies(), who in some_person(), hosts in some_hosts()) {
        let policies = read(&texts);
        let asked = everything_asked(false);
        let asking = asking(&who, &hosts, &asked);
        // Each policy by itself, as Cedar evaluates it without an index.
        for (host, name) in hosts.iter().flat_map(|host| policies.rules().keys().map(move |name| (host, name))) {
            let rule = &policies.rules()[name];
            let applies = rule.actions.contains(&Action::Ask);
            let said = alone(&policies, name, &asking, host);
            if applies && !said.failures.is_empty() {
                let verdict = policies.ask(&asking);
                prop_assert!(verdict.permitted().is_none(), "{:?}", verdict);
            }
        }
    }

    #[test]
    fn what_the_index_leaves_out_changes_nothing(texts in some_policies(), who in some_person(), hosts in some_hosts()) {
        let policies = read(&texts);
        let asked = everything_asked(false);
        let asking = asking(&who, &hosts, &asked);
        for host in &hosts {
            let all: Vec<_> = policies.rules().keys().map(|name| alone(&policies, name, &asking, host)).collect();
            let forbids: BTreeSet<_> = all.iter().flat_map(|it| it.forbids.clone()).collect();
            let permits: BTreeSet<_> = all.iter().flat_map(|it| it.permits.clone()).collect();
            let fails = all.iter().any(|it| !it.failures.is_empty());
            let resource = policies.vocabulary.host(host).unwrap();
            let indexed = policies.outcome(Action::Ask, &who, &[], resource, &mut |zone| policies.vocabulary.asking(&asking, zone));
            prop_assert_eq!(indexed.permits(), !fails && forbids.is_empty() && !permits.is_empty());
            prop_assert_eq!(!indexed.failures.is_empty(), fails);
            prop_assert_eq!(&indexed.forbids, &forbids);
            if forbids.is_empty() {
                prop_assert_eq!(&indexed.permits, &permits);
            }
        }
    }

    #[test]
    fn one_more_permit_never_lowers_what_is_needed(texts in some_policies(), more in policy(), who in some_person(), hosts in some_hosts()) {
        let asked = everything_asked(false);
        let asking = asking(&who, &hosts, &asked);
        let before = read(&texts).ask(&asking);
        let all: Vec<_> = texts.iter().cloned().chain([more]).collect();
        let after = read(&all).ask(&asking);
        if let (Some(before), Some(after)) = (before.permitted(), after.permitted()) {
            prop_assert!(after.needs.covers(&before.needs), "{} < {}", after.needs, before.needs);
        }
    }
}

/// What one policy says by itself, without the index.
fn alone(policies: &Policies, name: &PolicyName, asking: &Asking<'_>, host: &Host) -> Outcome {
    let vocabulary = policies.vocabulary;
    let rule = &policies.rules()[name];
    let resource = vocabulary.host(host).unwrap();
    let principal = vocabulary.person(asking.person).unwrap();
    let context = vocabulary.asking(asking, rule.annotations.zone.as_ref()).unwrap();
    let action = vocabulary.action(Action::Ask).unwrap();
    let request = cedar_policy::Request::new(principal.uid, action, resource.uid, context, None).unwrap();
    let entities = Entities::from_entities(principal.entities.into_iter().chain(resource.entities), None).unwrap();
    let set = cedar_policy::PolicySet::from_policies([rule.policy.clone()]).unwrap();
    let mut outcome = Outcome::default();
    outcome.add(&cedar_policy::Authorizer::new().is_authorized(&request, &set, &entities));
    outcome
}
