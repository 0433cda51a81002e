//! The doctor: a healthy host has nothing to mend, and each thing that is broken is found, named, and mended as it says.

use curfew_tests::{Host, Release, SOON, wait_for};
use serde_json::Value;

on_each_release! {
    a_healthy_host_fails_nothing,
    a_void_exempt_list_is_told_where_people_look,
}

takes_long! {
    each_broken_precondition_is_found: bookworm Bookworm, trixie Trixie, trixie_sudo_rs TrixieSudoRs;
}

fn checks(host: &Host) -> Vec<Value> {
    let report: Value = serde_json::from_str(&host.run("curfew doctor --json").stdout).expect("one JSON object");
    report["checks"].as_array().expect("checks").clone()
}

/// The checks that did not pass, as `fail sshd`.
fn findings(checks: &[Value]) -> Vec<String> {
    let bad = checks.iter().filter(|check| check["result"] != "pass");
    bad.map(|check| format!("{} {}", check["result"], check["name"]).replace('"', "")).collect()
}

fn a_healthy_host_fails_nothing(release: Release) {
    let host = Host::boot(release);
    // What the test hosts have on purpose: dave's rule, a root who may log in. Nothing else is told.
    let told = findings(&checks(&host));
    for finding in ["warn sudo_rules", "warn root_login"] {
        assert!(told.iter().any(|it| it == finding), "{finding}: {told:?}");
    }
    host.ok("rm /etc/sudoers.d/dave; echo 'PermitRootLogin no' > /etc/ssh/sshd_config.d/a.conf; mkdir -p /var/log/journal; journalctl --flush");
    let healthy = host.run("curfew doctor");
    assert!(healthy.success(), "{healthy:?}");
    let checks = checks(&host);
    assert_eq!(findings(&checks), Vec::<String>::new());
    for check in &checks {
        assert!(check["name"].is_string() && check["detail"].is_string() && check["mend"].is_null(), "{check}");
    }
    assert!(healthy.stdout.ends_with("0 failed, 0 warnings.\n"), "{}", healthy.stdout);
    // What was kept before is there still, and nothing is added to it.
    host.ok("mkdir -p /run/systemd/journald.conf.d && printf '[Journal]\\nStorage=volatile\\n' >/run/systemd/journald.conf.d/a.conf");
    host.ok("systemctl restart systemd-journald");
    let volatile = || (findings(&self::checks(&host)) == ["warn journal"]).then_some(());
    wait_for("a journal that goes with the boot", SOON, volatile);
    let alice = host.run_as("alice", "curfew doctor");
    assert!(!alice.success() && alice.stderr.contains("only root"), "{alice:?}");
    let ops = host.run_as("ops", "curfew doctor");
    assert!(!ops.success() && ops.stderr.contains("sudo curfew"), "{ops:?}");
}

fn a_void_exempt_list_is_told_where_people_look(release: Release) {
    let host = Host::boot(release);
    let problems = || host.status()["problems"].to_string();
    let told = || host.ok("journalctl --unit=curfewd --output=cat").matches("the exempt list is void").count();
    assert!(!problems().contains("exempt") && told() == 0, "{}", problems());
    host.ok("chmod 666 /etc/curfew/exempt");
    assert!(problems().contains("the exempt list is void") && problems().contains("chmod 644"), "{}", problems());
    let _look = host.grant("alice --for 1h");
    wait_for("a word in the journal", SOON, || (told() == 1).then_some(()));
    let _another = host.grant("alice --for 2h");
    assert_eq!(told(), 1, "it is told once");
    // A list that is not there is another problem, with a fix of its own.
    host.ok("rm /etc/curfew/exempt");
    let _look = host.grant("alice --for 3h");
    wait_for("a word in the journal", SOON, || (told() == 2).then_some(()));
    let report = host.run("curfew doctor").stdout;
    assert!(report.contains("echo NAME >> /etc/curfew/exempt") && !report.contains("chown"), "{report}");
    host.ok("echo ops >> /etc/curfew/exempt");
    assert!(!problems().contains("exempt"), "{}", problems());
    assert_eq!(host.ssh("ops", "id -un").expect_ok("exempt again"), "ops");
}

fn each_broken_precondition_is_found(release: Release) {
    let host = Host::boot(release);
    let usual = findings(&checks(&host));
    let classic = release != Release::TrixieSudoRs;
    let pam_d = "/etc/pam.d/sshd";
    // Each: what breaks the host, what the doctor finds, what mends it.
    let mut broken = vec![
        (
            "echo 'colour = 1' >> /etc/curfew/agent.toml",
            "fail configuration",
            "sed -i '/colour/d' /etc/curfew/agent.toml",
        ),
        ("systemctl stop curfewd.socket curfewd", "fail agent", "systemctl start curfewd.socket curfewd"),
        ("chmod 666 /etc/curfew/exempt", "fail exempt", "chmod 644 /etc/curfew/exempt"),
        (
            "echo 'daemon ALL=(root) NOPASSWD: /usr/bin/id' > /etc/sudoers.d/own; chmod 440 /etc/sudoers.d/own",
            "warn sudo_rules",
            "rm /etc/sudoers.d/own",
        ),
        ("echo gone >> /etc/curfew/exempt", "warn exempt", "sed -i '/^gone/d' /etc/curfew/exempt"),
        (
            "chmod 666 $(find /usr/lib -name pam_curfew.so)",
            "fail module",
            "chmod 644 $(find /usr/lib -name pam_curfew.so)",
        ),
        ("systemctl disable curfew-sweep.service", "fail boot", "systemctl enable curfew-sweep.service"),
        ("systemctl stop curfew-clock.timer", "fail units", "systemctl start curfew-clock.timer"),
        (
            "mkdir -p /etc/systemd/system && sed '/^Before=/d' /usr/lib/systemd/system/curfewd.socket > /etc/systemd/system/curfewd.socket && systemctl daemon-reload",
            "fail order",
            "rm /etc/systemd/system/curfewd.socket && systemctl daemon-reload",
        ),
        (
            "cp /etc/pam.d/sshd /root/sshd && sed -i '1i account sufficient pam_permit.so' /etc/pam.d/sshd",
            "fail wiring",
            "cp /root/sshd /etc/pam.d/sshd",
        ),
        (
            "cp /etc/pam.d/sudo /root/sudo && sed -i '/pam_curfew/d' /etc/pam.d/sudo",
            "fail wiring",
            "cp /root/sudo /etc/pam.d/sudo",
        ),
        (
            "cp /etc/pam.d/sudo /root/sudo && sed -i '0,/^session/s//session sufficient pam_permit.so\\nsession/' /etc/pam.d/sudo",
            "warn session_rules",
            "cp /root/sudo /etc/pam.d/sudo",
        ),
        (
            "cd /etc/pam.d && cp common-session /root && sed -i '1i session [success=9 default=ignore] pam_unix.so' common-session",
            "warn session_rules",
            "cp /root/common-session /etc/pam.d/",
        ),
        ("cp /etc/pam.d/sshd /etc/pam.d/mine", "warn wiring", "rm /etc/pam.d/mine"),
        ("echo 'UsePAM no' > /etc/ssh/sshd_config.d/a.conf", "fail sshd", "rm /etc/ssh/sshd_config.d/a.conf"),
        (
            "cp /etc/sudoers /root/sudoers && sed -i '/includedir/d' /etc/sudoers",
            "fail sudoers",
            "cp /root/sudoers /etc/sudoers",
        ),
        ("rm /etc/sudoers.d/curfew", "warn sudoers", "curfew enable --unchecked"),
        ("gpasswd --add bob sudo", "warn sudo_members", "gpasswd --delete bob sudo"),
        (
            "groupadd docker && usermod --gid docker carol",
            "warn root_groups",
            "usermod --gid carol carol && groupdel docker",
        ),
        (
            "mkdir -p /run/systemd/system/curfewd.service.d && printf '[Service]\\nLogRateLimitIntervalSec=5s\\n' > /run/systemd/system/curfewd.service.d/a.conf && systemctl daemon-reload",
            "warn journal_limit",
            "rm -r /run/systemd/system/curfewd.service.d && systemctl daemon-reload",
        ),
    ];
    if classic {
        broken.push((
            "printf 'Defaults env_reset, \\\\\\n  !pam_acct_mgmt\\n' > /etc/sudoers.d/later && chmod 440 /etc/sudoers.d/later && visudo -cf /etc/sudoers.d/later",
            "fail pam_acct_mgmt",
            "rm /etc/sudoers.d/later",
        ));
        broken.push((
            "echo 'Defaults:alice !pam_session' > /etc/sudoers.d/later && chmod 440 /etc/sudoers.d/later && visudo -cf /etc/sudoers.d/later",
            "warn pam_session",
            "rm /etc/sudoers.d/later",
        ));
        broken.push((
            "echo 'Defaults !pam_ruser' > /etc/sudoers.d/later && chmod 440 /etc/sudoers.d/later && visudo -cf /etc/sudoers.d/later",
            "warn pam_ruser",
            "rm /etc/sudoers.d/later",
        ));
    }
    for (breaks, found, mends) in broken {
        host.ok(breaks);
        let report = host.run("curfew doctor");
        let now = findings(&checks(&host));
        assert!(now.iter().any(|it| it == found), "{breaks}: {now:?}");
        assert_eq!(report.success(), !now.iter().any(|it| it.starts_with("fail")), "{breaks}: {report:?}");
        let (finding, name) = found.split_once(' ').expect("two words");
        let line = report.stdout.lines().position(|line| line.starts_with(finding) && line.contains(name));
        assert!(
            line.is_some_and(|at| report.stdout.lines().nth(at + 1).is_some_and(|it| it.contains("mend: "))),
            "{report:?}"
        );
        host.ok(mends);
        assert_eq!(findings(&checks(&host)), usual, "mended: {mends}");
    }
    // An agent that reads its configuration again runs meanwhile.
    let folder = "/run/systemd/system/curfewd.service.d";
    host.ok(&format!("mkdir -p {folder} && printf '[Service]\\nExecReload=/bin/sleep 30\\n' > {folder}/slow.conf"));
    host.ok("systemctl daemon-reload && systemctl --no-block reload curfewd");
    let state = || host.ok("systemctl show --value --property=ActiveState curfewd");
    wait_for("the reload", SOON, || (state() == "reloading").then_some(()));
    assert_eq!(findings(&checks(&host)), usual, "while it is reloading");
    assert!(host.has(pam_d));
}
