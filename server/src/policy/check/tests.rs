#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::policy::people::Roster;
use crate::policy::testing::policies;

fn problems(text: &str) -> String {
    let problems = match Policies::read(&[Source::new("a.cedar", text)]) {
        Ok(policies) => policies.warnings().to_vec(),
        Err(problems) => problems,
    };
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn permit(annotations: &str, action: &str, rest: &str) -> String {
    format!("@id(\"a\") {annotations}\npermit(principal, action == Action::\"{action}\", resource){rest};\n")
}

#[test]
fn what_is_wrong_is_told_with_file_line_column_policy_and_the_next_step() {
    for (text, says) in [
        (
            permit("@need(\"1:sre\")", "ask", ""),
            "a.cedar, line 1, column 10: policy a: unknown annotation @need. Did you mean @needs?",
        ),
        (
            permit("@needs(\"0:sre\")", "ask", ""),
            "a.cedar, line 1, column 10: policy a: @needs: \"0\" is no number of reviewers from 1 to 20",
        ),
        (
            permit("", "ask", ""),
            "a.cedar, line 1, column 1: policy a: it permits ask and does not say who has to approve. Add @needs",
        ),
        (permit("", "breakGlass", ""), "it permits breakGlass and does not say who has to approve"),
        (permit("@needs(\"1:sre\")", "review", ""), "@needs means nothing for review. Make two policies of it"),
        (permit("@needs(\"1:sre\")", "autoApprove", ""), "@needs means nothing for autoApprove"),
        (
            permit("@needs(\"1:sre\")", "ask", " when { context.minute > 9 }"),
            "does not say in which zone. Add @zone(\"UTC\")",
        ),
        (permit("@needs(\"1:sre\")", "ask", " when { context.colour == 1 }"), "a.cedar, line 2, column "),
        (permit("@needs(\"1:sre\")", "asks", ""), "a.cedar, line 2, column 29: policy a: "),
        (permit("@needs(\"1:sre\")", "ask", " when { context.mfaAge < 9 }"), "mfaAge"),
        (permit("@needs(\"1:sre\")", "ask", " when { context.channel == Channel::\"slak\" }"), "slak"),
        (
            "permit(principal, action == Action::\"review\", resource);".into(),
            "a.cedar, line 1, column 1: it has no @id. Name it",
        ),
        ("@id(\"a\") permit(principal, action, resource);".into(), "policy a: it permits every action. Say which"),
        ("@id(\"a\") @needs(\"1:b\") forbid(principal, action, resource);".into(), "a forbid needs nobody"),
        ("\n\n@id(\"a\") permit(principal, action == ?action, resource);".into(), "a.cedar, line 3, column "),
        ("@id(\"a\") permit(principal, action == Action::\"review\", resource)".into(), "a.cedar, line 1, column "),
        (
            "@id(\"a\") permit(principal in ?principal, action == Action::\"review\", resource);".into(),
            "a.cedar, line 1, column ",
        ),
        (
            permit("", "review", "") + &permit("", "revoke", ""),
            "a.cedar, line 3, column 1: policy a: the id is that of the policy in a.cedar, line 1",
        ),
    ] {
        let told = problems(&text);
        assert!(told.contains(says), "{text}\n{told}");
        assert!(!told.contains("policy0"), "{told}");
    }
}

#[test]
fn what_never_applies_or_means_nothing_is_a_warning() {
    for (text, says) in [
        (permit("@needs(\"1:sre\")", "ask", " when { false }"), "it never applies"),
        (
            "@id(\"a\") forbid(principal, action == Action::\"administer\", resource in Label::\"env=prod\");".into(),
            "it never applies",
        ),
        (
            permit("@zone(\"UTC\")", "review", ""),
            "a.cedar, line 1, column 10: warning: policy a: @zone(\"UTC\") means nothing",
        ),
        (permit("@advice(\"No\")", "review", ""), "@advice is what a forbid says"),
        (
            "@id(\"a\") permit(principal in Group::\"auditors\", action == Action::\"review\", resource);".into(),
            "members of the group auditors",
        ),
    ] {
        let told = problems(&text);
        assert!(told.contains(says) && told.contains(": warning: "), "{text}\n{told}");
    }
    assert_eq!(problems(crate::policy::DEFAULT), "");
}

#[test]
fn every_problem_of_every_file_is_told_in_their_order() {
    let sources = ["x(", "@id(\"a\") @need(\"1\") permit(principal, action == Action::\"ask\", resource);\nforbid;"];
    let sources: Vec<_> =
        sources.iter().enumerate().map(|(n, text)| Source::new(format!("{n}.cedar"), *text)).collect();
    let problems = Policies::read(&sources).unwrap_err();
    let places: Vec<_> = problems.iter().map(|it| (&*it.file, it.place.unwrap().line)).collect();
    assert_eq!(places, [("0.cedar", 1), ("1.cedar", 1), ("1.cedar", 2)], "{problems:#?}");
}

#[test]
fn the_same_policies_have_the_same_digest() {
    let one = permit("", "review", "");
    assert_eq!(policies(&one).digest(), policies(&one.replace('\n', "\r\n")).digest());
    assert_ne!(policies(&one).digest(), policies(&permit("", "revoke", "")).digest());
    assert_eq!(policies(&one).canonical(), one.replace(" \n", "\n"));
    assert_eq!(policies("// none\n").rules().len(), 0);
}

#[test]
fn what_would_run_off_the_stack_is_refused_or_read() {
    let deep = |text: String| problems(&permit("", "review", &format!(" when {{ {text} }}")));
    for (begin, middle, end) in [
        ("", "(", ")"),
        ("", "!", ""),
        ("", "-", ""),
        ("", "[", "]"),
        ("", "if principal.known then true else ", "true"),
        ("true", " && true", ""),
        ("principal.known", " || principal.known", ""),
        ("1", " + 1", " == 2"),
        ("context", ".x", ""),
        ("context", "[\"x\"]", ""),
        ("context", ".contains(1)", ""),
        ("principal", " in principal", ""),
    ] {
        for count in [15, 30, 120, 240, 900, 4000] {
            let text = format!("{begin}{}{}", middle.repeat(count), end.repeat(if end.len() == 1 { count } else { 1 }));
            let _ = deep(text);
        }
    }
}

#[test]
fn groups_that_nobody_is_in_and_reviews_that_nobody_may_make_are_warned_of() {
    let text = r#"
        @id("asks") @needs("2:sre") permit(principal in Group::"devv", action == Action::"ask", resource);
        @id("reviews") permit(principal in Group::"sre", action == Action::"review", resource);
        @id("anna") permit(principal == Person::"anna", action == Action::"administer", resource);
    "#;
    let told = |people: Option<&str>, text: &str| -> String {
        let roster = people.map(|people| Roster::read(&Source::new("p.toml", people)).unwrap());
        policies(text).unreachable(roster.as_ref()).iter().map(|problem| format!("{problem}\n")).collect()
    };
    assert_eq!(told(None, text), "");
    let one = told(Some("[people]\nalice = [\"dev\"]\nbob = [\"sre\"]\n"), text);
    for says in [
        "policy asks: nobody is in the group devv. Look for a slip",
        "policy asks: it needs 2:sre, and of those who may review there is nobody for 1:sre",
        "policy anna: there is no person anna",
    ] {
        assert!(one.contains(says), "{one}");
    }
    assert_eq!(told(Some("[people]\nanna = [\"devv\"]\nbob = [\"sre\"]\ncarol = [\"sre\"]\n"), text), "");
    let disabled = "[people]\nanna = [\"devv\"]\nbob = [\"sre\"]\ncarol = { groups = [\"sre\"], disabled = true }\n";
    assert!(told(Some(disabled), text).contains("nobody for 1:sre"));
    let other = text.replace(
        "principal in Group::\"sre\", action == Action::\"review\"",
        "principal in Group::\"ops\", action == Action::\"review\"",
    );
    assert!(told(None, &other).contains("policy asks: it needs 2:sre, and no policy lets members of sre review"));
}
