//! The server's package on a host of its own: what installing does not do, the first start, an upgrade, the end.

use std::fs;

use curfew_tests::root::server_package;
use curfew_tests::{Host, Release, SOON, report, wait_for};

on_both_releases! {
    the_servers_package_starts_nothing_until_an_endpoint_is_made,
}

const DEB: &str = "/root/curfew-server.deb";

/// What is not the server's own in its folder.
const STRANGERS: &str = "find /var/lib/curfew-server ! -user curfew-server -o ! -group curfew-server -o -perm /077";

fn main_pid(host: &Host) -> String {
    host.ok("systemctl show -P MainPID curfew-server")
}

fn the_servers_package_starts_nothing_until_an_endpoint_is_made(release: Release) {
    // Beside the agent: both have files in /etc/curfew.
    let host = Host::builder(release).not_enabled().boot();
    let package = server_package().expect("there is a curfew-server_*.deb in target/packages: run packaging/build");
    fs::copy(package, host.path(DEB)).expect("the package can be copied");

    let said = host.ok(&format!("dpkg --install {DEB}"));
    assert!(said.contains("does not run") && said.contains("curfew-server init"), "{said}");
    assert_eq!(host.run("systemctl is-enabled curfew-server").stdout.trim(), "disabled");
    assert_eq!(host.run("systemctl is-active curfew-server").stdout.trim(), "inactive");
    assert_eq!(host.ok("stat -c '%U:%G %a' /etc/curfew/server.toml"), "root:curfew-server 640");
    assert_eq!(host.ok("stat -c '%U:%G %a' /var/lib/curfew-server"), "curfew-server:curfew-server 700");
    let refused = host.run("curfew-server init --config /etc/curfew/server.toml");
    assert!(refused.stderr.contains("--origin is missing"), "{refused:?}");

    // What root makes, the service reads.
    let made = host.ok("curfew-server init --origin https://127.0.0.1:8443");
    assert!(made.contains("Next: systemctl enable --now curfew-server"), "{made}");
    let again = host.run("curfew-server init --origin https://127.0.0.1:8443");
    assert!(again.stderr.contains("there is an endpoint already"), "{again:?}");
    let asked = host.run("curfew-server host list");
    assert!(asked.stderr.contains("to start it: systemctl start curfew-server"), "{asked:?}");
    assert_eq!(host.ok(STRANGERS), "");
    assert_eq!(host.ok("stat -c '%U:%G %a' /etc/curfew/server.toml"), "root:curfew-server 640");
    assert_eq!(host.ok("grep -c '^origins = ' /etc/curfew/server.toml"), "1");
    host.ok("systemctl enable --quiet --now curfew-server");
    host.ok("curfew-server admin-token create root >/root/token");
    let list = "CURFEW_SERVER_TOKEN_FILE=/root/token curfew-server host list --json";
    host.ok(list);
    let token = "CURFEW_SERVER_TOKEN_FILE=/root/token curfew-server token create";
    assert!(host.ok(token).starts_with("curfew_enroll_"));
    assert_eq!(host.ok(STRANGERS), "");
    // Also what root does to the database while nobody serves it.
    host.ok(
        "systemctl stop curfew-server && curfew-server admin-token create second && curfew-server export /root/sets",
    );
    host.ok("systemctl start curfew-server");
    host.ok(list);
    assert_eq!(host.ok(STRANGERS), "");

    // No rights, no more files than it may need, and nothing to gain from what is around it.
    let pid = main_pid(&host);
    let status = host.ok(&format!("cat /proc/{pid}/status"));
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    assert_eq!(host.ok("systemctl show -P LimitNOFILE curfew-server"), "65536");
    let security = host.ok("systemd-analyze security --no-pager curfew-server.service");
    let exposure = security.lines().find(|line| line.contains("Overall exposure")).expect("a figure").to_owned();
    report(&format!("{release}: {}", exposure.trim()));
    let figure = exposure.split_whitespace().find_map(|word| word.parse::<f64>().ok()).expect("a number");
    assert!(figure <= 1.5, "{security}");
    // The person next to it sees neither its state nor its configuration.
    assert_ne!(host.run_as("bob", "cat /etc/curfew/server.toml || ls /var/lib/curfew-server").status, 0);

    // The certificate is read again by the same process; a crash is mended by another one.
    host.ok("systemctl reload curfew-server");
    wait_for("the certificate", SOON, || {
        host.ok("journalctl -u curfew-server --no-pager").contains("the certificate was read again").then_some(())
    });
    assert_eq!(main_pid(&host), pid);
    host.ok("systemctl kill --signal KILL curfew-server");
    wait_for("a new process", SOON, || {
        let now = main_pid(&host);
        (now != pid && now != "0" && host.run(list).status == 0).then_some(())
    });

    // An upgrade restarts what runs, and touches neither the configuration nor the data.
    let before = main_pid(&host);
    host.ok(&format!("dpkg --install {DEB}"));
    host.ok(list);
    assert_ne!(main_pid(&host), before);

    // Removed, it does not run; purged, the keys and the audit of a fleet are still there, and it says so.
    host.ok("dpkg --remove curfew-server");
    assert_eq!(host.run("systemctl is-active curfew-server").stdout.trim(), "inactive");
    assert!(!host.has("/etc/systemd/system/multi-user.target.wants/curfew-server.service"));
    let said = host.ok("dpkg --purge curfew-server");
    assert!(said.contains("rm -r /var/lib/curfew-server"), "{said}");
    assert!(host.has("/var/lib/curfew-server/curfew.db") && host.has("/etc/curfew/agent.toml"));
    assert!(!host.has("/etc/curfew/server.toml"));
    // Installed again, it says how to go on with them, and makes nothing in their place.
    let said = host.ok(&format!("dpkg --install {DEB}"));
    assert!(said.contains("as it was left"), "{said}");
    let refused = host.run("curfew-server init --origin https://127.0.0.1:8443");
    assert!(
        refused.stderr.contains("there is an endpoint already") && refused.stderr.contains("origins = ["),
        "{refused:?}"
    );
    host.ok("dpkg --purge curfew-server");
    host.ok("curfew status");
}
