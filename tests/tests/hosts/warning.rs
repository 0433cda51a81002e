//! Before the end: what a person sees, and when a program is asked to stop.

use std::time::Duration;

use jiff::Timestamp;

use curfew_tests::{Host, Release, report, wait_for};

on_every_release! {
    fifteen_five_and_one_minute_before_the_end_the_terminal_says_so,
    a_window_shorter_than_a_warning_is_warned_of_by_the_shorter_ones_only,
    a_grace_before_the_end_programs_are_asked_to_stop,
}

/// A perl program that leaves a file when it is asked to stop.
const POLITE: &str = "$SIG{HUP} = $SIG{TERM} = sub { open F, q(>), q(/tmp/asked); exit }; sleep 1 while 1";

fn fifteen_five_and_one_minute_before_the_end_the_terminal_says_so(release: Release) {
    let host = Host::boot(release);
    // Each window is a few seconds longer than one of the default warnings.
    let mut people: Vec<_> = [("alice", "15m8s", "15 min"), ("bob", "5m8s", "5 min"), ("carol", "1m8s", "1 min")]
        .into_iter()
        .map(|(user, window, warning)| {
            let _grant = host.grant(&format!("{user} --for {window} --login"));
            (host.login(user), warning)
        })
        .collect();
    for (shell, warning) in &people {
        assert!(!shell.screen().contains(&format!("in {warning}")), "warned too early: {}", shell.screen());
    }
    for (shell, warning) in &mut people {
        shell.see(warning, Duration::from_secs(12));
    }
    for (shell, _) in &mut people {
        assert!(shell.run("echo going on").contains("going on"));
    }
}

fn a_window_shorter_than_a_warning_is_warned_of_by_the_shorter_ones_only(release: Release) {
    let host = Host::builder(release).config("warn_before = [\"1h\", \"4s\", \"2s\"]\ngrace = \"1s\"").boot();
    let grant = host.grant("alice --for 7s --login");
    let mut shell = host.login("alice");
    let entry = shell.screen().len();
    shell.run("trap 'echo asked to go' HUP");
    wait_for("two warnings", Duration::from_secs(7), || {
        (shell.screen()[entry..].matches("Curfew").count() >= 2).then_some(())
    });
    let early = grant.not_after.as_millisecond() - Timestamp::now().as_millisecond();
    assert!((700..=2100).contains(&early), "the last warning came {early} ms before the end");
    let warned = shell.screen()[entry..].matches("Curfew").count();
    assert_eq!(warned, 2, "{}", shell.screen());
}

fn a_grace_before_the_end_programs_are_asked_to_stop(release: Release) {
    let host = Host::builder(release).config("grace = \"3s\"").boot();
    let grant = host.grant("alice --for 7s --login");
    // No shell: it would tell its closed connection of each signal, and die of that.
    let mut polite = host.ssh_stay("alice", "-T");
    polite.send(&format!("exec perl -e '{POLITE}'\n"));
    let mut idle = host.login("alice");
    assert!(idle.is_alive());
    let asked = wait_for("the request to stop", Duration::from_secs(9), || {
        Timestamp::try_from(host.path("/tmp/asked").metadata().ok()?.modified().ok()?).ok()
    });
    let early = grant.not_after.as_millisecond() - asked.as_millisecond();
    report(&format!("{release}: with a grace of 3 s, a program was asked to stop {early} ms before the end"));
    assert!((2500..=3200).contains(&early), "{early} ms before the end");
    // What obeys is gone before the end; nothing is left to kill.
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    assert!(gone < 0, "an idle shell outlived the grace");
}
