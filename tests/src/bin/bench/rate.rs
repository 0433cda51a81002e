//! How many checks a second one agent answers, beside a bare echo on a socket of the same kind, round by round in turn.
//!
//! Both answer one connection after the other on one thread. What the agent does beyond an echo is the decision and its audit
//! record, of which journald takes a copy; the copy falls behind and is waited for before the next round.

use std::fmt::{self, Display};

use curfew_tests::Host;
use serde_json::{Value, json};

use crate::question::{ECHO_SOCKET, PAM_SOCKET, Question};
use crate::report::rounded;
use crate::statistics::median;

/// How many processes ask at once: one shows what an answer costs, several what the agent can do.
const CLIENTS: [usize; 2] = [1, 4];

/// The rates for one number of clients, in answers a second, round by round.
pub struct Rates {
    pub clients: usize,
    curfewd: Vec<f64>,
    echo: Vec<f64>,
}

impl Rates {
    /// Measures in `rounds` rounds of `milliseconds` each.
    pub fn measure(host: &Host, user: &str, rounds: usize, milliseconds: usize) -> Vec<Self> {
        let question = Question::about(host, user);
        question.start_echo();
        let mut all: Vec<Self> =
            CLIENTS.iter().map(|&clients| Self { clients, curfewd: Vec::new(), echo: Vec::new() }).collect();
        for round in 0..rounds {
            for rates in &mut all {
                let mut turns = [(PAM_SOCKET, &mut rates.curfewd), (ECHO_SOCKET, &mut rates.echo)];
                turns.rotate_left(round % 2);
                for (socket, samples) in turns {
                    samples.push(question.rate(socket, rates.clients, milliseconds));
                    question.settle();
                }
            }
        }
        all
    }

    /// How many times the echo's rate the agent's is: the middle of all rounds.
    pub fn share_of_the_echo(&self) -> f64 {
        median(&self.shares()).expect("there was a round")
    }

    fn shares(&self) -> Vec<f64> {
        self.curfewd.iter().zip(&self.echo).map(|(curfewd, echo)| curfewd / echo).collect()
    }

    fn medians(&self) -> [f64; 2] {
        [&self.curfewd, &self.echo].map(|rates| median(rates).expect("there was a round"))
    }

    /// As an object.
    pub fn to_json(&self) -> Value {
        let [curfewd, echo] = self.medians();
        json!({
            "clients": self.clients, "curfewd": rounded(curfewd), "echo": rounded(echo),
            "curfewd_to_echo": {
                "median": rounded(self.share_of_the_echo()),
                "rounds": self.shares().into_iter().map(rounded).collect::<Vec<_>>(),
            },
        })
    }
}

impl Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [curfewd, echo] = self.medians();
        let share = self.share_of_the_echo();
        writeln!(f, "  {:<28} {curfewd:>9.0} {echo:>9.0} {share:>9.2}", format!("{} client(s)", self.clients))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_compared_within_a_round() {
        let rates = Rates { clients: 1, curfewd: vec![50.0, 300.0, 60.0], echo: vec![100.0, 400.0, 100.0] };
        assert_eq!(rates.share_of_the_echo(), 0.6);
    }
}
