//! People and accidents that would blind, swamp or mislead the agent.

use std::time::Duration;

use curfew_tests::{Host, Release, SOON, wait_for};

on_every_release! {
    an_agent_that_runs_out_of_descriptors_forgets_no_session,
    a_command_line_as_long_as_the_kernel_allows_swamps_nobody,
    a_spoiled_exempt_list_ends_nobody_who_was_exempt,
    wiring_comes_off_whatever_else_lies_in_its_folder,
    what_is_left_of_a_closed_session_dies_at_the_end,
    what_root_moves_to_where_the_end_strikes_lives_on,
}

fn an_agent_that_runs_out_of_descriptors_forgets_no_session(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 8s --login");
    let _other = host.grant("bob --for 120s --login");
    let mut shell = host.login("alice");
    let limit = |number: &str| host.ok(&format!("prlimit --pid $(pidof curfewd) --nofile={number}:"));
    // No descriptor is left: whatever the agent looks at now, it can't see.
    limit("3");
    for _ in 0..3 {
        host.ok("systemctl kill --signal=HUP --kill-whom=main curfewd");
        assert!(!host.ssh("bob", "true").success());
    }
    assert!(shell.run("echo in").contains("in"));
    limit("4096");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("with descriptors again"), "bob");
    assert!(host.audit("--event session.closed").iter().all(|record| record["user"] != "alice"));
    assert!(host.status()["sessions"].to_string().contains("\"governed\":true"), "{}", host.status());
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    assert!((0..=250).contains(&gone), "{gone} ms after the end");
}

fn a_command_line_as_long_as_the_kernel_allows_swamps_nobody(release: Release) {
    let host = Host::boot(release);
    let _grant = host.grant("alice --for 120s --login --sudo --command /usr/bin/tail");
    host.drop_in();
    let script = "for (1..40) { fork or exec qw(sudo -n /usr/bin/tail -f /dev/null), map { q(x) x 100000 } 1..15 }\n1 while wait > 0;\n";
    host.write("/tmp/swamp.pl", script);
    let mut swamp = host.ssh_stay("alice", "-T");
    swamp.send("exec perl /tmp/swamp.pl\n");
    wait_for("the long command lines", SOON, || {
        (host.elevated_processes("alice").iter().filter(|it| it.command.contains("tail")).count() >= 40).then_some(())
    });
    let memory: u64 = host.ok("systemctl show --value --property=MemoryCurrent curfewd").parse().unwrap_or(0);
    assert!(memory < 64 << 20, "{memory} bytes");
    assert!(host.ok("du -sb /run/curfew/open | cut -f 1").parse::<u64>().expect("a size") < 1 << 20);
    assert_eq!(host.ssh("alice", "id -un").expect_ok("a login meanwhile"), "alice");
    assert_eq!(host.ok("systemctl show --value --property=NRestarts curfewd"), "0");
    swamp.kill();
}

fn a_spoiled_exempt_list_ends_nobody_who_was_exempt(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    let _grant = host.grant("alice --for 120s --login");
    let mut ops = host.login("ops");
    let mut root = host.login("root");
    for spoil in ["chmod 666 /etc/curfew/exempt", "chmod 644 /etc/curfew/exempt && echo root >/etc/curfew/exempt"] {
        host.ok(spoil);
        host.ok("systemctl restart curfewd");
        // Somebody's new session makes the agent look at all of them.
        assert_eq!(host.ssh("alice", "id -un").expect_ok("a login"), "alice");
        std::thread::sleep(Duration::from_secs(3));
        assert!(ops.run("echo in").contains("in"), "after {spoil}");
        assert!(root.run("echo in").contains("in"), "after {spoil}");
    }
    assert!(host.audit("--event session.terminated").is_empty());
    // A list that can't be believed is no base to refuse others on.
    host.ok("curfew disable && chmod 666 /etc/curfew/exempt");
    let refused = host.run("curfew enable");
    assert!(!refused.success() && refused.stderr.contains("/etc/curfew/exempt"), "{refused:#?}");
    host.ok("chmod 644 /etc/curfew/exempt && printf '\\377 caf\\351\\nroot\\n' >/etc/curfew/exempt && curfew enable");
    assert_eq!(host.ssh("root", "id -un").expect_ok("root, on a list with odd bytes"), "root");
}

fn wiring_comes_off_whatever_else_lies_in_its_folder(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    host.ok("head -c 4096 /dev/urandom >/etc/pam.d/.sshd.swp && printf '# caf\\351\\n' >>/etc/pam.d/sshd");
    let grant = host.grant("alice --for 4s --login");
    let shell = host.login("alice");
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    assert!((0..=250).contains(&gone), "odd bytes in a service file kept a session alive: {gone} ms");
    drop(shell);
    host.ok("curfew disable");
    assert!(!host.run("grep -r pam_curfew /etc/pam.d").success());
    wait_for("a login without Curfew", SOON, || host.ssh("alice", "id").success().then_some(()));
}

fn what_is_left_of_a_closed_session_dies_at_the_end(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 6s --login");
    host.ssh("alice", "setsid nohup sleep 700 >/dev/null 2>&1 & exit").expect_ok("leaving something behind");
    host.audited("session.closed", |record| record["user"] == "alice");
    host.ok("systemctl restart curfewd");
    assert!(host.session_processes("alice").iter().any(|it| it.command.contains("sleep 700")));
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    assert!((0..=250).contains(&gone), "{gone} ms after the end");
    let ended = host.audited("session.terminated", |record| record["user"] == "alice");
    assert_eq!(ended["survivors"], "0", "{ended}");
    assert_eq!(ended["approved_by"][0], "root", "{ended}");
}

fn what_root_moves_to_where_the_end_strikes_lives_on(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    let login = host.grant("alice --for 300s --login");
    let sudo = host.grant("alice --for 300s --sudo --command ALL");
    host.drop_in();
    let (agent, mut ops) = (host.ok("pidof curfewd"), host.login("ops"));
    let mut alice = host.login("alice");
    // The agent itself, somebody who is exempt, and services of the host's, among alice's own.
    let others = "$(pidof curfewd) $(pgrep -u ops) $(pgrep -xo cron) $(pgrep -fo 'sshd.*listener')";
    let find = "for at in /sys/fs/cgroup/unified /sys/fs/cgroup; do at=$at$(sed -n 's/^0:://p' /proc/self/cgroup); [ ! -d $at ] || group=$at; done";
    for (grant, event) in [(&sudo, "sudo.terminated"), (&login, "session.terminated")] {
        alice.become_root();
        alice.run(&format!("{find}; [ $group ] && for pid in {others}; do echo $pid >$group/cgroup.procs; done"));
        let moved = host.ok("cat /proc/$(pidof curfewd)/cgroup");
        assert!(moved.contains("user-1001.slice"), "the agent was not moved: {moved}");
        let revoked = host.run(&format!("curfew revoke {}", grant.id));
        assert!(revoked.success() && revoked.took < Duration::from_secs(5), "{revoked:#?}");
        let ended = host.audited(event, |record| record["user"] == "alice" && record["survivors"] == "0");
        let killed = ended["killed"].to_string();
        assert!(["cron", "curfewd", "listener"].iter().all(|name| !killed.contains(name)), "{killed}");
        assert!(ops.run("echo in").contains("in"), "ops is in no run of alice's");
        if grant.id == sudo.id {
            // By another grant the login can be struck at alike.
            let _again = host.grant("alice --for 300s --sudo --command ALL");
            wait_for("sudo again", SOON, || alice.run("sudo -n id -u").contains("\n0").then_some(()));
        }
    }
    assert_eq!(host.ok("pidof curfewd"), agent);
    assert_eq!(host.ok("systemctl is-active cron ssh").split_whitespace().collect::<Vec<_>>(), ["active", "active"]);
    assert_eq!(host.ssh("ops", "id -un").expect_ok("a login"), "ops");
}
