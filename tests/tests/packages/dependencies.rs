//! Which crates are in what: the module lives in sshd and sudo, and the parts know each other in one direction only.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use curfew_tests::command::run;

/// All that comes into the process of sshd and sudo with the module. Whoever adds one has read it.
const IN_THE_MODULE: &[&str] = &[
    "bitflags",
    "cfg-if",
    "curfew-protocol",
    "itoa",
    "libc",
    "memchr",
    "memoffset",
    "nix",
    "pam-bindings",
    "pam_curfew",
    "serde",
    "serde_core",
    "serde_json",
    "zeroize",
    "zmij",
];

/// The crates that are linked into a crate of this repository, itself included.
fn crates(package: &str) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--quiet", "--locked", "--package", package, "--edges", "normal,no-proc-macro"]);
    cargo.args(["--prefix", "none", "--format", "{p}"]);
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let tree = run(&mut cargo, Duration::from_secs(60)).expect_ok("cargo tree");
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_module_brings_no_crate_into_sshd_but_these() {
    let here: Vec<_> = crates("pam_curfew").into_iter().collect();
    assert_eq!(here, IN_THE_MODULE);
}

#[test]
fn the_agent_does_not_know_the_module_and_the_server_not_the_agent() {
    let (agent, server) = (crates("curfew"), crates("curfew-server"));
    assert!(agent.contains("curfew-protocol") && server.contains("curfew-protocol"));
    for stranger in ["pam_curfew", "pam-bindings", "curfew-server", "sqlx"] {
        assert!(!agent.contains(stranger), "the agent has {stranger}");
    }
    for stranger in ["curfew", "pam_curfew", "pam-bindings", "zbus", "zlink"] {
        assert!(!server.contains(stranger), "the server has {stranger}");
    }
}
