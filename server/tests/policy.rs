//! The commands of `curfew-server policy`, as people and scripts run them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

fn policy(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_curfew-server"));
    let output = command.current_dir(folder).arg("policy").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

#[test]
fn the_policies_of_the_package_are_right_and_as_their_cases_expect() {
    let checked = policy(&packaging(), &["check", "policy.cedar", "--deny-warnings"]);
    assert_eq!((checked.code, checked.err.as_str()), (0, ""), "{}", checked.out);
    assert!(checked.out.starts_with("6 policies, SHA-256 "), "{}", checked.out);
    let tested = policy(&packaging(), &["test", "--policy", "policy.cedar"]);
    assert_eq!((tested.code, tested.err.as_str()), (0, ""), "{}", tested.out);
    assert_eq!(tested.out, "18 cases, each as expected\n");
}

#[test]
fn what_is_wrong_is_told_and_is_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("a.cedar"),
        "@id(\"a\") @need(\"1:sre\")\npermit(principal, action == Action::\"ask\", resource);\n",
    )
    .unwrap();
    let checked = policy(folder.path(), &["check", "a.cedar"]);
    assert_eq!((checked.code, checked.out.as_str()), (1, ""));
    assert_eq!(checked.err, "a.cedar, line 1, column 10: policy a: unknown annotation @need. Did you mean @needs?\n");
    let checked = policy(folder.path(), &["check", "a.cedar", "--json"]);
    assert_eq!((checked.code, checked.err.as_str()), (1, ""));
    let json = checked.json();
    assert_eq!(json["usable"], false);
    let problem = &json["problems"][0];
    assert_eq!((&problem["line"], &problem["column"], &problem["policy"]), (&1.into(), &10.into(), &"a".into()));
    for arguments in [&["test", "--policy", "a.cedar", "x.toml"][..], &["diff", "a.cedar", "a.cedar"]] {
        let ran = policy(folder.path(), arguments);
        assert!(ran.code == 1 && ran.err.contains("line 1, column 10"), "{}", ran.err);
    }
    for arguments in [
        &["check"][..],
        &["check", "none.cedar"],
        &["test", "--policy", "none.cedar"],
        &["explain", "--policy", "a.cedar", "--person", "alice", "--action", "asks"],
    ] {
        let ran = policy(folder.path(), arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn a_case_that_fails_names_the_policies_that_decided() {
    let folder = tempfile::tempdir().unwrap();
    let policies = std::fs::read_to_string(packaging().join("policy.cedar")).unwrap();
    std::fs::write(folder.path().join("new.cedar"), policies.replace("1:approvers", "2:approvers")).unwrap();
    let cases = packaging().join("policy.cases.toml");
    let cases = cases.to_str().unwrap();
    let tested = policy(folder.path(), &["test", "--policy", "new.cedar", cases]);
    assert_eq!(tested.code, 1);
    assert!(tested.out.contains("FAILED  whoever asks is reviewed by an approver\n"), "{}", tested.out);
    assert!(tested.out.contains("expected needs 1:approvers, and it needs 2:approvers\n"), "{}", tested.out);
    assert!(tested.out.contains("decided by: everybody-asks\n"), "{}", tested.out);
    assert_eq!(policy(folder.path(), &["test", "--policy", "new.cedar", cases, "--json"]).json()["cases"], 18);
    std::fs::write(folder.path().join("old.cedar"), policies).unwrap();
    let diff = policy(folder.path(), &["diff", "old.cedar", "new.cedar", "--cases", cases]);
    assert_eq!(diff.code, 0);
    assert!(diff.out.contains("changed   everybody-asks\n"), "{}", diff.out);
    assert!(diff.out.contains(": review (1:approvers) -> review (2:approvers)\n"), "{}", diff.out);
    assert_eq!(policy(folder.path(), &["diff", "old.cedar", "old.cedar"]).out, "nothing changes\n");
}

#[test]
fn one_question_is_explained() {
    let explain = |arguments: &[&str]| {
        let question = ["explain", "--policy", "policy.cedar", "--host", "web-1", "--host-labels", "env=prod"];
        policy(&packaging(), &question.iter().chain(arguments).copied().collect::<Vec<_>>())
    };
    let asked = explain(&["--person", "zoe", "--for", "2h", "--sudo", "--people", "policy.cases.toml"]);
    assert_eq!(asked.code, 0, "{}", asked.err);
    assert!(asked.out.contains("could review: bob, carol\n"), "{}", asked.out);
    let asked = explain(&["--person", "zoe", "--for", "2h", "--sudo"]);
    assert_eq!(asked.code, 0, "{}", asked.err);
    assert!(asked.out.starts_with("permitted once 1:approvers approved\n"), "{}", asked.out);
    assert!(asked.out.contains("policy everybody-asks (policy.cedar, line 5)\n"), "{}", asked.out);
    assert!(asked.out.contains("not at once: web-1: no policy permits autoApprove\n"), "{}", asked.out);
    let refused = explain(&["--person", "zoe", "--for", "9h"]);
    assert_eq!((refused.code, refused.out.as_str()), (1, "refused\nbecause web-1: no policy permits ask\n"));
    let own = explain(&["--person", "zoe", "--group", "approvers", "--action", "review", "--requester", "zoe"]);
    assert_eq!((own.code, own.out.as_str()), (1, "refused\nbecause nobody reviews their own request\n"));
    let glass = explain(&["--person", "zoe", "--group", "oncall", "--action", "breakGlass", "--json"]);
    assert_eq!(glass.json()["verdict"], "permitted");
    assert_eq!(glass.json()["reviewed_afterwards"], true);
}
