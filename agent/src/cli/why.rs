//! `curfew why`: the decision about a login or an elevation, and what is behind it.

use super::{CliError, Outcome, ask, misused, print};
use crate::clock;
use crate::human;
use crate::ipc::messages::{WhyAnswer, WhyQuestion, address};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use curfew_protocol::grant::LoginName;
use curfew_protocol::human_time::parse_coming;
use jiff::Timestamp;

/// Say whether somebody would be permitted, by which grant, and what would change that.
///
/// Exit code 0 if they would be, 1 if not. Root may ask about anybody, others about themselves.
#[derive(Args, Debug)]
pub struct Why {
    /// Whose access.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    user: String,
    /// The PAM service: sshd, sudo, su, …
    service: String,
    /// The address that a login comes from.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    from: Option<String>,
    /// The time to judge by: 2026-11-21, 2026-11-21T20:30:00, an RFC 3339 time, or a wait such as 2h or 1d; now if left out.
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    at: Option<Timestamp>,
    /// The command that sudo would run, with its arguments.
    #[arg(long, value_name = "CMD")]
    command: Option<String>,
    /// Whom sudo or su would turn into; root if left out.
    #[arg(long, value_name = "USER")]
    run_as: Option<LoginName>,
}

impl Why {
    pub(super) fn run(self, json: bool) -> Result<Outcome, CliError> {
        let Self { user, service, from, at, command, run_as } = self;
        let question = WhyQuestion { user, service, from, at, command, run_as };
        // Nothing was decided then, which is no denial.
        let answer: WhyAnswer = ask("Why", &question).map_err(misused)?;
        print(json, &answer, || text(&question, &answer))?;
        Ok(if answer.verdict == "permit" { Outcome::Yes } else { Outcome::No })
    }
}

/// An address, with the zone of a link-local one.
fn parse_address(text: &str) -> Result<String, String> {
    match address(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("{text:?} is no address; write it like 192.0.2.7 or 2001:db8::1")),
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    parse_coming(text, Timestamp::now())
}

fn text(question: &WhyQuestion, answer: &WhyAnswer) -> String {
    let WhyQuestion { user, service, run_as, .. } = question;
    let service = run_as.as_ref().map_or_else(|| service.clone(), |run_as| format!("{service} as {run_as}"));
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
            let beside = answer.beside.as_ref().map(|it| format!("{it}\n")).unwrap_or_default();
            format!("{deny} ({code}): {user} {may} use {service}: {explanation}. {next}\n{beside}")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::Parser;

    #[test]
    fn what_is_no_address_or_time_is_no_question() {
        for (option, value, says) in [
            ("--from", "nonsense", "no address"),
            ("--from", "10.0.0.0/8", "no address"),
            ("--from", "", "no address"),
            ("--at", "nonsense", "no time; write it like"),
            ("--at", "-2h", "no time; write it like"),
        ] {
            let error = Cli::try_parse_from(["curfew", "why", "alice", "sshd", option, value]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(says) && error.to_string().contains(option), "{error}");
        }
        for address in ["192.0.2.7", "2001:db8::1", "fe80::1%eth0"] {
            assert_eq!(parse_address(address).unwrap(), address);
        }
    }

    #[test]
    fn nobody_is_no_user_to_ask_about_nor_to_turn_into() {
        for arguments in
            [vec!["", "sshd"], vec!["alice", "sudo", "--run-as", ""], vec!["alice", "su", "--run-as", "#0"]]
        {
            let error = Cli::try_parse_from(["curfew", "why"].into_iter().chain(arguments)).unwrap_err();
            assert_eq!(error.exit_code(), 2);
        }
        assert!(Cli::try_parse_from(["curfew", "why", "alice", "sudo", "--run-as", "bob"]).is_ok());
    }

    #[test]
    fn a_time_to_judge_by_is_read_as_the_audits_and_a_duration_counts_forward() {
        let now = Timestamp::now();
        let in_two_hours = parse_time("2h").unwrap().duration_since(now).as_mins();
        assert!((119..=120).contains(&in_two_hours), "{in_two_hours}");
        assert!(parse_time("2026-11-28").is_ok() && parse_time("2026-11-28T20:30:00Z").is_ok());
    }
}
