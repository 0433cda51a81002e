//! The endpoint's grants on a host: in force within a moment, beside local ones, through restarts, outages and changes of every key.

use std::time::{Duration, Instant};

use curfew_tests::endpoint::{CA_FILE, Fault, ORIGIN, StandIn, TOKEN, grant};
use curfew_tests::{Host, Release, SOON, assert_refused, report, wait_for};
use serde_json::{Value, json};

on_two_releases! {
    a_grant_opens_within_a_moment_and_a_revocation_kills_what_it_opened,
    grants_of_the_endpoint_and_local_ones_hold_side_by_side,
    a_grant_that_changes_keeps_the_session_it_still_covers,
    a_verified_set_survives_a_reboot_without_the_endpoint,
    past_its_time_a_set_opens_nothing_new_and_ends_nothing,
    the_endpoints_keys_change_with_overlap_and_the_hosts_key_at_its_word,
    leaving_the_endpoint_ends_its_grants_and_keeps_local_ones,
}

on_one_release! {
    a_mistake_in_enrolling_is_named_with_the_next_step,
    an_idle_host_sleeps_while_its_poll_is_parked,
    a_grant_for_sudo_comes_and_goes_with_the_set,
}

fn login(id: &str, user: &str, seconds: i64) -> Value {
    grant(id, user, seconds, &json!({"login": {}}))
}

fn enrolled(release: Release, config: &str) -> (Host, StandIn) {
    let host = Host::builder(release).exempt(&["ops"]).config(&format!("grace = \"0s\"\n{config}")).boot();
    let endpoint = StandIn::start(&host);
    endpoint.enroll(&host);
    (host, endpoint)
}

fn permitted(host: &Host, user: &str) {
    wait_for(&format!("{user}'s grant"), SOON, || {
        (host.why(&format!("{user} sshd"))["verdict"] == "permit").then_some(())
    });
}

fn a_grant_opens_within_a_moment_and_a_revocation_kills_what_it_opened(release: Release) {
    let (host, endpoint) = enrolled(release, "");
    assert_refused(&host.ssh("alice", "id"));
    let begun = Instant::now();
    endpoint.grants(&[login("a", "alice", 600)]);
    permitted(&host, "alice");
    report(&format!("{release}: a grant was in force {:?} after it was made", begun.elapsed()));
    let mut alice = host.login("alice");
    alice.type_text("trap '' TERM HUP INT; while :; do sleep 0.2; done\n");
    let begun = Instant::now();
    endpoint.grants(&[]);
    wait_for("the death of all of it", SOON, || host.session_processes("alice").is_empty().then_some(()));
    report(&format!("{release}: everything was dead {:?} after the revocation", begun.elapsed()));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_refused(&host.ssh("alice", "id"));
    assert_eq!(host.why("alice sshd")["reason_code"], "revoked");
    let received = host.audited("grant.received", |it| it["grant"] == "a");
    assert_eq!(received["source"], "endpoint");
    host.audited("grant.started", |it| it["grant"] == "a" && it["ticket"] == "INC-2");
    host.audited("grant.ended", |it| it["grant"] == "a" && it["end"] == "revoked");
    host.audited("session.terminated", |it| it["grant"] == "a");
    host.audited("set.applied", |it| it["set_version"] == json!(endpoint.version()));
    let set = &host.status()["set"];
    assert_eq!((&set["endpoint"], &set["host"]), (&json!(ORIGIN), &json!("stand-in-host")));
    assert!(endpoint.seen().iter().filter(|seen| seen.path.ends_with("/grants")).all(|seen| seen.authentic));
    assert!(host.ok("curfew status").contains("version"), "{}", host.ok("curfew status"));
    host.audit_is_whole();
}

fn grants_of_the_endpoint_and_local_ones_hold_side_by_side(release: Release) {
    let (host, endpoint) = enrolled(release, "");
    let local = host.grant("alice --for 300s --login");
    endpoint.grants(&[login("alices", "alice", 600), login("bobs", "bob", 600), login(&local.id, "carol", 600)]);
    permitted(&host, "bob");
    let sources: Vec<Value> =
        host.status()["grants"].as_array().expect("a list").iter().map(|it| it["source"].clone()).collect();
    assert_eq!(sources.iter().filter(|it| **it == "local").count(), 1, "{sources:?}");
    assert_eq!(sources.iter().filter(|it| **it == "endpoint").count(), 2, "{sources:?}");
    // The endpoint can't take over the name of a local grant.
    assert_refused(&host.ssh("carol", "id"));
    host.audited("grant.refused", |it| it["grant"] == local.id.as_str() && it["source"] == "endpoint");
    // One ending never ends what the other still covers.
    let mut alice = host.login("alice");
    endpoint.grants(&[login("bobs", "bob", 600)]);
    host.audited("grant.ended", |it| it["grant"] == "alices");
    assert!(alice.run("echo in").contains("in"));
    host.ok(&format!("curfew revoke {}", local.id));
    wait_for("her end", SOON, || (!alice.is_alive()).then_some(()));
    // Root ends a grant of the endpoint's here and now, whatever the next set says.
    let mut bob = host.login("bob");
    host.ok("curfew revoke bobs --reason 'it was not bob'");
    wait_for("his end", SOON, || (!bob.is_alive()).then_some(()));
    endpoint.grants(&[login("bobs", "bob", 600), login("carols", "carol", 600)]);
    permitted(&host, "carol");
    assert_refused(&host.ssh("bob", "id"));
    host.ok("systemctl restart curfewd");
    assert_refused(&host.ssh("bob", "id"));
    assert_eq!(host.ssh("carol", "id -un").expect_ok("carol"), "carol");
    host.audited("local.revoked", |it| it["grant"] == "bobs");
}

fn a_grant_that_changes_keeps_the_session_it_still_covers(release: Release) {
    let (host, endpoint) = enrolled(release, "");
    endpoint.grants(&[login("a", "alice", 8)]);
    permitted(&host, "alice");
    let mut alice = host.login("alice");
    // It is extended before its end, and then cut short.
    endpoint.grants(&[login("a", "alice", 600)]);
    host.audited("grant.ended", |it| it["grant"] == "a" && it["end"] == "superseded");
    std::thread::sleep(Duration::from_secs(9));
    assert!(alice.run("echo in").contains("in"));
    assert_eq!(host.status()["grants"][0]["state"], "live");
    let begun = Instant::now();
    endpoint.grants(&[login("a", "alice", 3)]);
    wait_for("her end", SOON, || (!alice.is_alive()).then_some(()));
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_refused(&host.ssh("alice", "id"));
    host.audited("grant.ended", |it| it["grant"] == "a" && it["end"] == "expired");
}

fn a_verified_set_survives_a_reboot_without_the_endpoint(release: Release) {
    let (mut host, endpoint) = enrolled(release, "poll_wait = \"2s\"");
    endpoint.grants(&[login("a", "alice", 600), login("b", "bob", 600)]);
    permitted(&host, "alice");
    endpoint.grants(&[login("a", "alice", 600)]);
    wait_for("bob's end", SOON, || (host.why("bob sshd")["verdict"] == "deny").then_some(()));
    drop(endpoint);
    for reboot in [Host::reboot, Host::power_cycle] {
        reboot(&mut host);
        assert_eq!(host.ssh("alice", "id -un").expect_ok("alice"), "alice");
        assert_refused(&host.ssh("bob", "id"));
        assert_eq!(host.why("bob sshd")["reason_code"], "revoked");
    }
    wait_for("word that the endpoint is away", Duration::from_secs(30), || {
        (host.status()["set"]["state"] == "failing").then_some(())
    });
}

fn past_its_time_a_set_opens_nothing_new_and_ends_nothing(release: Release) {
    let (host, endpoint) = enrolled(release, "");
    let later = {
        let mut coming = login("carols", "carol", 600);
        let opens = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 10).expect("a time");
        coming["not_before"] = json!(opens.to_string());
        coming
    };
    endpoint.grants(&[login("a", "alice", 25), later]);
    permitted(&host, "alice");
    let mut alice = host.login("alice");
    let local = host.grant("bob --for 300s --login");
    endpoint.fault(Fault::None);
    endpoint.freshness(4, 3);
    wait_for("that set", SOON, || (host.status()["set"]["version"] == json!(endpoint.version())).then_some(()));
    endpoint.fault(Fault::Silent);
    wait_for("its end", SOON, || (host.why("alice sshd")["reason_code"] == "stale").then_some(()));
    assert_refused(&host.ssh("alice", "id"));
    assert!(host.ssh("alice", "id").stderr.contains("endpoint"));
    let doctor = host.run("curfew doctor").stdout;
    assert!(doctor.contains("fail  endpoint") && doctor.contains("nothing new opens by it"), "{doctor}");
    assert!(alice.run("echo in").contains("in"), "what is live goes on");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("a local grant"), "bob");
    std::thread::sleep(Duration::from_secs(4));
    assert_refused(&host.ssh("carol", "id"));
    assert_eq!(host.why("carol sshd")["reason_code"], "stale");
    wait_for("its own end", Duration::from_secs(30), || (!alice.is_alive()).then_some(()));
    host.audited("grant.ended", |it| it["grant"] == "a" && it["end"] == "expired");
    assert!(host.audit("").iter().all(|it| it["event"] != "grant.started" || it["grant"] != "carols"));
    drop(local);
    // The endpoint is back: what is due opens.
    endpoint.fault(Fault::None);
    endpoint.freshness(300, 3600);
    host.ok("curfew sync");
    permitted(&host, "carol");
}

fn the_endpoints_keys_change_with_overlap_and_the_hosts_key_at_its_word(release: Release) {
    let (host, endpoint) = enrolled(release, "");
    let new = endpoint.announce_new_key();
    wait_for("the announcement", SOON, || (host.status()["set"]["version"] == json!(endpoint.version())).then_some(()));
    endpoint.sign_with(new);
    endpoint.grants(&[login("a", "alice", 600)]);
    permitted(&host, "alice");
    // Also after a restart: what is stored is verified again.
    host.ok("systemctl restart curfewd");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("alice"), "alice");
    let before = endpoint.host_key().expect("it is enrolled");
    host.ok("curfew rotate-key");
    let after = endpoint.host_key().expect("it is enrolled");
    assert_ne!(before, after);
    endpoint.grants(&[login("b", "bob", 600)]);
    permitted(&host, "bob");
    assert_eq!(host.ok("stat -c %a /var/lib/curfew/host.key"), "600");
    assert!(!host.has("/var/lib/curfew/host.key.next"));
}

fn leaving_the_endpoint_ends_its_grants_and_keeps_local_ones(release: Release) {
    let (host, endpoint) = enrolled(release, "");
    endpoint.grants(&[login("a", "alice", 600)]);
    permitted(&host, "alice");
    let _local = host.grant("bob --for 300s --login");
    let mut alice = host.login("alice");
    host.ok("curfew leave");
    wait_for("her end", SOON, || (!alice.is_alive()).then_some(()));
    assert_refused(&host.ssh("alice", "id"));
    assert_eq!(host.ssh("bob", "id -un").expect_ok("a local grant"), "bob");
    assert_eq!(host.status()["set"], Value::Null);
    assert!(!host.has("/var/lib/curfew/host.key") && !host.has("/var/lib/curfew/grants.jws"));
    endpoint.enroll(&host);
    permitted(&host, "alice");
}

fn a_mistake_in_enrolling_is_named_with_the_next_step(release: Release) {
    let host = Host::boot(release);
    let endpoint = StandIn::start(&host);
    host.write("/root/token", TOKEN);
    host.write("/root/wrong-token", "nonsense");
    host.write("/root/no-ca.pem", "nonsense");
    let ok = format!("--token-file /root/token --ca {CA_FILE}");
    for (arguments, says) in [
        (format!("http://127.0.0.1:8443 {ok}"), "https"),
        (format!("{ORIGIN}/path?query {ok}"), "query"),
        (format!("nonsense {ok}"), "nonsense"),
        (format!("{ORIGIN} --token-file /root/none --ca {CA_FILE}"), "/root/none"),
        (format!("{ORIGIN} --token-file /root/wrong-token --ca {CA_FILE}"), "token"),
        (format!("{ORIGIN} --token-file /root/token"), "certificate"),
        (format!("{ORIGIN} --token-file /root/token --ca /root/no-ca.pem"), "/root/no-ca.pem"),
        (format!("https://127.0.0.1:9 {ok}"), "127.0.0.1:9"),
    ] {
        let output = host.run(&format!("curfew enroll {arguments}"));
        assert!(!output.success(), "{arguments}: {output:#?}");
        assert!(output.stderr.contains(says), "{arguments}: {output:#?}");
        assert!(!output.stderr.contains(TOKEN), "{arguments}: {output:#?}");
        assert_eq!(host.status()["set"], Value::Null, "{arguments}");
    }
    let output = host.run_as("alice", &format!("curfew enroll {ORIGIN} --token-file /dev/null"));
    assert!(!output.success() && output.stderr.contains("root"), "{output:#?}");
    endpoint.enroll(&host);
    let output = host.run(&format!("curfew enroll https://elsewhere.example {ok}"));
    assert!(!output.success() && output.stderr.contains(ORIGIN), "{output:#?}");
}

fn an_idle_host_sleeps_while_its_poll_is_parked(release: Release) {
    let (host, _endpoint) = enrolled(release, "");
    // The agent's threads for blocking work end after ten seconds without any.
    std::thread::sleep(Duration::from_secs(15));
    let switches = || -> u64 {
        let text = host.ok("cat /proc/$(systemctl show -P MainPID curfewd)/task/*/status");
        let lines = text.lines().filter_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        lines.map(|count| count.trim().parse::<u64>().expect("a number")).sum()
    };
    let before = switches();
    std::thread::sleep(Duration::from_secs(20));
    let woken = switches() - before;
    report(&format!("{release}: {woken} context switches in 20 idle seconds with a poll parked"));
    assert!(woken <= 12, "{woken}");
}

fn a_grant_for_sudo_comes_and_goes_with_the_set(release: Release) {
    let (host, endpoint) = enrolled(release, "");
    let sudo = |commands: &[&str]| grant("s", "alice", 600, &json!({"login": {}, "sudo": {"commands": commands}}));
    endpoint.grants(&[sudo(&["/usr/bin/id"])]);
    permitted(&host, "alice");
    // A set is told to be applied when what it grants works.
    let applied = host.audited("set.applied", |it| it["set_version"] == json!(endpoint.version()));
    let written = host.audited("sudoers.written", |it| it["grant"] == "s");
    assert!(written["seq"].as_u64() < applied["seq"].as_u64(), "{written} {applied}");
    let mut alice = host.login("alice");
    assert!(alice.sudo("/usr/bin/id -u").contains("status:0"));
    assert!(!alice.sudo("/usr/bin/whoami").contains("status:0"));
    // The same grant with another command: the rule in place is the new one.
    endpoint.grants(&[sudo(&["/usr/bin/whoami"])]);
    wait_for("the new rule", SOON, || host.drop_in().contains("whoami").then_some(()));
    assert!(alice.sudo("/usr/bin/whoami").contains("status:0"));
    assert!(!alice.sudo("/usr/bin/id -u").contains("status:0"));
    endpoint.grants(&[login("l", "alice", 600)]);
    wait_for("no rule", SOON, || host.drop_ins().is_empty().then_some(()));
    assert!(!alice.sudo("/usr/bin/whoami").contains("status:0"));
    assert!(alice.run("echo in").contains("in"), "the login goes on by the other grant");
    let removed = host.audit("--event sudoers.removed").pop().expect("a record");
    let applied = host.audited("set.applied", |it| it["set_version"] == json!(endpoint.version()));
    assert!(removed["seq"].as_u64() < applied["seq"].as_u64(), "{removed} {applied}");
}
