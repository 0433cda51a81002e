//! A newer version takes over on a live host: no door opens or shuts by it, nobody is thrown out, nothing is forgotten.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use curfew_tests::package::DEB;
use curfew_tests::root::server_package;
use curfew_tests::{Host, Release, Running, SOON, assert_refused, report, wait_for};

on_each_release! {
    an_upgrade_opens_and_shuts_no_door_and_ends_no_session,
}

on_two_releases! {
    an_upgrade_keeps_what_was_switched_off_switched_off,
    an_older_version_is_refused_and_nothing_is_touched,
    a_new_pam_file_of_another_package_in_place_of_a_wired_one_is_told,
    an_upgrade_of_the_server_is_a_pause_that_its_hosts_get_over,
}

/// How long after the end anything may still run.
const LATEST: i64 = 250;

/// Does `attempt` again and again, and prints each time whether it was let in, and for how long it waited, in milliseconds.
fn knocking(host: &Host, attempt: &str) -> Running {
    host.spawn(&format!(
        "while [ ! -e /run/enough ]; do begun=$(date +%s%3N); {attempt} >/dev/null 2>&1 && said=in || said=out; \
         echo $said $(($(date +%s%3N) - begun)); done"
    ))
}

fn login(user: &str) -> String {
    format!(
        "ssh -i /etc/curfew-tests/keys/{user} -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         {user}@127.0.0.1 true"
    )
}

fn sudo(user: &str) -> String {
    format!("runuser --user {user} -- sudo -n /usr/bin/id")
}

/// Every answer must be `expected`; gives how many there were and the longest wait.
fn all(knocking: Running, who: &str, expected: &str) -> (usize, u64) {
    let output = knocking.finish(SOON);
    let mut longest = 0;
    for line in output.stdout.lines() {
        let (said, waited) = line.split_once(' ').expect("an answer and its time");
        assert_eq!(said, expected, "{who}: {}", output.stdout);
        longest = longest.max(waited.parse().expect("milliseconds"));
    }
    (output.stdout.lines().count(), longest)
}

fn an_upgrade_opens_and_shuts_no_door_and_ends_no_session(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    let newer = host.repack(DEB, "0.2.0-1", "for file in usr/bin/curfew usr/sbin/curfewd; do echo >>$file; done");
    let grant = host.grant("alice --for 50s --login --sudo --command ALL");
    host.drop_in();
    let mut shell = host.login("alice");
    shell.type_text("while sleep 0.1; do :; done\n");
    let mut root = host.login("alice");
    root.become_root();
    root.type_text("trap '' TERM HUP; while sleep 0.1; do :; done\n");
    let running = || -> HashSet<u32> {
        let all = host.session_processes("alice");
        all.iter().filter(|it| it.command.contains("bash")).map(|it| it.pid).collect()
    };
    // A shell that starts a program is there twice for a moment.
    let shells = wait_for("the shells", SOON, || {
        let before = running();
        std::thread::sleep(Duration::from_millis(300));
        let stay: HashSet<u32> = before.intersection(&running()).copied().collect();
        (stay.len() >= 3).then_some(stay)
    });
    let before = host.audit("");
    let agent = host.ok("systemctl show -P MainPID curfewd");

    let granted = [knocking(&host, &login("alice")), knocking(&host, &sudo("alice"))];
    // bob has nothing, dave a rule of the host's own for this very command.
    let refused = [knocking(&host, &login("bob")), knocking(&host, &sudo("dave"))];
    wait_for("answers", SOON, || {
        granted.iter().chain(&refused).all(|it| it.stdout().lines().count() >= 2).then_some(())
    });
    let begun = Instant::now();
    host.ok(&format!("dpkg --install {newer}"));
    let took = begun.elapsed();
    std::thread::sleep(Duration::from_secs(1));
    host.ok("touch /run/enough");
    let granted = granted.map(|it| all(it, "a granted person", "in"));
    let refused = refused.map(|it| all(it, "a person without a grant", "out"));
    report(&format!(
        "{release}: through an upgrade of {took:.1?}, logins and sudo of the granted: {granted:?}, of others: {refused:?} (times, longest ms)"
    ));

    assert_eq!(host.package_state("curfew"), "0.2.0-1 install ok installed");
    assert_ne!(host.ok("systemctl show -P MainPID curfewd"), agent);
    assert!(shells.is_subset(&running()), "somebody was thrown out: of {shells:?}, {:?} are there", running());
    assert!(shell.is_alive() && root.is_alive());
    assert_eq!(host.status()["grants"][0]["id"], grant.id.as_str());
    host.ok("rm /run/enough");

    // What lived through it dies at its end all the same.
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    report(&format!("{release}: what lived through an upgrade was dead {gone} ms after the end"));
    assert!((0..=LATEST).contains(&gone), "{gone} ms after the end");
    assert!(host.drop_ins().is_empty());
    assert_refused(&host.ssh("alice", "id"));
    assert_eq!(host.audit("")[..before.len()], before, "the audit was changed");
    host.audit_is_whole();
}

fn an_upgrade_keeps_what_was_switched_off_switched_off(release: Release) {
    let host = Host::boot(release);
    host.ok("echo '# mine' >>/etc/curfew/agent.toml; systemctl disable --quiet --now curfew-clock.timer");
    let newer = host.repack(DEB, "0.2.0-1", ":");
    host.ok(&format!("dpkg --install {newer}"));
    assert_eq!(host.run("systemctl is-enabled curfew-clock.timer").stdout.trim(), "disabled");
    assert_eq!(host.run("systemctl is-active curfew-clock.timer").stdout.trim(), "inactive");
    assert!(host.ok("cat /etc/curfew/agent.toml").ends_with("# mine"));
    assert_eq!(host.ok("systemctl is-enabled curfewd.socket curfewd.service curfew-sweep.service | uniq"), "enabled");

    // An agent that is masked is not for a package to start, and no reason to fail.
    host.ok("systemctl stop curfewd.socket curfewd.service && systemctl mask --quiet curfewd.service");
    let newer = host.repack(DEB, "0.3.0-1", ":");
    host.ok(&format!("dpkg --install {newer}"));
    assert_eq!(host.run("systemctl is-enabled curfewd.service").stdout.trim(), "masked");
    assert_refused(&host.ssh("bob", "id"));
    assert_eq!(host.ssh("ops", "id -un").expect_ok("exempt"), "ops");
}

fn an_older_version_is_refused_and_nothing_is_touched(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    let _grant = host.grant("alice --for 120s --login");
    let mut shell = host.login("alice");
    let newer = host.repack(DEB, "0.2.0-1", ":");
    host.ok(&format!("dpkg --install {newer}"));
    let agent = host.ok("systemctl show -P MainPID curfewd");

    let refused = host.run(&format!("dpkg --install {DEB}"));
    assert!(!refused.success() && refused.stderr.contains("does not take over from 0.2.0-1"), "{refused:#?}");
    let recipe = recipe(&refused.stderr);
    assert!(recipe.contains("dpkg --purge curfew"), "the next step is missing: {refused:#?}");
    assert_eq!(host.package_state("curfew"), "0.2.0-1 install ok installed");
    assert_eq!(host.ok("systemctl show -P MainPID curfewd"), agent);
    assert!(shell.run("echo still in").contains("still in"));
    assert_refused(&host.ssh("bob", "id"));

    // Removed, the newer one's state is there still; purged, it is not.
    drop(shell);
    host.ok("dpkg --remove curfew");
    assert!(!host.run(&format!("dpkg --install {DEB}")).success());
    assert_eq!(host.ssh("bob", "id -un").expect_ok("nothing is wired"), "bob");
    host.ok(&recipe);
    assert_refused(&host.ssh("bob", "id"));
    assert_eq!(host.ssh("ops", "id -un").expect_ok("the exempt list came through"), "ops");
    assert!(host.has("/root/curfew/audit"));
    host.ssh("ops", "echo ops-pw | sudo -S -p '' curfew confirm").expect_ok("a new login");
}

/// The commands that dpkg's refusal gives, with the package's file in the place of a repository.
fn recipe(refusal: &str) -> String {
    let commands = refusal.lines().filter_map(|line| line.strip_prefix("  ")).collect::<Vec<_>>().join("\n");
    let install = commands.lines().find(|line| line.starts_with("apt install")).expect("a version to install");
    format!("set -e\n{commands}")
        .replace(install, &format!("dpkg --install {DEB}"))
        .replace("apt purge", "dpkg --purge")
}

/// Makes a package of the installed openssh-server with a higher version and another `/etc/pam.d/sshd`.
const NEWER_SSHD: &str = r"set -e
rm -rf /root/sshd; mkdir -p /root/sshd/DEBIAN; cd /root/sshd
dpkg -L openssh-server | while read -r file; do
    if [ ! -d $file ] && [ -e $file ]; then cp -a --parents $file .; fi
done
dpkg-query --status openssh-server | sed -e '/^Status:/d' -e '/^Conffiles:/,/^[A-Z]/{/^Conffiles:/d;/^ /d}' \
    -e 's/^Version: .*/&.NUMBER/' >DEBIAN/control
dpkg-query --showformat '${Conffiles}\n' --show openssh-server | awk 'NF >= 2 { print $1 }' >DEBIAN/conffiles
cp -a /root/sshd.distributed etc/pam.d/sshd
echo '# Version NUMBER' >>etc/pam.d/sshd
dpkg-deb -Zgzip -z1 --build . /root/sshd-NUMBER.deb >/dev/null";

fn a_new_pam_file_of_another_package_in_place_of_a_wired_one_is_told(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).not_enabled().boot();
    host.ok("cp -a /etc/pam.d/sshd /root/sshd.distributed");
    for number in ["1", "2", "3"] {
        host.ok(&NEWER_SSHD.replace("NUMBER", number));
    }
    host.ok("curfew enable");
    assert_refused(&host.ssh("bob", "id"));

    // Kept, as it is unless somebody asks for something else: dpkg puts the new one beside it.
    host.ok("dpkg --force-confold --install /root/sshd-1.deb");
    assert!(host.has("/etc/pam.d/sshd.dpkg-dist"));
    assert_refused(&host.ssh("bob", "id"));

    // Replaced: our lines are gone, and whoever does it is told, on the terminal and in the journal.
    let said = host.run("dpkg --force-confnew --install /root/sshd-2.deb");
    assert!(said.success() && said.stderr.contains("/etc/pam.d/sshd was replaced"), "{said:#?}");
    assert!(said.stderr.contains("curfew enable"), "{said:#?}");
    let told = host.journal("SYSLOG_IDENTIFIER=curfew PRIORITY=1");
    assert!(told.iter().any(|entry| entry["MESSAGE"].to_string().contains("/etc/pam.d/sshd")), "{told:#?}");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("not wired"), "bob");
    host.ok("curfew enable");
    assert_refused(&host.ssh("bob", "id"));
    // Once it is mended, the next package says nothing.
    let said = host.run("dpkg --force-confold --install /root/sshd-1.deb");
    assert!(said.success() && !said.stderr.contains("was replaced"), "{said:#?}");

    // While our own package is unpacked and not configured, dpkg tells it nothing: it looks for itself then.
    let newer = host.repack(DEB, "0.2.0-1", ":");
    host.ok(&format!("dpkg --unpack {newer} && dpkg --force-confnew --install /root/sshd-3.deb"));
    let said = host.run("dpkg --configure curfew");
    assert!(said.success() && said.stderr.contains("/etc/pam.d/sshd was replaced"), "{said:#?}");
    assert!(said.stderr.contains("PAM does not ask Curfew about sshd"), "{said:#?}");
    assert!(host.ok("curfew status").contains("PAM does not ask Curfew about sshd"));
    host.ok("curfew enable && curfew disable && tail -n 1 /etc/pam.d/sshd | grep 'Version 3'");
}

/// The server as a service, its authority trusted by the host that it runs on, too.
const SERVER: &str = "set -e
dpkg --install /root/curfew-server.deb
echo 127.0.0.1 curfew.test >>/etc/hosts
sed -i 's|^#origins = .*|origins = [\"https://curfew.test:8443\"]|' /etc/curfew/server.toml
curfew-server init --config /etc/curfew/server.toml
systemctl enable --quiet --now curfew-server
curfew-server admin-token create root >/root/admin
CURFEW_SERVER_TOKEN_FILE=/root/admin curfew-server token create --label role=web >/root/token
curfew enroll https://curfew.test:8443 --token-file /root/token --ca /var/lib/curfew-server/tls/ca.pem";

fn an_upgrade_of_the_server_is_a_pause_that_its_hosts_get_over(release: Release) {
    let host = Host::boot(release);
    let package = server_package().expect("there is a curfew-server_*.deb in target/packages: run packaging/build");
    host.write("/root/curfew-server.deb", std::fs::read(package).expect("it can be read"));
    host.ok(SERVER);
    let grant = |user: &str| {
        host.ok(&format!(
            "CURFEW_SERVER_TOKEN_FILE=/root/admin curfew-server grant create {user} --labels role=web --for 1h --login --reason INC-1"
        ));
        wait_for("the endpoint's grant", SOON, || {
            (host.why(&format!("{user} sshd"))["verdict"] == "permit").then_some(())
        });
    };
    grant("alice");
    let mut shell = host.login("alice");
    let before = host.ok("systemctl show -P MainPID curfew-server");

    // The host's poll is parked at the one that goes.
    let newer = host.repack("/root/curfew-server.deb", "0.2.0-1", "echo >>usr/bin/curfew-server");
    host.ok(&format!("dpkg --install {newer}"));
    let after = host.ok("systemctl show -P MainPID curfew-server");
    assert_ne!(after, before);
    assert!(shell.run("echo still in").contains("still in"));
    grant("bob");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("a grant of the new one"), "bob");
    assert!(shell.run("echo still in").contains("still in"));

    let refused = host.run("dpkg --install /root/curfew-server.deb");
    assert!(!refused.success() && refused.stderr.contains("does not take over from 0.2.0-1"), "{refused:#?}");
    assert_eq!(host.ok("systemctl show -P MainPID curfew-server"), after);
    // What its administrator has stopped stays so.
    host.ok("systemctl stop curfew-server");
    let newer = host.repack("/root/curfew-server.deb", "0.3.0-1", ":");
    host.ok(&format!("dpkg --install {newer}"));
    assert_eq!(host.run("systemctl is-active curfew-server").stdout.trim(), "inactive");
    assert!(shell.run("echo still in").contains("still in"));
}
