//! What the units may do: no more than their work takes, on every release that they run on.

use curfew_tests::{Host, Release, report};

on_both_releases! {
    the_units_are_exposed_no_further_than_their_work_takes,
    the_agent_runs_with_what_its_unit_says,
}

/// Each unit, and the exposure that `systemd-analyze security` may count at most, in tenths.
const UNITS: [(&str, u32); 3] = [("curfewd.service", 27), ("curfew-sweep.service", 15), ("curfew-revert.service", 13)];

fn the_units_are_exposed_no_further_than_their_work_takes(release: Release) {
    let host = Host::boot(release);
    for (unit, most) in UNITS {
        // What is looked at is what is shipped.
        let shipped = format!("/usr/lib/systemd/system/{unit}");
        assert_eq!(host.ok(&format!("realpath $(systemctl show -P FragmentPath {unit})")), shipped);
        assert_eq!(host.ok(&format!("systemctl show -P DropInPaths {unit}")), "");
        let looked = host.run(&format!("systemd-analyze security --no-pager --threshold {most} {unit}"));
        let overall = looked.stdout.lines().find(|line| line.contains("Overall exposure")).unwrap_or_default();
        report(&format!("{release}: {}", overall.trim()));
        assert!(looked.success(), "{looked:#?}");
        // A word that this systemd does not know would be ignored.
        let told = host.run(&format!("systemd-analyze verify {shipped}"));
        assert!(told.success() && !told.stderr.contains(unit), "{told:#?}");
    }
}

fn the_agent_runs_with_what_its_unit_says(release: Release) {
    let host = Host::boot(release);
    let pid = host.ok("systemctl show -P MainPID curfewd");
    let status = host.ok(&format!("cat /proc/{pid}/status"));
    // CAP_DAC_OVERRIDE (1), CAP_KILL (5) and CAP_SYS_PTRACE (19).
    for line in ["CapEff:\t0000000000080022", "CapBnd:\t0000000000080022", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let inside = |script: &str| host.run(&format!("nsenter --mount --target {pid} sh -c '{script}'"));
    for read_only in ["/etc", "/usr", "/home", "/tmp", "/proc/sys/kernel", "/sys/kernel"] {
        assert!(!inside(&format!("touch {read_only}/tried")).success(), "{read_only} can be written");
    }
    for written in ["/run/curfew", "/var/lib/curfew", "/var/lib/systemd/linger", "/sys/fs/cgroup"] {
        let mounts = inside(&format!("findmnt --noheadings --output OPTIONS --target {written}")).stdout;
        assert!(mounts.starts_with("rw"), "{written}: {mounts}");
    }
}
