#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::policy::facts::Asked;
use crate::policy::testing::{asked, asking, host, person, policies, request, root, saturday};
use crate::policy::{DEFAULT, DEFAULT_CASES, Source, cases::Cases};

const TEAM: &str = r#"
@id("dev-asks") @needs("1:approvers")
permit(principal in Group::"dev", action in [Action::"ask", Action::"askByLabel"], resource);
@id("dev-asks-prod") @needs("2:sre,1:security")
permit(principal in Group::"dev", action in [Action::"ask", Action::"askByLabel"], resource in Label::"env=prod");
@id("test-at-once")
permit(principal in Group::"dev", action == Action::"autoApprove", resource in Label::"env=test") when { !context.root };
@id("leads-file") permit(principal in Group::"leads", action == Action::"askFor", resource in Group::"dev");
@id("team-reviews")
permit(principal, action in [Action::"review", Action::"revoke"], resource)
when { resource.hasTag("team") && principal.groups.contains(resource.getTag("team")) };
@id("approvers-review") permit(principal in Group::"approvers", action == Action::"review", resource);
@id("freeze") @advice("Ask the release manager")
forbid(principal, action == Action::"ask", resource in Label::"frozen=yes");
"#;

fn refusal(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Refused(refused) => refused.to_string(),
        Verdict::Permitted(permitted) => panic!("{permitted:?}"),
    }
}

fn needs(verdict: &Verdict) -> String {
    verdict.permitted().unwrap_or_else(|| panic!("{verdict:?}")).needs.to_string()
}

fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Permitted { policies, .. } => policies.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Answer::Refused(refused) => refused.to_string(),
    }
}

#[test]
fn the_policies_of_the_package_say_what_their_cases_expect() {
    let policies = policies(DEFAULT);
    assert_eq!(policies.warnings(), []);
    let cases = Cases::read(&Source::new("a.toml", DEFAULT_CASES)).unwrap();
    assert!(cases.cases.len() > 15);
    for case in &cases.cases {
        let found = policies.find(&case.question, &cases.roster);
        assert_eq!(found.differences(&case.expected), Vec::<String>::new(), "{}: {found:#?}", case.name);
    }
}

#[test]
fn what_a_request_needs_is_the_strictest_of_all_policies_and_all_hosts() {
    let policies = policies(TEAM);
    let alice = person("alice", &["dev"]);
    let asked = asked("alice");
    let (web, test) = (host("web-1", &[("env", "prod")]), host("test-1", &[("env", "test")]));
    assert_eq!(
        needs(&policies.ask(&asking(&alice, std::slice::from_ref(&web), &asked))),
        "1:approvers,1:security,2:sre"
    );
    assert_eq!(needs(&policies.ask(&asking(&alice, &[test.clone(), web], &asked))), "1:approvers,1:security,2:sre");
    assert_eq!(needs(&policies.ask(&asking(&alice, &[test], &asked))), "1:approvers");
}

#[test]
fn every_host_has_to_permit_it_and_each_that_does_not_is_named() {
    let policies = policies(TEAM);
    let (alice, mallory) = (person("alice", &["dev"]), person("mallory", &[]));
    let asked = asked("alice");
    let hosts = [host("web-1", &[]), host("db-1", &[("frozen", "yes")])];
    let forbidden = refusal(&policies.ask(&asking(&alice, &hosts, &asked)));
    assert_eq!(forbidden, "db-1: ask is forbidden by freeze (Ask the release manager)");
    let none = refusal(&policies.ask(&asking(&mallory, &hosts[..1], &asked)));
    assert_eq!(none, "web-1: no policy permits ask");
    assert_eq!(refusal(&policies.ask(&asking(&alice, &[], &asked))), "a request is for one host at least");
}

#[test]
fn it_is_granted_at_once_only_where_every_host_is() {
    let policies = policies(TEAM);
    let alice = person("alice", &["dev"]);
    let (test, web) = (host("test-1", &[("env", "test")]), host("web-1", &[]));
    let plain = asked("alice");
    let verdict = policies.ask(&asking(&alice, std::slice::from_ref(&test), &plain));
    let by = verdict.permitted().unwrap();
    assert_eq!(by.approval, Approval::Automatic(BTreeSet::from(["test-at-once".parse().unwrap()])));
    for (hosts, asked) in
        [(vec![test.clone(), web], plain.clone()), (vec![test.clone()], Asked { sudo: root(), ..plain.clone() })]
    {
        let verdict = policies.ask(&asking(&alice, &hosts, &asked));
        let permitted = verdict.permitted().unwrap();
        assert_eq!(permitted.approval, Approval::Reviews);
        assert!(permitted.not_automatic[0].to_string().ends_with("no policy permits autoApprove"));
    }
    // Nobody knows whose login it is: two reviewers, and never at once.
    let nobody = Person { known: false, ..alice.clone() };
    let verdict = policies.ask(&asking(&nobody, &[test], &plain));
    let permitted = verdict.permitted().unwrap();
    assert_eq!((permitted.needs.to_string().as_str(), &permitted.approval), ("2:approvers", &Approval::Reviews));
}

#[test]
fn a_request_by_labels_asks_for_the_labels_and_every_host_that_has_them_now() {
    let policies = policies(TEAM);
    let alice = person("alice", &["dev"]);
    let asked = asked("alice");
    let labels = BTreeMap::from([("env".into(), "prod".into()), ("role".into(), "web".into())]);
    let by = |hosts: &[Host]| {
        let target = Target::Labels { labels: &labels, hosts };
        policies.ask(&Asking { target, ..asking(&alice, &[], &asked) })
    };
    assert_eq!(needs(&by(&[])), "1:approvers,1:security,2:sre");
    let frozen = host("web-9", &[("env", "prod"), ("role", "web"), ("frozen", "yes")]);
    assert!(refusal(&by(&[frozen])).contains("web-9: ask is forbidden by freeze"));
    // Whoever may ask for hosts may not by that ask for labels.
    let hosts_only = TEAM.replace("Action::\"ask\", Action::\"askByLabel\"", "Action::\"ask\"");
    let target = Target::Labels { labels: &labels, hosts: &[] };
    let verdict = testing_policies(&hosts_only).ask(&Asking { target, ..asking(&alice, &[], &asked) });
    assert_eq!(refusal(&verdict), "env=prod,role=web: no policy permits askByLabel");
}

fn testing_policies(text: &str) -> Policies {
    policies(text)
}

#[test]
fn who_files_for_somebody_else_needs_a_policy_for_that() {
    let policies = policies(TEAM);
    let (alice, lead, carol) = (person("alice", &["dev"]), person("lead", &["leads"]), person("carol", &["dev"]));
    let asked = asked("alice");
    let hosts = [host("web-1", &[])];
    let by = |filer| policies.ask(&Asking { filer, ..asking(&alice, &hosts, &asked) });
    assert_eq!(needs(&by(&lead)), "1:approvers");
    assert_eq!(refusal(&by(&carol)), "alice: no policy permits askFor");
    // And what the person may not ask for, nobody may for them.
    let outsider = person("mallory", &[]);
    let verdict = policies.ask(&Asking { filer: &lead, ..asking(&outsider, &hosts, &asked) });
    assert!(refusal(&verdict).contains("mallory: no policy permits askFor"));
}

#[test]
fn reviewers_are_those_whom_policy_lets_review_at_every_host() {
    let policies = policies(TEAM);
    let alice = person("alice", &["dev", "web-team"]);
    let asked = asked("alice");
    let hosts = [host("web-1", &[("team", "web-team")]), host("db-1", &[("team", "db-team")])];
    let owners = BTreeSet::from(["deployer".parse().unwrap()]);
    let one = asking(&alice, &hosts[..1], &asked);
    let both = asking(&alice, &hosts, &asked);
    let (bob, carol) = (person("bob", &["web-team"]), person("carol", &["web-team", "db-team"]));
    let may = |who: &Person, asking: &Asking<'_>| {
        answer(&policies.review(Actor::Person(who), &request(asking, &owners), &saturday()))
    };
    assert_eq!(may(&bob, &one), "team-reviews");
    assert_eq!(may(&bob, &both), "db-1: no policy permits review");
    assert_eq!(may(&carol, &both), "team-reviews");
    assert_eq!(may(&alice, &one), "nobody reviews their own request");
    assert_eq!(
        may(&person("deployer", &["web-team"]), &one),
        "nobody reviews a request by or for an account of theirs"
    );
    let token = policies.review(Actor::Token("ci"), &request(&one, &owners), &saturday());
    assert_eq!(answer(&token), "a token reviews nothing; a person has to");
    let approver = person("dan", &["approvers"]);
    let everybody = [&alice, &bob, &carol, &approver];
    let needs: Needs = "1:approvers".parse().unwrap();
    let found = policies.reviewers(everybody, &request(&one, &owners), &needs, saturday().now);
    assert_eq!(found, [&approver]);
}

#[test]
fn whoever_was_given_access_may_give_it_back_and_others_by_policy() {
    let policies = policies(TEAM);
    let (alice, bob) = (person("alice", &["dev"]), person("bob", &["web-team"]));
    let asked = asked("alice");
    let hosts = [host("web-1", &[("team", "web-team")])];
    let asking = asking(&alice, &hosts, &asked);
    let owners = BTreeSet::new();
    let may = |who: &Person| policies.revoke(who, &request(&asking, &owners), &saturday()).is_permitted();
    assert!(may(&alice) && may(&bob) && !may(&person("dan", &["approvers"])));
    assert!(!may(&Person { disabled: true, ..alice.clone() }));
}

#[test]
fn time_is_that_of_the_zone_that_the_policy_says() {
    // A Saturday at 23:30 in UTC: Sunday at 00:30 in Berlin.
    let text = |zone: &str, condition: &str| {
        format!(
            "@id(\"a\") @needs(\"1:sre\") @zone(\"{zone}\") permit(principal, action == Action::\"ask\", resource) when {{ {condition} }};"
        )
    };
    let alice = person("alice", &[]);
    let asked = asked("alice");
    let hosts = [host("web-1", &[])];
    for (zone, condition, permits) in [
        ("UTC", "context.weekday == 6 && context.minute == 1410", true),
        ("UTC", "context.date == \"2026-11-28\"", true),
        ("Europe/Berlin", "context.weekday == 7 && context.minute == 30", true),
        ("Europe/Berlin", "context.date == \"2026-11-29\"", true),
        ("America/New_York", "context.weekday == 6 && context.minute == 1110", true),
        ("UTC", "context.weekday < 6 && context.minute >= 540 && context.minute < 1020", false),
    ] {
        let verdict = policies(&text(zone, condition)).ask(&asking(&alice, &hosts, &asked));
        assert_eq!(verdict.permitted().is_some(), permits, "{zone} {condition}");
    }
    // When the access begins counts, not when it is asked for.
    let later = Asked { starts_in: Duration::from_secs(34 * 3600), ..asked };
    let verdict =
        policies(&text("UTC", "context.weekday == 1 && context.minute == 570")).ask(&asking(&alice, &hosts, &later));
    assert!(verdict.permitted().is_some(), "{verdict:?}");
}

#[test]
fn a_passkey_that_was_not_used_is_not_fresh() {
    let policies = policies(
        "@id(\"a\") permit(principal, action == Action::\"administer\", resource) when { context has mfaAge && context.mfaAge <= 300 };",
    );
    let alice = person("alice", &[]);
    let at = |age: Option<u64>| {
        let moment = Moment { mfa_age: age.map(Duration::from_secs), ..saturday() };
        policies.administer(&alice, &moment).is_permitted()
    };
    assert!(at(Some(300)) && !at(Some(301)) && !at(None));
}

#[test]
fn a_policy_that_fails_to_evaluate_denies_whatever_others_say() {
    // An overflow is the one error that strict validation can't rule out.
    let failing = r#"
        @id("yes") @needs("1:sre") permit(principal, action == Action::"ask", resource);
        @id("overflows") forbid(principal, action == Action::"ask", resource)
        when { context.seconds * 9223372036854775807 > 0 && context.seconds == 1 };
    "#;
    let alice = person("alice", &[]);
    let asked = asked("alice");
    let refused = refusal(&policies(failing).ask(&asking(&alice, &[host("web-1", &[])], &asked)));
    assert!(
        refused.starts_with("web-1: ask could not be decided, which denies it: overflows: integer overflow"),
        "{refused}"
    );
    let permit = failing.replace("forbid", "@needs(\"1:sre\") permit");
    assert!(refusal(&policies(&permit).ask(&asking(&alice, &[host("web-1", &[])], &asked))).contains("overflows"));
}

#[test]
fn what_is_said_of_requests_and_contexts_is_what_the_schema_declares() {
    let vocabulary = crate::policy::schema::Vocabulary::get().unwrap();
    let (alice, bob) = (person("alice", &["dev"]), person("bob", &["sre"]));
    let ticket = Some(crate::policy::facts::Ticket { id: "INC-1".into(), confirmed: true });
    let asked = Asked { sudo: root(), template: Some("t".into()), ticket, ..asked("alice") };
    let hosts = [host("web-1", &[("env", "prod")])];
    let asking = Asking { filer: &bob, ..asking(&alice, &hosts, &asked) };
    let owners = BTreeSet::new();
    let people = || [&alice, &bob].into_iter().flat_map(|it| vocabulary.person(it).unwrap().entities);
    let schema = Some(&vocabulary.schema);
    let labels = &hosts[0].labels;
    let places = [
        (Action::Ask, vocabulary.host(&hosts[0]).unwrap()),
        (Action::AskByLabel, vocabulary.selector(labels).unwrap()),
        (Action::AskFor, vocabulary.person(&alice).unwrap()),
        (Action::AutoApprove, vocabulary.selector(labels).unwrap()),
        (Action::BreakGlass, vocabulary.host(&hosts[0]).unwrap()),
        (
            Action::Review,
            vocabulary.request(&request(&asking, &owners), vocabulary.host(&hosts[0]).unwrap(), labels).unwrap(),
        ),
        (
            Action::Revoke,
            vocabulary.request(&request(&asking, &owners), vocabulary.selector(labels).unwrap(), labels).unwrap(),
        ),
        (Action::ReadAudit, vocabulary.endpoint().unwrap()),
        (Action::Administer, vocabulary.endpoint().unwrap()),
        (Action::EditPolicy, vocabulary.endpoint().unwrap()),
    ];
    for (action, place) in places {
        for mfa_age in [None, Some(Duration::from_secs(1))] {
            let moment = Moment { mfa_age, ..saturday() };
            let asking = Asking { moment, ..asking };
            let context = match action {
                Action::Ask | Action::AskByLabel | Action::AskFor | Action::AutoApprove | Action::BreakGlass => {
                    vocabulary.asking(&asking, None)
                }
                _ => vocabulary.acting(&moment, None),
            };
            let principal = vocabulary.person(&bob).unwrap().uid;
            let action_uid = vocabulary.action(action).unwrap();
            cedar_policy::Request::new(principal, action_uid, place.uid.clone(), context.unwrap(), schema)
                .unwrap_or_else(|error| panic!("{}: {error}", action.name()));
        }
        let entities = people().chain(place.entities);
        Entities::from_entities(entities, schema).unwrap_or_else(|error| panic!("{}: {error}", action.name()));
    }
}
