//! `curfew why`: the decision about a login or an elevation, and what is behind it.

use super::{CliError, Outcome, ask, print};
use crate::clock;
use crate::human;
use crate::request::messages::{WhyAnswer, WhyQuestion};
use clap::Args;
use jiff::Timestamp;

/// Say whether somebody would be permitted, by which grant, and what would change that.
///
/// Exit code 0 if they would be, 1 if not. Root may ask about anybody, others about themselves.
#[derive(Args, Debug)]
pub struct Why {
    /// Whose access.
    user: String,
    /// The PAM service: sshd, sudo, su, …
    service: String,
    /// The address that a login comes from.
    #[arg(long, value_name = "ADDR")]
    from: Option<String>,
    /// The time to judge by, such as 2026-11-21T20:30:00Z; now if left out.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The command that sudo would run, with its arguments.
    #[arg(long, value_name = "CMD")]
    command: Option<String>,
}

impl Why {
    pub(super) fn run(self, json: bool) -> Result<Outcome, CliError> {
        let Self { user, service, from, at, command } = self;
        let question = WhyQuestion { user, service, from, at, command };
        let answer: WhyAnswer = ask("Why", &question)?;
        print(json, &answer, || text(&question, &answer))?;
        Ok(if answer.verdict == "permit" { Outcome::Yes } else { Outcome::No })
    }
}

fn text(question: &WhyQuestion, answer: &WhyAnswer) -> String {
    let WhyQuestion { user, service, .. } = question;
    let now = question.at.unwrap_or_else(clock::now);
    let explanation = human::localized(&answer.explanation);
    let next = human::localized(&answer.next);
    match (answer.verdict.as_str(), answer.not_after) {
        ("permit", Some(end)) => {
            let (end, left) = (human::time(end), human::left(now, end));
            format!("permit: {user} may use {service}: {explanation}, until {end} ({left} left). {next}\n")
        }
        ("permit", None) => format!("permit: {user} may use {service}: {explanation}. {next}\n"),
        _ => {
            let code = answer.reason_code.as_deref().unwrap_or_default();
            let (deny, may) = if answer.enforced { ("deny", "may not") } else { ("would deny", "might not") };
            format!("{deny} ({code}): {user} {may} use {service}: {explanation}. {next}\n")
        }
    }
}
