//! What a live grant opens, and nothing beside it.

use std::time::Duration;

use curfew_tests::{Host, Release, SOON, assert_refused, wait_for};

on_each_release! {
    sudo_runs_the_granted_commands_as_the_granted_users_and_no_others,
}

on_every_release! {
    a_live_grant_lets_its_user_in_and_the_audit_says_by_whose_leave,
    on_entry_a_line_says_how_long_by_which_grant_and_who_approved,
    a_grant_holds_for_its_sources_services_and_user_only,
    status_and_why_tell_what_holds_and_what_comes_next,
    status_and_why_are_true_before_curfew_is_enabled_and_after_it_is_disabled,
    of_two_overlapping_grants_the_first_to_end_changes_nothing,
}

fn a_live_grant_lets_its_user_in_and_the_audit_says_by_whose_leave(release: Release) {
    let host = Host::boot(release);
    let grant = host.grant("alice --for 60s --login --sudo --command /usr/bin/id --command '/usr/bin/cat /etc/shadow'");
    assert_eq!(grant.json["user"], "alice");
    assert_eq!(grant.json["reason"], "INC-1 disk full");
    assert_eq!(grant.json["sudo"]["commands"][0], "/usr/bin/id");

    assert_eq!(host.ssh("alice", "id -un").expect_ok("ssh"), "alice");
    assert_eq!(host.ssh_with_password("alice", "id -un").expect_ok("ssh with a password"), "alice");
    host.scp("alice", "/etc/hostname", "alice@127.0.0.1:in").expect_ok("scp");
    host.sftp("alice", "get in /tmp/out").expect_ok("sftp");
    assert_refused(&host.ssh("bob", "id"));

    let permitted = host.audited("login.permitted", |record| record["user"] == "alice");
    assert_eq!(permitted["grant"], grant.id.as_str());
    assert_eq!(permitted["approved_by"], grant.json["approved_by"], "{permitted}");
    let opened = host.audited("session.opened", |record| record["user"] == "alice");
    for (key, value) in
        [("grant", grant.id.as_str()), ("reason", "INC-1 disk full"), ("service", "sshd"), ("source", "local")]
    {
        assert_eq!(opened[key], value, "{opened}");
    }
    assert!(opened["not_after"].as_str().and_then(|end| end.parse().ok()) == Some(grant.not_after), "{opened}");
    host.audited("session.closed", |record| record["user"] == "alice");
}

fn on_entry_a_line_says_how_long_by_which_grant_and_who_approved(release: Release) {
    let host = Host::boot(release);
    let grant = host.grant("alice --for 40m --login");
    let shell = host.login("alice");
    let screen = shell.screen();
    let line =
        screen.lines().find(|line| line.contains(&grant.id)).unwrap_or_else(|| panic!("nothing on entry: {screen}"));
    assert!(line.contains("39 min") || line.contains("40 min") || line.contains("39m"), "no time left: {line}");
    assert!(line.contains("root"), "no approver: {line}");
}

fn sudo_runs_the_granted_commands_as_the_granted_users_and_no_others(release: Release) {
    let host = Host::boot(release);
    let grant = host.grant("alice --for 60s --login --sudo --command /usr/bin/id --command '/usr/bin/cat /etc/shadow'");
    host.drop_in();
    let mut shell = host.login("alice");
    assert!(shell.sudo("/usr/bin/id -u").contains("\n0"));
    assert!(shell.sudo("cat /etc/shadow").contains("root:"));
    for other in ["/usr/bin/cat /etc/gshadow", "/usr/bin/whoami", "-i", "-s", "-u bob /usr/bin/id -u", "-e /etc/shadow"]
    {
        let answer = shell.sudo(other);
        assert!(answer.contains("status:1"), "sudo {other}: {answer}");
    }
    let ran = host
        .audited("sudo.permitted", |record| record["command"].as_str().is_some_and(|it| it.contains("/etc/shadow")));
    assert_eq!(ran["grant"], grant.id.as_str());
    assert_eq!(ran["user"], "alice");
    assert_eq!(ran["run_as"], "root");
    assert_eq!(ran["approved_by"], grant.json["approved_by"]);

    let _carols = host.grant("carol --for 60s --login --sudo --command /usr/bin/id --run-as bob");
    let mut carol = host.login("carol");
    assert!(carol.sudo("-u bob /usr/bin/id -un").contains("bob"));
    assert!(carol.sudo("/usr/bin/id -un").contains("status:1"));
}

fn a_grant_holds_for_its_sources_services_and_user_only(release: Release) {
    let host = Host::boot(release);
    let _elsewhere = host.grant("alice --for 60s --login --from 10.0.0.0/8 --from 2001:db8::/32");
    let refusal = host.ssh("alice", "id");
    assert_refused(&refusal);
    host.audited("login.denied", |record| record["user"] == "alice" && record["reason_code"] == "wrong_source");
    let _here = host.grant("alice --for 60s --login --from 127.0.0.0/8");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("ssh"), "alice");

    // What would be another network, or nobody's, is no grant.
    for (arguments, says, status) in [
        ("--from 10.0.0.1/8", "10.0.0.0/8", 2),
        ("--for 100w", "366d", 2),
        ("--sudo --run-as nosuch", "no user nosuch", 1),
    ] {
        let length = if arguments.contains("--for") { "" } else { "--for 1h" };
        let refused = host.run(&format!("curfew grant alice {length} {arguments} --reason x"));
        assert!(refused.status == status && refused.stderr.contains(says), "{arguments}: {refused:#?}");
    }
    let twice = host.grant("alice --for 60s --sudo --command /usr/bin/id --run-as root --run-as root");
    assert_eq!(twice.json["sudo"]["run_as"].as_array().map(Vec::len), Some(1), "{}", twice.json);
    host.ok(&format!("curfew revoke {}", twice.id));

    // A sudo grant is no login, a login grant no sudo.
    let _sudo = host.grant("bob --for 60s --sudo --command ALL");
    assert_refused(&host.ssh("bob", "id"));
    assert!(!host.run_as("alice", "sudo -n id").success());

    let _dotted = host.grant("first.last --for 60s --login --sudo --command /usr/bin/id");
    let mut shell = host.login("first.last");
    wait_for("sudo for a name with a dot", SOON, || shell.sudo("/usr/bin/id -u").contains("\n0").then_some(()));
}

fn status_and_why_tell_what_holds_and_what_comes_next(release: Release) {
    let host = Host::boot(release);
    let denial = host.why("alice sshd --from 192.0.2.7");
    assert_eq!(denial["verdict"], "deny");
    assert_eq!(denial["reason_code"], "no_grant");
    let grant = host.grant("alice --for 60s --login");
    let permit = host.why("alice sshd");
    assert_eq!(permit["verdict"], "permit");
    assert_eq!(permit["grant"], grant.id.as_str());
    assert_eq!(permit["not_after"].as_str().and_then(|end| end.parse().ok()), Some(grant.not_after));
    assert_eq!(host.run("curfew why alice sshd").status, 0);
    assert_eq!(host.run("curfew why alice sudo").status, 1);
    assert_eq!(host.run("curfew why").status, 2);
    for (user, service) in [("root", "sudo"), ("ops", "sshd")] {
        let exempt = host.why(&format!("{user} {service}"));
        assert_eq!((&exempt["verdict"], &exempt["reason_code"]), (&"permit".into(), &"exempt".into()), "{exempt}");
    }
    let later = host.why(&format!("alice sshd --at {}", grant.not_after));
    assert_eq!(later["verdict"], "deny", "the end itself is no longer granted: {later}");

    let status = host.status();
    assert_eq!(status["mode"], "enforce");
    assert_eq!(status["host"], release.code_name());
    assert!(status["set"].is_null());
    assert_eq!(status["grants"][0]["id"], grant.id.as_str());
    assert_eq!(status["grants"][0]["state"], "live");
    assert_eq!(status["grants"][0]["source"], "local");
    assert_eq!(status["next_end"].as_str().and_then(|end| end.parse().ok()), Some(grant.not_after));

    // Each session says when it ends, and by which grant; an exempt user's never does.
    let (_alices, _ops) = (host.login("alice"), host.login("ops"));
    let sessions = wait_for("both sessions", SOON, || {
        let sessions = host.status()["sessions"].as_array().cloned().unwrap_or_default();
        (sessions.len() >= 2).then_some(sessions)
    });
    let of = |user: &str| sessions.iter().find(|it| it["user"] == user).cloned().expect(user);
    assert_eq!((&of("ops")["governed"], &of("ops")["exempt"]), (&false.into(), &true.into()), "{sessions:?}");
    assert_eq!((&of("alice")["governed"], &of("alice")["grant"]), (&true.into(), &grant.id.as_str().into()));
    assert_eq!(of("alice")["not_after"], status["next_end"]);
    let shown = host.ok("curfew status");
    assert!(shown.contains("never (exempt)") && shown.contains(&format!("with grant {}", grant.id)), "{shown}");

    // People see their own, and ask about themselves.
    assert!(host.run_as("alice", "curfew status").expect_ok("status").contains(&grant.id));
    assert!(!host.run_as("bob", "curfew status --json").expect_ok("status").contains(&grant.id));
    assert_eq!(host.run_as("alice", "curfew why alice sshd").status, 0);
    assert!(!host.run_as("bob", "curfew why alice sshd").success());
    assert!(!host.run_as("alice", &format!("curfew revoke {}", grant.id)).success());
    let own = host.run_as("alice", "curfew grant alice --for 1h --sudo --command ALL --reason mine");
    assert!(!own.success() && own.stderr.contains("root"), "{own:#?}");
    assert_eq!(host.status()["grants"].as_array().map(Vec::len), Some(1));

    // Who is exempt can become root.
    let ops = host.run_as("ops", "curfew grant alice --for 1h --reason x");
    assert!(!ops.success() && ops.stderr.contains("sudo curfew"), "{ops:#?}");
    let exempt = host.run("curfew grant ops --for 1h --reason x");
    assert!(exempt.success() && exempt.stderr.contains("ops is exempt"), "{exempt:#?}");
}

fn of_two_overlapping_grants_the_first_to_end_changes_nothing(release: Release) {
    let host = Host::builder(release).config("grace = \"1s\"").boot();
    let first = host.grant("alice --for 5s --login --sudo --command /usr/bin/id");
    let second = host.grant("alice --for 60s --login --sudo --command /usr/bin/id");
    let mut shell = host.login("alice");
    let mut leaves = host.login("alice");
    let before = shell.sudo("/usr/bin/id -u");
    assert!(before.contains("\n0"), "{before}");
    shell.type_text("sleep 600 &\n");
    first.wait_end();
    host.audited("grant.ended", |record| record["grant"] == first.id.as_str() && record["end"] == "expired");
    std::thread::sleep(Duration::from_millis(500));
    assert!(shell.run("jobs").contains("Running"));
    assert!(shell.sudo("/usr/bin/id -u").contains("\n0"));
    assert_eq!(host.drop_ins().len(), 1);
    assert!(host.audit("--event session.terminated").is_empty());
    // The record of a close names the grant that covered it then.
    leaves.type_text("exit\n");
    let of_ssh = |record: &serde_json::Value| record["user"] == "alice" && record["service"] == "sshd";
    let closed = host.audited("session.closed", of_ssh);
    assert_eq!(closed["grant"], second.id.as_str(), "{closed}");

    // What still covered it is revoked: at once, without a grace.
    let now = jiff::Timestamp::now();
    host.ok(&format!("curfew revoke {} --reason over", second.id));
    let gone = host.gone_after(now, |host| host.session_processes("alice"));
    curfew_tests::report(&format!("{release}: a revocation killed its session {gone} ms after it was typed"));
    assert!(gone < 1000, "{gone} ms");
    let ended = host.audited("grant.ended", |record| record["grant"] == second.id.as_str());
    assert_eq!(ended["end"], "revoked");
    let terminated = host.audited("session.terminated", of_ssh);
    assert_eq!(terminated["grant"], second.id.as_str(), "{terminated}");
    assert_refused(&host.ssh("alice", "id"));
    assert!(host.drop_ins().is_empty());
}

fn status_and_why_are_true_before_curfew_is_enabled_and_after_it_is_disabled(release: Release) {
    let host = Host::boot(release);
    let text = |command: &str| host.run(command).stdout;
    let _narrow = host.grant("alice --for 1d --login --from 192.0.2.0/24 --sudo --command '/usr/bin/id -u'");
    let first = host.grant("alice --for 50s --login");
    let second = host.grant("alice --for 90m --login");
    // The first ends, and the second goes on with all that it gave.
    let status = host.status();
    assert_eq!(status["next_end"].as_str().and_then(|end| end.parse().ok()), Some(second.not_after), "{status:#}");
    let shown = text("curfew status");
    assert!(shown.contains("login from 192.0.2.0/24; sudo: /usr/bin/id -u") && shown.contains(&first.id), "{shown}");
    assert!(text("curfew why bob sshd").contains("Only a new grant changes that"));
    let of_nobody = text("curfew why nosuch sshd");
    assert!(of_nobody.contains("there is no user nosuch") && !of_nobody.contains("Only a new grant"), "{of_nobody}");
    assert!(
        text("curfew why alice sshd --at 1h").starts_with("permit")
            && text("curfew why alice sshd --at 2h").starts_with("deny")
    );
    // Where PAM leaves a command to sudo's other rules, that is said.
    let uncovered = text("curfew why alice sudo --command /usr/bin/whoami");
    assert!(uncovered.starts_with("deny") && uncovered.trim().ends_with("sudo -l -U alice"), "{uncovered}");
    assert_eq!(uncovered.lines().count(), 2, "{uncovered}");
    assert!(!text("curfew why bob sudo --command /usr/bin/whoami").contains("sudo -l"));
    // As whom is part of the question.
    let _bobs = host.grant("carol --for 1d --login --sudo --command ALL --run-as bob");
    let as_bob = text("curfew why carol sudo --run-as bob --command /usr/bin/whoami");
    assert!(as_bob.contains("sudo as bob"), "{as_bob}");
    assert!(as_bob.contains("covers it as bob"), "{as_bob}");
    let as_root = text("curfew why carol sudo");
    assert!(as_root.contains("wrong_service") && as_root.contains("does not cover that as root"), "{as_root}");
    assert!(
        text("curfew why alice su").contains("sudo")
            || text("curfew why dave sudo").contains("no live grant gives sudo")
    );
    // What means nothing is no question, and no denial either.
    for misused in [
        "alice sshd --from nonsense",
        "alice sudo --from 192.0.2.7",
        "alice sshd --command /usr/bin/id",
        "alice sshd --at nonsense",
        "alice sshd --at -2h",
        "alice nosuch",
        "'' sshd",
        "alice sudo --command ''",
        "alice sshd --run-as bob",
    ] {
        let output = host.run(&format!("curfew why {misused}"));
        assert!(output.status == 2 && output.stdout.is_empty() && !output.stderr.contains("parameter"), "{output:#?}");
    }

    // Of one line in another zone, all is in that zone.
    let why = text("TZ=Asia/Kolkata curfew why alice sshd --at 2026-01-01T00:00:00Z");
    assert!(why.contains("+05:30") && !why.contains("+00:00") && !why.contains("Z "), "{why}");
    let audit = text("TZ=Asia/Kolkata curfew audit --event local.granted");
    assert!(audit.contains("+05:30") && !audit.contains("00Z"), "{audit}");

    let error = host.run("curfew revoke nothing --json");
    let parsed: serde_json::Value = serde_json::from_str(&error.stderr).expect("an error is JSON, too");
    assert!(error.status == 1 && parsed["error"].is_string() && error.stdout.is_empty(), "{error:#?}");
    let misused = host.run("curfew grant --json");
    assert!(misused.status == 2 && serde_json::from_str::<serde_json::Value>(&misused.stderr).is_ok(), "{misused:#?}");

    // Its file was exchanged a moment ago: nobody is refused there.
    host.ok("cp /etc/pam.d/sshd /root/sshd && sed -i /pam_curfew/d /etc/pam.d/sshd");
    let why = text("curfew why bob sshd");
    assert!(why.starts_with("would deny") && why.contains("does not ask Curfew"), "{why}");
    host.ok("cp /root/sshd /etc/pam.d/sshd");

    host.ok("curfew enable --mode observe --no-confirm --unchecked");
    assert!(text("curfew status").contains("observing"), "{}", text("curfew status"));
    host.ok("curfew disable");
    wait_for("the agent's look", SOON, || (host.status()["wired"] == false).then_some(()));
    let shown = text("curfew status");
    assert!(!shown.contains("observing") && shown.contains("not enabled"), "{shown}");
    let why = text("curfew why bob sshd");
    assert!(why.starts_with("would deny (no_grant)") && why.contains("not enabled"), "{why}");
    assert_eq!(host.why("bob sshd")["enforced"], false);
    let why = text("curfew why alice sshd");
    assert!(why.starts_with("permit") && why.contains("not enabled") && !why.contains("Then it is denied"), "{why}");
    assert!(!shown.contains("next access ends"), "{shown}");
    let granted = host.run("curfew grant bob --for 1h --reason x");
    assert!(granted.success() && granted.stderr.contains("not enabled"), "{granted:#?}");
    let granted = text("curfew grant bob --for 1h --reason x --json");
    let granted: serde_json::Value = serde_json::from_str(&granted).expect("a grant is one JSON object");
    assert!(granted["id"].is_string() && granted["warnings"].to_string().contains("not enabled"), "{granted}");
    let services = text("curfew doctor --json");
    assert!(services.contains("PAM is to ask Curfew in") && !services.contains("PAM asks Curfew in"), "{services}");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("nobody is asked"), "bob");
}
