//! The README's quick start, its very lines, as somebody new would type them.

use std::time::{Duration, Instant};

use curfew_tests::{Host, Release, assert_refused, report};

on_two_releases! {
    the_readme_leads_from_the_package_to_a_first_granted_login_within_two_minutes,
}

const README: &str = include_str!("../../../README.md");

/// The commands of the first block below the heading, without their comments.
fn commands(heading: &str) -> Vec<&'static str> {
    let below = README.split_once(heading).expect("the heading is there").1;
    let block = below.split_once("```sh\n").expect("a block").1.split_once("```").expect("its end").0;
    block.lines().map(|line| line.split("   #").next().unwrap_or(line).trim()).collect()
}

fn the_readme_leads_from_the_package_to_a_first_granted_login_within_two_minutes(release: Release) {
    let host = Host::builder(release).without_package().boot();
    host.ok("mv /root/curfew.deb /root/curfew_0.1.0-1_amd64.deb");
    let begun = Instant::now();
    let [install, exempt, enable, confirm, grant] = commands("\n## On a host\n")[..] else { panic!("five lines") };
    assert_eq!(install.split_once(" ./"), Some(("apt install", "curfew_*.deb")));

    host.ok(&format!("cd /root && {install} --yes </dev/null"));
    assert_eq!(host.ssh("alice", "id -un").expect_ok("installing changes nothing"), "alice");
    host.ok(&exempt.replace("you", "ops"));
    let enabled = host.ssh_on_terminal("root", enable).finish(Duration::from_secs(60));
    assert!(enabled.success() && enabled.stdout.contains("NOT CONFIRMED"), "{enabled:?}");
    assert!(host.ssh("root", confirm).expect_ok(confirm).contains("Confirmed"));
    assert_refused(&host.ssh("alice", "id"));
    host.ok(grant);
    let mut alice = host.login("alice");
    assert!(alice.sudo("id -un").contains("root"), "{}", alice.screen());
    let took = begun.elapsed();
    report(&format!("{release:?}: from the package to a granted login and sudo: {:.0} s", took.as_secs_f64()));
    assert!(took < Duration::from_secs(120), "{took:?}");
}
