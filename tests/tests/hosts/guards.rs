//! What PID 1 keeps for Curfew stays: neither another target nor somebody who stops a timer takes it away.

use std::time::Duration;

use curfew_tests::{Grant, Host, Release, SOON, Shell, assert_refused, report, wait_for};

on_two_releases! {
    in_no_target_does_anybody_outlive_their_grant,
    in_rescue_and_emergency_mode_the_end_comes_without_the_agent_too,
    a_timer_that_was_stopped_is_armed_again_and_a_sweep_that_is_masked_is_told,
    an_unconfirmed_change_is_undone_in_rescue_mode_too,
    while_the_host_goes_down_nobody_outlives_their_grant,
}

// systemd 254 and later.
on_one_release! {
    over_a_soft_reboot_what_is_granted_goes_on_and_what_is_over_ends,
}

/// How long after the end anything may still run, a timer of PID 1's having to do it.
const LATEST: i64 = 1500;
/// The agent looks at what is armed at the latest every 30 s.
const LOOKED_AT: Duration = Duration::from_secs(45);
/// What a shell types that means to outlive everything but SIGKILL.
const STUBBORN: &str = "trap '' TERM HUP INT; while :; do sleep 0.2; done\n";
const GUARDS: &str = "curfewd.service curfewd.socket curfew-clock.timer";

/// A host whose rescue and emergency modes last, and do not wait for somebody at a console that is not there.
fn host(release: Release) -> Host {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    for mode in ["rescue", "emergency"] {
        let folder = format!("/run/systemd/system/{mode}.service.d");
        let text = "[Service]\nExecStartPre=\nExecStart=\nExecStart=/bin/sleep infinity\nStandardInput=null\nStandardOutput=null\n";
        host.ok(&format!("mkdir -p {folder}"));
        host.write(&format!("{folder}/stay.conf"), text);
    }
    host.ok("systemctl daemon-reload");
    host
}

/// Alice is in, and holds on; gives her grant and her shell.
fn alice(host: &Host, window: &str) -> (Grant, Shell) {
    wait_for("sshd", SOON, || host.ssh("ops", "true").success().then_some(()));
    let grant = host.grant(&format!("alice --for {window} --login --sudo --command ALL"));
    let mut shell = host.login("alice");
    shell.type_text(STUBBORN);
    (grant, shell)
}

/// Goes to a target. What is in the way may take its time to stop: a session that ignores every signal but SIGKILL
/// takes 90 s.
fn isolate(host: &Host, target: &str) {
    host.ok(&format!("systemctl --no-block isolate {target}"));
    // sshd goes, and comes back with the default target.
    let sshd = || host.run("systemctl is-active --quiet ssh.service").success() == (target == "multi-user.target");
    wait_for(target, SOON, || sshd().then_some(()));
}

fn is_in(host: &Host, target: &str) {
    wait_for(target, SOON, || host.run(&format!("systemctl is-active --quiet {target}")).success().then_some(()));
    wait_for("nothing left to do", SOON, || host.ok("systemctl list-jobs --no-legend").is_empty().then_some(()));
}

/// The timers whose names begin so.
fn timers(host: &Host, prefix: &str) -> Vec<String> {
    let listed = host.ok(&format!("systemctl list-units --plain --no-legend '{prefix}*.timer'"));
    listed.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

/// That of the end of a grant.
fn timer_of(grant: &Grant) -> String {
    grant.not_after.strftime("curfew-end-%Y%m%dT%H%M%SZ.timer").to_string()
}

fn armed_for(host: &Host, grant: &Grant, limit: Duration) {
    let timer = timer_of(grant);
    wait_for(&timer, limit, || timers(host, "curfew-end-").contains(&timer).then_some(()));
}

fn ends(host: &Host, grant: &Grant, how: &str) {
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    report(&format!("{}: {how}, all was dead {gone} ms after the end", host.release()));
    assert!((0..=LATEST).contains(&gone), "{how}: {gone} ms after the end");
    assert!(host.drop_ins().is_empty(), "{:?}", host.drop_ins());
}

/// The audit has every number once, whoever wrote it. (What a sweep wrote, the journal has from another unit.)
fn has_no_gap(host: &Host) {
    let numbers: Vec<u64> = host.audit("").iter().filter_map(|record| record["seq"].as_u64()).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "a gap in {numbers:?}");
}

fn in_no_target_does_anybody_outlive_their_grant(release: Release) {
    let host = host(release);
    let agent = || host.ok("systemctl show --property=MainPID --value curfewd.service");
    let before = agent();
    for target in ["rescue.target", "multi-user.target", "emergency.target"] {
        let (grant, _shell) = alice(&host, "9s");
        isolate(&host, target);
        assert_eq!(agent(), before, "{target}: the agent was restarted");
        host.ok(&format!("systemctl is-active {GUARDS}"));
        assert!(!host.session_processes("alice").is_empty(), "{target}: she is there until her end");
        armed_for(&host, &grant, SOON);
        ends(&host, &grant, target);
        is_in(&host, target);
        host.ok("systemctl isolate default.target");
    }
    // Her service manager ends with her last session, and has a record of its own.
    let ended = host.audit("--event session.terminated --user alice");
    let shells = ended.iter().filter(|record| record["killed"].to_string().contains("bash")).count();
    assert_eq!(shells, 3, "{ended:#?}");
    assert!(ended.iter().all(|record| record["survivors"] == "0"), "{ended:#?}");
}

fn in_rescue_and_emergency_mode_the_end_comes_without_the_agent_too(release: Release) {
    let host = host(release);
    for target in ["rescue.target", "emergency.target"] {
        let (grant, _shell) = alice(&host, "10s");
        armed_for(&host, &grant, SOON);
        host.ok("systemctl mask --runtime curfewd.service && systemctl kill --signal=KILL curfewd.service");
        isolate(&host, target);
        ends(&host, &grant, &format!("{target}, the agent killed and masked"));
        is_in(&host, target);
        host.ok("systemctl unmask --runtime curfewd.service && systemctl isolate default.target");
        wait_for("the agent", SOON, || host.run("curfew status").success().then_some(()));
    }
    has_no_gap(&host);
}

fn a_timer_that_was_stopped_is_armed_again_and_a_sweep_that_is_masked_is_told(release: Release) {
    let host = host(release);
    let grant = host.grant("alice --for 1h --login");
    armed_for(&host, &grant, SOON);
    host.ok("systemctl stop 'curfew-end-*.timer'");
    assert!(timers(&host, "curfew-end-").is_empty());
    armed_for(&host, &grant, LOOKED_AT);
    // One that a version before armed, which goes with the next target.
    let timer = timer_of(&grant);
    let name = timer.trim_end_matches(".timer");
    host.ok(&format!(
        "systemctl stop curfewd.socket curfewd.service {timer}; systemd-run --quiet --on-active=1h --unit={name} true; \
         systemctl start curfewd.socket curfewd.service"
    ));
    let stays = format!("systemctl show --property=IgnoreOnIsolate --value {timer}");
    wait_for("a timer that stays", SOON, || (host.ok(&stays) == "yes").then_some(()));
    assert_eq!(timers(&host, "curfew-end-"), [timer]);

    host.ok("systemctl mask --runtime --quiet curfew-sweep.service");
    let said = host.ok("curfew status");
    assert!(said.contains("curfew-sweep.service is masked"), "{said}");
    host.ok("systemctl unmask --runtime --quiet curfew-sweep.service");
    assert!(!host.ok("curfew status").contains("masked"));
}

fn an_unconfirmed_change_is_undone_in_rescue_mode_too(release: Release) {
    let host = host(release);
    host.ok("curfew disable");
    let before = host.wiring();
    host.ok("curfew enable --confirm 12s");
    assert_ne!(host.wiring(), before);
    isolate(&host, "rescue.target");
    assert_eq!(timers(&host, "curfew-revert-").len(), 1);
    wait_for("everything as it was", SOON, || (host.wiring() == before).then_some(()));
}

fn while_the_host_goes_down_nobody_outlives_their_grant(release: Release) {
    let host = host(release);
    let (grant, _shell) = alice(&host, "9s");
    armed_for(&host, &grant, SOON);
    host.ok("systemctl --no-block reboot");
    wait_for("the agent's stop", SOON, || (!host.run("pgrep -x curfewd").success()).then_some(()));
    assert!(!host.session_processes("alice").is_empty(), "PID 1 waits for her");
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    report(&format!("{release}: while the host went down, all was dead {gone} ms after the end"));
    assert!((0..=LATEST).contains(&gone), "{gone} ms after the end");
}

fn over_a_soft_reboot_what_is_granted_goes_on_and_what_is_over_ends(release: Release) {
    let host = host(release);
    let kept = host.grant("bob --for 1h --login");
    let (grant, _shell) = alice(&host, "9s");
    host.drop_in();
    host.ok("systemctl --no-block soft-reboot");
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    assert!((0..=LATEST).contains(&gone), "{gone} ms after the end");
    wait_for("the next round", SOON, || {
        let count = host.run("systemctl show --property=SoftRebootsCount --value");
        (count.success() && count.stdout.trim() == "1").then_some(())
    });
    wait_for("its agent", SOON, || host.run("curfew status").success().then_some(()));
    assert!(host.drop_ins().is_empty(), "{:?}", host.drop_ins());
    armed_for(&host, &kept, SOON);
    let _ = host.run("ip link set lo up");
    let bob = || host.ssh("bob", "id -un").success().then_some(());
    wait_for("bob, whose grant goes on", SOON, bob);
    assert_refused(&host.ssh("alice", "id"));
    host.audited("session.terminated", |record| record["grant"] == grant.id.as_str() && record["survivors"] == "0");
    has_no_gap(&host);
}
