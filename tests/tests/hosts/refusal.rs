//! Without a grant nobody gets in, by whatever way; who is exempt always does.

use std::time::Duration;

use curfew_tests::{Host, Release, SOON, assert_refused, wait_for};

on_each_release! {
    without_a_grant_every_way_in_is_refused_with_the_reason,
    the_hosts_own_sudo_rules_give_nothing_without_a_grant,
}

on_every_release! {
    exempt_users_get_in_and_are_audited,
    su_needs_a_grant_for_the_target_and_any_command,
    what_the_system_itself_starts_for_a_user_is_not_touched,
}

fn without_a_grant_every_way_in_is_refused_with_the_reason(release: Release) {
    let host = Host::boot(release);
    let refusals = [
        host.ssh("alice", "touch /tmp/in"),
        host.ssh_with_password("alice", "touch /tmp/in"),
        host.scp("alice", "/etc/hostname", "alice@127.0.0.1:/tmp/in"),
        host.scp("alice", "alice@127.0.0.1:/etc/hostname", "/tmp/in"),
        host.sftp("alice", "put /etc/hostname /tmp/in"),
        host.ssh_stay("alice", "-N").finish(Duration::from_secs(10)),
        host.ssh_stay("alice", "-N -L 2222:127.0.0.1:22").finish(Duration::from_secs(10)),
        host.ssh_stay("alice", "-tt").finish(Duration::from_secs(10)),
    ];
    for refusal in &refusals {
        assert_refused(refusal);
        assert!(refusal.stderr.contains("grant"), "does not say what is missing: {refusal:#?}");
    }
    assert!(!host.has("/tmp/in"));
    assert!(host.session_processes("alice").is_empty());

    let denied = host.audit("--event login.denied --user alice");
    assert_eq!(denied.len(), refusals.len(), "{denied:#?}");
    for record in denied {
        assert_eq!(record["reason_code"], "no_grant", "{record}");
        assert_eq!(record["service"], "sshd", "{record}");
        assert_eq!(record["rhost"], "127.0.0.1", "{record}");
    }
}

fn exempt_users_get_in_and_are_audited(release: Release) {
    let host = Host::boot(release);
    for user in ["root", "ops"] {
        assert_eq!(host.ssh(user, "id -un").expect_ok("an exempt login"), user);
        host.audited("exempt.used", |record| record["user"] == user && record["service"] == "sshd");
    }
    let mut shell = host.login("ops");
    assert!(shell.sudo("id -un").contains("root"));
    host.audited("exempt.used", |record| record["user"] == "ops" && record["service"] == "sudo");
}

fn the_hosts_own_sudo_rules_give_nothing_without_a_grant(release: Release) {
    let host = Host::boot(release);
    let by_rule = host.run_as("dave", "sudo -n /usr/bin/id -u");
    assert_refused(&by_rule);
    let denied = host.audited("sudo.denied", |record| record["user"] == "dave");
    assert_eq!(denied["reason_code"], "no_grant");
    assert!(denied["command"].as_str().is_some_and(|command| command.contains("/usr/bin/id")), "{denied}");

    // The same rule serves again while a grant covers it.
    let _grant = host.grant("dave --for 60s --sudo --command /usr/bin/whoami");
    wait_for("sudo under the grant", SOON, || {
        let output = host.run_as("dave", "sudo -n /usr/bin/whoami");
        (output.stdout.trim() == "root").then_some(())
    });
    assert_eq!(host.run_as("dave", "sudo -n /usr/bin/id -u").expect_ok("the host's own rule"), "0");
}

fn su_needs_a_grant_for_the_target_and_any_command(release: Release) {
    let host = Host::boot(release);
    let su = "echo bob-pw | su bob -c 'id -un'";
    assert_refused(&host.run_as("alice", su));
    let some = host.grant("alice --for 60s --sudo --command /usr/bin/id --run-as bob");
    assert_refused(&host.run_as("alice", su));
    host.ok(&format!("curfew revoke {}", some.id));
    let _root_only = host.grant("alice --for 60s --sudo --command ALL --run-as root");
    assert_refused(&host.run_as("alice", su));
    let _all = host.grant("alice --for 60s --sudo --command ALL --run-as bob");
    assert_eq!(host.run_as("alice", su).expect_ok("su under a grant"), "bob");
}

fn what_the_system_itself_starts_for_a_user_is_not_touched(release: Release) {
    let host = Host::boot(release);
    assert_eq!(host.ok("systemd-run --quiet --wait --pipe --uid=alice id -un"), "alice");
    assert_eq!(host.ok("systemd-run --quiet --wait --pipe --uid=alice -p PAMName=systemd-user id -un"), "alice");
    assert_eq!(host.ok("su alice -c 'id -un'"), "alice");
    host.ok("systemctl start user@1001.service && systemctl is-active user@1001.service");
    assert_eq!(host.ok("sudo -u alice id -un"), "alice");
    // Without a session there is nothing to end: a service under a grantee's uid outlives a grant.
    host.ok("systemd-run --quiet --unit=kept --uid=alice sleep 600");
    let grant = host.grant("alice --for 2s --login");
    grant.wait_end();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(host.ok("systemctl is-active kept.service"), "active");
}
