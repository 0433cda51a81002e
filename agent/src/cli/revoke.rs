//! `curfew revoke`: ends a grant now, whatever the endpoint says of it.

use super::{CliError, Outcome, note, order, print};
use crate::ipc::messages;
use clap::Args;
use curfew_protocol::grant::Text;

/// End a grant now, with everything that it alone had opened. Root alone.
#[derive(Args, Debug)]
pub struct Revoke {
    /// The grant's id.
    id: String,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    reason: Option<Text>,
}

impl Revoke {
    pub(super) fn run(self, json: bool) -> Result<Outcome, CliError> {
        let messages::Revoked { grant, unstored, rule_stays } =
            order("Revoke", messages::Revoke { id: self.id, reason: self.reason })?;
        print(json, &grant, || format!("Grant {} of {} is revoked.\n", grant.id, grant.user))?;
        if let Some(problem) = unstored {
            note(format_args!("that holds now, but could not be stored: {problem}"));
        }
        if let Some(problem) = rule_stays {
            note(format_args!("{problem}, though nobody passes by it; remove it there."));
        }
        Ok(Outcome::Yes)
    }
}
