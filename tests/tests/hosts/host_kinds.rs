//! Hosts as people have them: what the doctor says of each is true of it, and no more is said.

use std::time::Duration;

use curfew_tests::{Host, Release, assert_refused, wait_for};
use serde_json::Value;

on_every_release! {
    a_cloud_image,
    a_hardened_host,
}

on_two_releases! {
    a_build_host_with_rootless_containers,
}

on_one_release! {
    a_bastion_with_match_blocks_and_a_second_sshd,
    a_server_with_a_web_console_and_polkit,
}

/// What the doctor says that is not as it should be: `warn sudo_rules`, with the text.
fn findings(host: &Host) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&host.run("curfew doctor --json").stdout).expect("one JSON object");
    let checks = report["checks"].as_array().expect("checks").iter().filter(|check| check["result"] != "pass");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    checks
        .map(|it| {
            (format!("{} {}", text(&it["result"]), text(&it["name"])), text(&it["detail"]) + " " + &text(&it["mend"]))
        })
        .collect()
}

fn names(findings: &[(String, String)]) -> Vec<&str> {
    findings.iter().map(|(name, _)| name.as_str()).collect()
}

fn text_of<'a>(findings: &'a [(String, String)], name: &str) -> &'a str {
    findings.iter().find(|(it, _)| it == name).map_or("", |(_, text)| text)
}

/// A host with nothing of the tests' own that the doctor tells, on the way to being one of these.
fn plain(host: &Host) {
    host.ok(
        "rm -f /etc/sudoers.d/dave; echo 'PermitRootLogin no' >/etc/ssh/sshd_config.d/00-root.conf; journalctl --flush",
    );
}

/// What cloud-init writes on its first boot.
fn a_cloud_image(release: Release) {
    let host = Host::boot(release);
    plain(&host);
    host.ok("useradd --create-home --shell /bin/bash debian && gpasswd --add debian sudo");
    host.write("/etc/sudoers.d/90-cloud-init-users", "# Created by cloud-init\ndebian ALL=(ALL) NOPASSWD:ALL\n");
    host.ok("chmod 440 /etc/sudoers.d/90-cloud-init-users");
    host.write("/etc/ssh/sshd_config.d/50-cloud-init.conf", "PasswordAuthentication no\n");
    host.ok("systemctl reload ssh");
    let found = findings(&host);
    assert_eq!(names(&found), ["warn sudo_rules", "warn sudo_members"], "{found:?}");
    assert!(text_of(&found, "warn sudo_rules").contains("90-cloud-init-users, line 2"), "{found:?}");
    assert!(text_of(&found, "warn sudo_members").contains("debian (sudo)"), "{found:?}");
    // Its rule sorts before ours, so that a grant gives what it says.
    let _ = host.grant("debian --for 1h --login --sudo --command /usr/bin/id");
    assert!(!names(&findings(&host)).contains(&"warn sudo_grants"));
    // And the user of the image needs a grant, as everybody does.
    assert!(host.run("curfew why debian sshd").success() && !host.run("curfew why alice sshd").success());
}

/// What guides for hardening say of sshd, sudo, su and PAM.
fn a_hardened_host(release: Release) {
    let host = Host::boot(release);
    plain(&host);
    host.write(
        "/etc/ssh/sshd_config.d/01-hardening.conf",
        "LogLevel VERBOSE\nMaxAuthTries 4\nMaxSessions 4\nLoginGraceTime 30\nX11Forwarding no\nAllowTcpForwarding no\nClientAliveInterval 300\n\
         ClientAliveCountMax 2\nAllowAgentForwarding no\nPermitEmptyPasswords no\nHostbasedAuthentication no\nUsePAM yes\n",
    );
    host.ok("systemctl reload ssh");
    host.write(
        "/etc/sudoers.d/99-hardening",
        "Defaults use_pty\nDefaults timestamp_timeout=5\nDefaults passwd_tries=3\n",
    );
    host.ok("chmod 440 /etc/sudoers.d/99-hardening");
    host.ok("groupadd sugroup && sed -i '/^auth.*pam_rootok/a auth required pam_wheel.so use_uid group=sugroup' /etc/pam.d/su");
    host.ok("grep -q '^auth required pam_wheel.so' /etc/pam.d/su");
    host.ok("printf 'minlen = 14\\n' >/etc/security/pwquality.conf; chmod 700 /etc/cron.d; echo 'umask 027' >>/etc/profile; chmod 750 /home/*");
    let found = findings(&host);
    assert_eq!(names(&found), Vec::<&str>::new(), "{found:?}");
    let _ = host.grant("alice --for 1h --login --sudo --command /usr/bin/id");
    assert_eq!(host.ssh("alice", "sudo -n /usr/bin/id -u").expect_ok("by the grant"), "0");
    assert_refused(&host.ssh("bob", "id"));
    assert_eq!(names(&findings(&host)), Vec::<&str>::new());
}

/// People who run containers of their own: with ids of their own, and with the daemon that makes them root.
fn a_build_host_with_rootless_containers(release: Release) {
    let host = Host::boot(release);
    plain(&host);
    host.ok("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 alice");
    host.ok("groupadd docker && gpasswd --add bob docker");
    let found = findings(&host);
    assert_eq!(names(&found), ["warn root_groups"], "{found:?}");
    assert!(text_of(&found, "warn root_groups").contains("bob (docker)"), "{found:?}");
    // An sshd in a container lets nobody onto the host.
    let _ = host.grant("alice --for 1h --login");
    let inside = "unshare --user --map-root-user --pid --fork sh -c 'perl -MIO::Socket::INET -e \"\\$0 = q(sshd); @s = IO::Socket::INET->new(Listen => 1, LocalPort => 2300) or die; sleep 600\"'";
    let _hers = host.ssh_stay_and_run("alice", inside);
    wait_for("what listens in the container", Duration::from_secs(10), || {
        host.run("ss -ltn | grep -q :2300").success().then_some(())
    });
    assert_eq!(names(&findings(&host)), ["warn root_groups"]);
}

/// Partners come by other rules than staff, and administrators by an sshd of their own.
fn a_bastion_with_match_blocks_and_a_second_sshd(release: Release) {
    let host = Host::boot(release);
    plain(&host);
    host.write(
        "/etc/ssh/sshd_config.d/50-partners.conf",
        "Match Group partners Address 10.0.0.0/8,127.0.0.1\n  AllowTcpForwarding local\n  PermitTTY no\nMatch User carol\n  ForceCommand internal-sftp\n",
    );
    host.write(
        "/etc/ssh/sshd_admin",
        "Port 2222\nUsePAM yes\nPidFile none\nAllowUsers ops root alice\nPermitRootLogin no\n",
    );
    host.write(
        "/etc/systemd/system/sshd-admin.service",
        "[Service]\nExecStart=/usr/sbin/sshd -D -f /etc/ssh/sshd_admin\n[Install]\nWantedBy=multi-user.target\n",
    );
    host.ok("groupadd partners && gpasswd --add bob partners && systemctl daemon-reload && systemctl enable --now sshd-admin && systemctl reload ssh");
    // All of that asks PAM as sshd.
    let found = findings(&host);
    assert_eq!(names(&found), Vec::<&str>::new(), "{found:?}");
    let passes = host.run("curfew doctor").stdout;
    assert!(passes.contains("/etc/ssh/sshd_admin asks PAM"), "{passes}");
    assert_refused(&host.ssh_stay("alice", "-p 2222 -o RemoteCommand=id").finish(Duration::from_secs(20)));
    // One of the blocks gets a PAM service of its own.
    host.ok("sed -i '/PermitTTY/a PAMServiceName partners' /etc/ssh/sshd_config.d/50-partners.conf && cp /etc/pam.d/chfn /etc/pam.d/partners && systemctl reload ssh");
    let found = findings(&host);
    assert_eq!(names(&found), ["fail sshd", "warn pam_services"], "{found:?}");
    assert!(text_of(&found, "fail sshd").contains("Match group partners address 10.0.0.0/8,127.0.0.1"), "{found:?}");
    host.ssh_stay("bob", "-o RemoteCommand=id").finish(Duration::from_secs(20)).expect_ok("it lets bob in");
}

/// A web console, polkit with run0 and pkexec, doas, and an SSH server without PAM.
fn a_server_with_a_web_console_and_polkit(release: Release) {
    let packages = ["cockpit-ws", "polkitd", "pkexec", "opendoas", "dropbear-bin"];
    let host = Host::builder(release).exempt(&["ops"]).with_packages(&packages).not_enabled().boot();
    plain(&host);
    host.ok("gpasswd --add alice sudo; echo 'permit nopass alice' >/etc/doas.conf; chmod 400 /etc/doas.conf; systemctl start cockpit.socket");
    let refused = host.run("curfew enable");
    assert!(!refused.success() && refused.stderr.contains("add \"cockpit\" to login_services"), "{refused:#?}");
    let found = findings(&host);
    for (name, says) in [
        ("fail login_servers", "Cockpit"),
        ("warn polkit", "/usr/bin/run0 and /usr/bin/pkexec"),
        ("warn doas", "/etc/doas.conf"),
        ("warn sudo_members", "alice (sudo)"),
    ] {
        assert!(text_of(&found, name).contains(says), "{name}: {found:?}");
    }
    // With the services in the lists, all of them ask.
    host.reconfigure(
        "login_services = [\"sshd\", \"login\", \"cockpit\"]\nelevation_services = [\"sudo\", \"sudo-i\", \"su\", \"su-l\", \"polkit-1\", \"doas\"]",
    );
    host.ok("curfew enable");
    let found = findings(&host);
    let open = ["sshd", "login_servers", "pam_services", "polkit", "doas", "wiring"];
    assert!(!names(&found).iter().any(|name| open.iter().any(|kind| name.ends_with(kind))), "{found:?}");
    log_in_to_the_console(&host);
    host.audited("login.denied", |it| it["service"] == "cockpit" && it["user"] == "alice");
    let _ = host.grant("alice --for 1h --login");
    log_in_to_the_console(&host);
    host.audited("session.opened", |it| it["service"] == "cockpit" && it["user"] == "alice");
    // A login gives none of root.
    for tool in ["pkexec", "run0", "doas"] {
        let refused = with(&host, tool);
        assert!(!refused.contains("is-0-"), "{tool}: {refused}");
    }
    let denied = host.audit("--event sudo.denied --user alice");
    assert!(
        denied.iter().any(|it| it["service"] == "polkit-1") && denied.iter().any(|it| it["service"] == "doas"),
        "{denied:#?}"
    );
    // Nor does sudo for one command.
    let narrow = host.grant("alice --for 1h --sudo --command /usr/bin/whoami");
    let refused = with(&host, "pkexec");
    assert!(!refused.contains("is-0-"), "{refused}");
    host.ok(&format!("curfew revoke {}", narrow.id));
    let whole = host.grant("alice --for 1h --sudo");
    for tool in ["pkexec", "run0", "doas"] {
        let said = with(&host, tool);
        assert!(said.contains("is-0-"), "{tool}: {said}");
    }
    // It wants a parent of the host's own.
    assert_eq!(host.ok("pkexec id -u && true").trim(), "0", "root's own is not denied");
    host.ok(&format!("curfew revoke {}", whole.id));
    // What asks no PAM can only be told.
    host.ok("systemd-run --quiet --unit=dropbear /usr/sbin/dropbear -F -E -R -p 2222; sleep 1");
    assert!(text_of(&findings(&host), "fail login_servers").contains("an SSH server without PAM"));
    host.write("/etc/polkit-1/rules.d/10-devs.rules", "polkit.addRule(function(action, subject) {\n  if (subject.isInGroup(\"devs\")) return polkit.Result.YES;\n});\n");
    assert!(text_of(&findings(&host), "warn polkit").contains("10-devs.rules"));
}

/// Sends Cockpit alice's name and password. What it shows then takes a browser.
fn log_in_to_the_console(host: &Host) {
    let request = "printf 'GET /cockpit/login HTTP/1.1\\r\\nHost: localhost\\r\\nAuthorization: Basic %s\\r\\nConnection: close\\r\\n\\r\\n' \
                   \"$(printf alice:alice-pw | base64)\"";
    drop(host.run(&format!("exec 3<>/dev/tcp/127.0.0.1/9090; {request} >&3; timeout 10 cat <&3")));
}

/// What alice sees who becomes root with this program on a terminal, and proves who she is where she is asked.
fn with(host: &Host, tool: &str) -> String {
    let mut client = host.ssh_on_terminal("alice", &format!("{tool} sh -c 'echo is-$(id -u)-'"));
    // doas has nothing to ask alice; polkit has her say who she is.
    let said = wait_for("a question, or the end", Duration::from_secs(20), || {
        let said = client.stdout();
        (said.contains("authenticate as") || !client.is_alive()).then_some(said)
    });
    let number =
        said.lines().find(|line| line.trim_end().ends_with(" alice")).and_then(|line| line.trim().split('.').next());
    if let Some(number) = number.map(str::to_owned) {
        client.send(&format!("{number}\n"));
        wait_for("a password, or the end", Duration::from_secs(20), || {
            (client.stdout().contains("assword") || !client.is_alive()).then_some(())
        });
        client.send("alice-pw\n");
    }
    wait_for("the end", Duration::from_secs(20), || (!client.is_alive()).then_some(()));
    let finished = client.finish(Duration::from_secs(5));
    finished.stdout + &finished.stderr
}
