//! When the agent is stopped, hung, killed or upgraded: nobody gets in who should not, and nobody who is in and
//! covered notices.

use std::time::Duration;

use curfew_tests::{Host, Output, Release, SOON, assert_refused, report, wait_for};

on_every_release! {
    with_the_agent_stopped_or_hung_only_exempt_users_get_in,
    a_hung_agent_is_restarted_by_its_watchdog,
    a_restart_or_an_upgrade_touches_no_covered_session,
    what_ended_while_the_agent_was_away_ends_when_it_is_back,
    a_login_starts_an_agent_that_was_stopped_alone,
    an_agent_that_dies_with_a_question_in_its_hands_costs_nobody_a_login_or_a_run_of_sudo,
}

on_one_release! {
    a_sweep_that_the_agent_dies_under_leaves_the_work_to_the_next_agent,
}

/// How soon a grantee must be refused when the agent does not answer.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);

/// How long a refusal takes. One of ten is in time, however busy the machine is otherwise.
fn refused_in_time(attempt: impl Fn() -> Output) -> Duration {
    let mut tries = std::iter::repeat_with(attempt).take(10).map(|refusal| {
        assert_refused(&refusal);
        refusal.took
    });
    let mut late = Vec::new();
    let in_time = tries.find(|took| {
        late.push(*took);
        *took < REFUSED_WITHIN
    });
    in_time.unwrap_or_else(|| panic!("no refusal in time: {late:?}"))
}

/// Grantees wait at most two seconds for their refusal, exempt users get in.
fn only_exempt_users_get_in(host: &Host, agent: &str) {
    let login = refused_in_time(|| host.ssh("alice", "id"));
    report(&format!("{}: with the agent {agent}, a login is refused after {} ms", host.release(), login.as_millis()));
    refused_in_time(|| host.run_as("alice", "sudo -n /usr/bin/id"));
    for user in ["root", "ops"] {
        assert_eq!(host.ssh(user, "id -un").expect_ok("an exempt login"), user);
    }
    let mut ops = host.login("ops");
    assert!(ops.sudo("id -un").contains("root"));
}

fn the_grantee_gets_in(host: &Host) {
    wait_for("the agent", SOON, || host.ssh("alice", "id -un").success().then_some(()));
    wait_for("sudo", SOON, || (host.run_as("alice", "sudo -n /usr/bin/id -u").stdout.trim() == "0").then_some(()));
}

/// Alice's processes, once those that only start something are through.
fn pids(host: &Host) -> Vec<u32> {
    let look = || host.session_processes("alice").iter().map(|process| process.pid).collect::<Vec<_>>();
    let mut before = look();
    wait_for("processes that stay", SOON, || {
        std::thread::sleep(Duration::from_millis(300));
        let now = look();
        let stays = now == before;
        before = now;
        stays.then_some(())
    });
    before
}

fn with_the_agent_stopped_or_hung_only_exempt_users_get_in(release: Release) {
    let host = Host::boot(release);
    let _grant = host.grant("alice --for 120s --login --sudo --command /usr/bin/id");
    let mut shell = host.login("alice");
    let before = pids(&host);

    host.stop_agent();
    only_exempt_users_get_in(&host, "stopped");
    assert!(shell.run("echo $((6 * 7))").contains("42"));
    host.start_agent();
    the_grantee_gets_in(&host);

    host.ok("systemctl kill --signal=STOP curfewd.service");
    only_exempt_users_get_in(&host, "hung");
    let order = host.run("curfew grant dave --for 60s --login --reason late");
    assert!(!order.success() && order.stderr.contains("It may have been done all the same"), "{order:#?}");
    host.ok("systemctl kill --signal=CONT curfewd.service");
    the_grantee_gets_in(&host);

    host.ok("systemctl kill --signal=KILL curfewd.service");
    the_grantee_gets_in(&host);
    assert_eq!(pids(&host), before);
    assert!(host.audit("--event session.terminated").is_empty());
    assert!(
        host.journal("SYSLOG_FACILITY=10").iter().any(|entry| entry["MESSAGE"].to_string().contains("exempt.used"))
    );
}

fn a_hung_agent_is_restarted_by_its_watchdog(release: Release) {
    let host = Host::boot(release);
    assert_ne!(host.ok("systemctl show --value --property=WatchdogUSec curfewd.service"), "0");
    // A shorter time than the unit's, so that the test need not wait for it.
    host.ok("mkdir -p /run/systemd/system/curfewd.service.d && printf '[Service]\\nWatchdogSec=3s\\n' \
             > /run/systemd/system/curfewd.service.d/soon.conf && systemctl daemon-reload && systemctl restart curfewd");
    let _grant = host.grant("alice --for 60s --login");
    let before = host.ok("systemctl show --value --property=MainPID curfewd.service");
    host.ok(&format!("kill -STOP {before}"));
    wait_for("another agent", SOON, || {
        let now = host.ok("systemctl show --value --property=MainPID curfewd.service");
        (now != before && now != "0").then_some(())
    });
    wait_for("a login", SOON, || host.ssh("alice", "id").success().then_some(()));
}

fn a_restart_or_an_upgrade_touches_no_covered_session(release: Release) {
    let host = Host::boot(release);
    let _grant = host.grant("alice --for 120s --login --sudo --command ALL");
    host.drop_in();
    let mut shell = host.login("alice");
    let mut root = host.login("alice");
    root.become_root();
    let mut forward = host.ssh_stay("alice", "-N -L 2222:127.0.0.1:22");
    wait_for("the forwarded port", SOON, || host.run("exec 3<>/dev/tcp/127.0.0.1/2222").success().then_some(()));
    let before = pids(&host);

    for change in [
        "systemctl restart curfewd",
        "systemctl reload curfewd",
        "dpkg --install /root/curfew.deb",
        "systemctl restart curfewd.socket",
    ] {
        host.ok(change);
        wait_for("the agent", SOON, || host.run("curfew status").success().then_some(()));
        assert_eq!(pids(&host), before, "after {change}");
    }
    assert!(shell.run("echo in").contains("in") && forward.is_alive());
    assert!(root.run("id -un").contains("root"));
    assert!(host.audit("--event session.terminated").is_empty());
    assert!(host.audit("--event sudo.terminated").is_empty());
    assert_eq!(host.drop_ins().len(), 1);
    the_grantee_gets_in(&host);
}

fn what_ended_while_the_agent_was_away_ends_when_it_is_back(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 6s --login --sudo --command ALL");
    let _kept = host.grant("bob --for 120s --login");
    host.drop_in();
    let mut root = host.login("alice");
    root.become_root();
    root.type_text("trap '' TERM HUP; while :; do sleep 0.2; done\n");
    let mut kept = host.login("bob");
    host.stop_agent();
    grant.wait_end();
    assert!(!host.run_as("alice", "sudo -n id").success());
    let back = jiff::Timestamp::now();
    host.start_agent();
    let gone = host.gone_after(back, |host| host.session_processes("alice"));
    report(&format!("{release}: an agent that came back ended what was over within {gone} ms of its start"));
    assert!(host.drop_ins().is_empty());
    assert!(kept.run("echo in").contains("in"));
    assert_refused(&host.ssh("alice", "id"));
    host.audited("session.terminated", |record| record["user"] == "alice");
}

fn a_login_starts_an_agent_that_was_stopped_alone(release: Release) {
    let host = Host::boot(release);
    let _grant = host.grant("alice --for 60s --login");
    host.ok("systemctl stop curfewd.service 2>/dev/null");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("a login that starts the agent"), "alice");
    assert_refused(&host.ssh("bob", "id"));
}

fn an_agent_that_dies_with_a_question_in_its_hands_costs_nobody_a_login_or_a_run_of_sudo(release: Release) {
    let host = Host::boot(release);
    host.make_mortal();
    let _grant = host.grant("alice --for 600s --login --sudo --command /usr/bin/id");
    let mut shell = host.login("alice");
    // It has taken the connection when it dies; the account and the session are asked for, one after the other.
    for question in 1..=2 {
        let dies = format!("recvfrom:signal=KILL:when={question}");
        costs_nothing(&host, &dies, || host.ssh("alice", "id -un").stdout.trim() == "alice");
        costs_nothing(&host, &dies, || shell.sudo("/usr/bin/id").contains("uid=0(root)"));
    }
    assert_refused(&host.ssh("carol", "id"));
    assert!(host.audit("--event session.terminated").is_empty());
    host.audit_is_whole();
}

fn a_sweep_that_the_agent_dies_under_leaves_the_work_to_the_next_agent(release: Release) {
    let host = Host::boot(release);
    host.make_mortal();
    let taken_over = || host.ok("journalctl --unit=curfew-sweep.service").matches("it is ended").count();
    costs_nothing(&host, "recvfrom:signal=KILL:when=1", || {
        let before = taken_over();
        host.ok("systemctl start curfew-sweep.service");
        taken_over() == before
    });
    wait_for("the agent", SOON, || host.run("curfew status").success().then_some(()));
    host.audit_is_whole();
}

/// One of three goes well: on a busy machine the next agent may come too late.
fn costs_nothing(host: &Host, dies: &str, mut goes_well: impl FnMut() -> bool) {
    let attempts = std::iter::repeat_with(|| {
        host.restart_with_fault(dies);
        let well = goes_well();
        assert!(host.has_died(), "{dies}: it did not");
        well
    });
    assert!(attempts.take(3).any(|well| well), "{dies}: refused three times");
}
