//! One person's slowness is nobody else's: a directory that answers nothing about some delays no rule, no end and no
//! answer of the others.

use std::time::{Duration, Instant};

use curfew_tests::root::uid;
use curfew_tests::{Host, Release, SOON, report, wait_for};

on_two_releases! {
    nobodys_rule_waits_for_somebody_elses_lookup,
    nobodys_end_waits_for_somebody_elses_lookup,
    a_start_without_logind_does_not_wait_for_whose_logins_are_open,
}

/// How late an end may be on a busy machine. Each of the lookups that hang takes two seconds and more.
const LATEST: i64 = 1000;

/// How long a rule may take on a busy machine; likewise.
const RULE: Duration = Duration::from_millis(1500);

/// A host whose user database can hang for people one by one.
fn host_with_a_directory(release: Release) -> Host {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    host.compile("nss_slow.c", "/usr/lib/x86_64-linux-gnu/libnss_slow.so.2", &["-shared", "-fPIC"]);
    host.ok("sed -i 's/^passwd:.*/passwd: slow files systemd/' /etc/nsswitch.conf && mkdir /run/hangs");
    host
}

/// The directory answers nothing about these people any more.
fn hang(host: &Host, people: &[&str]) {
    for name in people {
        host.ok(&format!("touch /run/hangs/{name} /run/hangs/{}", uid(name)));
    }
}

fn nobodys_rule_waits_for_somebody_elses_lookup(release: Release) {
    let host = host_with_a_directory(release);
    let _theirs = ["alice", "bob", "carol"].map(|name| host.grant(&format!("{name} --for 300s --sudo")));
    let _his = host.grant("dave --for 300s --sudo --command /usr/bin/id");
    host.stop_agent();
    host.ok("rm /run/curfew/sudoers.d/*");
    // They come before him by name and by the time of their grants.
    hang(&host, &["alice", "bob", "carol"]);
    host.start_agent();
    let begun = Instant::now();
    wait_for("dave's sudo", Duration::from_secs(20), || host.run_as("dave", "sudo -n id -u").success().then_some(()));
    report(&format!("{release}: his sudo worked {:?} after the start", begun.elapsed()));
    assert!(begun.elapsed() < RULE, "{:?}", begun.elapsed());

    // Nor does a new grant wait, nor one that is asked about.
    let begun = Instant::now();
    host.ok("curfew grant dave --for 300s --sudo --command /usr/bin/whoami --reason x");
    assert_eq!(host.run_as("dave", "sudo -n whoami").expect_ok("his new grant"), "root");
    assert!(begun.elapsed() < RULE, "{:?}", begun.elapsed());

    // Whoever hangs is told, and nothing stays behind when the directory is there again.
    let refused = host.run("curfew grant bob --for 300s --sudo --reason x");
    assert!(!refused.success() && refused.stderr.contains("did not answer"), "{refused:#?}");
    let threads = host.ok("ls /proc/$(systemctl show --value -p MainPID curfewd)/task | wc -l");
    assert!(threads.parse::<u32>().is_ok_and(|threads| threads < 16), "{threads} threads");
    host.ok("rm /run/hangs/*");
    wait_for("bob's sudo", Duration::from_secs(30), || host.run_as("bob", "sudo -n id -u").success().then_some(()));
}

fn nobodys_end_waits_for_somebody_elses_lookup(release: Release) {
    let host = host_with_a_directory(release);
    let hers = host.grant("alice --for 14s --login --sudo");
    let his: Vec<_> = ["bob", "carol"].map(|name| host.grant(&format!("{name} --for 14s --login --sudo"))).into();
    let _alice = host.login("alice");
    let _bob = host.login("bob");
    host.ssh("alice", "systemd-run --user --quiet --collect sleep 811").expect_ok("systemd-run --user");
    // A new agent knows nobody's number from before.
    hang(&host, &["bob", "carol"]);
    host.ok("systemctl restart curfewd");
    let hers_left = |host: &Host| {
        let mut left = host.processes();
        left.retain(|it| it.cgroup.contains("/user-1001.slice") || it.login_uid == Some(1001));
        left
    };
    let gone = host.gone_after(hers.not_after, hers_left);
    report(&format!("{release}: all that alice ran was dead {gone} ms after the end"));
    assert!((0..=LATEST).contains(&gone), "{gone} ms after the end");
    // His own end waits for nobody's word about him.
    let gone = host.gone_after(his[0].not_after, |host| host.session_processes("bob"));
    assert!(gone <= LATEST, "{gone} ms after the end");
    wait_for("the last rule to go", SOON, || host.drop_ins().is_empty().then_some(()));
}

fn a_start_without_logind_does_not_wait_for_whose_logins_are_open(release: Release) {
    let host = host_with_a_directory(release);
    let hers = host.grant("alice --for 20s --login");
    let _his = host.grant("bob --for 300s --login");
    let _alice = host.login("alice");
    let _bobs = [host.login("bob"), host.login("bob"), host.login("bob"), host.login("bob")];
    host.ok("systemctl mask --quiet --runtime --now systemd-logind.service dbus-org.freedesktop.login1.service");
    host.stop_agent();
    host.ok("rm -rf /run/curfew/open");
    hang(&host, &["bob"]);
    // Four lookups of two seconds each would end behind her end.
    let left = Duration::try_from(hers.not_after.duration_since(jiff::Timestamp::now())).unwrap_or_default();
    std::thread::sleep(left.saturating_sub(Duration::from_secs(4)));
    host.ok("systemctl start --no-block curfewd.socket curfewd.service");
    let gone = host.gone_after(hers.not_after, |host| host.session_processes("alice"));
    report(&format!("{release}: her login was dead {gone} ms after the end"));
    assert!((0..=LATEST).contains(&gone), "{gone} ms after the end");
    // His are watched as soon as it is known that they are his.
    host.ok("rm /run/hangs/*");
    let watched = || host.status()["sessions"].as_array().is_some_and(|them| them.len() == 4);
    wait_for("bob's logins", Duration::from_secs(15), || watched().then_some(()));
}
