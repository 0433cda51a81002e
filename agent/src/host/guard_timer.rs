//! Timers of PID 1's that start one of our services: what they are told, for systemd-run(1).
//!
//! Nothing but the host's last moment takes them away. `systemctl isolate`, rescue and emergency mode stop what a
//! target does not want, and emergency mode whatever needs `sysinit.target`. A host that goes down stops the agent at
//! once, and waits 90 s for a session that ignores every signal but SIGKILL.

const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// What timer and service are alike (systemd.unit(5)). By default they would need `sysinit.target`, which emergency
/// mode stops, and which to start would end emergency mode; and they would go when the host begins to go down.
const STAY: [&str; 2] = ["IgnoreOnIsolate=yes", "DefaultDependencies=no"];

/// By which one tells, in the file of a transient timer, that it stays: earlier versions of Curfew armed others.
pub const MARK: &str = "IgnoreOnIsolate=yes";

/// When a timer rings, and how exactly.
#[derive(Debug, Default)]
pub struct Rings {
    /// By the wall clock, as systemd.time(7) has it.
    pub at: Option<String>,
    /// From now on, by CLOCK_MONOTONIC, in microseconds.
    pub after_us: Option<u128>,
    /// How late it may be, as systemd.time(7) has it.
    pub accuracy: &'static str,
}

/// The arguments of systemd-run(1) for a timer `NAME.timer` that starts `service`.
pub fn arguments(name: &str, description: &str, rings: &Rings, service: &str) -> Vec<String> {
    let mut arguments = vec![
        "--quiet".to_owned(),
        "--collect".to_owned(),
        format!("--unit={name}"),
        format!("--description={description}"),
        format!("--timer-property=AccuracySec={}", rings.accuracy),
        "--timer-property=RemainAfterElapse=no".to_owned(),
    ];
    arguments.extend(rings.at.iter().map(|at| format!("--on-calendar={at}")));
    arguments.extend(rings.after_us.iter().map(|us| format!("--on-active={us}us")));
    for property in STAY {
        arguments.extend([format!("--timer-property={property}"), format!("--property={property}")]);
    }
    arguments.extend(start(service).map(str::to_owned));
    arguments
}

/// Starts the service at once: it is ordered before logind and sshd for the sake of the boot, and would wait for them,
/// and for sessions that will not stop, while a target takes them away.
fn start(service: &str) -> [&str; 5] {
    [SYSTEMCTL, "start", "--no-block", "--job-mode=ignore-dependencies", service]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer_and_service_stay_until_the_host_goes() {
        let rings = Rings { at: None, after_us: Some(7), accuracy: "1ms" };
        let arguments = arguments("curfew-x", "A timer", &rings, "curfew-sweep.service");
        for property in STAY {
            for of in ["--timer-property=", "--property="] {
                assert!(arguments.contains(&format!("{of}{property}")), "{arguments:?}");
            }
        }
        assert!(STAY.contains(&MARK));
        assert!(arguments.contains(&"--on-active=7us".to_owned()));
        assert!(arguments.ends_with(&start("curfew-sweep.service").map(str::to_owned)));
    }
}
