//! `pam_curfew.so` as the dynamic linker sees it, taken from the .deb.

use std::process::Command;
use std::time::Duration;

use curfew_tests::command::run;
use tempfile::TempDir;

use super::contents::{deb, unpacked};

/// What readelf says of the module.
fn readelf(arguments: &[&str]) -> String {
    let files: TempDir = unpacked(&deb("curfew_"));
    let folder = files.path().join("usr/lib").join(super::contents::multiarch()).join("security");
    let mut readelf = Command::new("readelf");
    readelf.arg("--wide").args(arguments).arg(folder.join("pam_curfew.so")).env("LC_ALL", "C");
    run(&mut readelf, Duration::from_secs(20)).expect_ok("readelf")
}

#[test]
fn it_needs_libpam_and_libc_and_no_other_library() {
    let dynamic = readelf(&["--dynamic"]);
    let needed: Vec<_> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    let named = |name: &str| needed.iter().any(|line| line.contains(&format!("[{name}")));
    assert!(named("libpam.so.0]") && named("libc.so.6]"), "{needed:#?}");
    // The dynamic linker stands there where thread-local storage is used; it is in the process already.
    let known = ["libpam.so.0]", "libc.so.6]", "ld-linux"];
    assert!(needed.iter().all(|line| known.iter().any(|name| line.contains(name))), "{needed:#?}");
}

#[test]
fn it_stays_mapped_when_pam_closes_it_and_is_bound_at_once() {
    let dynamic = readelf(&["--dynamic"]);
    let flags = dynamic.lines().find(|line| line.contains("(FLAGS_1)")).unwrap_or_default();
    assert!(flags.contains("NODELETE") && flags.contains("NOW"), "{dynamic}");
    assert!(!dynamic.contains("RPATH") && !dynamic.contains("RUNPATH") && !dynamic.contains("TEXTREL"), "{dynamic}");
    let segments = readelf(&["--segments"]);
    assert!(segments.contains("GNU_RELRO"), "{segments}");
    let stack = segments.lines().find(|line| line.contains("GNU_STACK")).unwrap_or_default();
    assert!(stack.contains("RW ") && !stack.contains("RWE"), "{segments}");
}

#[test]
fn it_shows_the_six_hooks_of_pam_and_nothing_else() {
    let symbols = readelf(&["--dyn-syms"]);
    let defined = symbols.lines().filter_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        // Num: Value Size Type Bind Vis Ndx Name
        match columns.as_slice() {
            [_, _, _, _, "GLOBAL" | "WEAK", _, place, name, ..] if *place != "UND" => Some((*name).to_owned()),
            _ => None,
        }
    });
    let mut defined: Vec<_> = defined.filter(|name| name != "Name").collect();
    defined.sort();
    let hooks = ["acct_mgmt", "authenticate", "chauthtok", "close_session", "open_session", "setcred"];
    assert_eq!(defined, hooks.map(|hook| format!("pam_sm_{hook}")));
}
