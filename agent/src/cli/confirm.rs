//! `curfew confirm`: a login that began after `curfew enable` says that one can log in.

use super::{CliError, Outcome, ask, failed, note, only_root, order, print};
use crate::ipc::messages::Status;
use crate::wiring::lock::Turn;
use crate::wiring::unconfirmed::Unconfirmed;
use clap::Args;
use serde_json::{Value, json};

/// Keep what `curfew enable` did, from a login that began after it. Root alone.
///
/// Without it, everything is undone when the time of `curfew enable --confirm` is over. The agent has to answer: without one, nobody but exempt
/// users could log in. A login over a connection that is shared with an earlier one (ssh's ControlMaster) is none that began after it: ssh -S none.
#[derive(Args, Debug)]
pub struct Confirm {}

impl Confirm {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, CliError> {
        only_root()?;
        let _turn = Turn::take().map_err(failed)?;
        let status: Status = ask("Status", json!({}))?;
        let Some(unconfirmed) = Unconfirmed::load().map_err(failed)? else {
            let wired = status.in_force || crate::wiring::is_included();
            let text = if wired {
                "Nothing waits to be confirmed."
            } else {
                "Nothing waits to be confirmed, and Curfew is not wired: it was undone, or never enabled."
            };
            print(json, &json!({"confirmed": false, "wired": wired}), || format!("{text}\n"))?;
            return Ok(if wired { Outcome::Yes } else { Outcome::No });
        };
        unconfirmed.check_login().map_err(failed)?;
        Unconfirmed::end().map_err(failed)?;
        if let Err(error) = order::<_, Value>("Confirmed", json!({})) {
            note(format_args!("the audit does not have that it was confirmed: {error}"));
        }
        print(json, &json!({"confirmed": true, "wired": true}), || "Confirmed: it stays.\n".into())?;
        Ok(Outcome::Yes)
    }
}
