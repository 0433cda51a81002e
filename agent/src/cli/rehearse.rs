//! `curfew rehearse`: one PAM transaction in a process of its own, for `curfew enable`.

use super::{CliError, Outcome, failed, only_root};
use crate::wiring::kind::Kind;
use crate::wiring::rehearsal::{Asked, transact};
use clap::Args;

/// Open one PAM transaction as sshd or sudo would, and print PAM's answers.
#[derive(Args, Debug)]
pub struct Rehearse {
    /// The PAM service.
    service: String,
    /// Who is judged there: the user who logs in, or the one who invokes it.
    #[arg(value_enum)]
    judged: Kind,
    /// The person.
    user: String,
    /// Ask PAM to authenticate, too, before that; a module that wants an answer is refused one.
    #[arg(long)]
    auth: bool,
}

impl Rehearse {
    pub(super) fn run(&self) -> Result<Outcome, CliError> {
        only_root()?;
        let asked = if self.auth { Asked::AuthToo } else { Asked::Account };
        let answer = transact(&self.service, self.judged, &self.user, asked).map_err(|code| failed(code.text()))?;
        println!("{}", serde_json::to_string(&answer).map_err(failed)?);
        Ok(Outcome::Yes)
    }
}
