//! What lets people log in beside the services that Curfew judges: found by the doctor, refused by `curfew enable`, told by `curfew status` when it opens
//! later, and shut where it can be.

use std::time::Duration;

use curfew_tests::{Host, Output, Release, assert_refused, wait_for};
use serde_json::Value;

on_two_releases! {
    a_second_sshd_that_asks_nobody_is_found_and_is_covered_once_it_asks_pam,
    what_opens_after_enabling_is_told_by_status_and_what_was_known_is_not,
}

on_one_release! {
    a_match_block_with_another_pam_service_is_found_and_is_covered_once_that_is_judged,
    what_people_run_is_neither_run_as_root_nor_taken_for_the_hosts,
}

/// The agent looks once a minute, at its regular looks.
const A_LOOK: Duration = Duration::from_secs(150);

/// Starts another sshd with what is in `/etc/ssh/other`.
const SECOND: &str = "systemd-run --quiet --unit=partner /usr/sbin/sshd -D -f /etc/ssh/other";

fn checks(host: &Host, name: &str, result: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(&host.run("curfew doctor --json").stdout).expect("one JSON object");
    let checks = report["checks"].as_array().expect("checks");
    let these = checks.iter().filter(|check| check["name"] == name && check["result"] == result);
    these.map(|check| format!("{} {}", check["detail"], check["mend"])).collect()
}

fn on_port(host: &Host, port: u16, user: &str) -> Output {
    host.ssh_stay(user, &format!("-p {port} -o RemoteCommand=id")).finish(Duration::from_secs(20))
}

fn a_second_sshd_that_asks_nobody_is_found_and_is_covered_once_it_asks_pam(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).not_enabled().boot();
    host.write("/etc/ssh/other", "Port 2222\nUsePAM no\nPidFile none\n");
    host.ok(SECOND);
    wait_for("the second sshd", Duration::from_secs(10), || on_port(&host, 2222, "alice").success().then_some(()));
    let refused = host.run("curfew enable");
    assert!(
        !refused.success() && refused.stderr.contains("/etc/ssh/other does not ask PAM (UsePAM no)"),
        "{refused:#?}"
    );
    assert!(refused.stderr.contains("port 2222"), "{refused:#?}");
    host.ok("curfew enable --unchecked");
    on_port(&host, 2222, "alice").expect_ok("it is a way in");
    assert_eq!(checks(&host, "sshd", "fail").len(), 1);
    // As it says.
    host.ok("sed -i 's/UsePAM no/UsePAM yes/' /etc/ssh/other && systemctl restart partner");
    wait_for("the second sshd", Duration::from_secs(10), || {
        host.run("ss -ltn | grep -q :2222").success().then_some(())
    });
    assert_refused(&on_port(&host, 2222, "alice"));
    assert_eq!(checks(&host, "sshd", "fail"), Vec::<String>::new());
    // Told on its command line, it is as open.
    host.ok("systemctl stop partner; systemd-run --quiet --unit=partner2 /usr/sbin/sshd -D -f /etc/ssh/other -o 'UsePAM no'");
    wait_for("the third sshd", Duration::from_secs(10), || on_port(&host, 2222, "alice").success().then_some(()));
    assert_eq!(checks(&host, "sshd", "fail").len(), 1);
    // So is one that is not there yet: a unit that starts at boot.
    host.ok("systemctl stop partner2");
    host.write(
        "/etc/systemd/system/later.service",
        "[Service]\nExecStart=/usr/sbin/sshd -D -o \"UsePAM no\"\n[Install]\nWantedBy=multi-user.target\n",
    );
    host.ok("systemctl daemon-reload && systemctl enable later");
    let later = checks(&host, "sshd", "fail");
    assert!(later.len() == 1 && later[0].contains("later.service"), "{later:?}");
}

fn a_match_block_with_another_pam_service_is_found_and_is_covered_once_that_is_judged(release: Release) {
    let host = Host::boot(release);
    host.ok("sed '/curfew begin/,/curfew end/d' /etc/pam.d/sshd >/etc/pam.d/partner");
    host.write("/etc/ssh/sshd_config.d/zz.conf", "Match User bob\n  Include /etc/ssh/partner.inc\n");
    host.write("/etc/ssh/partner.inc", "PAMServiceName partner\n");
    // A reload closes its port for a moment.
    host.ok("systemctl restart ssh");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("nobody asks Curfew about bob"), "bob");
    assert_refused(&host.ssh("alice", "id"));
    let found = checks(&host, "sshd", "fail");
    assert!(found.len() == 1 && found[0].contains("Match user bob") && found[0].contains("as partner"), "{found:?}");
    assert!(found[0].contains("zz.conf, line 1"), "{found:?}");
    let refused = host.run("curfew enable");
    assert!(!refused.success() && refused.stderr.contains("add \"partner\" to login_services"), "{refused:#?}");
    // As it says.
    host.reconfigure("login_services = [\"sshd\", \"login\", \"partner\"]");
    host.ok("curfew enable");
    assert_refused(&host.ssh("bob", "id"));
    assert_eq!(checks(&host, "sshd", "fail"), Vec::<String>::new());
    let _ = host.grant("bob --for 1h --login");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("by a grant"), "bob");
}

fn what_opens_after_enabling_is_told_by_status_and_what_was_known_is_not(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).not_enabled().boot();
    host.ok("cp /etc/pam.d/su /etc/pam.d/xrdp-sesman");
    let said = host.ok("curfew enable");
    assert!(said.contains("xrdp-sesman"), "what is open is told: {said}");
    host.write("/etc/ssh/other", "Port 2222\nUsePAM no\nPidFile none\n");
    host.ok(SECOND);
    let told = wait_for("what opened", A_LOOK, || {
        let problems = host.status()["problems"].to_string();
        problems.contains("/etc/ssh/other does not ask PAM").then_some(problems)
    });
    assert!(!told.contains("xrdp-sesman"), "{told}");
    assert!(host.ok("journalctl --no-pager --boot -u curfewd").contains("open since Curfew was enabled"));
    // A configuration that is read again is reason for one at once.
    host.ok("systemctl stop partner; systemctl reload curfewd");
    wait_for("nothing open", A_LOOK, || (!host.status()["problems"].to_string().contains("other")).then_some(()));
}

fn what_people_run_is_neither_run_as_root_nor_taken_for_the_hosts(release: Release) {
    let host = Host::boot(release);
    let _ = host.grant("alice --for 1h --login");
    // A program of hers that is called sshd, and listens.
    host.ok("cp /usr/bin/perl /home/alice/sshd && chown alice /home/alice/sshd");
    let listen = "exec -a sshd /home/alice/sshd -MIO::Socket::INET -e '@s = IO::Socket::INET->new(Listen => 1, LocalPort => 2200) or die; sleep 600' -f /etc/shadow";
    let _hers = host.ssh_stay_and_run("alice", listen);
    wait_for("her program", Duration::from_secs(10), || host.run("ss -ltn | grep -q :2200").success().then_some(()));
    // Root's process with a program that she can exchange.
    host.ok("cp /home/alice/sshd /srv/sshd && chown alice /srv/sshd");
    host.ok("systemd-run --quiet /srv/sshd -MIO::Socket::INET -e '@s = IO::Socket::INET->new(Listen => 1, LocalPort => 2201) or die; sleep 600'");
    wait_for("root's", Duration::from_secs(10), || host.run("ss -ltn | grep -q :2201").success().then_some(()));
    host.ok("printf '#!/bin/sh\\ntouch /run/owned\\n' >/srv/new && chmod 755 /srv/new && chown alice /srv/new && mv /srv/new /srv/sshd");
    // A port that root's own login forwards is no other server.
    let _forwards = host.ssh_stay("root", "-N -R 2202:127.0.0.1:22");
    wait_for("the forwarded port", Duration::from_secs(10), || {
        host.run("ss -ltn | grep -q :2202").success().then_some(())
    });
    let told = checks(&host, "sshd", "warn");
    assert!(told.len() == 1 && told[0].contains("/srv/sshd, which others than root can exchange"), "{told:?}");
    let report = host.run("curfew doctor").stdout;
    assert!(
        !host.has("/run/owned") && !report.contains("2200") && !report.contains("2202") && !report.contains("root:"),
        "{report}"
    );
}
