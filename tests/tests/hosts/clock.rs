//! The clock is set, and access is not longer for it. The agent's own wall clock is moved, not the machine's: `clock_vm` has the real one.

use curfew_tests::{Host, Release, SOON, assert_refused, report, wait_for};

on_classic_sudo! {
    while_the_clock_is_set_back_nothing_opens_and_what_is_open_ends_on_time,
    a_step_forward_shuts_at_once_and_gives_back_what_was_left_when_it_is_undone,
    root_can_take_the_clock_as_right_and_nobody_else_can,
    after_a_boot_in_the_past_nothing_opens_until_the_clock_is_right,
    a_boot_far_ahead_that_is_set_right_has_cost_nobody_a_grant,
    a_step_while_the_agent_is_dead_is_noticed_when_it_is_back,
}

const FOLDER: &str = "/opt/clock";
/// How long after the end anything may still run.
const LATEST: i64 = 250;
const HOUR: i64 = 3600;
const STUBBORN: &str = "trap '' TERM HUP INT; while :; do sleep 0.2; done\n";

/// A host whose agent and sweep have a wall clock of their own, which is known to be right.
fn host(release: Release) -> Host {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    host.ok(&format!("mkdir -p {FOLDER} && truncate --size=24 {FOLDER}/clock"));
    host.compile("wall_clock.c", &format!("{FOLDER}/wall_clock.so"), &["-shared", "-fPIC"]);
    let preloaded = format!(
        "[Service]\nEnvironment=LD_PRELOAD={FOLDER}/wall_clock.so\nEnvironment=CURFEW_MODEL_CLOCK={FOLDER}/clock\n"
    );
    for unit in ["curfewd", "curfew-sweep"] {
        host.ok(&format!("mkdir -p /etc/systemd/system/{unit}.service.d"));
        host.write(&format!("/etc/systemd/system/{unit}.service.d/clock.conf"), &preloaded);
    }
    host.ok("systemctl daemon-reload && systemctl restart curfewd");
    host.ok("curfew clock --accept --reason 'the test begins'");
    host
}

/// Puts the agent's wall clock so many seconds ahead of the machine's.
fn put(host: &Host, ahead: i64) {
    let numbers = [0, 0, ahead * 1_000_000_000].map(i64::to_ne_bytes).concat();
    // It is mapped: the file must stay the same.
    let mut file = std::fs::File::options().write(true).open(host.path(&format!("{FOLDER}/clock"))).expect("the clock");
    std::io::Write::write_all(&mut file, &numbers).expect("the clock can be put");
}

/// As [`put`]; the agent looks, as at a step of the machine's clock.
fn set(host: &Host, ahead: i64) {
    put(host, ahead);
    host.ok("systemctl start curfew-sweep.service");
}

fn problems(host: &Host) -> String {
    host.status()["problems"].to_string()
}

fn refused_for_the_clock(host: &Host, user: &str) {
    let refused = host.ssh(user, "id");
    assert_refused(&refused);
    assert!(refused.stderr.contains("clock is right again"), "{}", refused.stderr);
    host.audited("login.denied", |record| record["user"] == user && record["reason_code"] == "clock_unproven");
    let why = host.why(&format!("{user} sshd"));
    assert_eq!(why["reason_code"], "clock_unproven", "{why}");
}

fn while_the_clock_is_set_back_nothing_opens_and_what_is_open_ends_on_time(release: Release) {
    let host = host(release);
    let over = host.grant("carol --for 1s --login");
    let grant = host.grant("alice --for 14s --login --sudo --command ALL");
    host.drop_in();
    let mut shell = host.login("alice");
    over.wait_end();
    host.audited("grant.ended", |record| record["grant"] == over.id.as_str());

    set(&host, -HOUR);
    let stepped = host.audited("clock.stepped", |record| record["reason"].to_string().contains("back"));
    assert!(stepped["reason"].to_string().contains("unproven"), "{stepped}");
    assert!(problems(&host).contains("curfew clock --accept"), "{}", problems(&host));
    assert!(!host.run("curfew clock").success());
    let doctor = host.run("curfew doctor").stdout;
    assert!(doctor.contains("fail  clock") && doctor.contains("curfew clock --accept"), "{doctor}");
    refused_for_the_clock(&host, "alice");
    assert!(!host.run_as("alice", "sudo -n /usr/bin/id").success());
    // It is over, wherever the clock stands.
    assert_refused(&host.ssh("carol", "id"));
    assert_eq!(host.ssh("ops", "id -un").expect_ok("an exempt login"), "ops");
    let granted = host.run("curfew grant bob --for 1h --login --reason 'INC-1'");
    assert!(!granted.success() && granted.stderr.contains("curfew clock --accept"), "{granted:#?}");
    assert!(shell.run("echo still here").contains("still here"));
    shell.type_text(STUBBORN);

    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    report(&format!("{release}: with the clock an hour back, all was dead {gone} ms after the end"));
    assert!((0..=LATEST).contains(&gone), "{gone} ms after the end");
    wait_for("the drop-in to go", SOON, || host.drop_ins().is_empty().then_some(()));
    host.audited("grant.ended", |record| record["grant"] == grant.id.as_str() && record["end"] == "expired");

    set(&host, 0);
    assert!(host.run("curfew clock").success());
    assert!(!problems(&host).contains("clock"), "{}", problems(&host));
    assert_refused(&host.ssh("alice", "id"));
    let _again = host.grant("bob --for 60s --login");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("the clock is right again"), "bob");
    host.audit_is_whole();
}

fn a_step_forward_shuts_at_once_and_gives_back_what_was_left_when_it_is_undone(release: Release) {
    let host = host(release);
    let grant = host.grant("alice --for 600s --login");
    let mut shell = host.login("alice");
    shell.type_text(STUBBORN);
    set(&host, HOUR);
    wait_for("alice's session to end", SOON, || host.session_processes("alice").is_empty().then_some(()));
    assert_refused(&host.ssh("alice", "id"));
    assert!(host.audit("--event grant.ended").is_empty(), "a clock that may be wrong ended a grant for good");
    // What may come back can be revoked.
    let other = host.grant("bob --for 60s --login");
    host.ok(&format!("curfew revoke {}", other.id));

    set(&host, 0);
    assert!(host.run("curfew clock").success());
    assert_eq!(host.ssh("alice", "id -un").expect_ok("the step is undone"), "alice");
    let shown = host.status();
    assert!(shown["grants"].to_string().contains(&grant.id), "{shown}");
}

fn root_can_take_the_clock_as_right_and_nobody_else_can(release: Release) {
    let host = host(release);
    let grant = host.grant("alice --for 600s --login");
    let mut shell = host.login("alice");
    set(&host, -HOUR);
    refused_for_the_clock(&host, "alice");
    assert!(host.run_as("bob", "curfew clock").stdout.contains("unproven"));
    let refused = host.run_as("bob", "curfew clock --accept");
    assert!(!refused.success() && refused.stderr.contains("only root"), "{refused:#?}");

    host.ok("curfew clock --accept --reason 'the RTC was wrong'");
    host.audited("clock.stepped", |record| {
        record["reason"].to_string().contains("the RTC was wrong") && record["user"].as_str().is_some()
    });
    assert!(shell.run("echo still here").contains("still here"));
    assert_eq!(host.ssh("alice", "id -un").expect_ok("the clock is taken as right"), "alice");
    let later = host.ok("cat /run/curfew/ends.json");
    assert!(later.contains(&grant.id), "{later}");
    // What was known before is forgotten for good.
    host.ok("systemctl restart curfewd");
    assert!(host.run("curfew clock").success());
}

fn after_a_boot_in_the_past_nothing_opens_until_the_clock_is_right(release: Release) {
    let mut host = host(release);
    let grant = host.grant("alice --for 600s --login --sudo --command ALL");
    host.drop_in();
    assert_eq!(host.ssh("alice", "id -un").expect_ok("before the boot"), "alice");
    put(&host, -200_000_000);
    host.power_cycle();
    refused_for_the_clock_or_not_yet(&host, "alice");
    assert!(host.drop_ins().is_empty(), "{:?}", host.drop_ins());
    assert_eq!(host.ssh("ops", "id -un").expect_ok("an exempt login"), "ops");
    host.audited("clock.stepped", |record| record["reason"].to_string().contains("unproven"));
    host.ok("systemctl restart curfewd");
    refused_for_the_clock_or_not_yet(&host, "alice");
    set(&host, 0);
    assert_eq!(host.ssh("alice", "id -un").expect_ok("the clock is right"), "alice");
    host.drop_in();
    let begun = host.audit(&format!("--event grant.started --grant {}", grant.id));
    assert_eq!(begun.len(), 1, "{begun:#?}");
}

/// By such a clock, the window is still to come.
fn refused_for_the_clock_or_not_yet(host: &Host, user: &str) {
    assert_refused(&host.ssh(user, "id"));
    let why = host.why(&format!("{user} sshd"));
    assert!(why["reason_code"] == "not_yet" || why["reason_code"] == "clock_unproven", "{why}");
    assert!(problems(host).contains("the clock is unproven"), "{}", problems(host));
}

fn a_boot_far_ahead_that_is_set_right_has_cost_nobody_a_grant(release: Release) {
    let mut host = host(release);
    let _grant = host.grant("alice --for 600s --login");
    put(&host, 1_000_000_000);
    host.power_cycle();
    assert_refused(&host.ssh("alice", "id"));
    assert_eq!(host.ssh("ops", "id -un").expect_ok("an exempt login"), "ops");
    set(&host, 0);
    assert!(host.run("curfew clock").success());
    assert_eq!(host.ssh("alice", "id -un").expect_ok("the clock is right"), "alice");
    assert!(host.audit("--event grant.ended").is_empty());
    // Nor does the next boot know of it.
    host.power_cycle();
    assert!(host.run("curfew clock").success());
    assert_eq!(host.ssh("alice", "id -un").expect_ok("after another boot"), "alice");
}

fn a_step_while_the_agent_is_dead_is_noticed_when_it_is_back(release: Release) {
    let host = host(release);
    let grant = host.grant("alice --for 12s --login");
    let mut shell = host.login("alice");
    host.ok("systemctl mask --runtime curfewd.service && systemctl kill --signal=KILL curfewd.service");
    // The machine's own clock stays, so PID 1 comes on time; what the sweep sees is an hour back.
    put(&host, -HOUR);
    shell.type_text(STUBBORN);
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    report(&format!("{release}: with the agent dead and the clock an hour back, all was dead {gone} ms after the end"));
    assert!((0..=1500).contains(&gone), "{gone} ms after the end");
    host.ok("systemctl unmask --runtime curfewd.service && systemctl start curfewd.service");
    assert_refused(&host.ssh("alice", "id"));
    host.audited("clock.stepped", |record| record["reason"].to_string().contains("1 h back"));
    let seqs: Vec<u64> = host.audit("").iter().filter_map(|record| record["seq"].as_u64()).collect();
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "a gap in {seqs:?}");
}
