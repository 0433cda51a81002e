//! The endpoint, or the network between, is broken or lies: the host keeps the last good set, says so once, disturbs nobody who is in, lets
//! nobody in by what it can't believe, and recovers by itself.

use std::time::Duration;

use curfew_tests::endpoint::{Fault, StandIn, Validity, grant};
use curfew_tests::{Host, Release, SOON, Shell, assert_refused, report, until, wait_for};
use serde_json::{Value, json};

on_one_release! {
    a_set_that_can_not_be_believed_changes_nothing,
    an_endpoint_that_asks_to_be_left_alone_is_left_alone,
    a_grant_with_an_unknown_field_is_refused_alone,
    ten_thousand_grants_come_in_one_set,
    a_set_that_the_disk_does_not_take_opens_nothing_and_still_ends_what_it_no_longer_lists,
    an_older_set_stays_refused_after_a_restart_and_without_the_stored_one,
}

takes_long! {
    an_answer_that_is_no_set_changes_nothing: trixie Trixie;
    a_status_that_is_no_set_changes_nothing: trixie Trixie;
    a_body_that_is_too_long_or_never_ends_is_given_up: trixie Trixie;
    an_endpoint_that_is_silent_or_not_itself_changes_nothing: trixie Trixie;
}

/// How long a host may take to come back by itself after a short fault: an endpoint that said no is asked again within a minute.
const RECOVERY: Duration = Duration::from_secs(70);
/// How long a fault may last before it is said: a body has a minute to come.
const COMPLAINT: Duration = Duration::from_secs(90);
/// Long enough for an event that is written again and again to be seen twice.
const A_WHILE: Duration = Duration::from_secs(3);

/// Alice is in by the endpoint's word, and stays.
struct Scene {
    host: Host,
    endpoint: StandIn,
    alice: Shell,
    /// The grants that hold from the start.
    held: Vec<Value>,
    rounds: u32,
}

impl Scene {
    fn new(release: Release) -> Self {
        let host = Host::builder(release).exempt(&["ops"]).config("poll_wait = \"2s\"").boot();
        let endpoint = StandIn::start(&host);
        let held = vec![grant("alices", "alice", 600, &json!({"login": {}}))];
        endpoint.grants(&held);
        endpoint.enroll(&host);
        let alice = host.login("alice");
        Self { host, endpoint, alice, held, rounds: 0 }
    }

    /// Counts what the audit has of the endpoint's faults.
    fn complaints(&self) -> Vec<Value> {
        let mut records = self.host.audit("");
        records.retain(|it| it["event"] == "set.refused" || it["event"] == "sync.failed");
        records
    }

    /// Carol is granted access by a new version, which comes with a fault.
    fn endures(&mut self, what: &str, fault: Fault) {
        self.endures_as(what, |endpoint| endpoint.fault(fault), |endpoint| endpoint.fault(Fault::None));
    }

    fn endures_as(&mut self, what: &str, breaks: impl FnOnce(&StandIn), mends: impl FnOnce(&StandIn)) {
        self.rounds += 1;
        let before = self.complaints().len();
        breaks(&self.endpoint);
        let new = grant(&format!("carols-{}", self.rounds), "carol", 600, &json!({"login": {}}));
        let held = [self.held.clone(), vec![new]].concat();
        self.endpoint.grants(&held);
        wait_for(&format!("a complaint about {what}"), COMPLAINT, || (self.complaints().len() > before).then_some(()));
        assert_refused(&self.host.ssh("carol", "id"));
        std::thread::sleep(A_WHILE);
        let said: Vec<Value> = self.complaints().split_off(before);
        assert_eq!(said.len(), 1, "{what} is said once: {said:#?}");
        let reason = said[0]["reason"].as_str().unwrap_or_default();
        report(&format!("{}: {what}: {reason}", self.host.release()));
        assert!(!reason.is_empty(), "{what}: {said:#?}");
        assert!(self.alice.run("echo in").contains("in"), "{what}");
        assert_eq!(self.host.ssh("alice", "id -un").expect_ok(what), "alice");
        mends(&self.endpoint);
        let version = self.endpoint.version();
        let came = until(RECOVERY, || (self.host.status()["set"]["version"] == json!(version)).then_some(()));
        assert!(came.is_some(), "{what}: {:#?}", self.host.status()["set"]);
        assert_eq!(self.host.ssh("carol", "id -un").expect_ok(what), "carol");
        // Back to where it was: carol's grant goes again.
        self.endpoint.grants(&self.held.clone());
        wait_for("the next set", RECOVERY, || {
            (self.host.status()["set"]["version"] == json!(self.endpoint.version())).then_some(())
        });
        assert!(self.alice.run("echo in").contains("in"), "{what}");
    }

    /// The agent was there all the time.
    fn finish(mut self) {
        assert!(self.alice.run("echo in").contains("in"));
        assert_eq!(self.host.agent_restarts(), 0);
        self.host.audit_is_whole();
    }
}

fn a_set_that_can_not_be_believed_changes_nothing(release: Release) {
    let mut scene = Scene::new(release);
    scene.endures("a wrong signature", Fault::WrongSignature);
    scene.endures("an unknown key", Fault::UnknownKey);
    scene.endures("a set for another host", Fault::OtherHost);
    scene.endures("an older set", Fault::Older);
    scene.endures("a set from the future", Fault::Future);
    scene.endures("an expired set", Fault::Expired);
    scene.endures("a signed document that is no set", Fault::NoSet);
    scene.finish();
}

fn an_answer_that_is_no_set_changes_nothing(release: Release) {
    let mut scene = Scene::new(release);
    scene.endures("half a set", Fault::Truncated);
    scene.endures("a captive portal", Fault::Portal);
    scene.endures("a redirect", Fault::Redirect);
    scene.endures("a connection that ends in the body", Fault::CutMidBody);
    scene.endures("a connection that ends before the answer", Fault::HangUp);
    scene.finish();
}

fn a_status_that_is_no_set_changes_nothing(release: Release) {
    let mut scene = Scene::new(release);
    for status in [404, 410, 500] {
        scene.endures(&format!("status {status}"), Fault::Status(status, None));
    }
    scene.finish();
}

fn a_body_that_is_too_long_or_never_ends_is_given_up(release: Release) {
    let mut scene = Scene::new(release);
    scene.endures("a body of a gigabyte", Fault::Gigabyte);
    let peak = scene.host.ok("awk '/VmHWM/ {print $2}' /proc/$(systemctl show -P MainPID curfewd)/status");
    let peak: u64 = peak.parse().expect("kilobytes");
    report(&format!("{release}: after a body of a gigabyte the agent had held {peak} kB at most"));
    assert!(peak < 128 * 1024, "{peak} kB");
    scene.endures("a body without an end", Fault::NeverEnding);
    scene.finish();
}

fn an_endpoint_that_is_silent_or_not_itself_changes_nothing(release: Release) {
    let mut scene = Scene::new(release);
    scene.endures("an endpoint that does not answer", Fault::Silent);
    scene.endures("plain HTTP", Fault::PlainHttp);
    // A connection that is open stays open with the certificate that it began with.
    let hang_up = |endpoint: &StandIn| {
        endpoint.fault(Fault::HangUp);
        std::thread::sleep(Duration::from_millis(500));
        endpoint.fault(Fault::None);
    };
    scene.endures_as(
        "an expired certificate",
        |endpoint| {
            endpoint.certificate(Validity::Expired);
            hang_up(endpoint);
        },
        |endpoint| endpoint.certificate(Validity::Now),
    );
    scene.endures_as(
        "a certificate of another authority",
        |endpoint| {
            endpoint.certificate_of_another_authority();
            hang_up(endpoint);
        },
        |endpoint| endpoint.certificate(Validity::Now),
    );
    scene.finish();
}

fn an_endpoint_that_asks_to_be_left_alone_is_left_alone(release: Release) {
    let scene = Scene::new(release);
    let asked = || scene.endpoint.seen().iter().filter(|seen| seen.path.ends_with("/grants")).count();
    scene.endpoint.fault(Fault::Status(429, Some(8)));
    wait_for("a complaint", SOON, || (!scene.complaints().is_empty()).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    let before = asked();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(asked(), before, "it was asked again before its time");
    scene.endpoint.fault(Fault::None);
    scene.endpoint.grants(&scene.held);
    wait_for("the next set", RECOVERY, || {
        (scene.host.status()["set"]["version"] == json!(scene.endpoint.version())).then_some(())
    });
    scene.host.audited("sync.recovered", |_| true);
    scene.finish();
}

fn a_grant_with_an_unknown_field_is_refused_alone(release: Release) {
    let scene = Scene::new(release);
    let mut odd = grant("odd", "carol", 600, &json!({"login": {}}));
    odd["colour"] = json!("red");
    let bobs = grant("bobs", "bob", 600, &json!({"login": {}}));
    scene.endpoint.grants(&[scene.held.clone(), vec![odd, bobs]].concat());
    wait_for("bob's grant", SOON, || (scene.host.why("bob sshd")["verdict"] == "permit").then_some(()));
    let record = scene.host.audited("grant.refused", |it| it["grant"] == "odd");
    assert!(record["reason"].as_str().is_some_and(|it| it.contains("unknown field `colour`")), "{record:#}");
    assert_eq!(record["source"], "endpoint");
    assert_eq!(scene.host.ssh("bob", "id -un").expect_ok("bob"), "bob");
    assert_refused(&scene.host.ssh("carol", "id"));
    // The same again is not said again.
    scene.endpoint.freshness(200, 3600);
    wait_for("the next set", SOON, || {
        (scene.host.status()["set"]["version"] == json!(scene.endpoint.version())).then_some(())
    });
    let said = scene.host.audit("").into_iter().filter(|it| it["event"] == "grant.refused").count();
    assert_eq!(said, 1);
    scene.finish();
}

fn ten_thousand_grants_come_in_one_set(release: Release) {
    let scene = Scene::new(release);
    let mut many = scene.held.clone();
    many.extend((1..10_000).map(|number| grant(&format!("g{number}"), "bob", 600, &json!({"login": {}}))));
    let begun = std::time::Instant::now();
    scene.endpoint.grants(&many);
    // While it is read, nobody waits long.
    let mut slowest = Duration::ZERO;
    let came = until(Duration::from_secs(30), || {
        slowest = slowest.max(scene.host.ssh("alice", "true").took);
        (scene.host.status()["set"]["version"] == json!(scene.endpoint.version())).then_some(())
    });
    assert!(came.is_some(), "{:#?}", scene.host.status()["set"]);
    let took = begun.elapsed();
    report(&format!("{release}: 10,000 grants in force after {took:?}, the slowest login meanwhile {slowest:?}"));
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    assert_eq!(scene.host.ssh("bob", "id -un").expect_ok("bob"), "bob");
    // All of them go at once.
    scene.endpoint.grants(&scene.held);
    wait_for("their end", Duration::from_secs(30), || (scene.host.why("bob sshd")["verdict"] == "deny").then_some(()));
    // One more than a set may have is no set.
    many.push(grant("one-more", "carol", 600, &json!({"login": {}})));
    scene.endpoint.grants(&many);
    let refused = scene.host.audited("set.refused", |_| true);
    assert!(refused["reason"].as_str().is_some_and(|it| it.contains("10001 grants")), "{refused:#}");
    assert_refused(&scene.host.ssh("carol", "id"));
    assert_eq!(scene.host.agent_restarts(), 0);
}

fn a_set_that_the_disk_does_not_take_opens_nothing_and_still_ends_what_it_no_longer_lists(release: Release) {
    let mut scene = Scene::new(release);
    let bobs = grant("bobs", "bob", 600, &json!({"login": {}}));
    scene.endpoint.grants(&[scene.held.clone(), vec![bobs]].concat());
    wait_for("bob's grant", SOON, || (scene.host.why("bob sshd")["verdict"] == "permit").then_some(()));
    let mut bob = scene.host.login("bob");
    // A full disk of its own under the state.
    scene.host.ok("cp -a /var/lib/curfew /root/kept && mount -t tmpfs -o size=2m,mode=0700 full /var/lib/curfew \
         && cp -a /root/kept/. /var/lib/curfew/ && systemctl restart curfewd \
         && dd if=/dev/zero of=/var/lib/curfew/ballast bs=4k 2>/dev/null; test -f /var/lib/curfew/ballast");
    let carols = grant("carols", "carol", 600, &json!({"login": {}}));
    scene.endpoint.grants(&[scene.held.clone(), vec![carols]].concat());
    wait_for("bob's end", SOON, || (!bob.is_alive()).then_some(()));
    assert_refused(&scene.host.ssh("bob", "id"));
    assert_refused(&scene.host.ssh("carol", "id"));
    assert!(scene.alice.run("echo in").contains("in"));
    // Also after a restart without room.
    scene.host.ok("systemctl restart curfewd");
    assert_refused(&scene.host.ssh("bob", "id"));
    scene.host.ok("rm /var/lib/curfew/ballast");
    wait_for("carol's grant", RECOVERY * 2, || (scene.host.why("carol sshd")["verdict"] == "permit").then_some(()));
    assert_refused(&scene.host.ssh("bob", "id"));
    assert!(scene.alice.run("echo in").contains("in"));
}

fn an_older_set_stays_refused_after_a_restart_and_without_the_stored_one(release: Release) {
    let scene = Scene::new(release);
    let version = scene.endpoint.version();
    // Alice's grant is revoked; then the network plays the set again in which she had it.
    scene.endpoint.grants(&[]);
    wait_for("her end", SOON, || (scene.host.why("alice sshd")["verdict"] == "deny").then_some(()));
    scene.host.stop_agent();
    scene.endpoint.grants(&scene.held);
    scene.endpoint.count_from(1, version);
    for loss in ["true", "rm /var/lib/curfew/grants.jws", "echo nonsense >/var/lib/curfew/grants.jws"] {
        scene.host.ok(loss);
        scene.host.start_agent();
        wait_for("a complaint", SOON, || {
            let refused = scene.complaints();
            refused.iter().any(|it| it["reason"].as_str().is_some_and(|it| it.contains("older"))).then_some(())
        });
        assert_refused(&scene.host.ssh("alice", "id"));
        scene.host.stop_agent();
    }
    // A new epoch starts the count again.
    scene.endpoint.count_from(2, 1);
    scene.host.start_agent();
    wait_for("alice's grant", RECOVERY, || (scene.host.why("alice sshd")["verdict"] == "permit").then_some(()));
}
