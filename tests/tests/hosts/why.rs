//! Nobody wonders why: what people see who are denied or cut off, and what the audit says of it.

use std::time::Duration;

use serde_json::Value;

use curfew_tests::{Host, Output, Release, SOON, assert_refused, wait_for};

on_each_release! {
    sudo_and_su_without_a_grant_are_denied_at_once_with_the_reason_and_without_a_prompt,
    with_n_sudo_says_why_and_is_audited_like_any_other,
    exempt_users_and_root_are_not_held_up_before_the_password,
}

on_every_release! {
    with_the_agent_dead_a_grantee_hears_so_before_a_password_and_exempt_users_pass,
    what_only_observes_denies_nobody_before_the_password,
    a_revocation_is_told_once_on_the_terminal_before_the_end_strikes,
    an_end_that_is_foreseen_is_told_once_on_the_terminal_under_sudo_too,
    a_revocation_of_sudo_alone_is_told_and_leaves_the_shell,
    what_curfew_hung_up_is_terminated_and_never_closed,
    what_another_rule_permits_is_credited_to_no_grant,
    what_a_grant_gives_as_one_user_it_gives_as_no_other,
    long_arguments_hide_nothing,
    enabling_is_one_record_of_the_trial_and_no_login_of_anybody,
    an_older_wiring_is_told_and_enabling_rewrites_it,
    a_terminal_that_takes_nothing_delays_no_end,
}

on_classic_sudo! {
    sudo_for_what_no_grant_covers_is_told_before_the_password_and_audited_when_sudo_denies_it,
}

on_two_releases! {
    su_that_is_asked_about_twice_is_audited_once,
}

on_one_release! {
    a_local_grant_is_told_once_when_it_is_made,
    a_grant_whose_account_changed_is_shown_as_such,
    a_process_that_lies_about_its_name_is_named_with_its_file,
}

/// `script` as somebody, on a terminal of its own, where nobody types anything.
fn on_terminal(host: &Host, user: &str, script: &str) -> Output {
    host.run_as(user, &format!("script --quiet --return --command '{script}' /dev/null </dev/null 2>&1"))
}

/// The denials of somebody's sudo and su.
fn denials(host: &Host, user: &str) -> Vec<Value> {
    host.audit(&format!("--event sudo.denied --user {user}"))
}

/// Denied by Curfew, with the reason, without a prompt, within a moment, and audited once.
fn is_denied_at_once(host: &Host, user: &str, script: &str, reason_code: &str) {
    let ways: [&dyn Fn() -> Output; 3] = [
        &|| host.run_as(user, &format!("{script} </dev/null")),
        &|| host.run_as(user, &format!("echo wrong | {}", script.replacen("sudo", "sudo -S", 1))),
        &|| on_terminal(host, user, script),
    ];
    for way in ways {
        let before = denials(host, user).len();
        let denied = way();
        let said = format!("{}{}", denied.stdout, denied.stderr);
        assert!(!denied.success() && said.contains("Curfew: "), "{script}: {denied:#?}");
        assert!(!said.contains("assword for") && !said.contains("assword:"), "{script} asked: {denied:#?}");
        assert!(!said.contains("try again"), "{script} asked again: {denied:#?}");
        let after = denials(host, user);
        assert_eq!(after.len(), before + 1, "{script}: {after:#?}");
        let record = &after[before];
        assert_eq!((&record["reason_code"], &record["user"]), (&reason_code.into(), &user.into()), "{record}");
        let command = record["command"].as_str().unwrap_or_default();
        assert!(command.contains(script.split(' ').next().unwrap_or_default()), "{record}");
    }
}

fn sudo_and_su_without_a_grant_are_denied_at_once_with_the_reason_and_without_a_prompt(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    host.ok(
        "echo 'bob ALL=(ALL:ALL) ALL' > /etc/sudoers.d/own; chmod 440 /etc/sudoers.d/own; echo root:root-pw | chpasswd",
    );
    // Whoever has a rule of the host's own that wants a password.
    for form in ["sudo id", "sudo -i", "sudo -s", "sudo -u carol id", "sudo -l", "sudo -v", "sudo -k id"] {
        is_denied_at_once(&host, "bob", form, "no_grant");
    }
    if release.has_sudo_rs() {
        // It looks for a rule before it asks PAM, and where there is none it asks nobody and logs nothing.
        let denied = on_terminal(&host, "alice", "sudo id");
        assert!(!denied.success() && !denied.stdout.contains("assword"), "{denied:#?}");
    } else {
        for form in ["sudo id", "sudo -i", "sudo -u carol id", "sudo -l", "sudo -e /etc/shadow"] {
            is_denied_at_once(&host, "alice", form, "no_grant");
        }
    }
    for form in ["su -c id", "su - -c id", "su carol -c id", "su -l ops -c id"] {
        is_denied_at_once(&host, "alice", form, "no_grant");
    }
    assert!(host.audit("--event sudo.permitted").is_empty());
    // Nothing was opened by that.
    let grant = host.grant("bob --for 60s --sudo --command ALL");
    host.drop_in();
    assert_eq!(host.run_as("bob", "echo bob-pw | sudo -S -p '' id -u").expect_ok("granted"), "0");
    host.ok(&format!("curfew revoke {}", grant.id));
    is_denied_at_once(&host, "bob", "sudo id", "revoked");
}

fn with_n_sudo_says_why_and_is_audited_like_any_other(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    host.ok("echo 'bob ALL=(ALL:ALL) ALL' > /etc/sudoers.d/own; chmod 440 /etc/sudoers.d/own");
    let file = "/run/curfew/sudoers.d/curfew+noninteractive";
    // sudo-rs asks PAM under -n, too, and takes no such setting.
    if release.has_sudo_rs() {
        assert!(!host.has(file));
    } else {
        wait_for("what sudo is told", SOON, || host.has(file).then_some(()));
        for form in ["sudo -n id", "sudo -n -i", "sudo -n -l", "sudo -n -u carol id"] {
            is_denied_at_once(&host, "alice", form, "no_grant");
        }
    }
    for form in ["sudo -n id", "sudo -n -i", "sudo -n -u carol id"] {
        is_denied_at_once(&host, "bob", form, "no_grant");
    }
    // Whoever is exempt has what they had.
    let exempt = host.run_as("ops", "sudo -n id");
    assert!(
        !exempt.success() && exempt.stderr.contains("required") && !exempt.stderr.contains("Curfew"),
        "{exempt:#?}"
    );
    let asked =
        host.journal("_COMM=sudo").iter().any(|entry| entry["MESSAGE"].to_string().contains("conversation failed"));
    assert!(release.has_sudo_rs() || !asked, "somebody else than those who would be denied was asked");
    // Whoever has a grant has what it gives; with its end, they are denied like any other.
    let grant = host.grant("alice --for 60s --sudo --command /usr/bin/id");
    host.drop_in();
    assert_eq!(host.run_as("alice", "sudo -n id -u").expect_ok("granted"), "0");
    if !release.has_sudo_rs() {
        host.ok(&format!("curfew revoke {}", grant.id));
        is_denied_at_once(&host, "alice", "sudo -n id", "revoked");
        // Somebody more is exempt.
        host.ok("echo carol >> /etc/curfew/exempt; systemctl reload curfewd");
        wait_for("carol to be left alone", SOON, || host.ok(&format!("cat {file}")).contains("!carol").then_some(()));
        host.ok("curfew enable --mode observe");
        wait_for("nothing to be told", SOON, || (!host.has(file)).then_some(()));
    }
}

fn exempt_users_and_root_are_not_held_up_before_the_password(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    let works = |when: &str| {
        for (user, script) in [
            ("ops", "echo ops-pw | sudo -k -S -p '' id -un"),
            ("ops", "echo root-pw | su -c 'id -un'"),
            ("root", "sudo id -un"),
            ("root", "su -c 'id -un'"),
            ("root", "su - -c 'id -un'"),
        ] {
            let output = host.run_as(user, script);
            assert!(output.success() && output.stdout.contains("root"), "{when}, {user}, {script}: {output:#?}");
            assert!(!output.stderr.contains("Curfew"), "{when}, {user}, {script}: {output:#?}");
        }
    };
    host.ok("echo root:root-pw | chpasswd");
    works("with the agent alive");
    host.stop_agent();
    works("with the agent stopped");
    host.start_agent();
    host.ok("systemctl kill --kill-whom=main --signal=STOP curfewd");
    works("with the agent hung");
    host.ok("systemctl kill --kill-whom=main --signal=CONT curfewd");
    // Each use is one record, and the question before the password is none.
    host.run_as("ops", "echo ops-pw | sudo -k -S -p '' true").expect_ok("exempt");
    let used = || {
        let all = host.audit("--event exempt.used --user ops");
        all.into_iter().filter(|record| record["command"].to_string().contains("true")).count()
    };
    wait_for("one record", SOON, || (used() == 1).then_some(()));
}

fn with_the_agent_dead_a_grantee_hears_so_before_a_password_and_exempt_users_pass(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    host.ok("echo 'alice ALL=(ALL:ALL) ALL' > /etc/sudoers.d/own; chmod 440 /etc/sudoers.d/own");
    host.stop_agent();
    for script in ["sudo id", "su bob -c id"] {
        let denied = on_terminal(&host, "alice", script);
        assert!(!denied.success() && denied.stdout.contains("does not answer"), "{denied:#?}");
        assert!(!denied.stdout.contains("assword:"), "{script} asked for a password: {denied:#?}");
        assert!(denied.took < Duration::from_secs(4), "{denied:#?}");
    }
    let logged = host.journal("SYSLOG_IDENTIFIER=pam_curfew");
    assert!(logged.iter().any(|entry| entry["MESSAGE"].to_string().contains("agent_unavailable")), "{logged:#?}");
    assert!(host.run_as("ops", "echo ops-pw | sudo -k -S -p '' id -un").expect_ok("exempt").contains("root"));
}

fn what_only_observes_denies_nobody_before_the_password(release: Release) {
    let host = Host::builder(release).config("mode = \"observe\"").boot();
    host.ok("echo 'alice ALL=(ALL:ALL) ALL' > /etc/sudoers.d/own; chmod 440 /etc/sudoers.d/own");
    let sudo = "echo alice-pw | sudo -k -S -p '' id -un";
    assert!(host.run_as("alice", sudo).expect_ok("observed").contains("root"));
    let observed = denials(&host, "alice");
    assert_eq!(observed.len(), 1, "{observed:#?}");
    assert_eq!(observed[0]["outcome"], "would_deny");
    // A dead one that observed refuses nobody, either.
    host.stop_agent();
    assert!(host.run_as("alice", sudo).expect_ok("observed").contains("root"));
}

fn a_revocation_is_told_once_on_the_terminal_before_the_end_strikes(release: Release) {
    let host = Host::boot(release);
    let grant = host.grant("alice --for 600s --login --sudo --command ALL");
    host.drop_in();
    let plain = host.login("alice");
    let mut root = host.login("alice");
    root.become_root();
    let before = [plain.screen().len(), root.screen().len()];
    host.ok(&format!("curfew revoke {} --reason 'no longer needed'", grant.id));
    for (shell, before) in [plain, root].into_iter().zip(before) {
        let seen = shell.finish(SOON).stdout;
        let seen = &seen[before..];
        assert_eq!(seen.matches("Curfew: ").count(), 1, "{seen}");
        assert!(seen.contains(&format!("grant {} was revoked", grant.id)), "{seen}");
        assert!(seen.contains("your access to"), "{seen}");
    }
    let ended = host.audited("session.terminated", |record| record["user"] == "alice");
    assert!(ended["reason_code"] == "revoked" && ended["survivors"] == "0", "{ended}");
    assert!(ended["latency_ms"].as_u64().is_some_and(|ms| ms < 1000), "{ended}");
    assert!(host.session_processes("alice").is_empty());
}

fn an_end_that_is_foreseen_is_told_once_on_the_terminal_under_sudo_too(release: Release) {
    for grace in ["0s", "2s"] {
        let host = Host::builder(release).config(&format!("warn_before = [\"4s\"]\ngrace = \"{grace}\"")).boot();
        let grant = host.grant("alice --for 20s --login --sudo --command ALL");
        host.drop_in();
        let plain = host.login("alice");
        let mut root = host.login("alice");
        root.become_root();
        root.type_text("trap '' HUP TERM\n");
        let before = [plain.screen().len(), root.screen().len()];
        for (shell, before) in [plain, root].into_iter().zip(before) {
            let seen = shell.finish(Duration::from_secs(30)).stdout;
            let seen = &seen[before..];
            // One warning, and the last words.
            assert_eq!(seen.matches("Save your work").count(), 1, "grace {grace}: {seen}");
            assert_eq!(seen.matches(&format!("grant {} expires", grant.id)).count(), 1, "grace {grace}: {seen}");
            assert_eq!(seen.matches("Curfew: ").count(), 2, "grace {grace}: {seen}");
        }
        let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
        assert!(gone <= 250, "grace {grace}: {gone} ms after the end");
    }
}

fn a_revocation_of_sudo_alone_is_told_and_leaves_the_shell(release: Release) {
    let host = Host::boot(release);
    let _login = host.grant("alice --for 600s --login");
    let grant = host.grant("alice --for 600s --sudo --command ALL");
    host.drop_in();
    let mut shell = host.login("alice");
    shell.become_root();
    let before = shell.screen().len();
    host.ok(&format!("curfew revoke {}", grant.id));
    wait_for("the words", SOON, || shell.screen()[before..].contains("was revoked").then_some(()));
    host.audited("sudo.terminated", |record| record["user"] == "alice" && record["survivors"] == "0");
    let seen = shell.screen()[before..].to_owned();
    assert_eq!(seen.matches("Curfew: your sudo on").count(), 1, "{seen}");
    assert_eq!(seen.matches("Curfew: ").count(), 1, "{seen}");
    assert!(shell.is_alive());
}

fn what_curfew_hung_up_is_terminated_and_never_closed(release: Release) {
    let host = Host::builder(release).config("warn_before = []\ngrace = \"3s\"").boot();
    let grant = host.grant("alice --for 9s --login --sudo --command ALL");
    host.drop_in();
    let idle = host.login("alice");
    let mut root = host.login("alice");
    root.become_root();
    // Whoever leaves before that ends by themselves.
    let mut leaves = host.login("alice");
    leaves.type_text("exit\n");
    let closed = host.audited("session.closed", |record| record["user"] == "alice");
    for shell in [idle, root] {
        drop(shell.finish(Duration::from_secs(15)));
    }
    grant.wait_end();
    // Their service manager has a record of its own.
    let ended = || {
        let all = host.audit("--event session.terminated --user alice");
        all.into_iter().filter(|record| record["service"] == "sshd").collect::<Vec<_>>()
    };
    wait_for("both", SOON, || (ended().len() >= 2).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    let (ended, closes) = (ended(), host.audit("--event session.closed --user alice"));
    assert_eq!(closes, [closed], "{closes:#?}");
    assert_eq!(ended.len(), 2, "{ended:#?}");
    for record in &ended {
        assert!(record["killed"].to_string().contains("bash(/usr/bin/bash)"), "{record}");
        assert!(record["reason_code"] == "ended" && record["survivors"] == "0", "{record}");
    }
    let sudo = host.audit("--event sudo.terminated --user alice");
    assert_eq!(sudo.len(), 1, "{sudo:#?}");
    assert!(sudo[0]["killed"].to_string().contains("bash(/usr/bin/bash)"), "{sudo:#?}");
}

fn what_another_rule_permits_is_credited_to_no_grant(release: Release) {
    let host = Host::boot(release);
    let grant = host.grant("dave --for 60s --sudo --command /usr/bin/whoami");
    host.drop_in();
    // dave has a rule of the host's own for /usr/bin/id.
    for script in ["sudo -n /usr/bin/id -u", "sudo -n whoami", "sudo -n /usr/bin/whoami"] {
        host.run_as("dave", script).expect_ok(script);
    }
    let permitted = host.audit("--event sudo.permitted --user dave");
    let by = |script: &str| permitted.iter().find(|record| record["command"] == script).expect("a record");
    let other = by("sudo -n /usr/bin/id -u");
    assert!(other["grant"].is_null() && other["reason"].to_string().contains("other sudo rules"), "{other}");
    assert!(!other["message"].to_string().contains("permitted"), "nobody knows that yet: {other}");
    for script in ["sudo -n whoami", "sudo -n /usr/bin/whoami"] {
        assert_eq!(by(script)["grant"], grant.id.as_str(), "{permitted:#?}");
    }
    assert_eq!(permitted.len(), 3);
}

fn what_a_grant_gives_as_one_user_it_gives_as_no_other(release: Release) {
    let host = Host::boot(release);
    let grant = host.grant("alice --for 60s --sudo --command ALL --run-as bob");
    let _daves = host.grant("dave --for 60s --sudo --command ALL --run-as bob");
    wait_for("both rules", SOON, || (host.drop_ins().len() == 2).then_some(()));
    // Whatever the user is called by, and whatever the program calls itself.
    for script in
        ["sudo -n -u bob /usr/bin/whoami", "bash -c \"exec -a 'sudo harmless' sudo -n -u '#1002' /usr/bin/whoami\""]
    {
        assert_eq!(host.run_as("alice", script).expect_ok(script), "bob");
    }
    let permitted = host.audit("--event sudo.permitted --user alice");
    let commands = ["sudo -n -u bob /usr/bin/whoami", "sudo -n -u #1002 /usr/bin/whoami"];
    assert_eq!(permitted.iter().map(|it| it["command"].as_str().unwrap_or_default()).collect::<Vec<_>>(), commands);
    for record in &permitted {
        assert!(record["grant"] == grant.id.as_str() && record["run_as"] == "bob", "{record}");
    }
    // dave has a rule of the host's own for /usr/bin/id, as root.
    host.run_as("dave", "sudo -n /usr/bin/id -u").expect_ok("the host's own rule");
    let own = host.audited("sudo.permitted", |record| record["user"] == "dave");
    assert!(own["grant"].is_null() && own["approved_by"].is_null(), "{own}");
}

fn long_arguments_hide_nothing(release: Release) {
    let host = Host::boot(release);
    let grant = host.grant("alice --for 60s --sudo --command /usr/bin/whoami");
    host.drop_in();
    let script = "sudo -n -p \"$(head -c 100000 /dev/zero | tr '\\0' a)\" /usr/bin/whoami";
    assert_eq!(host.run_as("alice", script).expect_ok("granted"), "root");
    let record = host.audited("sudo.permitted", |record| record["user"] == "alice");
    assert!(record["grant"] == grant.id.as_str() && record["program"] == "whoami", "{record}");
    let command = record["command"].as_str().unwrap_or_default();
    assert!(command.contains("… /usr/bin/whoami (shortened, ") && command.len() < 1100, "{record}");
    assert!(record["message"].to_string().contains("whoami"), "{record}");
}

fn sudo_for_what_no_grant_covers_is_told_before_the_password_and_audited_when_sudo_denies_it(release: Release) {
    let host = Host::boot(release);
    let _grant = host.grant("alice --for 120s --sudo --command /usr/bin/whoami");
    host.drop_in();
    let denied = on_terminal(&host, "alice", "sudo cat /etc/shadow");
    assert!(!denied.success() && denied.stdout.contains("none of your live grants covers this command"), "{denied:#?}");
    let record = host.audited("sudo.denied", |record| record["user"] == "alice");
    assert_eq!(record["reason_code"], "wrong_service", "{record}");
    assert!(record["command"].to_string().contains("/etc/shadow"), "{record}");
    // What is covered is asked for nothing, and what the host permits after a password is permitted.
    host.run_as("alice", "sudo whoami </dev/null").expect_ok("granted");
    host.ok("echo 'alice ALL=(ALL) /usr/bin/id' > /etc/sudoers.d/own; chmod 440 /etc/sudoers.d/own");
    let own = host.run_as("alice", "echo alice-pw | sudo -S -p '' id -u");
    assert!(own.stderr.contains("none of your live grants"), "{own:#?}");
    assert_eq!(own.expect_ok("the host's own rule"), "0");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(denials(&host, "alice").len(), 1, "what was permitted was no denial");
}

fn su_that_is_asked_about_twice_is_audited_once(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    assert!(host.ok("cat /etc/pam.d/su-l").contains("include"), "this host's su-l does not include su");
    let _grant = host.grant("alice --for 60s --sudo --command ALL --run-as bob");
    host.run_as("alice", "echo bob-pw | su -l bob -c true").expect_ok("granted");
    host.run_as("ops", "echo bob-pw | su - bob -c true").expect_ok("exempt");
    host.ok("su - bob -c true");
    assert_eq!(host.audit("--event sudo.permitted --user alice").len(), 1);
    assert_eq!(host.audit("--event exempt.used --user ops").len(), 1);
    let roots = host.audit("--event exempt.used --user root");
    let roots: Vec<_> = roots.iter().filter(|record| record["service"] == "su-l").collect();
    assert_eq!(roots.len(), 1, "{roots:#?}");
}

fn enabling_is_one_record_of_the_trial_and_no_login_of_anybody(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).not_enabled().boot();
    for _ in 0..2 {
        let before = host.audit("").len();
        host.ok("curfew enable");
        let records = host.audit("").split_off(before);
        let of = |event: &str| records.iter().filter(|record| record["event"] == event).count();
        assert_eq!(of("wiring.rehearsed"), 1, "{records:#?}");
        for event in ["login.denied", "login.permitted", "sudo.denied", "sudo.permitted", "exempt.used"] {
            assert_eq!(of(event), 0, "{event}: {records:#?}");
        }
        let tried = records.iter().find(|record| record["event"] == "wiring.rehearsed").expect("a record");
        assert!(tried["outcome"] == "passed" && tried["user"] == "ops root nobody", "{tried}");
        assert!(tried["service"].to_string().contains("sshd") && tried["reason"].is_null(), "{tried}");
    }
    // Somebody who says that they are a rehearsal is audited all the same.
    host.ok("cp /usr/bin/curfew /root/other && chmod 755 /root/other");
    let _ = host.run("/root/other rehearse sshd login nobody");
    host.audited("login.denied", |record| record["user"] == "nobody" && record["tty"] == "curfew-enable");
}

fn an_older_wiring_is_told_and_enabling_rewrites_it(release: Release) {
    let host = Host::builder(release).not_enabled().boot();
    let plain = host.wiring();
    host.ok("curfew enable");
    let wired = host.wiring();
    let auth = host.ok("grep -h '^auth .*pam_curfew' /etc/pam.d/sudo");
    assert!(auth.contains("=die"), "{auth}");
    // The first of all rules that may ask for something.
    let first = host.ok("grep -hE '^-?auth|common-auth' /etc/pam.d/sudo | head -n 1");
    assert_eq!(first, auth);
    assert!(host.run("curfew doctor").success());
    // The version before this one wrote no such line, nor the block that it is in.
    host.ok("for file in sudo sudo-i su su-l; do [ ! -e /etc/pam.d/$file ] || sed -i -z \
             's/# curfew begin:[^\\n]*\\nauth[^\\n]*pam_curfew[^\\n]*\\n# curfew end\\n//' /etc/pam.d/$file; done; \
             ! grep -r '^auth .*pam_curfew' /etc/pam.d");
    let doctor = host.run("curfew doctor");
    assert!(doctor.success() && doctor.stdout.contains("warn  auth_rules"), "{doctor:#?}");
    assert!(doctor.stdout.contains("/etc/pam.d/sudo: our auth line is missing"), "{doctor:#?}");
    host.ok("curfew enable");
    assert_eq!(host.wiring(), wired);
    assert!(!host.run("curfew doctor").stdout.contains("auth_rules"));
    host.ok("curfew disable");
    assert_eq!(host.wiring(), plain);
}

fn a_terminal_that_takes_nothing_delays_no_end(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 600s --login");
    let mut shell = host.login("alice");
    // Stopped and full: whoever writes there waits, unless they will not.
    shell.type_text("stty -F /dev/tty -ixany; (yes > /dev/tty &) ; kill -STOP $PPID\n");
    std::thread::sleep(Duration::from_secs(1));
    let begun = std::time::Instant::now();
    host.ok(&format!("curfew revoke {}", grant.id));
    wait_for("nothing of hers", SOON, || host.session_processes("alice").is_empty().then_some(()));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let ended = host.audited("session.terminated", |record| record["user"] == "alice");
    assert_eq!(ended["survivors"], "0", "{ended}");
}

fn a_local_grant_is_told_once_when_it_is_made(release: Release) {
    let host = Host::boot(release);
    let grant = host.grant("alice --for 60s --login");
    host.audited("grant.started", |record| record["grant"] == grant.id.as_str());
    let events: Vec<Value> =
        host.audit(&format!("--grant {}", grant.id)).iter().map(|it| it["event"].clone()).collect();
    assert_eq!(events, ["local.granted", "grant.started"]);
}

fn a_grant_whose_account_changed_is_shown_as_such(release: Release) {
    let host = Host::boot(release);
    let grant = host.grant("alice --for 300s --login");
    assert_eq!(host.status()["problems"].to_string(), "[]");
    let shown = |says: &str| {
        let status = wait_for("word of it", SOON, || {
            let status = host.status();
            status["grants"][0]["problem"].is_string().then_some(status)
        });
        assert!(status["grants"][0]["problem"].to_string().contains(says), "{status}");
        assert!(status["problems"].to_string().contains(&grant.id), "{status}");
        let text = host.ok("curfew status");
        assert!(text.contains("account changed") && text.contains("problem: grant"), "{text}");
    };
    host.ok("usermod -u 2001 alice");
    shown("2001");
    host.ok("userdel alice");
    shown("1001");
    host.ok(&format!("curfew revoke {}", grant.id));
    assert_eq!(host.status()["problems"].to_string(), "[]");
}

fn a_process_that_lies_about_its_name_is_named_with_its_file(release: Release) {
    let host = Host::boot(release);
    let grant = host.grant("alice --for 600s --login");
    let mut shell = host.login("alice");
    shell.type_text("perl -e '$0 = q(a:9 b:1); print qq(lies\\n); sleep 600'\n");
    shell.see("lies\r\n", SOON);
    host.ok(&format!("curfew revoke {}", grant.id));
    let ended = host.audited("session.terminated", |record| record["user"] == "alice");
    let killed = ended["killed"].as_str().unwrap_or_default();
    assert!(killed.contains("\"a:9 b:1\"(/usr/bin/perl):1"), "{killed}");
    assert_refused(&host.ssh("alice", "id"));
}
