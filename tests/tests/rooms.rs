//! Who may import whom: the rooms of the house have an order, and nothing runs upwards or in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rooms::imports::{Crate, Module};
use rooms::rules::{RULES, Rules};

mod rooms {
    pub mod imports;
    pub mod rules;
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests have a folder of their own in the repository")
}

/// What `rules` forbid of what the crate does, a line each.
fn faults(rules: &Rules, found: &Crate) -> Vec<String> {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = rules
        .rooms
        .lines()
        .filter_map(|line| line.trim().split_once(':'))
        .map(|(room, may)| (room, may.split_whitespace().collect()))
        .collect();
    let base: BTreeSet<&str> = rules.base.split_whitespace().collect();
    let room = |module: &Module| match module.first().map(String::as_str) {
        Some(first) if base.contains(first) => "base".to_owned(),
        Some(first) => first.to_owned(),
        None => String::new(),
    };
    let mut faults: Vec<String> = found
        .circles()
        .into_iter()
        .map(|circle| format!("{}: a circle of {}", rules.name, circle.join(", ")))
        .collect();
    for (module, targets) in &found.imports {
        let from = room(module);
        if from.is_empty() {
            continue;
        }
        let Some(may) = allowed.get(from.as_str()) else {
            faults.push(format!("{}: {from} is none of the rooms of {}", found.file(module), rules.name));
            continue;
        };
        for (target, path) in targets {
            let to = room(target);
            let by_name = target.join("::");
            let allows = |&part: &&str| match part.strip_suffix('.') {
                Some(file) => by_name == file,
                None => by_name == part || by_name.starts_with(&format!("{part}::")),
            };
            if to == from || may.contains(to.as_str()) || may.iter().any(allows) {
                continue;
            }
            let rule = if may.is_empty() {
                "nothing of its crate".to_owned()
            } else {
                may.iter().copied().collect::<Vec<_>>().join(", ")
            };
            faults.push(format!(
                "{} imports {path} of {}: {from} may import {rule}",
                found.file(module),
                found.file(target)
            ));
        }
    }
    faults
}

#[test]
fn no_import_runs_upwards_or_in_a_circle() {
    let faults: Vec<String> =
        RULES.iter().flat_map(|rules| faults(rules, &Crate::read(repository(), rules.name, rules.library))).collect();
    assert!(faults.is_empty(), "{} faults by tests/tests/rooms/rules.rs:\n{}", faults.len(), faults.join("\n"));
}

const SMALL: Rules = Rules {
    name: "agent",
    library: "curfew",
    base: "clock",
    rooms: "base:\nhost:\ngrant: base host\nenforce: base grant grant::held\nbin: enforce",
};

/// The faults of a crate of these files.
fn faults_of(files: &[(&str, &str)]) -> Vec<String> {
    let texts: BTreeMap<PathBuf, String> =
        files.iter().map(|&(path, text)| (Path::new("agent/src").join(path), text.to_owned())).collect();
    faults(&SMALL, &Crate::parse("agent", "curfew", &texts))
}

#[test]
fn what_the_rules_allow_is_no_fault() {
    let none: &[&str] = &[];
    let files = [
        ("lib.rs", "pub mod clock; pub mod enforce; pub mod grant; pub mod host;"),
        ("clock.rs", ""),
        ("host.rs", "pub mod processes;"),
        ("host/processes.rs", ""),
        ("grant.rs", "pub mod held; use held::Held; use crate::host::processes::{self, Process}; struct Grant;"),
        ("grant/held.rs", "use super::Grant; use crate::clock; pub struct Held;"),
        ("enforce.rs", "use crate::grant::held::Held;"),
        ("bin/agent.rs", "fn main() { curfew::enforce::run() }"),
    ];
    assert_eq!(faults_of(&files), none);
}

#[test]
fn each_way_to_write_a_forbidden_import_is_a_fault() {
    let grant = ("grant.rs", "");
    for import in [
        "use crate::grant::Grant;",
        "use super::grant::Grant;",
        "use crate::{grant::Grant};",
        "use crate::{\n    grant::{self, held as kept},\n};",
        "use crate::grant::*;",
        "pub use crate::grant::Grant as Given;",
        "fn f() { crate::grant::read() }",
        "fn f() -> crate::grant::Grant<u8> { todo() }",
        r#"fn f() { println!("{}", crate::grant::NAME) }"#,
        "mod inner { use super::super::grant::Grant; }",
        "#[derive(Debug)] struct A { grant: crate::grant::Grant }",
        "#[cfg(not(test))] use crate::grant::Grant;",
        "#[cfg(test)] mod tests { use super::*; } use crate::grant::Grant;",
        "#[cfg(test)] use super::{a, b}; use crate::grant::Grant;",
    ] {
        let faults = faults_of(&[grant, ("host.rs", import)]);
        assert_eq!(faults.len(), 1, "{import}: {faults:?}");
        assert!(
            faults[0].starts_with("agent/src/host.rs imports crate::grant")
                && faults[0].ends_with("of agent/src/grant.rs: host may import nothing of its crate"),
            "{import}: {faults:?}"
        );
    }
    assert_eq!(
        faults_of(&[grant, ("bin/agent.rs", "use curfew::grant::Grant;")]),
        ["agent/src/bin/agent.rs imports crate::grant::Grant of agent/src/grant.rs: bin may import enforce"]
    );
    assert_eq!(faults_of(&[("other.rs", "")]), ["agent/src/other.rs: other is none of the rooms of agent"]);
}

#[test]
fn test_code_imports_what_it_likes() {
    let none: &[&str] = &[];
    for text in [
        "#[cfg(test)]\nmod tests { use crate::grant::Grant; }",
        "#[cfg(test)] use crate::grant::{Grant, held};",
        "#[cfg(all(test, unix))] fn helper() { crate::grant::read() }",
        "// use crate::grant::Grant;\n/// [`crate::grant`]\nfn f() {}",
        r#"const TEXT: &str = "crate::grant::Grant";"#,
    ] {
        assert_eq!(faults_of(&[("grant.rs", ""), ("host.rs", text)]), none, "{text}");
    }
    let in_a_file = [
        ("grant.rs", ""),
        ("host.rs", "#[cfg(test)] mod tests;"),
        ("host/tests.rs", "mod deeper; use crate::grant::Grant;"),
        ("host/tests/deeper.rs", "use crate::grant::Grant;"),
    ];
    assert_eq!(faults_of(&in_a_file), none);
}

#[test]
fn files_of_one_room_form_no_circle_either() {
    let circle = [
        ("host.rs", ""),
        ("host/a.rs", "use super::b::B;"),
        ("host/b.rs", "fn f() { crate::host::c::g() }"),
        ("host/c.rs", "use crate::host::a;"),
        ("host/d.rs", "use super::a;"),
    ];
    assert_eq!(
        faults_of(&circle),
        ["agent: a circle of agent/src/host/a.rs, agent/src/host/b.rs, agent/src/host/c.rs"]
    );
}

#[test]
fn an_import_planted_in_the_lowest_room_is_found() {
    let rules = &RULES[0];
    let before = faults(rules, &Crate::read(repository(), rules.name, rules.library));
    let mut texts = BTreeMap::new();
    rooms::imports::read_folder(repository(), Path::new("agent/src"), &mut texts);
    texts
        .get_mut(Path::new("agent/src/durable.rs"))
        .expect("base has this file")
        .push_str("\nuse crate::enforce::reconcile;\n");
    let after = faults(rules, &Crate::parse(rules.name, rules.library, &texts));
    let new: Vec<&String> = after.iter().filter(|fault| !before.contains(fault)).collect();
    assert!(
        new.iter().any(|fault| fault.starts_with("agent/src/durable.rs imports crate::enforce::reconcile")),
        "{new:?}"
    );
}
