//! A file of policies: what is read is read again as the same version, and decides without permitting anybody who is deactivated.
#![no_main]

use curfew_server::policy::cases::{Cases, Word};
use curfew_server::policy::{DEFAULT_CASES, Policies, Source};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static CASES: LazyLock<Cases> =
    LazyLock::new(|| Cases::read(&Source::new("cases.toml", DEFAULT_CASES)).expect("the cases of the package"));

fuzz_target!(|text: &str| {
    let source = Source::new("policy.cedar", text);
    let Ok(policies) = Policies::read(std::slice::from_ref(&source)) else { return };
    let again = Source::new("policy.cedar", policies.canonical());
    let again = Policies::read(&[again]).expect("the canonical text is as right as the text");
    assert_eq!(again.digest(), policies.digest());
    assert_eq!(again.rules().len(), policies.rules().len());
    let _ = policies.unreachable(Some(&CASES.roster));
    for case in &CASES.cases {
        let found = policies.find(&case.question, &CASES.roster);
        assert_eq!(again.find(&case.question, &CASES.roster), found);
        assert!(!case.name.contains("deactivated") || found.verdict == Word::Refused);
    }
});
