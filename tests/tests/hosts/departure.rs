//! What a person runs outside of their sessions: it ends with their last login grant, and what is not theirs lives on.

use curfew_tests::{Host, Process, Release, SOON, assert_refused, report, wait_for};

on_every_release! {
    what_a_person_started_outside_of_their_sessions_is_dead_with_their_last_grant,
    what_is_left_is_of_the_account_that_the_last_grant_was_for,
    lingering_ends_with_the_last_grant_and_nothing_comes_back_at_the_next_boot,
    on_a_host_without_logind_sessions_end_and_sshd_lives,
}

const LATEST: i64 = 250;

/// The processes with this command line.
fn running(host: &Host, command: &str) -> Vec<Process> {
    host.processes().into_iter().filter(|process| process.command == command).collect()
}

/// Starts a program under alice's own service manager, and waits for it.
fn start_beside_the_sessions(host: &Host, seconds: u32) {
    let script = format!("systemd-run --user --quiet --collect sleep {seconds}");
    host.ssh("alice", &script).expect_ok("systemd-run --user");
    wait_for("the unit", SOON, || (!running(host, &format!("/usr/bin/sleep {seconds}")).is_empty()).then_some(()));
}

fn what_a_person_started_outside_of_their_sessions_is_dead_with_their_last_grant(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    host.ok("systemd-run --quiet --unit=hers --property=User=alice sleep 710");
    let _others = host.grant("bob --for 120s --login");
    let mut bob = host.login("bob");
    let first = host.grant("alice --for 5s --login");
    let last = host.grant("alice --for 9s --login");
    let mut shell = host.login("alice");
    start_beside_the_sessions(&host, 711);
    shell.type_text("nohup setsid sh -c 'trap : TERM HUP; sleep 712; sleep 713' >/dev/null 2>&1 &\n");
    let outside = |host: &Host| {
        let mut left = host.processes();
        left.retain(|it| it.cgroup.contains("/user-1001.slice") || it.login_uid == Some(1001));
        left
    };
    first.wait_end();
    assert_eq!(running(&host, "/usr/bin/sleep 711").len(), 1, "the second grant still covers it");
    assert!(shell.run("echo in").contains("in"));

    let gone = host.gone_after(last.not_after, outside);
    report(&format!("{release}: what alice ran in and outside of her sessions was dead {gone} ms after the end"));
    assert!((0..=LATEST).contains(&gone), "{gone} ms after the end");
    assert_eq!(running(&host, "/usr/bin/sleep 710").len(), 1, "a system service under her uid is not hers");
    assert!(bob.run("echo still here").contains("still here"));
    let record = host.audited("session.terminated", |it| it["service"] == "user@1001.service");
    assert!(record["survivors"] == "0" && record["killed"].to_string().contains("sleep"), "{record}");
    assert_eq!(record["grant"], last.id.as_str());

    // She can come back, and her service manager works again.
    let failed = || host.ok("systemctl list-units --failed --no-legend --plain");
    wait_for("nothing in a failed state", SOON, || failed().is_empty().then_some(()));
    let _again = host.grant("alice --for 30s --login");
    start_beside_the_sessions(&host, 714);
}

fn what_is_left_is_of_the_account_that_the_last_grant_was_for(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let first = host.grant("carol --for 5m --login");
    host.ssh("carol", "id -un").expect_ok("her first account");
    host.ok(&format!("curfew revoke {}", first.id));
    let forgotten = || (!host.run("loginctl show-user 1003").success()).then_some(());
    wait_for("logind to forget her", SOON, forgotten);
    // Her name comes back with another user id; the one that she had is somebody else's, who lingers.
    host.ok(
        "cp -r /home/carol/.ssh /tmp/keys && userdel -rf carol; useradd -m -u 1003 erin && \
         useradd -m -s /bin/bash -u 1050 carol && cp -r /tmp/keys /home/carol/.ssh && chown -R carol: /home/carol/.ssh",
    );
    // As loginctl(1) leaves it; on Debian 13 it wants a login session for that.
    host.ok("cd /var/lib/systemd/linger && touch erin && systemctl restart systemd-logind");
    let managers = |uid: u32| {
        let slice = format!("/user-{uid}.slice");
        host.processes().into_iter().filter(|it| it.cgroup.contains(&slice)).count()
    };
    wait_for("erin's manager", SOON, || (managers(1003) > 0).then_some(()));
    let second = host.grant("carol --for 8s --login");
    let _login = host.login("carol");
    wait_for("carol's manager", SOON, || (managers(1050) > 0).then_some(()));
    second.wait_end();
    wait_for("the end of all that carol ran", SOON, || (managers(1050) == 0).then_some(()));
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(managers(1003) > 0, "a bystander");
    // Nor does an agent take erin for carol that hears of the change when it starts, or looks once more.
    host.ok("systemctl restart curfewd && useradd -m mallory && userdel -r mallory");
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(managers(1003) > 0, "a bystander of a restart");
}

fn lingering_ends_with_the_last_grant_and_nothing_comes_back_at_the_next_boot(release: Release) {
    let mut host = Host::builder(release).config("grace = \"0s\"").boot();
    let short = host.grant("alice --for 6s --login");
    let longer = host.grant("bob --for 14s --login");
    // As loginctl(1) leaves it; on Debian 13 it wants a login session for that.
    host.ok("cd /var/lib/systemd/linger && touch alice bob carol && systemctl restart systemd-logind");
    start_beside_the_sessions(&host, 720);
    short.wait_end();
    wait_for("the end of alice's lingering", SOON, || {
        (!host.has("/var/lib/systemd/linger/alice") && running(&host, "/usr/bin/sleep 720").is_empty()).then_some(())
    });
    // Somebody with a grant, and somebody of whom Curfew knows nothing, linger on.
    assert!(host.has("/var/lib/systemd/linger/bob") && host.has("/var/lib/systemd/linger/carol"));
    // bob's ends while the host is down: at the boot, nothing of his starts.
    host.ok("systemctl poweroff --force --force >/dev/null 2>&1 || true");
    longer.wait_end();
    host.power_cycle();
    assert!(!host.has("/var/lib/systemd/linger/bob") && host.has("/var/lib/systemd/linger/carol"));
    let at = |unit: &str, what: &str| -> u64 {
        let shown = host.ok(&format!("systemctl show --value --property={what}Monotonic {unit}"));
        shown.trim().parse().expect("microseconds since the boot")
    };
    let swept = at("curfew-sweep.service", "ExecMainExitTimestamp");
    assert!(swept > 0 && swept <= at("ssh.service", "ExecMainStartTimestamp"), "sshd was there before the sweep");
    let managers = host.ok("systemctl list-units --plain --no-legend 'user@*.service'");
    assert!(managers.contains("user@1003.service") && !managers.contains("user@1002.service"), "{managers}");
    // It is shut, and told as over once the clock is believed: after a while, by the time service, or by root's word.
    host.ok("curfew clock --accept");
    host.audited("grant.ended", |record| record["grant"] == longer.id.as_str());
}

fn on_a_host_without_logind_sessions_end_and_sshd_lives(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    host.ok("sed -i '/pam_systemd/d' /etc/pam.d/common-session /etc/pam.d/systemd-user; \
             systemctl mask --now systemd-logind.service dbus-org.freedesktop.login1.service; true");
    let _others = host.grant("bob --for 120s --login");
    let mut bob = host.login("bob");
    let grant = host.grant("alice --for 6s --login --sudo --command ALL");
    host.drop_in();
    let mut shell = host.login("alice");
    shell.type_text("nohup setsid sh -c 'trap : TERM HUP; sleep 730; sleep 731' >/dev/null 2>&1 &\n");
    let mut root = host.login("alice");
    root.become_root();
    root.type_text("setsid sh -c 'trap : TERM HUP; sleep 732; sleep 733' &\n");
    wait_for("hers", SOON, || {
        (running(&host, "sleep 730").len() + running(&host, "sleep 732").len() == 2).then_some(())
    });
    assert!(host.session_processes("alice").iter().all(|it| it.cgroup.contains("ssh.service")));

    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    report(&format!("{release}: without logind, all was dead {gone} ms after the end"));
    assert!((0..=LATEST).contains(&gone), "{gone} ms after the end");
    for screen in [&mut shell, &mut root].map(|shell| shell.screen()) {
        let told = screen.matches(&format!("grant {} expires", grant.id)).count();
        assert_eq!(told, 1, "told once, logind or not: {screen}");
    }
    assert!(bob.run("echo still here").contains("still here"));
    assert_eq!(host.ssh("ops", "id -un").expect_ok("sshd lives"), "ops");
    assert_refused(&host.ssh("alice", "id"));
    let record = host.audited("session.terminated", |it| it["user"] == "alice");
    assert_eq!(record["survivors"], "0");
}
