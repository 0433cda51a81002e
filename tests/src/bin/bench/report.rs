//! What a run found: as tables for a person, or as one JSON object.

use std::fmt::{self, Display};

use serde_json::{Map, Value, json};

use crate::checks::Checks;
use crate::ending::Endings;
use crate::footprint::{Memory, Sizes};
use crate::machine::Machine;
use crate::statistics::quantile;

/// At most this many times the floor's median.
const MOST_TIMES_THE_FLOOR: f64 = 1.3;
/// At most this much memory with the grants in the store, in KiB.
const MOST_MEMORY: f64 = 10.0 * 1024.0;
/// At most this large a module, in bytes.
const MOST_MODULE: f64 = 600.0 * 1024.0;
/// At most this long from `not_after` to the last process dead, in milliseconds.
const MOST_LATE: f64 = 250.0;

/// All figures of a run.
pub struct Report {
    pub machine: Machine,
    /// Every check in a process of its own.
    pub fresh_process: Checks,
    /// One process that checks again and again.
    pub same_process: Checks,
    pub memory: Memory,
    pub sizes: Sizes,
    pub endings: Endings,
}

/// What a figure should be at most.
struct Aim {
    name: &'static str,
    value: f64,
    most: f64,
    unit: &'static str,
}

impl Aim {
    fn met(&self) -> bool {
        self.value <= self.most
    }
}

impl Report {
    /// Whether every figure is as small as it should be.
    pub fn meets_its_aims(&self) -> bool {
        self.aims().iter().all(Aim::met)
    }

    fn aims(&self) -> [Aim; 5] {
        [
            Aim {
                name: "account check, times the floor, a process each",
                value: self.fresh_process.times_the_floor(),
                most: MOST_TIMES_THE_FLOOR,
                unit: "",
            },
            Aim {
                name: "account check, times the floor, one process",
                value: self.same_process.times_the_floor(),
                most: MOST_TIMES_THE_FLOOR,
                unit: "",
            },
            Aim { name: "agent's memory (PSS)", value: self.memory.agent as f64, most: MOST_MEMORY, unit: "KiB" },
            Aim { name: "pam_curfew.so", value: self.sizes.curfew as f64, most: MOST_MODULE, unit: "bytes" },
            Aim {
                name: "not_after to last process dead, worst",
                value: self.endings.worst(),
                most: MOST_LATE,
                unit: "ms",
            },
        ]
    }

    /// The report as one JSON object; times in microseconds unless a name ends otherwise.
    pub fn to_json(&self) -> Value {
        let aims = self.aims().map(|aim| {
            json!({
                "name": aim.name, "value": rounded(aim.value), "at_most": aim.most, "unit": aim.unit, "met": aim.met(),
            })
        });
        json!({
            "machine": self.machine.to_json(),
            "account_check": {
                "process_each": checks_to_json(&self.fresh_process),
                "one_process": checks_to_json(&self.same_process),
            },
            "memory_pss_kib": {
                "curfewd": self.memory.agent,
                "curfewd_before_the_checks": self.memory.agent_at_rest,
                "grants": self.memory.grants,
                "seconds_to_add_the_grants": rounded(self.memory.seconds_to_grant),
                "sssd": self.memory.sssd.iter().map(|(name, kib)| (name.clone(), json!(kib))).collect::<Map<_, _>>(),
                "sssd_total": self.memory.sssd_total(),
            },
            "module_bytes": {
                "pam_curfew.so": self.sizes.curfew, "pam_sss.so": self.sizes.sss, "pam_unix.so": self.sizes.unix,
            },
            "not_after_to_last_process_dead_ms": {
                "p50": rounded(self.endings.median()), "max": rounded(self.endings.worst()),
                "runs": self.endings.late_ms.iter().copied().map(rounded).collect::<Vec<_>>(),
            },
            "aims": aims,
        })
    }
}

fn checks_to_json(checks: &Checks) -> Value {
    let peers = checks.peers().map(|(name, figures)| {
        let value = json!({
            "p50_us": rounded(figures.p50), "p99_us": rounded(figures.p99), "samples": figures.samples,
        });
        (name.to_owned(), value)
    });
    json!({
        "peers": peers.collect::<Map<_, _>>(),
        "pam_curfew_to_floor": {
            "median": rounded(checks.times_the_floor()),
            "rounds": checks.rounds_to_the_floor().into_iter().map(rounded).collect::<Vec<_>>(),
        },
    })
}

/// Three decimals: more would only look exact.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.machine)?;
        writeln!(
            f,
            "PAM account check, a fresh transaction each, in microseconds; the agent holds {} grants",
            self.memory.grants
        )?;
        writeln!(f, "                          a process each          one process")?;
        writeln!(f, "                           p50       p99          p50       p99")?;
        for (name, fresh) in self.fresh_process.peers() {
            let same = self.same_process.peer(name);
            writeln!(f, "  {name:<20} {:>9.1} {:>9.1}    {:>9.1} {:>9.1}", fresh.p50, fresh.p99, same.p50, same.p99)?;
        }
        for (name, checks) in [("a process each", &self.fresh_process), ("one process", &self.same_process)] {
            let rounds = checks.rounds_to_the_floor();
            let [low, high] = [0.1, 0.9].map(|share| quantile(&rounds, share).unwrap_or(f64::NAN));
            writeln!(
                f,
                "  pam_curfew p50 / floor p50, {name}: {:.2}, the middle of {} rounds (most: {low:.2} to {high:.2})",
                checks.times_the_floor(),
                rounds.len()
            )?;
        }
        writeln!(f, "\nMemory (PSS), in KiB")?;
        writeln!(f, "  {:<28} {:>9}", format!("curfewd, {} grants", self.memory.grants), self.memory.agent)?;
        writeln!(f, "  {:<28} {:>9}", "  the same before the checks", self.memory.agent_at_rest)?;
        for (name, kib) in &self.memory.sssd {
            writeln!(f, "  {name:<28} {kib:>9}")?;
        }
        writeln!(f, "  {:<28} {:>9}", "SSSD together", self.memory.sssd_total())?;
        writeln!(f, "  {} times `curfew grant` took {:.1} s", self.memory.grants, self.memory.seconds_to_grant)?;
        writeln!(f, "\nPAM modules, in bytes")?;
        for (name, bytes) in
            [("pam_curfew.so", self.sizes.curfew), ("pam_sss.so", self.sizes.sss), ("pam_unix.so", self.sizes.unix)]
        {
            writeln!(f, "  {name:<28} {bytes:>9}")?;
        }
        let runs: Vec<String> = self.endings.late_ms.iter().map(|late| format!("{late:.1}")).collect();
        writeln!(f, "\nnot_after to the session's last process dead, in ms")?;
        writeln!(
            f,
            "  p50 {:.1}, worst {:.1} (runs: {})",
            self.endings.median(),
            self.endings.worst(),
            runs.join(" ")
        )?;
        writeln!(f, "\nAims")?;
        for aim in self.aims() {
            let verdict = if aim.met() { "met   " } else { "MISSED" };
            let figure = if aim.most < 10.0 { format!("{:.2}", aim.value) } else { format!("{:.0}", aim.value) };
            writeln!(f, "  {verdict}  {:<48} {figure:>9}, at most {} {}", aim.name, aim.most, aim.unit)?;
        }
        Ok(())
    }
}
