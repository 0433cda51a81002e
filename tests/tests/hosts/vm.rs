//! The virtual machine itself: what tests of clocks, suspend and power loss rely on. They are slow, so on one release; they pass on Debian 12, too.

use std::time::{Duration, Instant};

use curfew_tests::{Release, Vm, assert_refused, report};
use jiff::{SignedDuration, Timestamp};

in_virtual_machines! {
    a_virtual_machine_boots_with_curfew_in_force_and_keeps_its_disk_over_a_power_loss: trixie Trixie;
    the_wall_clock_of_a_virtual_machine_steps_and_its_agent_answers: trixie Trixie;
    a_suspend_is_counted_by_boottime_and_by_the_wall_clock_alone: trixie Trixie;
    a_wrong_hardware_clock_is_the_wall_clock_of_a_boot_unless_systemd_knows_better: trixie Trixie;
}

/// How exact a reading is that takes a program in an emulated machine.
const SLACK: SignedDuration = SignedDuration::from_secs(10);

fn time(text: &str) -> Timestamp {
    text.parse().expect("an RFC 3339 time")
}

fn is_near(clock: Timestamp, wanted: Timestamp, slack: SignedDuration) {
    assert!(clock.duration_since(wanted).abs() <= slack, "{clock} instead of {wanted}");
}

fn a_virtual_machine_boots_with_curfew_in_force_and_keeps_its_disk_over_a_power_loss(release: Release) {
    let begun = Instant::now();
    let mut vm = Vm::boot(release);
    report(&format!("{release}: a virtual machine was up after {:.1?}", begun.elapsed()));
    assert_eq!(vm.ok("hostname"), release.code_name());
    assert_refused(&vm.ssh("alice", "id"));
    assert_eq!(vm.ssh("ops", "id -un").expect_ok("an exempt login"), "ops");
    let grant = vm.grant("alice --for 1h --login");
    assert_eq!(vm.ssh("alice", "id -un").expect_ok("a login with a grant"), "alice");

    vm.ok("echo kept >/root/kept; sync; echo gone >/run/gone");
    vm.power_cycle();
    assert_eq!(vm.ok("cat /root/kept; ls /run/gone 2>/dev/null || true"), "kept");
    assert_eq!(vm.status()["grants"][0]["id"], grant.id.as_str());
    assert_eq!(vm.ssh("alice", "id -un").expect_ok("after the power loss"), "alice");
}

fn the_wall_clock_of_a_virtual_machine_steps_and_its_agent_answers(release: Release) {
    let mut vm = Vm::boot(release);
    is_near(vm.clocks().realtime, Timestamp::now(), SLACK);
    let beside = vm.spawn("echo begun; exec sleep 900");
    vm.ok("date -s '+1 hour'");
    is_near(vm.clocks().realtime, Timestamp::now() + SignedDuration::from_hours(1), SLACK);
    vm.status();
    vm.step_clock(SignedDuration::from_hours(-2));
    is_near(vm.clocks().realtime, Timestamp::now() - SignedDuration::from_hours(1), SLACK);
    vm.step_clock(SignedDuration::from_mins(60));
    let clocks = vm.clocks();
    is_near(clocks.realtime, Timestamp::now(), SLACK);
    is_near(clocks.hardware, Timestamp::now(), SLACK);
    vm.status();
    assert!(beside.is_alive());
    assert_eq!(vm.ok(&format!("cat {}/stdout", beside.folder())), "begun");
    vm.ok("pkill sleep");
    assert_eq!(beside.finish(Duration::from_secs(10)).stdout, "begun\n");
    assert_refused(&vm.ssh("alice", "id"));

    let turns = 10;
    let times: Vec<Duration> = (0..turns).map(|_| vm.run("true").took).collect();
    report(&format!("{release}: a script in a virtual machine took {:.0?}", times.iter().sum::<Duration>() / turns));
}

fn a_suspend_is_counted_by_boottime_and_by_the_wall_clock_alone(release: Release) {
    let mut vm = Vm::boot(release);
    let before = vm.clocks();
    let slept = SignedDuration::try_from(vm.suspend_for(Duration::from_secs(20))).expect("20 seconds");
    let after = vm.clocks();

    let gone = |from: Duration, to: Duration| SignedDuration::try_from(to - from).expect("a short time");
    let monotonic = gone(before.monotonic, after.monotonic);
    let boottime = gone(before.boottime, after.boottime);
    let realtime = after.realtime.duration_since(before.realtime);
    let figures = [slept, monotonic, boottime, realtime].map(|time| format!("{:.1} s", time.as_secs_f64()));
    report(&format!("{release}: asleep, monotonic, boottime and wall clock: {}", figures.join(", ")));
    assert!(monotonic < slept, "the monotonic clock counted it");
    // The kernel sees whole seconds of the hardware clock.
    let second = SignedDuration::from_secs(2);
    assert!((boottime - monotonic - slept).abs() <= second, "{boottime:?} in {slept:?} asleep and {monotonic:?} awake");
    assert!((realtime - boottime).abs() <= second, "the wall clock went {realtime:?}");
    is_near(after.realtime, Timestamp::now(), SLACK);
    vm.status();
    assert_refused(&vm.ssh("alice", "id"));

    // A pause is seen by no clock but the hardware's.
    vm.pause_for(Duration::from_secs(10));
    let paused = vm.clocks();
    assert!(paused.hardware.duration_since(paused.realtime) > SignedDuration::from_secs(2), "{paused:?}");
}

fn a_wrong_hardware_clock_is_the_wall_clock_of_a_boot_unless_systemd_knows_better(release: Release) {
    // The longest that a boot may take.
    let boot = SignedDuration::from_mins(3);
    let mut vm = Vm::builder(release).hardware_clock(time("2037-01-01T00:00:00Z")).boot();
    let clocks = vm.clocks();
    is_near(clocks.realtime, time("2037-01-01T00:00:00Z"), boot);
    is_near(clocks.hardware, clocks.realtime, SLACK);

    // Before it was built, and 15 years after that, no clock can be right for PID 1: it begins when it was built.
    for hardware in ["2020-01-01T00:00:00Z", "2085-01-01T00:00:00Z"].map(time) {
        vm.lose_power();
        vm.power_on(Some(hardware));
        let clocks = vm.clocks();
        is_near(clocks.hardware, hardware, boot);
        report(&format!(
            "{release}: booted with {hardware} in the hardware clock, the wall clock was {}",
            clocks.realtime
        ));
        assert!(clocks.realtime > time("2024-01-01T00:00:00Z") && clocks.realtime < Timestamp::now(), "{clocks:?}");
        vm.status();
    }
}
