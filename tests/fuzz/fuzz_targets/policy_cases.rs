//! A file of cases, or of people: what is read can be asked.
#![no_main]

use curfew_server::policy::cases::Cases;
use curfew_server::policy::people::Roster;
use curfew_server::policy::{DEFAULT, Policies, Source};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static POLICIES: LazyLock<Policies> =
    LazyLock::new(|| Policies::read(&[Source::new("policy.cedar", DEFAULT)]).expect("the policies of the package"));

fuzz_target!(|input: (bool, &str)| {
    let (json, text) = input;
    let source = Source::new(if json { "cases.json" } else { "cases.toml" }, text);
    if let Ok(roster) = Roster::read(&source) {
        let _ = POLICIES.unreachable(Some(&roster));
    }
    let Ok(cases) = Cases::read(&source) else { return };
    for case in &cases.cases {
        let _ = POLICIES.find(&case.question, &cases.roster).differences(&case.expected);
    }
});
