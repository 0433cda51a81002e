//! What people left for later: cron and at, where they are configured to be judged, and where they are not.

use std::time::Duration;

use curfew_tests::{Host, Release, SOON, wait_for};

on_every_release! {
    left_alone_cron_and_at_run_as_ever,
    where_it_is_configured_jobs_run_under_a_grant_alone_and_end_with_the_last,
}

/// What each job runs: it says that it began, and stays.
fn job(name: &str) -> String {
    format!("touch /tmp/{name} && sleep 800")
}

/// Has cron run everybody's jobs at once: those for the boot, as after a boot.
fn start_jobs(host: &Host) {
    host.ok("systemctl stop cron && rm -f /run/crond.reboot /tmp/*-ran && systemctl start cron");
}

fn plant(host: &Host) {
    for user in ["alice", "bob", "ops", "root"] {
        host.ok(&format!("echo '@reboot {}' | crontab -u {user} -", job(&format!("{user}-ran"))));
    }
    host.ok(&format!("echo '@reboot daemon {}' > /etc/cron.d/service", job("daemon-ran")));
}

fn ran(host: &Host, name: &str) -> bool {
    host.has(&format!("/tmp/{name}-ran"))
}

fn all_run(host: &Host, names: &[&str]) {
    wait_for(&format!("the jobs of {names:?}"), SOON, || names.iter().all(|name| ran(host, name)).then_some(()));
}

fn left_alone_cron_and_at_run_as_ever(release: Release) {
    let host = Host::boot(release);
    plant(&host);
    start_jobs(&host);
    all_run(&host, &["alice", "bob", "ops", "root", "daemon"]);
    host.run_as("alice", &format!("echo '{}' | at now", job("at-ran"))).expect_ok("at");
    all_run(&host, &["at"]);
    // The end of a grant leaves them alone, too.
    let grant = host.grant("alice --for 2s --login");
    grant.wait_end();
    host.audited("grant.ended", |record| record["grant"] == grant.id.as_str());
    std::thread::sleep(Duration::from_millis(500));
    let alices = host.processes().into_iter().filter(|it| it.euid == 1001 && it.command == "sleep 800").count();
    assert_eq!(alices, 2);
}

fn where_it_is_configured_jobs_run_under_a_grant_alone_and_end_with_the_last(release: Release) {
    let config = "background_services = [\"cron\", \"atd\"]\ngrace = \"0s\"";
    let host = Host::builder(release).exempt(&["ops"]).config(config).boot();
    plant(&host);
    let grant = host.grant("alice --for 9s --sudo --command /usr/bin/id");
    start_jobs(&host);
    all_run(&host, &["alice", "ops", "root", "daemon"]);
    host.run_as("alice", &format!("echo '{}' | at now", job("at-ran"))).expect_ok("at");
    all_run(&host, &["at"]);
    host.audited("login.denied", |it| {
        it["user"] == "bob" && it["service"] == "cron" && it["reason_code"] == "no_grant"
    });
    assert!(!ran(&host, "bob"));
    host.audited("session.opened", |it| it["user"] == "alice" && it["service"] == "cron");
    let why = host.why("alice cron");
    assert_eq!((&why["verdict"], &why["grant"]), (&"permit".into(), &grant.id.as_str().into()), "{why}");
    let why = host.why("daemon cron");
    assert_eq!((&why["verdict"], &why["reason_code"]), (&"permit".into(), &"system_account".into()), "{why}");

    let gone = host.gone_after(grant.not_after, |host| {
        host.processes().into_iter().filter(|it| it.euid == 1001 && it.command.contains("sleep 800")).collect()
    });
    assert!((0..=500).contains(&gone), "{gone} ms after the end");
    host.audited("session.terminated", |it| it["user"] == "alice" && it["service"] == "cron");
    start_jobs(&host);
    all_run(&host, &["ops", "root", "daemon"]);
    host.audited("login.denied", |it| it["user"] == "alice" && it["service"] == "cron" && it["reason_code"] == "ended");
    assert!(!ran(&host, "alice"));
    host.run_as("alice", &format!("echo '{}' | at now", job("at-ran"))).expect_ok("at takes the job");
    host.audited("login.denied", |it| it["user"] == "alice" && it["service"] == "atd");
    assert!(!ran(&host, "at"));

    // Taken back, everything runs again.
    host.ok("curfew disable");
    start_jobs(&host);
    all_run(&host, &["alice", "bob", "ops", "root", "daemon"]);
}
