//! `curfew clock`: what is believed of this host's clock, and the mend where it is doubted.

use super::{CliError, Outcome, ask, order, print};
use crate::human;
use crate::ipc::messages::{AcceptClock, ShownClock};
use clap::Args;
use curfew_protocol::grant::Text;
use serde_json::json;

/// Show whether this host's clock is believed; while it stands behind what is known to have passed, nothing new opens.
#[derive(Args, Debug)]
pub struct Clock {
    /// Take the clock as right, whatever was known before, and fix the ends of grants by it. Root alone.
    #[arg(long)]
    accept: bool,
    /// Why it is right, for the audit.
    #[arg(long, value_name = "TEXT", requires = "accept")]
    reason: Option<Text>,
}

impl Clock {
    pub(super) fn run(self, json: bool) -> Result<Outcome, CliError> {
        let clock: ShownClock = if self.accept {
            order("AcceptClock", AcceptClock { reason: self.reason })?
        } else {
            ask("Clock", json!({}))?
        };
        print(json, &clock, || text(&clock))?;
        Ok(if clock.proven { Outcome::Yes } else { Outcome::No })
    }
}

fn text(clock: &ShownClock) -> String {
    let known = clock.known.map_or_else(|| "nothing yet".into(), human::time);
    let steps = match clock.steps {
        0 => "never".into(),
        1 => "once".into(),
        steps => format!("{steps} times"),
    };
    let believed = match &clock.problem {
        None => "It is proven.".into(),
        Some(problem) => format!("problem: {}", human::printable(problem)),
    };
    let wall = human::time(clock.wall);
    format!("The clock stands at {wall}. Known to have passed: {known}. Set since the boot: {steps}.\n{believed}\n")
}
