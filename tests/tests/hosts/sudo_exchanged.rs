//! The host's sudo is exchanged while grants are live: each sudo gets rules that it accepts, and nobody's sudo complains.

use std::time::{Duration, Instant};

use curfew_tests::{Host, Release, SOON, report, until, wait_for};

// These hosts have both: what the other two releases can't show.
on_sudo_rs! {
    when_the_hosts_sudo_is_exchanged_its_rules_are_written_anew,
    what_was_exchanged_while_the_agent_was_away_is_found_at_its_start,
    a_sudo_that_nobody_knows_gets_no_rules_and_the_audit_says_so_once,
    without_a_visudo_of_its_own_flavour_a_sudo_gets_no_rules,
}

/// How long a drop-in for another sudo may stay.
const WRONG_FOR: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sudo {
    Classic,
    Rs,
}

impl Sudo {
    fn target(self) -> &'static str {
        match self {
            Self::Classic => "sudo.ws",
            Self::Rs => "sudo-rs",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Classic => "Sudo version 1.",
            Self::Rs => "sudo-rs 0.",
        }
    }

    /// Whether these rules are for it.
    fn fits(self, rules: &str) -> bool {
        (self == Self::Classic) == rules.contains("NOTAFTER=")
    }
}

/// Makes `/usr/bin/sudo` a link to `target`, at once.
fn link(target: &str) -> String {
    format!("ln -s {target} /usr/bin/link.new && mv -T /usr/bin/link.new /usr/bin/sudo")
}

/// The rules of all drop-ins, as they are.
fn rules(host: &Host) -> String {
    let folder = std::fs::read_dir(host.path("/run/curfew/sudoers.d")).expect("the folder");
    let grants = folder.flatten().filter(|entry| !entry.file_name().to_string_lossy().contains('+'));
    grants.map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_default()).collect()
}

fn rules_are_for(host: &Host, sudo: Sudo) -> bool {
    let rules = rules(host);
    rules.contains("#1001") && sudo.fits(&rules)
}

/// Waits until `sudo` has rules of its own; then it works, and nobody hears of it.
fn works(host: &Host, sudo: Sudo, how: &str) {
    let begun = Instant::now();
    let gone = until(SOON, || (rules(host).is_empty() || sudo.fits(&rules(host))).then(|| begun.elapsed()));
    let gone = gone.expect("rules for another sudo are removed");
    wait_for("rules for this sudo", SOON, || rules_are_for(host, sudo).then_some(()));
    report(&format!(
        "{how}: wrong rules seen for {} ms, new ones after {} ms",
        gone.as_millis(),
        begun.elapsed().as_millis()
    ));
    assert!(gone < WRONG_FOR, "{how}: wrong rules for {gone:?}");
    assert!(host.ok("sudo --version 2>&1").contains(sudo.version()));
    let output = host.run_as("alice", "sudo -n id -u");
    assert_eq!((output.stdout.trim(), output.stderr.trim()), ("0", ""), "{how}: {output:#?}");
    assert!(!host.run_as("alice", "sudo -n whoami").success(), "{how}");
    silent(host, how);
}

fn silent(host: &Host, how: &str) {
    for (user, script) in
        [("root", "sudo id -u"), ("dave", "sudo -n /usr/bin/id -u"), ("ops", "echo ops-pw | sudo -S -p '' id -u")]
    {
        let output = host.run_as(user, script);
        assert_eq!((output.stdout.trim(), output.stderr.trim()), ("0", ""), "{how}, {user}: {output:#?}");
    }
}

fn boot(release: Release) -> Host {
    Host::builder(release).exempt(&["ops", "dave"]).boot()
}

fn when_the_hosts_sudo_is_exchanged_its_rules_are_written_anew(release: Release) {
    let host = boot(release);
    let grant = host.grant("alice --for 120s --sudo --command /usr/bin/id");
    works(&host, Sudo::Rs, "from the start");
    for (round, sudo) in [Sudo::Classic, Sudo::Rs, Sudo::Classic, Sudo::Rs].into_iter().enumerate() {
        host.ok(&link(sudo.target()));
        works(&host, sudo, &format!("exchange {} to {sudo:?}", round + 1));
    }
    // Not at once, as people do it by hand.
    host.ok("rm /usr/bin/sudo && sleep 0.2 && ln -s sudo.ws /usr/bin/sudo");
    works(&host, Sudo::Classic, "removed and linked");
    // By alternatives, as Ubuntu does it.
    host.ok("rm /usr/bin/sudo; update-alternatives --quiet --install /usr/bin/sudo sudo /usr/bin/sudo-rs 50 && \
             update-alternatives --quiet --install /usr/bin/sudo sudo /usr/bin/sudo.ws 40");
    works(&host, Sudo::Rs, "alternatives, automatic");
    host.ok("update-alternatives --quiet --set sudo /usr/bin/sudo.ws");
    works(&host, Sudo::Classic, "alternatives, set");
    // An upgrade of the same one: another file under the same name.
    host.ok("cp --archive /usr/bin/sudo.ws /usr/bin/sudo.ws.new && mv -T /usr/bin/sudo.ws.new /usr/bin/sudo.ws");
    works(&host, Sudo::Classic, "upgraded");
    // With links that are none: the file itself.
    host.ok("rm /usr/bin/sudo && cp --archive --dereference /usr/bin/sudo-rs /usr/bin/sudo");
    works(&host, Sudo::Rs, "a file in its place");

    // Somebody whose sudo starts right behind the exchange may still meet the old rules.
    host.ok("rm /usr/bin/sudo && ln -s sudo-rs /usr/bin/sudo");
    works(&host, Sudo::Rs, "linked");
    let mut met = 0;
    for _ in 0..10 {
        host.ok(&link("sudo.ws"));
        wait_for("rules for this sudo", SOON, || rules_are_for(&host, Sudo::Classic).then_some(()));
        let at_once = host.ok(&format!("{}; runuser -u dave -- sudo -n /usr/bin/id -u 2>&1", link("sudo-rs")));
        met += usize::from(at_once != "0");
        wait_for("rules for this sudo", SOON, || rules_are_for(&host, Sudo::Rs).then_some(()));
        silent(&host, "after that");
    }
    report(&format!("of 10 runs of sudo right behind an exchange, {met} met rules for the sudo before"));

    assert_eq!(host.drop_ins(), [grant.id.as_str()]);
    assert!(host.audit("--event grant.refused").is_empty(), "{:#?}", host.audit("--event grant.refused"));
    let removed = host.audited("sudoers.removed", |record| record["grant"] == grant.id.as_str());
    assert!(removed["reason"].as_str().is_some_and(|why| why.contains("sudo")), "{removed}");
    host.ok(&format!("curfew revoke {}", grant.id));
    assert!(host.drop_ins().is_empty());
    assert!(!host.run_as("alice", "sudo -n id").success());
}

fn what_was_exchanged_while_the_agent_was_away_is_found_at_its_start(release: Release) {
    let host = boot(release);
    let _grant = host.grant("alice --for 120s --sudo --command /usr/bin/id");
    works(&host, Sudo::Rs, "before");
    let before = host.audit("--event sudoers.written").len();
    host.ok("systemctl restart curfewd");
    works(&host, Sudo::Rs, "restarted");
    assert_eq!(host.audit("--event sudoers.written").len(), before, "the same rules were written again");
    for sudo in [Sudo::Classic, Sudo::Rs] {
        host.stop_agent();
        host.ok(&link(sudo.target()));
        host.start_agent();
        wait_for("rules for this sudo", SOON, || rules_are_for(&host, sudo).then_some(()));
        works(&host, sudo, &format!("started under {sudo:?}"));
    }
}

fn a_sudo_that_nobody_knows_gets_no_rules_and_the_audit_says_so_once(release: Release) {
    let host = boot(release);
    let grant = host.grant("alice --for 120s --sudo --command /usr/bin/id");
    works(&host, Sudo::Rs, "before");
    for (name, script) in [
        ("mute", "#!/bin/sh\nexit 0\n"),
        ("another", "#!/bin/sh\necho 'doas 6.8'\n"),
        ("hung", "#!/bin/sh\nexec sleep 1000\n"),
        ("endless", "#!/bin/sh\nexec yes sudo-sr\n"),
    ] {
        let refused = |host: &Host| host.audit("--event grant.refused").len();
        let before = refused(&host);
        host.write(&format!("/usr/bin/{name}"), script);
        host.ok(&format!("chmod 755 /usr/bin/{name}; {}", link(name)));
        wait_for("a refusal", SOON, || (refused(&host) > before).then_some(()));
        assert!(host.drop_ins().is_empty(), "{name}");
        let last = host.audit("--event grant.refused").pop().expect("a record");
        assert!(last["reason"].as_str().is_some_and(|why| why.contains("sudo")), "{name}: {last}");
        // Another grant has the agent look again.
        let _other = host.grant("carol --for 1s --login");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(refused(&host), before + 1, "{name}: said again");
        assert!(host.run("curfew status").success());
    }
    host.ok("rm /usr/bin/sudo");
    std::thread::sleep(Duration::from_secs(1));
    assert!(host.drop_ins().is_empty());
    host.ok("ln -s sudo-rs /usr/bin/sudo");
    works(&host, Sudo::Rs, "back again");
    assert_eq!(host.drop_ins(), [grant.id.as_str()]);
}

fn without_a_visudo_of_its_own_flavour_a_sudo_gets_no_rules(release: Release) {
    let host = boot(release);
    host.ok("mkdir /root/away && mv /usr/bin/visudo-rs /usr/lib/cargo/bin/visudo /root/away/");
    let grant = host.grant("alice --for 120s --sudo --command /usr/bin/id");
    let refused = host.audited("grant.refused", |record| record["grant"] == grant.id.as_str());
    assert!(refused["reason"].as_str().is_some_and(|why| why.contains("no visudo of sudo-rs")), "{refused}");
    assert!(host.drop_ins().is_empty());
    silent(&host, "without a visudo");
    host.ok("mv /root/away/visudo /usr/lib/cargo/bin/ && mv /root/away/visudo-rs /usr/bin/");
    works(&host, Sudo::Rs, "with a visudo");
}
