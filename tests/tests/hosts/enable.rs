//! Putting Curfew in force without fear: what is shown first, what is tried, what goes back by itself.

use std::time::Duration;

use curfew_tests::{Host, Output, Release, SOON, assert_refused, wait_for};

on_each_release! {
    it_shows_what_it_will_do_tries_it_and_says_what_it_did,
}

on_every_release! {
    unconfirmed_it_is_undone_by_pid_1_with_the_agent_dead,
    only_a_login_that_began_afterwards_confirms_it,
    observing_first_and_back_to_it_when_enforcing_is_not_confirmed,
}

on_two_releases! {
    on_a_terminal_it_waits_to_be_confirmed_and_a_reboot_undoes_it,
    what_would_lock_people_out_is_found_before_or_taken_back,
    jobs_for_later_and_files_that_others_lock_do_not_keep_it_from_being_enabled,
    a_second_change_on_top_of_one_that_waits_is_undone_with_it,
    killed_on_its_way_it_is_undone_or_done,
    what_can_not_be_undone_at_once_is_undone_later,
    what_others_left_of_our_lines_does_not_keep_it_from_being_undone,
    a_service_whose_file_the_distribution_keeps_is_wired_and_given_back,
}

on_one_release! {
    a_trial_that_outlasts_the_wait_changes_nothing,
    a_second_change_that_goes_wrong_leaves_the_first_to_be_confirmed_as_before,
    an_observed_login_confirms_that_everybody_gets_in,
    where_nobody_might_get_in_it_wants_a_way_back,
}

fn installed(release: Release) -> Host {
    Host::builder(release).exempt(&["ops"]).not_enabled().boot()
}

fn it_shows_what_it_will_do_tries_it_and_says_what_it_did(release: Release) {
    let host = installed(release);
    let before = host.wiring();
    let shown = host.ok("curfew enable --dry-run");
    assert!(shown.contains("will wire /etc/pam.d/sshd") && shown.ends_with("Nothing was changed."), "{shown}");
    assert_eq!(host.wiring(), before);

    let said = host.ok("curfew enable");
    for part in ["will wire /etc/pam.d/sudo:", "wired /etc/pam.d/sshd", "Curfew is in force", "curfew disable"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // The host's own rule is standing access, and is told.
    assert!(said.contains("warn  sudo_rules") && said.contains("dave"), "{said}");
    // What was tried was real: the agent refused the stranger and let the exempt in.
    let tried = host.audited("wiring.rehearsed", |record| record["outcome"] == "passed");
    assert_eq!((&tried["user"], tried["service"].to_string().contains("sshd")), (&"ops root nobody".into(), true));
    assert_refused(&host.ssh("alice", "id"));
    assert_eq!(host.ssh("ops", "id -un").expect_ok("exempt"), "ops");

    let wired = host.audited("wiring.changed", |record| record["service"].is_string());
    assert_eq!(
        (wired["mode"].as_str(), wired["service"].as_str()),
        (Some("enforce"), Some("login sshd su su-l sudo sudo-i"))
    );
    assert_eq!((&wired["outcome"], &wired["actor"]), (&"enabled".into(), &"root".into()), "{wired}");

    let again = host.ok("curfew enable");
    assert!(again.contains("already so: /etc/pam.d/sshd") && !again.contains("will wire"), "{again}");
    host.ok("curfew disable --reason 'INC-9 nobody gets in'");
    assert_eq!(host.wiring(), before);
    let unwired = host.audited("wiring.changed", |record| record["service"].is_null());
    let message = "PAM does not ask Curfew any more: nobody is refused (disabled by root: INC-9 nobody gets in).";
    assert_eq!(unwired["message"], message);
    // Whoever changes the files by hand is nobody that Curfew knows.
    assert!(!host.has("/run/curfew/wiring-cause.json"));
    let json: serde_json::Value = serde_json::from_str(&host.ok("curfew enable --json")).expect("one JSON object");
    assert!(
        json["changed"].as_array().is_some_and(|files| files.iter().any(|file| file == "/etc/pam.d/sshd")),
        "{json}"
    );
    assert_eq!(json["mode"], "enforce");
    assert!(json["confirm_by"].is_null());
}

fn unconfirmed_it_is_undone_by_pid_1_with_the_agent_dead(release: Release) {
    let host = installed(release);
    let before = host.wiring();
    let mut bob = host.login("bob");
    host.ok("curfew enable --confirm 10s");
    assert_refused(&host.ssh("alice", "id"));
    assert!(host.status()["confirm_by"].is_string());
    assert!(host.ok("systemctl list-timers --all").contains("curfew-revert-"));
    host.ok("systemctl mask --now --runtime curfewd.service curfewd.socket");
    wait_for("everything as it was", SOON, || (host.wiring() == before).then_some(()));
    assert_eq!(host.ssh("alice", "id -un").expect_ok("undone"), "alice");
    assert!(bob.run("echo kept").contains("kept"));
    assert!(!host.has("/var/lib/curfew/unconfirmed"));
    host.ok(
        "systemctl unmask --runtime curfewd.service curfewd.socket && systemctl start curfewd.socket curfewd.service",
    );
    assert_eq!(host.status()["in_force"], false);
    let late = host.run("curfew confirm");
    assert!(!late.success() && late.stdout.contains("it was undone"), "{late:?}");
}

fn only_a_login_that_began_afterwards_confirms_it(release: Release) {
    let host = installed(release);
    let mut root = host.login("root");
    assert!(root.run("curfew enable --confirm 25s 2>&1").contains("NOT CONFIRMED"));
    let early = root.run("curfew confirm 2>&1; echo code $?");
    assert!(
        early.contains("of no login that PAM asked Curfew about after the change") && early.contains("code 1"),
        "{early}"
    );
    // Neither do a shell of that login's, a unit of PID 1's, and somebody who is not root.
    for way in ["setsid --wait bash -c 'curfew confirm'", "systemd-run --wait --pipe --quiet curfew confirm"] {
        let refused = root.run(&format!("{way} 2>&1; echo code $?"));
        assert!(refused.contains("of no login") && refused.contains("code 1"), "{way}: {refused}");
    }
    let ops = host.ssh("ops", "curfew confirm");
    assert!(!ops.success() && ops.stderr.contains("only root"), "{ops:?}");
    assert!(host.has("/var/lib/curfew/unconfirmed"));
    // Without an agent, nobody but the exempt would get in.
    host.stop_agent();
    assert!(!host.ssh("root", "curfew confirm").success());
    host.start_agent();

    assert_eq!(host.ssh("root", "curfew confirm").expect_ok("a new login"), "Confirmed: it stays.");
    let confirmed = host.audited("wiring.changed", |record| record["outcome"] == "confirmed");
    assert_eq!((&confirmed["actor"], &confirmed["mode"]), (&"root".into(), &"enforce".into()), "{confirmed}");
    assert!(host.ssh("root", "curfew confirm").expect_ok("again").contains("Nothing waits"));
    std::thread::sleep(Duration::from_secs(26));
    assert_refused(&host.ssh("alice", "id"));
    assert!(host.status()["confirm_by"].is_null());
    assert!(!host.ok("systemctl list-timers --all").contains("curfew-revert"));
}

fn observing_first_and_back_to_it_when_enforcing_is_not_confirmed(release: Release) {
    let host = installed(release);
    let shipped = host.ok("cat /etc/curfew/agent.toml");
    host.ok("curfew enable --mode observe");
    assert_eq!(host.status()["mode"], "observe");
    let told = host.audit("--event wiring.changed");
    assert!(!told.is_empty() && told.iter().all(|it| it["service"].is_string()), "it was not wired before: {told:#?}");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("observed"), "alice");
    let denied = host.audited("login.denied", |record| record["user"] == "alice");
    assert_eq!(denied["outcome"], "would_deny");
    let observing = (host.wiring(), host.ok("cat /etc/curfew/agent.toml"));
    assert!(observing.1.contains("\nmode = \"observe\"\n"));

    host.ok("curfew enable --mode enforce --confirm 10s");
    assert_refused(&host.ssh("alice", "id"));
    wait_for("observing again", SOON, || (host.status()["mode"] == "observe").then_some(()));
    let undone = host.audited("wiring.changed", |record| record["outcome"] == "undone");
    assert_eq!(
        (&undone["mode"], &undone["reason"]),
        (&"observe".into(), &"nobody confirmed it in time".into()),
        "{undone}"
    );
    assert_eq!((host.wiring(), host.ok("cat /etc/curfew/agent.toml")), observing);
    assert_eq!(host.ssh("alice", "id -un").expect_ok("observed"), "alice");

    host.ok("curfew enable --mode enforce");
    assert_refused(&host.ssh("alice", "id"));
    assert_eq!(host.ok("cat /etc/curfew/agent.toml"), shipped.replace("#mode = ", "mode = "));
}

fn on_a_terminal_it_waits_to_be_confirmed_and_a_reboot_undoes_it(release: Release) {
    let mut host = installed(release);
    let before = host.wiring();
    let said = host.ssh_on_terminal("root", "curfew enable").finish(Duration::from_secs(60));
    assert!(said.success() && said.stdout.contains("NOT CONFIRMED"), "{said:?}");
    let shown = host.ok("curfew status");
    assert!(shown.contains("NOT CONFIRMED") && shown.contains("in 4 min"), "{shown}");
    assert!(host.run("curfew doctor").stdout.contains("warn  confirmation"));
    assert_refused(&host.ssh("alice", "id"));
    host.reboot();
    assert_eq!(host.wiring(), before);
    assert_eq!(host.ssh("alice", "id -un").expect_ok("undone at boot"), "alice");
    assert_eq!(host.status()["in_force"], false);
    let undone = host.audited("wiring.changed", |record| record["service"].is_null());
    assert_eq!((&undone["outcome"], &undone["actor"]), (&"undone".into(), &serde_json::Value::Null), "{undone}");

    // Confirmed, it outlives a reboot.
    host.ok("curfew enable --confirm 1m");
    host.ssh("root", "curfew confirm").expect_ok("confirmed");
    host.reboot();
    assert_refused(&host.ssh("alice", "id"));
}

fn what_would_lock_people_out_is_found_before_or_taken_back(release: Release) {
    let host = installed(release);
    let module = host.ok("find /usr/lib -name pam_curfew.so");
    host.ok(&format!("cp {module} /root/module"));
    let before = host.wiring();
    // Each: what breaks the host, what is said, what mends it.
    for (breaks, says, mends) in [
        ("> /etc/curfew/exempt", "names no user of this host", "echo root > /etc/curfew/exempt"),
        ("chmod 666 /etc/curfew/exempt", "nobody is exempt", "chmod 644 /etc/curfew/exempt"),
        (&format!("rm {module}"), "not where PAM looks", &format!("cp /root/module {module}")),
        ("systemctl stop curfewd.socket curfewd", "agent", "systemctl start curfewd.socket curfewd"),
        ("echo 'UsePAM no' > /etc/ssh/sshd_config.d/a.conf", "does not ask PAM", "rm /etc/ssh/sshd_config.d/a.conf"),
        ("rmdir /run/sshd", "asks PAM can't be known", "mkdir /run/sshd"),
        // It is there, and can't be loaded: only PAM itself can tell.
        (
            &format!("cp --remove-destination /etc/hostname {module}"),
            "gets from our module alone",
            &format!("cp --remove-destination /root/module {module}"),
        ),
        // It answers nobody: what talks to it finds a socket that nobody serves.
        (
            "systemctl kill --kill-whom=main --signal=STOP curfewd",
            "agent",
            "systemctl kill --kill-whom=main --signal=CONT curfewd",
        ),
    ] {
        host.ok(breaks);
        let refused = host.run("curfew enable --confirm 1m");
        let said = format!("{}{}", refused.stdout, refused.stderr);
        assert!(!refused.success() && said.contains(says), "{breaks}: {said}");
        assert_eq!(host.wiring(), before, "{breaks}");
        assert!(!host.has("/var/lib/curfew/unconfirmed"), "{breaks}");
        host.ok(mends);
        assert_eq!(host.ssh("alice", "id -un").expect_ok("never in force"), "alice");
    }
    host.ok("curfew enable");
    assert_refused(&host.ssh("alice", "id"));
}

fn a_trial_that_outlasts_the_wait_changes_nothing(release: Release) {
    let host = installed(release);
    // A slow directory, say: root, the one who is exempt and the stranger take twelve seconds.
    host.ok("sed -i '1i account optional pam_exec.so quiet /bin/sleep 4' /etc/pam.d/sshd");
    let before = host.wiring();
    let late = host.run("curfew enable --confirm 10s");
    assert!(!late.success() && late.stderr.contains("wait for longer: --confirm 10m"), "{late:#?}");
    assert_eq!(host.wiring(), before);
    assert!(!host.has("/var/lib/curfew/unconfirmed"));
    host.ok("curfew enable --confirm 1m");
    assert_refused(&host.ssh("alice", "id"));
}

fn jobs_for_later_and_files_that_others_lock_do_not_keep_it_from_being_enabled(release: Release) {
    let services = "background_services = [\"cron\", \"atd\"]";
    let host = Host::builder(release).config(services).exempt(&["ops"]).not_enabled().boot();
    let before = host.wiring();
    host.ok("curfew enable --confirm 1m");
    // Whoever may read a file may lock it: nobody may read this one.
    let _lock = host.spawn("runuser --user alice -- flock /run/curfew/wiring.lock sleep 60");
    assert!(host.ssh("root", "curfew confirm").expect_ok("a new login").contains("Confirmed"));
    host.ok("curfew disable");
    assert_eq!(host.wiring(), before);
}

fn a_second_change_on_top_of_one_that_waits_is_undone_with_it(release: Release) {
    let host = installed(release);
    let before = (host.wiring(), host.ok("cat /etc/curfew/agent.toml"));
    host.ok("curfew enable --mode observe --confirm 40s && curfew enable --mode enforce");
    assert!(host.status()["confirm_by"].is_string(), "the first waits still");
    assert_refused(&host.ssh("alice", "id"));
    // Another change's timer that rings late does not end it before its time.
    host.ok("systemctl start curfew-revert.service");
    assert_refused(&host.ssh("alice", "id"));
    // A third that goes wrong is taken back, and what waited before waits on, and no longer.
    let until = host.status()["confirm_by"].clone();
    goes_wrong(&host, "curfew enable --mode observe --confirm 24h");
    assert_eq!(host.status()["confirm_by"], until);
    wait_for("everything as it was", Duration::from_secs(60), || {
        ((host.wiring(), host.ok("cat /etc/curfew/agent.toml")) == before).then_some(())
    });
    assert_eq!(host.ssh("alice", "id -un").expect_ok("undone"), "alice");
}

/// Runs an `enable` that finds out, while it tries, that our module can't be loaded.
fn goes_wrong(host: &Host, enable: &str) {
    let module = host.ok("find /usr/lib -name pam_curfew.so");
    host.ok(&format!("cp {module} /root/module && cp --remove-destination /etc/hostname {module}"));
    let failed = host.run(enable);
    host.ok(&format!("cp --remove-destination /root/module {module}"));
    assert!(!failed.success() && failed.stderr.contains("everything is as it was"), "{failed:#?}");
}

fn a_second_change_that_goes_wrong_leaves_the_first_to_be_confirmed_as_before(release: Release) {
    let host = installed(release);
    host.ok("curfew enable --confirm 2m");
    let until = host.status()["confirm_by"].clone();
    let mut root = host.login("root");
    for enable in ["curfew enable --mode observe --confirm 10s", "curfew enable --mode observe"] {
        goes_wrong(&host, enable);
        assert_eq!(host.status()["confirm_by"], until, "{enable}");
    }
    assert_eq!(host.status()["mode"], "enforce");
    assert!(root.run("curfew confirm").contains("Confirmed"));
    assert_refused(&host.ssh("alice", "id"));
    assert!(!host.ok("systemctl list-timers --all").contains("curfew-revert"));
}

/// As an administrator who is not exempt, over ssh and without a terminal.
fn as_admin(host: &Host, command: &str) -> Output {
    host.ssh("ops", &format!("echo ops-pw | sudo -S -p '' {command}"))
}

fn an_observed_login_confirms_that_everybody_gets_in(release: Release) {
    let host = Host::builder(release).not_enabled().boot();
    let said = as_admin(&host, "curfew enable --mode observe --confirm 2m").expect_ok("observing");
    assert!(said.contains("Curfew observes") && !said.contains("your next login"), "{said}");
    assert!(as_admin(&host, "curfew confirm").expect_ok("a new login").contains("Confirmed"));
    assert!(host.status()["confirm_by"].is_null());
}

fn where_nobody_might_get_in_it_wants_a_way_back(release: Release) {
    let host = Host::builder(release).not_enabled().boot();
    let before = host.wiring();
    let refused = as_admin(&host, "curfew enable");
    assert!(refused.status == 1 && refused.stderr.contains("you are ops"), "{refused:#?}");
    assert!(refused.stderr.contains("--confirm 5m"), "the next step is missing: {refused:#?}");
    assert_eq!(host.wiring(), before);
    // With a way back it is done. Neither their next login nor their next sudo gets in.
    let said = as_admin(&host, "curfew enable --confirm 30s").expect_ok("with a way back");
    assert!(said.contains("your next login and your next sudo need a grant"), "{said}");
    assert_refused(&as_admin(&host, "curfew confirm"));
    wait_for("everything as it was", SOON, || (host.wiring() == before).then_some(()));
    // The machine itself runs it, and root can't log in.
    host.ok("echo 'PermitRootLogin no' >/etc/ssh/sshd_config.d/a.conf");
    let refused = host.run("curfew enable");
    assert!(refused.status == 1 && refused.stderr.contains("sshd lets no root in"), "{refused:#?}");
    // Nor does somebody who is exempt and can't log in.
    host.ok("useradd --shell /usr/sbin/nologin erin && echo erin >>/etc/curfew/exempt");
    for (change, why) in [
        ("true", "the shell is /usr/sbin/nologin"),
        ("usermod --shell /bin/bash --expiredate 2020-01-01 erin", "the account has expired"),
        ("usermod --expiredate '' erin; echo 'AllowGroups ops' >>/etc/ssh/sshd_config.d/a.conf", "AllowGroups"),
    ] {
        host.ok(change);
        let refused = host.run("curfew enable");
        assert!(refused.status == 1 && refused.stderr.contains("erin can't log in"), "{change}: {refused:#?}");
        assert!(refused.stderr.contains(why), "{change}: {refused:#?}");
        assert!(host.run("curfew doctor").stdout.contains("Curfew never refuses"), "{change}");
    }
    host.ok("sed -i /AllowGroups/d /etc/ssh/sshd_config.d/a.conf && sed -i /erin/d /etc/curfew/exempt && userdel erin");
    assert_eq!(host.wiring(), before);
    host.ok("curfew enable --no-confirm");
    // Where it is in force, mending a door shuts nobody out who gets in now.
    host.ok("sed -i '/pam_curfew/d' /etc/pam.d/su && curfew enable && grep pam_curfew /etc/pam.d/su");
}

fn killed_on_its_way_it_is_undone_or_done(release: Release) {
    let host = installed(release);
    let before = host.wiring();
    for after in ["0.02", "0.1", "0.3", "0.6", "1", "1.4", "1.8", "2.5"] {
        host.ok(&format!("timeout --signal=KILL {after} curfew enable --confirm 10s >/dev/null 2>&1 || true"));
        assert_eq!(host.ssh("root", "id -un").expect_ok("root gets in all the while"), "root");
        wait_for("everything as it was", SOON, || {
            (host.wiring() == before && !host.has("/var/lib/curfew/unconfirmed")).then_some(())
        });
        assert_eq!(host.ssh("alice", "id -un").expect_ok("as before"), "alice");
    }
}

fn what_can_not_be_undone_at_once_is_undone_later(release: Release) {
    let host = installed(release);
    let before = host.wiring();
    host.ok("curfew enable --confirm 10s && mount --bind /etc/pam.d /etc/pam.d && mount -o remount,bind,ro /etc/pam.d");
    wait_for("a try that failed", SOON, || {
        host.ok("journalctl --unit=curfew-revert.service").contains("Read-only file system").then_some(())
    });
    assert!(host.has("/var/lib/curfew/unconfirmed"));
    host.ok("umount /etc/pam.d");
    wait_for("everything as it was", SOON, || (host.wiring() == before).then_some(()));
}

fn what_others_left_of_our_lines_does_not_keep_it_from_being_undone(release: Release) {
    let host = installed(release);
    host.ok(
        "ln -sf su /etc/pam.d/su-l && curfew enable && sed -i '/pam_curfew/d' /etc/pam.d/* && rm /etc/sudoers.d/curfew",
    );
    let before = host.wiring();
    assert_eq!(host.ssh("alice", "id -un").expect_ok("not wired"), "alice");
    host.ok("curfew enable --confirm 10s");
    assert_refused(&host.ssh("alice", "id"));
    wait_for("everything as it was", Duration::from_secs(30), || (host.wiring() == before).then_some(()));
    assert_eq!(host.ssh("alice", "id -un").expect_ok("undone"), "alice");
}

fn a_service_whose_file_the_distribution_keeps_is_wired_and_given_back(release: Release) {
    let host = installed(release);
    host.ok("mkdir -p /usr/lib/pam.d && mv /etc/pam.d/sshd /usr/lib/pam.d/sshd");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("PAM reads both folders"), "alice");
    let before = host.wiring();
    host.ok("curfew enable");
    assert_refused(&host.ssh("alice", "id"));
    assert!(host.run("curfew doctor").success());
    host.ok("curfew disable");
    assert_eq!(host.wiring(), before);
    assert_eq!(host.ssh("alice", "id -un").expect_ok("given back"), "alice");

    // Another file of the distribution's is copied anew, and does not stay behind.
    host.ok("curfew enable && echo '# newer' >>/usr/lib/pam.d/sshd");
    let doctor = host.run("curfew doctor").stdout;
    assert!(doctor.contains("/etc/pam.d/sshd is a copy, and the file in /usr/lib/pam.d has changed since"), "{doctor}");
    host.ok("curfew enable && grep newer /etc/pam.d/sshd");
    assert_refused(&host.ssh("alice", "id"));
    host.ok("sed -i '/newer/d' /usr/lib/pam.d/sshd && curfew disable");
    assert_eq!(host.wiring(), before);

    // One that locks people out is taken back, and what was wired before stays so.
    host.ok("curfew enable && cp /etc/pam.d/sshd /root/wired && sed -i '1i account required pam_missing.so' /usr/lib/pam.d/sshd");
    let said = host.run("curfew enable");
    assert!(!said.success() && said.stderr.contains("everything is as it was"), "{said:#?}");
    assert!(said.stdout.contains("will wire /etc/pam.d/sshd: copied from /usr/lib/pam.d"), "{said:#?}");
    host.ok("cmp /etc/pam.d/sshd /root/wired");
    assert_eq!(host.ssh("root", "id -un").expect_ok("taken back"), "root");
    assert_refused(&host.ssh("alice", "id"));

    // The only file of a service never goes.
    host.ok("mv /usr/lib/pam.d/sshd /root/sshd && curfew disable && sed -i '1d' /root/sshd && cmp /etc/pam.d/sshd /root/sshd");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("given back"), "alice");
    host.ok("mv /root/sshd /usr/lib/pam.d/sshd && rm /etc/pam.d/sshd");

    // What somebody changes in the copy is theirs, and stays.
    host.ok("curfew enable && echo '# theirs' >> /etc/pam.d/sshd && curfew disable");
    let kept = host.ok("cat /etc/pam.d/sshd");
    assert!(kept.ends_with("# theirs") && !kept.contains("curfew"), "{kept}");
}
