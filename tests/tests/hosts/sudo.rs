//! sudo and su in all their forms: who acts is judged, whatever the host's own rules, tickets and settings say.

use curfew_tests::{Host, Release, SOON, assert_refused, wait_for};

on_each_release! {
    root_running_sudo_or_su_is_never_blocked,
    every_form_of_su_needs_a_grant_that_covers_its_target,
    every_form_of_sudo_is_judged_under_the_hosts_own_rules_too,
    a_grant_of_everything_gives_its_users_and_no_group,
    with_targetpw_the_invoker_is_judged_and_not_root,
    a_cached_ticket_is_worth_nothing_after_the_end,
    a_grant_for_one_command_gives_neither_its_neighbours_nor_a_shell,
    other_peoples_sudo_prints_nothing_of_ours,
}

on_every_release! {
    whoever_one_has_become_is_judged_next,
}

// sudo-rs 0.2.5 has no sudoedit: `-e` is refused as not implemented before anybody is asked.
on_classic_sudo! {
    sudoedit_is_judged_as_any_sudo,
}

on_sudo_rs! {
    what_sudo_rs_would_read_as_another_user_gives_nothing_and_says_why,
}

/// Lets alice do everything by a rule of the host's own, and gives root a password.
const OWN_RULES: &str = "echo 'alice ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/own && chmod 440 /etc/sudoers.d/own && \
                         echo root:root-pw | chpasswd";

/// `script` as alice must print `expected`.
fn gives(host: &Host, script: &str, expected: &str) {
    let output = host.run_as("alice", script);
    assert!(output.success() && output.stdout.contains(expected), "{script}: {output:#?}");
}

/// `script` as alice must be refused, by Curfew, with the reason on standard error.
fn is_refused(host: &Host, script: &str) {
    let output = host.run_as("alice", script);
    assert!(!output.success() && output.stderr.contains("Curfew"), "{script}: {output:#?}");
}

fn root_running_sudo_or_su_is_never_blocked(release: Release) {
    let host = Host::boot(release);
    let works = |when: &str| {
        for script in [
            "sudo id -un",
            "sudo -n id -un",
            "sudo -i id -un",
            "sudo -u root id -un",
            "sudo -u alice sh -c 'echo root for $(id -un)'",
            "sudo -u alice -g bob sh -c 'echo root as $(id -gn)'",
            "sudo -l",
            "sudo -v && echo root",
            "su -c 'id -un'",
            "su - alice -c 'echo root for $(id -un)'",
            "su -l bob -c 'echo root for $(id -un)'",
        ] {
            let output = host.run(script);
            assert!(output.success() && output.stdout.contains("root"), "{when}, {script}: {output:#?}");
        }
    };
    works("with the agent alive");
    // A list without root is for root's logins: those need a grant then.
    host.ok("sed -i '/^root$/d' /etc/curfew/exempt");
    works("with root off the list");
    assert_refused(&host.ssh("root", "id"));
    host.audited("exempt.used", |record| record["user"] == "root" && record["service"] == "su-l");
    host.stop_agent();
    works("with the agent stopped");
    is_refused(&host, "echo bob-pw | su bob -c id");
}

fn every_form_of_su_needs_a_grant_that_covers_its_target(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    host.ok("echo root:root-pw | chpasswd");
    let forms = |user: &str| {
        [("", "-c"), ("-", "-c"), ("-l", "-c"), ("--login", "-c"), ("-m", "-c"), ("", "-s /bin/sh -c")]
            .map(|(login, command)| format!("echo {user}-pw | su {login} {user} {command} 'id -un'"))
    };
    // su makes everybody who is refused wait: not every form for everybody.
    let refused = |bobs: usize| {
        forms("bob").iter().take(bobs).for_each(|form| is_refused(&host, form));
        // ops is exempt, and root, too: that is theirs, and not alice's who knows their passwords.
        ["root", "ops"]
            .iter()
            .flat_map(|user| forms(user).into_iter().nth(2))
            .for_each(|form| is_refused(&host, &form));
    };
    refused(6);
    let denied = host.audited("sudo.denied", |record| record["service"] == "su-l" && record["run_as"] == "bob");
    assert_eq!(denied["user"], "alice");

    let grant = host.grant("alice --for 15s --sudo --command ALL --run-as root --run-as bob");
    for (form, user) in ["root", "bob"].iter().flat_map(|user| forms(user).map(|form| (form, user))) {
        gives(&host, &form, user);
    }
    is_refused(&host, &forms("ops")[2]);
    grant.wait_end();
    host.audited("grant.ended", |record| record["grant"] == grant.id.as_str());
    refused(3);
}

/// sudo as it is typed, and what it prints when it is permitted.
const FORMS: &[(&str, &str)] = &[
    ("sudo -n id -un", "root"),
    ("sudo -n -i id -un", "root"),
    ("sudo -n --login id -un", "root"),
    ("sudo -n -s id -un", "root"),
    ("sudo -n -u bob id -un", "bob"),
    ("sudo -n -u bob -i id -un", "bob"),
    ("sudo -n -u ops id -un", "ops"),
    ("sudo -n -u '#1002' id -un", "bob"),
    ("sudo -n -g bob id -gn", "bob"),
    ("sudo -n -u root -g bob id -gn", "bob"),
    ("sudo -n -k id -un", "root"),
];

/// What runs nothing. sudo-rs 0.2.5 does not ask PAM about the account then, and lists the host's own rules.
const LISTS: &[(&str, &str)] =
    &[("sudo -n -l", "may run the following"), ("sudo -n -l id", "/id"), ("sudo -n -v && echo renewed", "renewed")];

fn every_form_of_sudo_is_judged_under_the_hosts_own_rules_too(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    host.ok(OWN_RULES);
    let lists = if release.has_sudo_rs() { &[] } else { LISTS };
    let refused = || FORMS.iter().chain(lists).for_each(|(form, _)| is_refused(&host, form));
    refused();
    let grant = host.grant("alice --for 10s --sudo --command /usr/bin/id");
    FORMS.iter().chain(LISTS).for_each(|(form, expected)| gives(&host, form, expected));
    grant.wait_end();
    host.audited("grant.ended", |record| record["grant"] == grant.id.as_str());
    refused();
    for record in host.audit("--event sudo.denied") {
        assert_eq!(record["user"], "alice", "{record}");
    }
}

fn a_grant_of_everything_gives_its_users_and_no_group(release: Release) {
    let host = Host::boot(release);
    // Without a rule of the host's own, sudo itself refuses, or PAM does.
    let refused = |when: &str| {
        for (form, _) in FORMS.iter().chain(LISTS) {
            let output = host.run_as("alice", form);
            assert!(!output.success(), "{when}, {form}: {output:#?}");
        }
    };
    refused("before");
    let grant = host.grant("alice --for 60s --sudo --command ALL --run-as root --run-as bob");
    host.drop_in();
    for (form, expected) in FORMS.iter().chain(LISTS) {
        if form.contains("ops") || form.contains("-g") {
            assert!(!host.run_as("alice", form).success(), "{form} was not granted");
        } else {
            gives(&host, form, expected);
        }
    }
    gives(&host, "sudo -n -u bob -g bob id -un", "bob");
    host.ok(&format!("curfew revoke {}", grant.id));
    refused("after");
}

fn with_targetpw_the_invoker_is_judged_and_not_root(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("sudo_password = true").boot();
    host.ok("echo 'Defaults targetpw' > /etc/sudoers.d/target; echo 'alice ALL=(ALL) ALL' > /etc/sudoers.d/own; \
             chmod 440 /etc/sudoers.d/*; echo root:root-pw | chpasswd");
    let as_root = "echo root-pw | sudo -S -p '' id -un";
    let as_ops = "echo ops-pw | sudo -S -p '' -u ops id -un";
    is_refused(&host, as_root);
    is_refused(&host, as_ops);
    let denied = host.audited("sudo.denied", |record| record["service"] == "sudo");
    assert_eq!(denied["user"], "alice", "{denied}");
    let grant = host.grant("alice --for 60s --sudo --command /usr/bin/id");
    host.drop_in();
    gives(&host, as_root, "root");
    gives(&host, as_ops, "ops");
    assert!(!host.run_as("alice", "echo alice-pw | sudo -k -S -p '' id").success(), "the target's password was wanted");
    host.ok(&format!("curfew revoke {}", grant.id));
    is_refused(&host, as_root);
    assert!(host.audit("--event exempt.used").iter().all(|record| record["user"] != "root"));
}

fn a_cached_ticket_is_worth_nothing_after_the_end(release: Release) {
    let host = Host::builder(release).config("sudo_password = true\ngrace = \"0s\"").boot();
    host.ok("echo 'alice ALL=(ALL) ALL' > /etc/sudoers.d/own; chmod 440 /etc/sudoers.d/own");
    let _login = host.grant("alice --for 60s --login");
    let grant = host.grant("alice --for 5s --sudo --command ALL");
    host.drop_in();
    let mut shell = host.login("alice");
    assert!(shell.run("sudo -n id -u; echo \"status:$?\"").contains("status:1"), "a password was to be asked for");
    assert!(shell.sudo("id -u").contains("\n0"));
    assert!(shell.run("sudo -n id -u").contains("\n0"), "the ticket was to be cached");
    grant.wait_end();
    host.audited("grant.ended", |record| record["grant"] == grant.id.as_str());
    let lists: &[&str] = if release.has_sudo_rs() { &[] } else { &["-l", "-v"] };
    for form in ["id -u", "-i id -u", "-u bob id -u"].iter().chain(lists) {
        let answer = shell.run(&format!("sudo -n {form}; echo \"status:$?\""));
        assert!(answer.contains("status:1") && answer.contains("Curfew"), "sudo -n {form}: {answer}");
    }
    // With the password, too.
    for form in ["id -u", "-u bob id -u"].iter().chain(lists) {
        shell.run("sudo -K");
        let answer = shell.sudo(form);
        assert!(answer.contains("status:1") && answer.contains("Curfew"), "sudo {form} with the password: {answer}");
    }
    let _again = host.grant("alice --for 60s --sudo --command /usr/bin/id");
    host.drop_in();
    assert!(shell.sudo("id -u").contains("\n0"));
}

fn whoever_one_has_become_is_judged_next(release: Release) {
    let host = Host::boot(release);
    host.ok("echo 'bob ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/own; chmod 440 /etc/sudoers.d/own");
    let _alices = host.grant("alice --for 60s --sudo --command ALL --run-as bob");
    host.drop_in();
    gives(&host, "sudo -n -u bob id -un", "bob");
    let next = "sudo -n -u bob sudo -n id -un";
    is_refused(&host, next);
    let denied = host.audited("sudo.denied", |record| record["user"] == "bob");
    assert_eq!(denied["reason_code"], "no_grant");
    let _bobs = host.grant("bob --for 60s --sudo --command /usr/bin/id");
    gives(&host, next, "root");
}

fn a_grant_for_one_command_gives_neither_its_neighbours_nor_a_shell(release: Release) {
    let host = Host::boot(release);
    host.ok("install -m 755 /usr/bin/id /usr/bin/idle && ln -s id /usr/bin/identity && mkdir -p /tmp/x/usr/bin && \
             install -m 755 /usr/bin/id /tmp/x/usr/bin/id");
    let _grant = host.grant("alice --for 60s --sudo --command '/usr/bin/id -u' --command /usr/bin/whoami");
    host.drop_in();
    for (script, expected) in [("id -u", "0"), ("/usr/bin/id -u", "0"), ("/bin/id -u", "0"), ("whoami", "root")] {
        gives(&host, &format!("sudo -n {script}"), expected);
    }
    for script in [
        "sudo -n id",
        "sudo -n id -un",
        "sudo -n id -u root",
        "sudo -n id '-u root'",
        "sudo -n id -u ''",
        "sudo -n idle -u",
        "sudo -n identity -u",
        "sudo -n /tmp/x/usr/bin/id -u",
        "cd /tmp/x && sudo -n usr/bin/id -u",
        "sudo -n LD_PRELOAD=/tmp/x.so whoami",
        "sudo -n -u bob whoami",
        "sudo -n -g bob whoami",
        "sudo -n -i",
        "sudo -n -i whoami",
        "sudo -n -s whoami",
        "sudo -n sh -c whoami",
        "sudo -n -e /etc/shadow",
        "sudoedit -n /etc/shadow",
        "sudo -n -l cat /etc/shadow",
        "sudo -n -U root -l",
    ] {
        let output = host.run_as("alice", &format!("EDITOR=cat; {script} </dev/null"));
        assert!(!output.success(), "{script}: {output:#?}\n{}", host.drop_in());
    }
}

fn sudoedit_is_judged_as_any_sudo(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    host.ok(OWN_RULES);
    let forms =
        ["-n -e", "--non-interactive --edit"].map(|options| format!("SUDO_EDITOR=cat sudo {options} /etc/shadow"));
    let linked = "SUDO_EDITOR=cat sudoedit -n /etc/shadow".to_owned();
    let forms = [&forms[..], &[linked]].concat();
    forms.iter().for_each(|form| is_refused(&host, form));
    let grant = host.grant("alice --for 4s --sudo --command ALL");
    forms.iter().for_each(|form| gives(&host, form, "root:"));
    grant.wait_end();
    host.audited("grant.ended", |record| record["grant"] == grant.id.as_str());
    forms.iter().for_each(|form| is_refused(&host, form));
}

/// Those whom no grant concerns run sudo, and hear nothing but what they asked for.
fn assert_silent(host: &Host, when: &str) {
    for (user, script) in
        [("root", "sudo id -un"), ("dave", "sudo -n /usr/bin/id -un"), ("ops", "echo ops-pw | sudo -S -p '' id -un")]
    {
        let output = host.run_as(user, script);
        let said = output.stderr.trim();
        assert!(output.success() && output.stdout.trim() == "root", "{when}, {user}: {output:#?}");
        assert!(said.is_empty(), "{when}, {user}'s sudo said: {said}");
    }
}

fn other_peoples_sudo_prints_nothing_of_ours(release: Release) {
    let host = Host::builder(release).exempt(&["ops", "dave"]).config("grace = \"0s\"").boot();
    assert_silent(&host, "without a grant");
    let long = host.grant("alice --for 60s --sudo --command ALL --run-as root --run-as www-data");
    let _dotted = host.grant("first.last --for 60s --sudo --command /usr/bin/id --run-as first.last");
    let short = host.grant("alice --for 10s --sudo --command '/usr/bin/echo a=b,c:d'");
    wait_for("three drop-ins", SOON, || (host.drop_ins().len() == 3).then_some(()));
    assert_silent(&host, "while three grants are live");
    short.wait_end();
    wait_for("an end", SOON, || (host.drop_ins().len() == 2).then_some(()));
    assert_silent(&host, "after one ended");
    host.ok(&format!("curfew revoke {}", long.id));
    assert_silent(&host, "after one was revoked");
    host.stop_agent();
    assert_silent(&host, "with the agent stopped");
    host.start_agent();
    assert_silent(&host, "with the agent back");
    host.ok("rm -r /run/curfew/sudoers.d");
    wait_for("the folder", SOON, || (host.drop_ins().len() == 1).then_some(()));
    assert_eq!(host.ok("stat --format '%a %U:%G' /run/curfew/sudoers.d"), "750 root:root");
    assert_silent(&host, "after the folder was removed");
    host.ok("rm -r /run/curfew/sudoers.d; curfew disable");
    assert_silent(&host, "disabled");
    host.ok("curfew enable");
    assert_silent(&host, "enabled again");
    host.ok("dpkg --purge curfew");
    assert_silent(&host, "purged");
}

/// sudo-rs 0.2.5 reads `"root@corp.example"` as root, and its visudo has no objection.
fn what_sudo_rs_would_read_as_another_user_gives_nothing_and_says_why(release: Release) {
    let host = Host::boot(release);
    host.ok("for name in root@corp.example root+x _svc; do useradd --badname $name; done");
    for name in ["root@corp.example", "root+x", "_svc"] {
        let grant = host.grant(&format!("alice --for 60s --sudo --command ALL --run-as {name} --run-as bob"));
        let refused = host.audited("grant.refused", |record| record["grant"] == grant.id.as_str());
        assert!(
            refused["reason"].as_str().is_some_and(|why| why.contains("sudo-rs") && why.contains(name)),
            "{refused}"
        );
        assert!(host.drop_ins().is_empty());
        for form in ["sudo -n id", &format!("sudo -n -u {name} id"), "sudo -n -u bob id"] {
            assert!(!host.run_as("alice", form).success(), "{form}");
        }
        host.ok(&format!("curfew revoke {}", grant.id));
    }
    let _plain = host.grant("alice --for 60s --sudo --command ALL --run-as first.last --run-as bob");
    host.drop_in();
    gives(&host, "sudo -n -u first.last id -un", "first.last");
}
