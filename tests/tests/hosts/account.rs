//! A person is not a string: a grant is for the account that its user's name stood for, by whatever name people come, and for nobody who comes to the
//! name or the user id later.

use std::time::{Duration, Instant};

use curfew_tests::{Host, Release, SOON, assert_refused, wait_for};

on_every_release! {
    whoever_comes_to_the_user_id_of_a_grant_gets_nothing_of_it,
    a_sudo_that_read_rules_of_another_account_runs_nothing_by_them,
    a_person_has_their_grant_by_every_name_of_their_account,
    a_grant_for_the_account_of_before_ends_nothing_of_the_new_one,
}

on_two_releases! {
    a_grant_is_not_for_the_new_account_of_an_old_name,
    an_account_that_is_renamed_takes_no_grant_along,
    what_changed_while_the_agent_was_down_is_seen_before_anybody_is_let_in,
    the_end_for_one_name_of_a_user_id_leaves_the_other_alone,
    who_shares_a_user_id_with_an_exempt_user_is_not_exempt_and_ends_nobody,
    a_passwd_file_that_is_broken_for_a_moment_ends_nobody,
}

takes_long! {
    a_directory_that_hangs_ends_nobody_and_holds_up_nobody: bookworm Bookworm, trixie Trixie;
}

/// Deletes alice, and gives her user id to a new account, with keys for ssh.
const ALICES_ID_IS_EVES: &str = "userdel -rf alice; useradd -m -s /bin/bash -u 1001 eve && \
    cp /etc/curfew-tests/keys/bob /etc/curfew-tests/keys/eve && mkdir -m 700 /home/eve/.ssh && \
    cp /etc/curfew-tests/keys/bob.pub /home/eve/.ssh/authorized_keys && chown -R eve: /home/eve/.ssh";

/// A second name for the user id of `of`, with keys for ssh.
fn alias(host: &Host, name: &str, of: &str) {
    host.ok(&format!(
        "useradd -o -u $(id -u {of}) -g $(id -g {of}) -m -s /bin/bash {name} && mkdir -m 700 /home/{name}/.ssh && \
         cp /etc/curfew-tests/keys/{of} /etc/curfew-tests/keys/{name} && \
         cp /etc/curfew-tests/keys/{of}.pub /home/{name}/.ssh/authorized_keys && chown -R {name}: /home/{name}/.ssh"
    ));
}

/// Has the host ask a directory, too.
fn join_directory(host: &Host) {
    let folder = host.ok("dirname $(ls /usr/lib/*/libnss_files.so.2 | head -1)");
    host.compile("nss_corp.c", &format!("{}/libnss_corp.so.2", folder.trim()), &["-shared", "-fPIC"]);
    host.ok(
        "sed -i 's/^\\(passwd\\|shadow\\):.*/\\1: files corp/' /etc/nsswitch.conf && systemctl restart curfewd ssh",
    );
    for name in ["alice@corp.example", "'CORP\\alice'"] {
        host.ok(&format!(
            "getent passwd {name} | grep ^alice: && cp /etc/curfew-tests/keys/alice /etc/curfew-tests/keys/{name}"
        ));
    }
}

/// Waits until `id` has its sudo rules.
fn rules_of(host: &Host, id: &str) {
    wait_for("the sudo rules", SOON, || host.drop_ins().iter().any(|name| name == id).then_some(()));
}

fn gone(host: &Host, id: &str) {
    wait_for("the rules to go", SOON, || host.drop_ins().iter().all(|name| name != id).then_some(()));
}

fn whoever_comes_to_the_user_id_of_a_grant_gets_nothing_of_it(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    let alices = host.grant("alice --for 300s --login --sudo --command ALL");
    rules_of(&host, &alices.id);
    let mut alice = host.login("alice");
    host.ok(ALICES_ID_IS_EVES);
    // Not after a moment: at once.
    let output = host.run_as("eve", "sudo -n head -1 /etc/shadow");
    assert!(!output.success() && !output.stdout.contains("root:"), "{output:#?}");
    assert!(host.drop_ins().is_empty(), "{:?}", host.drop_ins());
    let eves = host.grant("eve --for 300s --login --sudo --command /usr/bin/id");
    rules_of(&host, &eves.id);
    let mut eve = host.login("eve");
    for _ in 0..2 {
        assert!(eve.run("sudo -n id -u").contains("\n0"), "{}", eve.screen());
        let refused = host.run_as("eve", "sudo -n head -1 /etc/shadow");
        assert!(!refused.success() && !refused.stdout.contains("root:"), "{refused:#?}");
        assert_eq!(host.drop_ins(), [eves.id.as_str()]);
        host.ok("systemctl restart curfewd");
    }
    // alice's account is gone, and what she had open with it.
    wait_for("the end of alice's session", SOON, || (!alice.is_alive()).then_some(()));
    assert!(eve.run("echo in").contains("in"), "eve is not alice");
    let changed = host.audited("account.changed", |record| record["grant"] == alices.id.as_str());
    assert!(changed["user"] == "alice" && changed["reason"].to_string().contains("1001"), "{changed}");
    let removed = host.audited("sudoers.removed", |record| record["grant"] == alices.id.as_str());
    assert!(
        removed["reason"].to_string().contains("alice") && removed["seq"].as_u64() < changed["seq"].as_u64(),
        "{removed} {changed}"
    );
    // The end of alice's grant is not eve's.
    host.ok(&format!("curfew revoke {}", alices.id));
    std::thread::sleep(Duration::from_secs(3));
    assert!(eve.run("sudo -n id -u").contains("\n0"), "{}", eve.screen());
    host.audit_is_whole();
}

fn a_grant_for_the_account_of_before_ends_nothing_of_the_new_one(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    // By a rule of the host's own: what no grant covers goes on while all of the person's do.
    host.ok("echo 'alice ALL=(www-data) NOPASSWD: ALL' >/etc/sudoers.d/own");
    let before = host.grant("alice --for 300s --login --sudo --command /usr/bin/id");
    rules_of(&host, &before.id);
    host.ok("usermod -u 1051 alice");
    gone(&host, &before.id);
    let now = host.grant("alice --for 300s --login --sudo --command /usr/bin/id");
    rules_of(&host, &now.id);
    host.run_as("alice", "sudo -n -u www-data sleep 3").expect_ok("a run that no grant covers");
    host.ok(&format!("curfew revoke {}", now.id));
    assert!(!host.run_as("alice", "sudo -n -u www-data sleep 3").success());
}

fn a_sudo_that_read_rules_of_another_account_runs_nothing_by_them(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    // sudo has read its rules when PAM comes to the account. What PAM starts there is whoever invoked it.
    host.ok("printf '#!/bin/sh\\n[ -e /run/held ] || exit 0\\ntouch /run/at/held; while [ -e /run/held ]; do sleep 0.02; done\\n' \
             >/usr/local/bin/hold && chmod 755 /usr/local/bin/hold && mkdir -m 777 /run/at && \
             sed -i '1i account required pam_exec.so quiet /usr/local/bin/hold' /etc/pam.d/sudo");
    let alices = host.grant("alice --for 300s --sudo --command ALL");
    rules_of(&host, &alices.id);
    host.ok("touch /run/held");
    let mut sudo = host.spawn("exec setpriv --reuid 1001 --regid 1001 --clear-groups sudo -n head -1 /etc/shadow");
    wait_for("sudo to ask PAM", SOON, || host.has("/run/at/held").then_some(()));
    host.ok(ALICES_ID_IS_EVES);
    let eves = host.grant("eve --for 300s --sudo --command /usr/bin/id");
    rules_of(&host, &eves.id);
    host.ok("rm /run/held");
    sudo.close_input();
    let output = sudo.finish(SOON);
    assert!(!output.success() && !output.stdout.contains("root:"), "{output:#?}");
    assert!(host.run_as("eve", "sudo -n id -u").success());
    // The same where her own other grant ended meanwhile.
    let more = host.grant("eve --for 300s --sudo --command ALL");
    rules_of(&host, &more.id);
    host.ok("rm -f /run/at/held; touch /run/held");
    let mut sudo = host.spawn("exec runuser -u eve -- sudo -n head -1 /etc/shadow");
    let mut covered = host.spawn("exec runuser -u eve -- sudo -n /usr/bin/id -u");
    wait_for("sudo to ask PAM", SOON, || host.has("/run/at/held").then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    host.ok(&format!("curfew revoke {}", more.id));
    gone(&host, &more.id);
    host.ok("rm /run/held");
    sudo.close_input();
    covered.close_input();
    let output = sudo.finish(SOON);
    assert!(!output.success() && output.stderr.contains("Run it again"), "{output:#?}");
    let output = covered.finish(SOON);
    assert!(output.success() && output.stdout.contains('0'), "the other grant covers it: {output:#?}");
    // The same where the name has another user id meanwhile, and a grant for that.
    let old = host.grant("bob --for 300s --sudo --command ALL");
    rules_of(&host, &old.id);
    host.ok("rm -f /run/at/held; touch /run/held");
    let mut sudo = host.spawn("exec runuser -u bob -- sudo -n head -1 /etc/shadow");
    wait_for("sudo to ask PAM", SOON, || host.has("/run/at/held").then_some(()));
    host.ok("sed -i 's/^bob:x:1002:/bob:x:2002:/' /etc/passwd");
    gone(&host, &old.id);
    let new = host.grant("bob --for 300s --sudo --command ALL");
    rules_of(&host, &new.id);
    host.ok("rm /run/held");
    sudo.close_input();
    let output = sudo.finish(SOON);
    assert!(!output.success() && !output.stdout.contains("root:"), "{output:#?}");
    assert!(host.run_as("bob", "sudo -n id -u").success());
}

fn a_person_has_their_grant_by_every_name_of_their_account(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    join_directory(&host);
    for name in ["alice@corp.example", "alice", "'CORP\\alice'"] {
        assert_refused(&host.ssh(name, "id"));
    }
    let grant = host.grant("alice@corp.example --for 20s --login --sudo --command /usr/bin/id");
    rules_of(&host, &grant.id);
    let mut shells = Vec::new();
    for name in ["alice@corp.example", "alice", "'CORP\\alice'", "ALICE@CORP.EXAMPLE"] {
        host.ok(&format!("cp -n /etc/curfew-tests/keys/alice /etc/curfew-tests/keys/{name}"));
        let output = host.ssh(name, "sudo -n id -u");
        assert_eq!(output.expect_ok(name).trim(), "0");
        shells.push(host.login(name));
    }
    host.ok("systemctl restart curfewd");
    for shell in &mut shells {
        assert!(shell.run("sudo -n id -u").contains("\n0"), "{}", shell.screen());
    }
    assert!(host.why("alice sudo")["verdict"] == "permit" && host.why("'CORP\\alice' sshd")["verdict"] == "permit");
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    assert!((0..=500).contains(&gone), "{gone} ms after the end");
    for name in ["alice@corp.example", "alice", "'CORP\\alice'"] {
        assert_refused(&host.ssh(name, "id"));
    }
    let lingers = |record: &serde_json::Value| record["survivors"] == "0";
    assert!(host.audit("--event session.terminated").iter().all(lingers));
}

fn a_grant_is_not_for_the_new_account_of_an_old_name(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    let old = host.grant("alice --for 300s --login --sudo --command ALL");
    rules_of(&host, &old.id);
    let has = |uid: u32| host.ok(&format!("usermod -u {uid} alice"));
    has(2001);
    gone(&host, &old.id);
    let refused = host.ssh("alice", "id");
    assert_refused(&refused);
    assert!(
        refused.stderr.contains(&old.id) && refused.stderr.contains("1001") && refused.stderr.contains("2001"),
        "{refused:#?}"
    );
    let why = host.why("alice sshd");
    assert!(why["reason_code"] == "account_changed" && why["grant"] == old.id.as_str(), "{why}");
    for _ in 0..2 {
        assert!(!host.run_as("alice", "sudo -n id").success());
        assert!(host.drop_ins().is_empty());
        host.ok("systemctl restart curfewd");
    }
    assert_eq!(host.audit("--event account.changed").len(), 1, "it is told once");
    let new = host.grant("alice --for 300s --login --sudo --command ALL");
    rules_of(&host, &new.id);
    assert!(host.ok(&format!("cat /run/curfew/sudoers.d/{}", new.id)).contains("#2001 "));
    assert_eq!(host.ssh("alice", "sudo -n id -u").expect_ok("with a grant of her own").trim(), "0");
    host.ok(&format!("curfew revoke {}", new.id));
    wait_for("nothing of hers", SOON, || host.run("pgrep -u 2001").stdout.is_empty().then_some(()));
    // It is that account again.
    has(1001);
    rules_of(&host, &old.id);
    assert_eq!(host.ssh("alice", "sudo -n id -u").expect_ok("as before").trim(), "0");
}

fn an_account_that_is_renamed_takes_no_grant_along(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 300s --login --sudo --command ALL");
    rules_of(&host, &grant.id);
    let mut shell = host.login("alice");
    // usermod(8) waits until she is out; vipw(8) does not.
    host.ok("sed -i 's/^alice:/alicia:/' /etc/passwd /etc/shadow && cp /etc/curfew-tests/keys/alice /etc/curfew-tests/keys/alicia");
    gone(&host, &grant.id);
    assert!(!host.run_as("alicia", "sudo -n id").success());
    assert_refused(&host.ssh("alicia", "id"));
    wait_for("the end of the session", SOON, || (!shell.is_alive()).then_some(()));
    let ended = host.audited("session.terminated", |record| record["user"] == "alice");
    assert!(ended["reason_code"] == "account_changed" && ended["survivors"] == "0", "{ended}");
    let new = host.grant("alicia --for 300s --login --sudo --command ALL");
    rules_of(&host, &new.id);
    assert_eq!(host.ssh("alicia", "sudo -n id -u").expect_ok("with a grant of that name").trim(), "0");
}

fn what_changed_while_the_agent_was_down_is_seen_before_anybody_is_let_in(release: Release) {
    let mut host = Host::builder(release).exempt(&["ops"]).boot();
    let alices = host.grant("alice --for 600s --login --sudo --command ALL");
    let bobs = host.grant("bob --for 600s --login --sudo --command /usr/bin/id");
    rules_of(&host, &alices.id);
    rules_of(&host, &bobs.id);
    std::thread::sleep(Duration::from_secs(1));
    host.stop_agent();
    host.ok(ALICES_ID_IS_EVES);
    assert!(host.drop_ins().contains(&alices.id), "nobody was there to take it away");
    host.start_agent();
    for _ in 0..2 {
        let output = host.run_as("eve", "sudo -n head -1 /etc/shadow");
        assert!(!output.success() && !output.stdout.contains("root:"), "{output:#?}");
        assert_refused(&host.ssh("eve", "id"));
        gone(&host, &alices.id);
        // And over a boot.
        host.reboot();
    }
    rules_of(&host, &bobs.id);
    assert!(host.run_as("bob", "sudo -n id").success());
}

fn the_end_for_one_name_of_a_user_id_leaves_the_other_alone(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    alias(&host, "ally", "alice");
    let alices = host.grant("alice --for 8s --login --sudo --command ALL");
    let _allys = host.grant("ally --for 300s --login --sudo --command /usr/bin/sleep --command /usr/bin/id");
    rules_of(&host, &alices.id);
    let mut ally = host.login("ally");
    let mut alice = host.login("alice");
    ally.run("sudo -n sleep 800 &");
    ally.run("systemd-run --user --quiet --collect sleep 801");
    host.ok("touch /var/lib/systemd/linger/alice");
    let running = |command: &str| host.processes().iter().filter(|it| it.command.ends_with(command)).count();
    wait_for("ally's programs", SOON, || (running("sleep 801") == 1 && running("sleep 800") >= 1).then_some(()));
    alices.wait_end();
    wait_for("the end of alice's session", SOON, || (!alice.is_alive()).then_some(()));
    std::thread::sleep(Duration::from_secs(4));
    assert!(ally.run("sudo -n id -u").contains("\n0"), "{}", ally.screen());
    assert!(running("sleep 800") >= 1 && running("sleep 801") == 1, "what ally's grant covers lives on");
    assert!(host.has("/var/lib/systemd/linger/alice"), "the user id has a grant");
    assert_refused(&host.ssh("alice", "id"));
    assert_eq!(host.ssh("ally", "id -u").expect_ok("ally").trim(), "1001");
    host.ok(
        "curfew status --json | grep -o '\"id\":\"[^\"]*\",\"user\":\"ally\"' | cut -d'\"' -f4 | xargs curfew revoke",
    );
    wait_for("the end of it all", SOON, || {
        (!ally.is_alive() && running("sleep 800") + running("sleep 801") == 0).then_some(())
    });
}

fn who_shares_a_user_id_with_an_exempt_user_is_not_exempt_and_ends_nobody(release: Release) {
    let host = Host::builder(release).exempt(&["ops", "dave@corp.example"]).config("grace = \"0s\"").boot();
    join_directory(&host);
    alias(&host, "opsy", "ops");
    // Under the user id of an exempt user nothing could be ended: such a grant opens nothing.
    let opsys = host.grant("opsy --for 10s --login --sudo --command /usr/bin/id");
    let refused = host.ssh("opsy", "id");
    assert_refused(&refused);
    assert!(refused.stderr.contains("ops"), "{refused:#?}");
    let mut ops = host.login("ops");
    ops.run("systemd-run --user --quiet --collect sleep 810");
    opsys.wait_end();
    std::thread::sleep(Duration::from_secs(3));
    assert!(ops.run("echo in").contains("in"));
    assert!(host.processes().iter().any(|it| it.command.ends_with("sleep 810")));
    assert!(host.drop_ins().is_empty());
    // An exempt account is exempt by every name of its own.
    host.ok("cp /etc/curfew-tests/keys/ops /etc/curfew-tests/keys/ops@corp.example");
    for name in ["ops@corp.example", "dave"] {
        assert!(host.ssh(name, "id").success(), "{name}");
    }
    // Whoever is off the list is off it at once.
    host.ok("sed -i /^ops$/d /etc/curfew/exempt");
    assert_refused(&host.ssh("ops@corp.example", "id"));
    let mut dave = host.login("dave");
    let daves = host.grant("dave --for 3s --login");
    daves.wait_end();
    std::thread::sleep(Duration::from_secs(3));
    assert!(dave.run("echo in").contains("in"));
}

fn a_directory_that_hangs_ends_nobody_and_holds_up_nobody(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    join_directory(&host);
    host.ok("for i in $(seq 70); do echo far$i:x:$((70000 + i)):100::/:/bin/bash; done >/etc/corp-passwd");
    let _alices = host.grant("alice@corp.example --for 300s --login --sudo --command /usr/bin/id");
    let _bobs = host.grant("bob --for 300s --login --sudo --command /usr/bin/id");
    host.ok(
        "for i in $(seq 70); do curfew grant far$i@corp.example --for 300s --login --sudo --reason r; done >/dev/null",
    );
    let mut alice = host.login("alice@corp.example");
    let mut far = host.drop_ins().len();
    wait_for("all the rules", Duration::from_secs(60), || {
        far = host.drop_ins().len();
        (far == 72).then_some(())
    });
    let quickly = |what: &str, work: &dyn Fn()| {
        let begun = Instant::now();
        work();
        assert!(begun.elapsed() < Duration::from_secs(3), "{what} took {:?}", begun.elapsed());
    };
    host.ok("touch /run/corp-hangs && systemctl restart curfewd");
    for _ in 0..5 {
        quickly("bob's login", &|| assert!(host.ssh("bob", "sudo -n id -u").success()));
        assert!(alice.run("sudo -n id -u").contains("\n0"), "{}", alice.screen());
        std::thread::sleep(Duration::from_secs(4));
    }
    quickly("a grant", &|| drop(host.grant("carol --for 300s --login --sudo --command /usr/bin/id")));
    wait_for("carol's rules", SOON, || host.run_as("carol", "sudo -n id -u").success().then_some(()));
    quickly("alice's login", &|| assert!(host.ssh("alice@corp.example", "sudo -n id -u").success()));
    // A name that was never asked for is refused in time.
    host.ok("cp /etc/curfew-tests/keys/dave /etc/curfew-tests/keys/dave@corp.example");
    quickly("a stranger's login", &|| assert_refused(&host.ssh("dave@corp.example", "id")));
    assert!(host.audit("--event session.terminated").is_empty() && host.audit("--event account.changed").is_empty());
    assert_eq!(host.drop_ins().len(), 73);
    // A directory that says that nobody is there ends nobody either, but opens nothing.
    host.ok("rm /run/corp-hangs && touch /run/corp-away && systemctl restart curfewd");
    host.audited("account.changed", |record| record["user"] == "alice@corp.example");
    std::thread::sleep(Duration::from_secs(6));
    assert!(alice.run("echo in").contains("in"));
    assert!(host.audit("--event session.terminated").is_empty());
    host.ok("rm /run/corp-away && systemctl restart curfewd");
    wait_for("alice's sudo", SOON, || alice.run("sudo -n id -u").contains("\n0").then_some(()));
}

fn a_passwd_file_that_is_broken_for_a_moment_ends_nobody(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 300s --login --sudo --command /usr/bin/id");
    rules_of(&host, &grant.id);
    let mut shell = host.login("alice");
    for broken in
        ["grep -v ^alice: /etc/passwd.kept", "true", "sed s/^alice:/alice.away:/ /etc/passwd.kept | grep -v 1001"]
    {
        host.ok(&format!(
            "cp -p /etc/passwd /etc/passwd.kept; {broken} >/etc/passwd; sleep 0.3; cat /etc/passwd.kept >/etc/passwd"
        ));
        assert!(shell.run("echo in").contains("in"), "after {broken}");
        wait_for("her sudo", SOON, || shell.run("sudo -n id -u").contains("\n0").then_some(()));
    }
    std::thread::sleep(Duration::from_secs(4));
    assert!(shell.run("echo in").contains("in"));
    assert!(host.audit("--event session.terminated").is_empty());
}
