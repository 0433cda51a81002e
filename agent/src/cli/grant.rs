//! `curfew grant`: a local grant, made by root on the host itself.

use super::{CliError, Outcome, note, order, print};
use crate::human;
use crate::ipc::messages::{GrantOrder, Granted, LONGEST_GRANT};
use clap::Args;
use curfew_protocol::grant::{Command, Grant, LoginAccess, LoginName, Network, SudoAccess, Text};
use curfew_protocol::human_time::{parse_duration, typed_duration};
use serde::Serialize;
use std::time::Duration;

/// Grant somebody access from now on, for a time. Root alone.
///
/// Without --login and --sudo it grants the login. Prints the grant's id, by which `curfew revoke` ends it early; with --json the grant, and if
/// there is anything to know of it, that as `warnings`.
#[derive(Args, Debug)]
pub struct GrantCommand {
    /// The login name on this host.
    user: LoginName,
    /// How long: 90s, 30m, 1h30m, 8h, 1d, 1w; a year (366d) at most.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_length, allow_hyphen_values = true)]
    length: Duration,
    /// Let them log in.
    #[arg(long)]
    login: bool,
    /// Let them use sudo: for any command, unless --command says which.
    #[arg(long)]
    sudo: bool,
    /// A command for sudo, with its full path; a path alone allows any arguments. Can be given again.
    #[arg(long = "command", value_name = "CMD", requires = "sudo")]
    commands: Vec<Command>,
    /// Take commands, too, that are not there or that others than root could exchange; the audit says so.
    #[arg(long, requires = "commands")]
    unchecked: bool,
    /// A user to run commands as; root if left out. Can be given again.
    #[arg(long, value_name = "USER", requires = "sudo")]
    run_as: Vec<LoginName>,
    /// A network to log in from, such as 10.0.0.0/8. Can be given again.
    #[arg(long, value_name = "CIDR", value_parser = Network::typed)]
    from: Vec<Network>,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    reason: Text,
    /// The ticket behind it.
    #[arg(long, value_name = "TICKET")]
    ticket: Option<Text>,
}

impl GrantCommand {
    pub(super) fn run(self, json: bool) -> Result<Outcome, CliError> {
        let login = self.login || !self.sudo;
        if !self.from.is_empty() && !login {
            return Err(CliError::Usage("--from narrows logins; add --login".into()));
        }
        let login = login.then_some(LoginAccess { services: Vec::new(), from: self.from });
        let sudo = self.sudo.then(|| SudoAccess {
            run_as: if self.run_as.is_empty() { vec![LoginName::root()] } else { self.run_as },
            commands: if self.commands.is_empty() { vec![Command::All] } else { self.commands },
        });
        let (user, reason, ticket) = (self.user, self.reason, self.ticket);
        let wanted =
            GrantOrder { user, seconds: self.length.as_secs(), login, sudo, reason, ticket, unchecked: self.unchecked };
        let Granted { grant, no_sudo_yet, warnings, not_in_force } = order("Grant", &wanted)?;
        let warnings: Vec<String> = not_in_force.into_iter().chain(warnings).collect();
        let no_sudo_yet = no_sudo_yet
            .map(|why| format!("the grant holds, but sudo does not work by it yet: {why}. See `curfew status`."));
        let told: Vec<&String> = warnings.iter().chain(&no_sudo_yet).collect();
        print(json, &Made { grant: &grant, warnings: told }, || format!("{}\n", grant.id))?;
        if json {
            return Ok(Outcome::Yes);
        }
        note(format_args!("{} until {}", grant.user, human::time(grant.window.not_after())));
        warnings.iter().for_each(|warning| note(format_args!("warning: {warning}")));
        no_sudo_yet.iter().for_each(|why| note(format_args!("{why}")));
        Ok(Outcome::Yes)
    }
}

/// What --json prints.
#[derive(Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    grant: &'a Grant,
    /// What somebody should know of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'a String>,
}

/// A duration that a grant can have.
fn parse_length(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text)?;
    if length < Duration::from_secs(1) || length > LONGEST_GRANT {
        return Err(format!("a grant holds for 1s at least and {} at most", typed_duration(LONGEST_GRANT)));
    }
    Ok(length)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Cli;
    use clap::Parser;

    fn error(arguments: &[&str]) -> clap::Error {
        let grant = ["curfew", "grant", "alice", "--reason", "x"];
        Cli::try_parse_from(grant.iter().chain(arguments)).unwrap_err()
    }

    #[test]
    fn a_time_that_no_grant_has_is_named_with_its_bounds() {
        for length in ["100w", "0s", "367d", "500ms"] {
            let error = error(&["--for", length]);
            let text = error.to_string();
            assert!(text.contains("--for") && text.contains(length) && text.contains("366d"), "{text}");
            assert_eq!(error.exit_code(), 2);
        }
        assert!(error(&["--for", "-5m"]).to_string().contains("is no duration; write it like"));
        for length in ["1s", "366d", "52w"] {
            assert!(super::parse_length(length).is_ok(), "{length}");
        }
    }

    #[test]
    fn a_network_with_a_slip_in_it_is_told_what_was_meant() {
        let text = error(&["--for", "1h", "--from", "10.0.0.1/8"]).to_string();
        assert!(text.contains("10.0.0.0/8") && text.contains("--from"), "{text}");
    }
}
