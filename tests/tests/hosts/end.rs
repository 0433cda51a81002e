//! The end of a grant: what it covered is dead a moment later, and nothing else is.

use std::time::Duration;

use curfew_tests::{Host, Release, SOON, assert_refused, report, wait_for};

on_each_release! {
    every_kind_of_session_is_dead_within_250_ms_of_the_end,
    when_only_sudo_ends_root_dies_and_the_login_shell_lives,
}

on_every_release! {
    a_login_that_was_waiting_at_the_end_gets_no_shell,
    a_run_of_sudo_is_told_once_and_as_such_where_its_login_ends_with_it,
    a_run_that_heeds_no_signal_is_told_once_and_one_that_does_so_in_the_grace,
}

/// How long after the end anything may still run.
const LATEST: i64 = 250;
/// What a shell types that means to outlive everything but SIGKILL.
const STUBBORN: &str = "trap '' TERM HUP INT; while :; do sleep 0.2; done\n";

fn every_kind_of_session_is_dead_within_250_ms_of_the_end(release: Release) {
    let host = Host::builder(release).config("grace = \"1s\"").boot();
    host.ok("truncate -s 1G /srv/big");
    let _others = host.grant("bob --for 60s --login");
    let mut other = host.login("bob");

    let grant = host.grant("alice --for 9s --login --sudo --command ALL");
    host.drop_in();
    let mut plain = host.login("alice");
    let mut stubborn = host.login("alice");
    let mut root = host.login("alice");
    let mut idle = host.ssh_stay("alice", "-N");
    let forward = host.ssh_stay("alice", "-N -L 2222:127.0.0.1:22");
    let transfer = host.sftp_stay("alice", "-l 8192", "get /srv/big /root/got");
    root.become_root();
    root.type_text(STUBBORN);
    stubborn.type_text(STUBBORN);
    plain.run("echo in");
    let tunnel = wait_for("the forwarded port", SOON, || {
        let mut tunnel = host.spawn("exec 3<>/dev/tcp/127.0.0.1/2222 && exec cat <&3");
        wait_for("an answer", SOON, || (tunnel.stdout().contains("SSH-") || !tunnel.is_alive()).then_some(()));
        tunnel.stdout().contains("SSH-").then_some(tunnel)
    });
    wait_for("the transfer", SOON, || host.has("/root/got").then_some(()));
    assert!(idle.is_alive() && plain.is_alive());
    let commands = |name: &str| host.session_processes("alice").iter().filter(|it| it.command.contains(name)).count();
    assert!(commands("sftp-server") == 1 && commands("sudo") >= 1 && commands("bash") >= 4);

    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    report(&format!(
        "{release}: shells, a forwarded port, a transfer and a root shell were dead {gone} ms after the end"
    ));
    assert!(gone <= LATEST, "dead only after {gone} ms");
    assert!(gone >= 0, "killed {} ms before the end", -gone);

    assert!(host.drop_ins().is_empty(), "{:?}", host.drop_ins());
    for client in [idle, forward, tunnel] {
        let _ = client.finish(SOON);
    }
    assert!(!transfer.finish(SOON).success());
    assert!(host.path("/root/got").metadata().expect("a part of the file").len() < 1 << 30);
    for shell in [plain, stubborn, root] {
        assert!(!shell.finish(SOON).success());
    }
    assert_refused(&host.ssh("alice", "id"));
    assert!(!host.run_as("alice", "sudo -n id").success());
    host.audited("login.denied", |record| record["user"] == "alice" && record["reason_code"] == "ended");
    let terminated = host.audited("session.terminated", |record| record["user"] == "alice");
    assert!(terminated["latency_ms"].as_i64().is_some_and(|ms| ms <= LATEST), "{terminated}");
    host.audited("sudoers.removed", |record| record["grant"] == grant.id.as_str());
    assert!(other.run("echo still here").contains("still here"));
}

fn a_run_of_sudo_is_told_once_and_as_such_where_its_login_ends_with_it(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    for (number, revoked) in [(621, true), (622, false)] {
        let grant = host.grant("alice --for 8s --login --sudo --command ALL");
        host.drop_in();
        let mut shell = host.login("alice");
        shell.type_text(&format!("sudo -n sleep {number}\n"));
        let runs = || host.elevated_processes("alice").iter().any(|it| it.command == format!("sleep {number}"));
        wait_for("sudo", SOON, || runs().then_some(()));
        if revoked {
            host.ok(&format!("curfew revoke {} --reason leaked", grant.id));
        }
        let of_it = |record: &serde_json::Value| record["grant"] == grant.id.as_str();
        let run = host.audited("sudo.terminated", of_it);
        let login = host.audited("session.terminated", of_it);
        assert!(run["killed"].to_string().contains("sleep(") && run["survivors"] == "0", "{run}");
        let why = if revoked { "since the grant was revoked by root: leaked" } else { "since the grant expired" };
        for record in [&run, &login] {
            assert!(record["message"].to_string().contains(why), "{record}");
        }
        let killed = login["killed"].to_string();
        assert!(killed.contains("bash(") && !killed.contains("sleep("), "{login}");
        wait_for("no rule", SOON, || host.drop_ins().is_empty().then_some(()));
    }
}

fn a_run_that_heeds_no_signal_is_told_once_and_one_that_does_so_in_the_grace(release: Release) {
    let host = Host::builder(release).config("warn_before = []\ngrace = \"3s\"").boot();
    let grant = host.grant("alice --for 10s --login --sudo --command ALL");
    host.drop_in();
    let mut login = host.ssh_stay("alice", "-T");
    login.send("trap '' HUP TERM\n");
    host.write("/tmp/heeds-none", "trap '' HUP TERM\n/usr/bin/sleep 631\n");
    login.send("sudo -n sh /tmp/heeds-none </dev/null >/dev/null 2>&1 &\n");
    host.write("/tmp/heeds", "trap 'exit 0' HUP TERM\n/usr/bin/sleep 632 & wait\n");
    login.send("sudo -n /usr/bin/env --default-signal=HUP,TERM sh /tmp/heeds </dev/null >/dev/null 2>&1 &\n");
    wait_for("both", SOON, || (host.elevated_processes("alice").len() >= 4).then_some(()));
    grant.wait_end();
    let login_ended = host.audited("session.terminated", |record| record["service"] == "sshd");
    std::thread::sleep(Duration::from_secs(1));
    let told = host.audit("--event sudo.terminated --user alice");
    let of = |script: &str| {
        let of_it = |record: &&serde_json::Value| record["command"].to_string().ends_with(&format!("{script}\""));
        let records: Vec<_> = told.iter().filter(of_it).collect();
        assert_eq!(records.len(), 1, "{script}: {told:#?}");
        records[0].clone()
    };
    assert!(of("heeds-none")["message"].to_string().contains("since the grant expired"), "{told:#?}");
    assert!(of("heeds")["message"].to_string().contains("in the grace before its grant's end"), "{told:#?}");
    assert!(!login_ended["killed"].to_string().contains("sudo"), "{login_ended}");
}

fn when_only_sudo_ends_root_dies_and_the_login_shell_lives(release: Release) {
    let host = Host::builder(release).config("grace = \"1s\"\nsudo_password = true").boot();
    let _login = host.grant("alice --for 120s --login");
    let mut shell = host.login("alice");
    let mut root = host.login("alice");
    let grant = host.grant("alice --for 9s --sudo --command ALL");
    host.drop_in();
    assert!(shell.run("sudo -n id; echo \"status:$?\"").contains("status:1"), "a password was to be asked for");
    assert!(shell.sudo("id -u").contains("\n0"));
    assert!(shell.run("sudo -n id -u").contains("\n0"), "the ticket was to be cached");
    // These leave the terminal, the process group or the session, but not the end.
    let mut leaving = host.ssh_stay("alice", "-T");
    for program in
        ["setsid sleep 611", "nohup sleep 612", "sh -c 'setsid sh -c \"trap : TERM HUP; sleep 613; sleep 614\" &'"]
    {
        leaving.send(&format!("echo alice-pw | sudo -S -p '' {program} >/dev/null 2>&1 &\n"));
    }
    shell.type_text("sleep 615 &\n");
    root.become_root();
    root.type_text(STUBBORN);
    wait_for("what sudo started", SOON, || {
        let commands: Vec<_> = host.elevated_processes("alice").into_iter().map(|process| process.command).collect();
        ["sleep 611", "sleep 612", "sleep 613"].iter().all(|name| commands.iter().any(|it| it == name)).then_some(())
    });

    let gone = host.gone_after(grant.not_after, |host| host.elevated_processes("alice"));
    report(&format!("{release}: what ran as root was dead {gone} ms after sudo's end"));
    assert!((0..=LATEST).contains(&gone), "{gone} ms after the end");

    assert!(shell.run("jobs").contains("sleep 615"));
    assert!(shell.run("sudo -n id -u; echo \"status:$?\"").contains("status:1"), "a cached ticket gave root");
    assert!(shell.is_alive() && root.is_alive());
    assert!(root.run("id -un").contains("alice"));
    assert!(host.drop_ins().is_empty());
    let terminated = host.audited("sudo.terminated", |record| record["user"] == "alice");
    assert!(terminated["latency_ms"].as_i64().is_some_and(|ms| ms <= LATEST), "{terminated}");
    assert!(terminated["command"].as_str().is_some_and(|command| command.starts_with("sudo ")), "{terminated}");
    assert!(host.audit("--event session.terminated").is_empty());
    assert_eq!(host.ssh("alice", "id -un").expect_ok("the login grant still holds"), "alice");
}

fn a_login_that_was_waiting_at_the_end_gets_no_shell(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 3s --login");
    // Logins without a break, across the end.
    let mut knocking = host.spawn(
        "while :; do ssh -i /etc/curfew-tests/keys/alice -o BatchMode=yes -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=/dev/null alice@127.0.0.1 'date +%s%3N; sleep 20' & sleep 0.1; done",
    );
    grant.wait_end();
    std::thread::sleep(Duration::from_millis(1500));
    knocking.kill();
    let left = host.session_processes("alice");
    assert!(left.iter().all(|process| !process.command.contains("sleep")), "{left:#?}");
    let started: Vec<i64> = knocking.stdout().lines().filter_map(|line| line.parse().ok()).collect();
    assert!(started.len() > 2, "nobody got in before the end");
    let latest = grant.not_after.as_millisecond() + LATEST;
    assert!(started.iter().all(|start| *start < latest), "a command started after {latest}: {started:?}");
}
