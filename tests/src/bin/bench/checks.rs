//! Timed PAM account checks, peer by peer in rounds; `tests/peers/pam_client.c` takes the samples.

use std::time::Duration;

use curfew_tests::Host;

use crate::peers::{CURFEW, FLOOR, FOLDER, PEERS};
use crate::statistics::{median, quantile};

/// Samples at the start of each block that do not count: the caches still hold the peer before.
const WARMUP: usize = 10;
/// The longest that a run may take.
const LIMIT: Duration = Duration::from_secs(900);

/// Which process makes the transactions.
#[derive(Clone, Copy)]
pub enum Processes {
    /// One for each, as sshd has it: loading the module is part of every sample.
    Fresh,
    /// One for all of them: what stays mapped is loaded once.
    Same,
}

/// What a peer's samples come to, in microseconds.
pub struct Figures {
    pub p50: f64,
    pub p99: f64,
    pub samples: usize,
}

/// The samples of one run.
pub struct Checks {
    blocks: Vec<Block>,
}

/// The samples that one peer gave in one round, in microseconds.
#[derive(Debug, PartialEq)]
struct Block {
    round: usize,
    peer: String,
    samples: Vec<f64>,
}

impl Checks {
    /// Takes them in `host`, as a service of it, where sshd would.
    pub fn measure(host: &Host, user: &str, processes: Processes, rounds: usize) -> Self {
        let mode = match processes {
            Processes::Fresh => "fork",
            Processes::Same => "loop",
        };
        let peers: Vec<String> = PEERS.iter().map(|peer| format!("{}:{}", peer.name, peer.samples)).collect();
        let client = format!("{FOLDER}/pam_client {mode} {FOLDER}/pam {user} {rounds} {WARMUP} {}", peers.join(" "));
        let output = host.spawn(&format!("systemd-run --quiet --wait --pipe --collect {client}")).finish(LIMIT);
        Self { blocks: output.expect_ok(&client).lines().map(Block::parse).collect() }
    }

    /// Each peer's figures over all rounds, in the order of the report.
    pub fn peers(&self) -> impl Iterator<Item = (&'static str, Figures)> {
        PEERS.iter().map(|peer| (peer.name, self.peer(peer.name)))
    }

    /// One peer's figures over all rounds.
    pub fn peer(&self, name: &str) -> Figures {
        let blocks = self.blocks.iter().filter(|block| block.peer == name);
        let samples: Vec<f64> = blocks.flat_map(|block| &block.samples).copied().collect();
        let quantile = |share| quantile(&samples, share).expect("every peer gave samples");
        Figures { p50: quantile(0.5), p99: quantile(0.99), samples: samples.len() }
    }

    /// Round by round, how many times the floor's median Curfew's median is.
    pub fn rounds_to_the_floor(&self) -> Vec<f64> {
        let of = |peer: &'static str| self.blocks.iter().filter(move |block| block.peer == peer);
        of(CURFEW)
            .filter_map(|curfew| {
                let floor = of(FLOOR).find(|floor| floor.round == curfew.round)?;
                Some(median(&curfew.samples)? / median(&floor.samples)?)
            })
            .collect()
    }

    /// The middle one of [`Checks::rounds_to_the_floor`].
    pub fn times_the_floor(&self) -> f64 {
        median(&self.rounds_to_the_floor()).expect("there was a round")
    }
}

impl Block {
    /// Parses `ROUND PEER NS NS …`.
    fn parse(line: &str) -> Self {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_else(|| panic!("no line of the client's: {line}"));
        let (round, peer) = (word(), word().to_owned());
        Self {
            round: round.parse().expect("a round is a number"),
            peer,
            samples: words.map(|ns| ns.parse::<f64>().expect("a sample is a number") / 1000.0).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(lines: &[&str]) -> Checks {
        Checks { blocks: lines.iter().copied().map(Block::parse).collect() }
    }

    #[test]
    fn the_ratio_compares_within_a_round_and_takes_the_middle_one() {
        let checks = checks(&[
            "0 floor 100000 100000 900000",
            "0 pam_curfew 120000 120000 120000",
            "1 pam_curfew 500000 500000 500000",
            "1 floor 250000 250000 250000",
            "2 floor 100000 100000 100000",
            "2 pam_curfew 110000 110000 110000",
        ]);
        assert_eq!(checks.rounds_to_the_floor(), [1.2, 2.0, 1.1]);
        assert_eq!(checks.times_the_floor(), 1.2);
    }

    #[test]
    fn a_peer_has_the_samples_of_all_its_rounds() {
        let figures = checks(&["0 floor 1000 2000", "1 floor 3000"]).peer("floor");
        assert_eq!((figures.p50, figures.p99, figures.samples), (2.0, 3.0, 3));
    }
}
