//! The whole way, with nothing in anybody's stead: an administrator's word at the real endpoint opens a host and closes it again, on one SQLite file,
//! on PostgreSQL behind two servers, and from a web server that only hands out files.

use std::time::{Duration, Instant};

use curfew_tests::central::{CA_FILE, Central, ORIGIN};
use curfew_tests::{Host, Release, Running, SOON, assert_refused, report, wait_for};
use serde_json::{Value, json};

on_two_releases! {
    an_administrators_word_opens_a_host_and_closes_it_again,
}

on_one_release! {
    two_servers_on_postgresql_go_on_when_one_of_them_is_killed,
    a_stock_nginx_that_hands_out_files_is_an_endpoint,
    the_endpoint_answers_who_what_where_and_when,
    a_host_that_was_removed_is_told_so_and_lets_nobody_new_in,
    a_stopped_endpoint_changes_nothing_and_is_found_again,
}

const STUBBORN: &str = "trap '' TERM HUP INT; while :; do sleep 0.2; done\n";

fn boot(release: Release) -> Host {
    Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot()
}

fn permitted(host: &Host, user: &str) {
    let asks = format!("{user} sshd");
    wait_for(&format!("{user}'s grant"), SOON, || (host.why(&asks)["verdict"] == "permit").then_some(()));
}

/// Grants, logs in, revokes, and sees the session die.
fn opens_and_closes(host: &Host, central: &Central<'_>, selector: &str, patience: Duration) {
    assert_refused(&host.ssh("alice", "id"));
    let id = central.grant(&format!("alice {selector} --for 1h --login"));
    wait_for("the grant", patience, || (host.why("alice sshd")["verdict"] == "permit").then_some(()));
    let mut alice = host.login("alice");
    alice.type_text(STUBBORN);
    let begun = Instant::now();
    central.run(&format!("grant revoke {id} --reason 'it is done'")).expect_ok("grant revoke");
    wait_for("the death of all of it", patience, || host.session_processes("alice").is_empty().then_some(()));
    report(&format!(
        "{}: {:?} from the revocation's command to the last process dead",
        host.release(),
        begun.elapsed()
    ));
    assert_refused(&host.ssh("alice", "id"));
}

fn an_administrators_word_opens_a_host_and_closes_it_again(release: Release) {
    let host = boot(release);
    let central = Central::start(&host);
    central.enroll();
    let id = host.status()["set"]["host"].as_str().expect("a host id").to_owned();
    opens_and_closes(&host, &central, &format!("--host {id}"), SOON);
    opens_and_closes(&host, &central, "--labels role=web", SOON);
    // For other hosts it is not.
    let _elsewhere = central.grant("alice --labels role=db --for 1h --login");
    host.ok("curfew sync");
    assert_refused(&host.ssh("alice", "id"));
    // With sudo, and with what an auditor asks of it.
    let with_sudo = central.grant("bob --labels role=web --for 1h --login --sudo --command /usr/bin/id");
    permitted(&host, "bob");
    host.drop_in();
    assert_eq!(host.ssh("bob", "sudo -n /usr/bin/id -u").expect_ok("sudo"), "0");
    let record = host.audited("sudo.permitted", |it| it["grant"] == with_sudo.as_str());
    assert_eq!((&record["ticket"], &record["reason"]), (&json!("INC-4"), &json!("INC-4 disk full")));
    host.ok("curfew rotate-key");
    let _after = central.grant("carol --labels role=web --for 1h --login");
    permitted(&host, "carol");
}

fn two_servers_on_postgresql_go_on_when_one_of_them_is_killed(release: Release) {
    let host = Host::builder(release).with_packages(&["postgresql"]).exempt(&["ops"]).config("grace = \"0s\"").boot();
    let mut central = Central::start_two_on_postgresql(&host);
    central.enroll();
    opens_and_closes(&host, &central, "--labels role=web", SOON);
    let kept = central.grant("bob --labels role=web --for 1h --login");
    permitted(&host, "bob");
    let mut bob = host.login("bob");
    // Whichever of them the host's poll is parked at: one after the other dies, and comes back in between.
    central.kill(0);
    assert!(bob.run("echo in").contains("in"));
    let patience = Duration::from_secs(20);
    opens_and_closes(&host, &central, "--labels role=web", patience);
    assert!(bob.run("echo in").contains("in"));
    central.run(&format!("grant revoke {kept}")).expect_ok("grant revoke");
    wait_for("bob's end", patience, || (!bob.is_alive()).then_some(()));
}

fn a_stock_nginx_that_hands_out_files_is_an_endpoint(release: Release) {
    let host = Host::builder(release)
        .with_packages(&["nginx-light"])
        .exempt(&["ops"])
        .config("grace = \"0s\"\npoll_interval = \"1s\"")
        .boot();
    let central = Central::start(&host);
    let id = central.ask("host add by-file --label role=web");
    let id = id["id"].as_str().or(id["host"]["id"].as_str()).expect("a host id").to_owned();
    host.write(
        "/etc/nginx/conf.d/sets.conf",
        "server { listen 443 ssl; server_name curfew.test; root /srv/sets; ssl_protocols TLSv1.3;\n\
         ssl_certificate /var/lib/curfew-server/tls/server.pem; ssl_certificate_key /var/lib/curfew-server/tls/server.key; }\n",
    );
    let export = "curfew-server export /srv/sets --config /etc/curfew/server.toml";
    host.ok(&format!("mkdir -p /srv/sets && {export} && chmod -R a+rX /srv/sets && systemctl restart nginx"));
    host.ok(&format!(
        "curfew enroll https://curfew.test --static --host {id} --keys /srv/sets/keys.json --ca {CA_FILE}"
    ));
    // The same agent code, with a file in place of a parked poll.
    let _exports: Running =
        host.spawn(&format!("while {export} >/dev/null && chmod -R a+rX /srv/sets; do sleep 0.5; done"));
    opens_and_closes(&host, &central, "--labels role=web", Duration::from_secs(15));
    assert_eq!(host.status()["set"]["endpoint"], "https://curfew.test");
    assert!(!host.has("/var/lib/curfew/host.key"), "a file needs no key of the host");
}

fn the_endpoint_answers_who_what_where_and_when(release: Release) {
    let host = boot(release);
    let central = Central::start(&host);
    central.enroll();
    let id = central.grant("alice --labels role=web --for 1h --login --sudo --command /usr/bin/id");
    permitted(&host, "alice");
    host.drop_in();
    assert_eq!(host.ssh("alice", "sudo -n /usr/bin/id -u").expect_ok("sudo"), "0");
    central.run(&format!("grant revoke {id} --reason 'it is done'")).expect_ok("grant revoke");
    wait_for("all of it at the endpoint", SOON, || {
        let there = central.audit(&format!("--grant {id}"));
        let has = |event: &str| there.iter().any(|record| record.to_string().contains(event));
        ["login.permitted", "sudo.permitted", "grant.ended"].into_iter().all(has).then_some(())
    });
    let logins = central.audit("--user alice --event login.permitted");
    let login = logins.first().expect("one login");
    for (what, value) in
        [("who", "alice"), ("why", "INC-4 disk full"), ("where from", "127.0.0.1"), ("by which grant", &id)]
    {
        assert!(login.to_string().contains(value), "{what}: {login:#}");
    }
    // Everything that the host has, once and in order, also after a crash of the agent in between.
    host.ok("systemctl kill -s KILL curfewd; sleep 1; curfew status >/dev/null");
    assert_refused(&host.ssh("alice", "id"));
    let last =
        host.audited("login.denied", |it| it["user"] == "alice" && it["reason_code"] == "revoked")["seq"].clone();
    let seqs = || -> Vec<u64> {
        let mut seqs: Vec<u64> = central.audit("--limit 10000").iter().filter_map(seq).collect();
        seqs.sort_unstable();
        seqs
    };
    wait_for("the rest at the endpoint", SOON, || seqs().contains(&last.as_u64().expect("a number")).then_some(()));
    let there = seqs();
    assert_eq!(there, (1..=there.len() as u64).collect::<Vec<_>>(), "a gap or a double");
    assert!(host.status()["set"]["audit_stored_to"].as_u64() >= last.as_u64());
}

/// The number of a host's record; an administrator's deed belongs to no host's series.
fn seq(record: &Value) -> Option<u64> {
    if record["series"].is_null() { None } else { record["seq"].as_u64() }
}

fn a_host_that_was_removed_is_told_so_and_lets_nobody_new_in(release: Release) {
    let host = boot(release);
    let central = Central::start(&host);
    central.enroll();
    let _grant = central.grant("alice --labels role=web --for 1h --login");
    permitted(&host, "alice");
    let mut alice = host.login("alice");
    let id = host.status()["set"]["host"].as_str().expect("a host id").to_owned();
    central.run(&format!("host remove {id}")).expect_ok("host remove");
    wait_for("her end, by a signed set", SOON, || (!alice.is_alive()).then_some(()));
    assert_refused(&host.ssh("alice", "id"));
    let problem = host.audited("sync.failed", |_| true);
    assert!(problem["reason"].as_str().is_some_and(|it| it.contains("enrol")), "{problem:#}");
    // Asked again, it hears the same; it comes back with a new token alone.
    let _ = host.run("curfew sync");
    assert_refused(&host.ssh("alice", "id"));
    let token = central.run("token create --label role=web").expect_ok("token create");
    host.write("/root/token", token);
    host.ok(&format!("curfew enroll {ORIGIN} --token-file /root/token --ca {CA_FILE} --replace"));
    permitted(&host, "alice");
}

fn a_stopped_endpoint_changes_nothing_and_is_found_again(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"\npoll_wait = \"2s\"").boot();
    let central = Central::start(&host);
    central.enroll();
    let id = central.grant("alice --labels role=web --for 1h --login");
    permitted(&host, "alice");
    let mut alice = host.login("alice");
    host.ok("pkill -STOP curfew-server");
    wait_for("word of it", Duration::from_secs(30), || (host.status()["set"]["state"] == "failing").then_some(()));
    assert!(alice.run("echo in").contains("in"));
    assert_eq!(host.ssh("alice", "id -un").expect_ok("the last good set holds"), "alice");
    host.ok("pkill -CONT curfew-server");
    central.run(&format!("grant revoke {id}")).expect_ok("grant revoke");
    wait_for("her end", Duration::from_secs(60), || (!alice.is_alive()).then_some(()));
    host.audited("sync.recovered", |_| true);
    let failures = host.audit("").into_iter().filter(|it| it["event"] == "sync.failed").count();
    assert_eq!(failures, 1);
}
