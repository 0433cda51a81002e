//! The clock of a whole machine is set, sleeps, and is wrong at boot: no access is longer for it, and nobody stays locked out. On one
//! release, in virtual machines: they are slow.

use curfew_tests::vm::{Clocks, Script};
use curfew_tests::{Grant, Release, Vm, assert_refused, report, wait_for};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

in_virtual_machines! {
    a_session_ends_on_time_wherever_the_clock_is_set_and_however_long_the_host_sleeps: trixie Trixie;
    with_the_agent_dead_and_the_clock_set_back_the_end_comes_all_the_same: trixie Trixie;
    a_wrong_clock_at_boot_opens_nothing_and_locks_nobody_out_once_it_is_right: trixie Trixie;
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const PATIENCE: Duration = Duration::from_secs(120);
/// How late an end may be seen in an emulated machine, where a program takes tenths of a second to start, and longer on a busy one. What it
/// takes on a real one, the containers measure.
const LATEST: f64 = 15.0;
/// The same where PID 1 starts one that does the work.
const LATEST_BY_SWEEP: f64 = 40.0;

/// A machine whose clock is known to be right.
fn machine(release: Release) -> Vm {
    let mut vm = Vm::boot(release);
    vm.reconfigure("grace = \"0s\"");
    vm.ok("curfew clock --accept --reason 'the test begins'");
    vm
}

/// Somebody who is in, and a watch over what they run.
struct Session {
    grant: Grant,
    /// Held open: a connection that its client closes ends by itself.
    _client: Script,
    watch: Script,
    clocks: Clocks,
}

fn log_in(vm: &mut Vm, user: &str, length: &str) -> Session {
    let grant = vm.grant(&format!("{user} --for {length} --login"));
    let client = vm.ssh_stay_and_run(user, "trap '' TERM HUP; sleep 900; sleep 900");
    wait_for("the session", PATIENCE, || {
        assert!(client.is_alive(), "the login ended, and not by us");
        vm.run(&format!("pgrep -u {user} -x sleep")).success().then_some(())
    });
    let watch = vm.spawn(&format!("while pgrep -u {user} -x sleep >/dev/null; do sleep 0.05; done; vm-clock"));
    let clocks = vm.clocks();
    Session { grant, _client: client, watch, clocks }
}

impl Session {
    /// When it is to end, in seconds since the boot.
    fn end(&self) -> f64 {
        let left = self.grant.not_after.duration_since(self.clocks.realtime);
        self.clocks.boottime.as_secs_f64() + left.as_secs_f64()
    }

    /// When it did.
    fn ended(self) -> f64 {
        let text = self.watch.finish(PATIENCE).expect_ok("the watch");
        text.lines().nth(2).and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("no clocks in {text}"))
    }
}

fn put_right(vm: &mut Vm) {
    vm.ok(&format!("date -s @{}", Timestamp::now().as_second()));
    wait_for("the clock to be believed", PATIENCE, || vm.run("curfew clock").success().then_some(()));
}

fn gets_in(vm: &mut Vm, user: &str) {
    assert_eq!(vm.ssh(user, "id -un").expect_ok("a login"), user);
}

fn a_session_ends_on_time_wherever_the_clock_is_set_and_however_long_the_host_sleeps(release: Release) {
    let mut vm = machine(release);

    // Set back: nothing new opens, and the end stays where it was.
    let session = log_in(&mut vm, "alice", "100s");
    let end = session.end();
    vm.step_clock(-HOUR);
    vm.audited("clock.stepped", |record| record["reason"].to_string().contains("1 h back"));
    let refused = vm.ssh("alice", "id");
    assert_refused(&refused);
    vm.audited("login.denied", |record| record["reason_code"] == "clock_unproven");
    gets_in(&mut vm, "ops");
    let late = session.ended() - end;
    report(&format!("{release}: with the clock an hour back, the session was dead {late:.2} s after its end"));
    assert!((-0.2..LATEST).contains(&late), "{late} s after the end");
    // The window that is over is not opened again by a clock that stands within it.
    assert_refused(&vm.ssh("alice", "id"));
    put_right(&mut vm);
    assert_refused(&vm.ssh("alice", "id"));

    // Set forward: it ends at once, and comes back when that is undone.
    let session = log_in(&mut vm, "bob", "1h");
    let before = vm.clocks();
    vm.step_clock(HOUR * 2);
    let late = session.ended() - before.boottime.as_secs_f64();
    report(&format!("{release}: {late:.2} s after the clock was set two hours forward, the session was dead"));
    assert!(late < LATEST, "{late} s after the step");
    vm.step_clock(-HOUR * 2);
    gets_in(&mut vm, "bob");

    // Asleep across the end: it is dead when the host is awake.
    let session = log_in(&mut vm, "carol", "45s");
    vm.suspend_for(Duration::from_secs(50));
    let ended = session.ended();
    let awake: f64 = vm
        .ok("journalctl -b -k -o short-monotonic --no-pager | grep 'PM: suspend exit' | tail -1 | tr -d '[]' | awk '{print $1}'")
        .trim()
        .parse()
        .expect("the kernel says when it woke up");
    let slept = vm.clocks();
    let late = ended - (slept.boottime - slept.monotonic).as_secs_f64() - awake;
    report(&format!("{release}: {late:.2} s after the host woke up, the session was dead"));
    assert!(late < LATEST, "{late} s after the host woke up");
    assert_refused(&vm.ssh("carol", "id"));
}

fn with_the_agent_dead_and_the_clock_set_back_the_end_comes_all_the_same(release: Release) {
    let mut vm = machine(release);
    let session = log_in(&mut vm, "alice", "60s");
    let end = session.end();
    vm.ok("systemctl mask --runtime curfewd.service && systemctl kill --signal=KILL curfewd.service");
    vm.step_clock(-HOUR);
    let late = session.ended() - end;
    report(&format!("{release}: agent dead, clock an hour back: the session was dead {late:.2} s after its end"));
    assert!((-0.2..LATEST_BY_SWEEP).contains(&late), "{late} s after the end");
    gets_in(&mut vm, "ops");
    assert!(!vm.ssh("alice", "id").success());

    // Set forward, with no agent: the step itself has the sweep look.
    vm.ok("systemctl unmask --runtime curfewd.service && systemctl start curfewd.service");
    put_right(&mut vm);
    let session = log_in(&mut vm, "bob", "1h");
    vm.ok("systemctl mask --runtime curfewd.service && systemctl kill --signal=KILL curfewd.service");
    let before = vm.clocks();
    vm.step_clock(HOUR * 2);
    let late = session.ended() - before.boottime.as_secs_f64();
    report(&format!("{release}: agent dead, clock two hours forward: the session was dead {late:.2} s later"));
    assert!(late < LATEST_BY_SWEEP, "{late} s after the step");
}

fn a_wrong_clock_at_boot_opens_nothing_and_locks_nobody_out_once_it_is_right(release: Release) {
    let mut vm = machine(release);
    let grant = vm.grant("alice --for 3h --login");
    gets_in(&mut vm, "alice");
    // Which grants the audit heard of is not synced at once: in a power cut a moment later, a beginning is audited twice.
    vm.ok("sync");
    vm.lose_power();

    // The battery is empty.
    vm.power_on(Some("2020-01-01T00:00:00Z".parse().expect("a time")));
    assert_refused(&vm.ssh("alice", "id"));
    gets_in(&mut vm, "ops");
    let problems = vm.status()["problems"].to_string();
    assert!(problems.contains("the clock is unproven"), "{problems}");
    put_right(&mut vm);
    gets_in(&mut vm, "alice");
    vm.lose_power();

    // Far ahead, and set right a moment later.
    vm.power_on(Some("2037-01-01T00:00:00Z".parse().expect("a time")));
    assert_refused(&vm.ssh("alice", "id"));
    gets_in(&mut vm, "ops");
    put_right(&mut vm);
    gets_in(&mut vm, "alice");
    assert!(vm.audit("--event grant.ended").is_empty(), "a clock that was wrong for a moment ended a grant for good");
    vm.lose_power();

    // Nor does the next boot know of it.
    vm.power_on(Some(Timestamp::now()));
    assert!(vm.run("curfew clock").success());
    gets_in(&mut vm, "alice");
    let begun = vm.audit("--event grant.started");
    assert_eq!(begun.iter().filter(|record| record["grant"] == grant.id.as_str()).count(), 1, "{begun:#?}");
}
