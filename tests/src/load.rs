//! Load on the agent from inside a host, and what it does to those who ask it.

use crate::command::Running;
use crate::host::Host;
use crate::wait::{SOON, wait_for};

/// Those who mean harm.
const SWARM: &str = include_str!("../root/swarm");
/// Those who flood a socket, and a service that is flooded in the agent's stead.
const FLOOD: &str = include_str!("../root/flood");
/// Where that service is.
pub const ECHO_SOCKET: &str = "/run/echo.sock";
/// The agent's public socket.
pub const AGENT_SOCKET: &str = "/run/curfew/io.curfew.Agent";
/// Somebody who asks as the PAM module does, and looks at the clock.
const ASK_PAM: &str = include_str!("../root/ask-pam");

/// How long the agent took to answer questions, in milliseconds, sorted.
#[derive(Clone, Debug)]
pub struct Answers(Vec<f64>);

impl Answers {
    /// The time within which this share of the questions was answered.
    ///
    /// # Panics
    /// When nothing was asked.
    #[must_use]
    pub fn within(&self, share: f64) -> f64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let place = ((self.0.len() - 1) as f64 * share).round() as usize;
        self.0[place]
    }
}

impl Host {
    /// Lets `user` loose on the public socket; `how` as `root/swarm` says. It goes on until what is returned is dropped.
    ///
    /// # Panics
    /// When it does not begin.
    #[must_use]
    pub fn swarm(&self, user: &str, how: &str, count: u32) -> Running {
        self.write("/usr/local/bin/swarm", SWARM);
        let mut swarm = self.spawn(&format!(
            "ulimit -n 4096; exec runuser -u {user} -- perl /usr/local/bin/swarm {how} /run/curfew/io.curfew.Agent {count}"
        ));
        wait_for(&format!("{user}'s swarm ({how})"), SOON, || {
            let is_at_it = swarm.stdout().contains("ready");
            assert!(is_at_it || swarm.is_alive(), "{user}'s swarm ({how}): {}", swarm.stderr());
            is_at_it.then_some(())
        });
        swarm
    }

    /// Has `user` flood `socket` over `count` connections; `shape` as `root/flood` says. It goes on until what is returned is dropped.
    ///
    /// # Panics
    /// When it does not begin.
    #[must_use]
    pub fn flood(&self, user: &str, shape: &str, socket: &str, count: u32) -> Running {
        self.run_flood(user, &format!("{shape} {socket} {count}"))
    }

    /// A service on [`ECHO_SOCKET`] that has nothing to do with Curfew, until what is returned is dropped.
    ///
    /// # Panics
    /// When it does not begin.
    #[must_use]
    pub fn echo(&self) -> Running {
        self.run_flood("root", &format!("echo {ECHO_SOCKET}"))
    }

    fn run_flood(&self, user: &str, arguments: &str) -> Running {
        self.write("/usr/local/bin/flood", FLOOD);
        let mut flood =
            self.spawn(&format!("ulimit -n 4096; exec runuser -u {user} -- perl /usr/local/bin/flood {arguments}"));
        wait_for(&format!("{user}'s flood ({arguments})"), SOON, || {
            let is_at_it = flood.stdout().contains("ready");
            assert!(is_at_it || flood.is_alive(), "{user}'s flood ({arguments}): {}", flood.stderr());
            is_at_it.then_some(())
        });
        flood
    }

    /// Asks PAM's question about `user` so many times, one connection each.
    ///
    /// # Panics
    /// When one gets no answer.
    pub fn ask_pam(&self, user: &str, count: u32) -> Answers {
        self.write("/usr/local/bin/ask-pam", ASK_PAM);
        let times = self.ok(&format!("perl /usr/local/bin/ask-pam {user} {count}"));
        Answers(times.lines().map(|line| line.parse().expect("a time in milliseconds")).collect())
    }

    /// The most memory that the agent has had since it started, in MiB (proc_pid_status(5), `VmHWM`).
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn agent_memory_peak(&self) -> u64 {
        let kib = self.ok(
            "awk '/^VmHWM/ { print $2 }' /proc/$(systemctl show --value --property=MainPID curfewd.service)/status",
        );
        kib.parse::<u64>().expect("a number of KiB") / 1024
    }

    /// How often systemd has started the agent again by itself since somebody last started it.
    #[must_use]
    pub fn agent_restarts(&self) -> u32 {
        self.ok("systemctl show --value --property=NRestarts curfewd.service").parse().expect("a count")
    }
}
