//! `curfew grant`: a local grant, made by root on the host itself.

use super::{CliError, Outcome, note, order, print};
use crate::config::parse_duration;
use crate::human;
use crate::request::messages::{GrantOrder, Granted};
use clap::Args;
use curfew_protocol::grant::{Command, LoginAccess, LoginName, Network, SudoAccess, Text};
use std::time::Duration;

/// Grant somebody access from now on, for a time. Root alone.
///
/// Without --login and --sudo it grants the login. Prints the grant's id, by which `curfew revoke` ends it early.
#[derive(Args, Debug)]
pub struct GrantCommand {
    /// The login name on this host.
    user: LoginName,
    /// How long: 90s, 30m, 1h30m, 8h, 1d, 1w.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
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
    #[arg(long, value_name = "CIDR")]
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
        let Granted { grant, no_sudo_yet, warnings } = order("Grant", &wanted)?;
        print(json, &grant, || format!("{}\n", grant.id))?;
        if !json {
            note(format_args!("{} until {}", grant.user, human::time(grant.window.not_after())));
        }
        for warning in warnings {
            note(format_args!("warning: {warning}"));
        }
        if let Some(why) = no_sudo_yet {
            note(format_args!("the grant holds, but sudo does not work by it yet: {why}. See `curfew status`."));
        }
        Ok(Outcome::Yes)
    }
}
