//! The end without the agent: PID 1 keeps the deadline, whatever became of curfewd.

use curfew_tests::{Grant, Host, Release, SOON, Shell, assert_refused, report, wait_for};

on_each_release! {
    with_the_agent_killed_and_masked_the_end_comes_all_the_same,
}

on_every_release! {
    a_timer_of_pid_1_is_armed_at_the_next_end,
    a_wedged_agent_is_ended_and_the_end_comes_all_the_same,
}

/// How long after the end anything may still run, the agent being dead.
const LATEST: i64 = 1500;
/// What a shell types that means to outlive everything but SIGKILL.
const STUBBORN: &str = "trap '' TERM HUP INT; while :; do sleep 0.2; done\n";

/// The timers that are armed, as `systemctl list-timers` shows them.
fn timers(host: &Host) -> Vec<String> {
    let shown = host.ok("systemctl list-timers --no-legend --no-pager 'curfew-end-*'");
    let names = shown.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with("curfew-end-")));
    names.map(str::to_owned).collect()
}

/// Waits until exactly the timer for the end of `grant` is armed, or none.
fn armed_for(host: &Host, grant: Option<&Grant>) {
    let wanted: Vec<String> = grant
        .map(|grant| grant.not_after.strftime("curfew-end-%Y%m%dT%H%M%SZ.timer").to_string())
        .into_iter()
        .collect();
    wait_for(&format!("{wanted:?} instead of {:?}", timers(host)), SOON, || (timers(host) == wanted).then_some(()));
}

fn a_timer_of_pid_1_is_armed_at_the_next_end(release: Release) {
    let host = Host::boot(release);
    armed_for(&host, None);
    let later = host.grant("alice --for 3h --login");
    armed_for(&host, Some(&later));
    let sooner = host.grant("bob --for 1h --login");
    armed_for(&host, Some(&sooner));
    host.ok("systemctl restart curfewd");
    armed_for(&host, Some(&sooner));
    host.ok("systemctl daemon-reexec && systemctl restart curfewd");
    armed_for(&host, Some(&sooner));
    host.ok(&format!("curfew revoke {}", sooner.id));
    armed_for(&host, Some(&later));
    // Without a message bus, too.
    host.ok("systemctl stop dbus.socket dbus.service");
    let soonest = host.grant("carol --for 30m --login");
    armed_for(&host, Some(&soonest));
}

/// A host where alice has a root shell and a login that are over with `grant`, and bob a covered login.
struct Scene {
    host: Host,
    grant: Grant,
    kept: Grant,
    bob: Shell,
    /// Held open: a connection that its client closes ends by itself.
    _shells: [Shell; 2],
}

fn scene(release: Release) -> Scene {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    let kept = host.grant("bob --for 120s --login");
    let bob = host.login("bob");
    let grant = host.grant("alice --for 7s --login --sudo --command ALL");
    host.drop_in();
    let mut shell = host.login("alice");
    shell.type_text(STUBBORN);
    let mut root = host.login("alice");
    root.become_root();
    root.type_text(STUBBORN);
    Scene { host, grant, kept, bob, _shells: [shell, root] }
}

impl Scene {
    /// All of alice's is gone in time, and bob is undisturbed.
    fn ends(&mut self, agent: &str) {
        let Self { host, grant, bob, .. } = self;
        let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
        report(&format!("{}: with the agent {agent}, all was dead {gone} ms after the end", host.release()));
        assert!((0..=LATEST).contains(&gone), "{gone} ms after the end");
        assert!(host.drop_ins().is_empty(), "{:?}", host.drop_ins());
        assert!(bob.run("echo still here").contains("still here"));
        assert_eq!(host.ssh("ops", "id -un").expect_ok("an exempt login"), "ops");
        assert!(!host.ssh("alice", "id").success());
    }

    /// The agent is back, and knows of all that happened without it.
    fn is_told(&self) {
        let Self { host, grant, .. } = self;
        wait_for("the agent", SOON, || host.run("curfew status").success().then_some(()));
        assert_refused(&host.ssh("alice", "id"));
        for event in ["session.terminated", "grant.ended", "sudoers.removed"] {
            let record = host.audited(event, |record| record["grant"] == grant.id.as_str());
            assert!(event != "session.terminated" || record["survivors"] == "0", "{record}");
        }
        let seqs: Vec<u64> = host.audit("").iter().filter_map(|record| record["seq"].as_u64()).collect();
        assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "a gap in {seqs:?}");
        let ended = host.audit("--event session.terminated --user alice");
        let logins = ended.iter().filter(|record| record["service"] == "sshd").count();
        assert_eq!(logins, 2, "{ended:#?}");
    }
}

fn with_the_agent_killed_and_masked_the_end_comes_all_the_same(release: Release) {
    let mut scene = scene(release);
    scene.host.ok("systemctl mask --runtime curfewd.service && systemctl kill --signal=KILL curfewd.service");
    scene.ends("killed and masked");
    // The next end is kept, too, though no agent ever comes.
    armed_for(&scene.host, Some(&scene.kept));
    scene.host.ok("systemctl unmask --runtime curfewd.service && systemctl start curfewd.service");
    scene.is_told();
}

fn a_wedged_agent_is_ended_and_the_end_comes_all_the_same(release: Release) {
    let mut scene = scene(release);
    scene.host.ok("systemctl kill --signal=STOP curfewd.service");
    scene.ends("wedged");
    scene.is_told();
}
