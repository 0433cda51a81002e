//! How long PAM waits for an answer while a crowd of unprivileged people stands on the public socket and some of it sends
//! garbage, and what the agent holds for it; `tests/peers/crowd.c` is the crowd.

use std::fmt::{self, Display};
use std::time::Duration;

use curfew_tests::{Host, Running, wait_for};
use serde_json::{Value, json};

use crate::footprint::agent_memory;
use crate::peers::FOLDER;
use crate::question::Question;
use crate::report::rounded;
use crate::statistics::quantile;

/// Connections that stand and say nothing: the agent takes 64 of one user, so there are several.
const STANDING: usize = 500;
/// The crowd's people, from the first of those that `footprint` puts into the host.
const PEOPLE: usize = 10;
const FIRST_UID: u32 = 20001;
/// How many of them send garbage, each with this pause behind an answer.
const GARBLERS: usize = 4;
const GARBLE_PAUSE: Duration = Duration::from_millis(2);
/// How long the crowd stays at most; the agent closes what was silent for 30 s.
const STAY: Duration = Duration::from_secs(25);
/// The pause before each question: one at a time, as logins come.
const PAUSE: Duration = Duration::from_millis(1);

/// What was measured.
pub struct Crowd {
    /// Microseconds until an answer came, without the crowd and with it.
    quiet: Vec<f64>,
    crowded: Vec<f64>,
    /// How many connections stood to the end, and how many messages of garbage were sent meanwhile.
    standing: usize,
    garbage: usize,
    /// The agent's share of memory, in KiB.
    pub memory: u64,
}

impl Crowd {
    /// Asks `samples` times with nobody there, and as often with the crowd.
    pub fn measure(host: &Host, user: &str, samples: usize) -> Self {
        let question = Question::about(host, user);
        let quiet = question.each(samples, PAUSE);
        question.settle();

        let crowd = gather(host);
        let crowded = question.each(samples, PAUSE);
        let memory = agent_memory(host);
        let last_line = crowd.finish(Duration::from_secs(10)).expect_ok("the crowd");
        let words: Vec<usize> = last_line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [first, standing, garbage] = words[..] else { panic!("what the crowd says: {last_line}") };
        assert!(first >= STANDING && standing >= STANDING, "of {STANDING} connections, {first} and {standing} stood");
        assert!(garbage > 0, "garbage was sent");
        question.settle();
        Self { quiet, crowded, standing, garbage, memory }
    }

    /// The 99th percentile with the crowd there, in milliseconds.
    pub fn p99_ms(&self) -> f64 {
        quantile(&self.crowded, 0.99).expect("there are samples") / 1000.0
    }

    /// As an object.
    pub fn to_json(&self) -> Value {
        let figures = |samples: &[f64]| {
            let [p50, p99] = quantiles(samples).map(rounded);
            json!({"p50_us": p50, "p99_us": p99, "samples": samples.len()})
        };
        json!({
            "quiet": figures(&self.quiet), "crowded": figures(&self.crowded), "standing_connections": self.standing,
            "garbage_messages": self.garbage, "curfewd_pss_kib": self.memory,
        })
    }
}

/// Starts the crowd and waits until it stands.
fn gather(host: &Host) -> Running {
    let each = STANDING.div_ceil(PEOPLE);
    let crowd = host.spawn(&format!(
        "exec {FOLDER}/crowd /run/curfew/io.curfew.Agent {FIRST_UID} {PEOPLE} {each} {GARBLERS} {} {}",
        GARBLE_PAUSE.as_micros(),
        STAY.as_secs()
    ));
    wait_for("the crowd to stand", Duration::from_secs(20), || crowd.stdout().contains("standing").then_some(()));
    crowd
}

fn quantiles(samples: &[f64]) -> [f64; 2] {
    [0.5, 0.99].map(|share| quantile(samples, share).expect("there are samples"))
}

impl Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let crowded = format!("{} connections stand", self.standing);
        for (name, samples) in [("nobody else", &self.quiet), (crowded.as_str(), &self.crowded)] {
            let [p50, p99] = quantiles(samples);
            writeln!(f, "  {name:<28} {p50:>9.1} {p99:>9.1} {:>9}", samples.len())?;
        }
        writeln!(f, "  {} messages of garbage meanwhile; the agent's memory then {} KiB", self.garbage, self.memory)
    }
}
