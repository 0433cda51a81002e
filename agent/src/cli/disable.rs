//! `curfew disable`: unwires PAM and sudo, to the byte. It needs neither the agent nor a configuration that can be read.

use super::{CliError, Outcome, ask, failed, note, only_root, print};
use crate::wiring::cause::{Cause, Deed};
use crate::wiring::lock::Turn;
use crate::wiring::service_file;
use crate::wiring::unconfirmed::Unconfirmed;
use clap::Args;
use curfew_protocol::grant::Text;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Unwire PAM and sudo: everything is as it was before `curfew enable`. Root alone.
///
/// The mode in agent.toml stays as it is. Sessions stay open, also past the ends of their grants.
#[derive(Args, Debug)]
pub struct Disable {
    /// Only undo an enable that nobody has confirmed: what curfew-revert.service runs.
    #[arg(long)]
    unconfirmed: bool,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT", conflicts_with = "unconfirmed")]
    reason: Option<Text>,
}

#[derive(Debug, Serialize)]
struct Done {
    changed: Vec<PathBuf>,
}

impl Disable {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, CliError> {
        only_root()?;
        // Whoever holds it that long hangs: taking it off comes first.
        let _turn = Turn::take();
        let mut noted = None;
        let (changed, mut problems) = if self.unconfirmed {
            match Unconfirmed::load().map_err(failed)? {
                Some(unconfirmed) if unconfirmed.is_due() => {
                    // The agent hears of it when this has ended.
                    Cause::of_nobody(Deed::Undone, Some("nobody confirmed it in time".into())).note();
                    unconfirmed.undo()
                }
                waits => {
                    let text = if waits.is_some() {
                        "There is time left to confirm it."
                    } else {
                        "Nothing waits to be confirmed."
                    };
                    print(json, &Done { changed: Vec::new() }, || format!("{text}\n"))?;
                    return Ok(Outcome::Yes);
                }
            }
        } else {
            let reason = self.reason.as_ref().map(|reason| reason.as_str().to_owned());
            noted = Some(Cause::own(Deed::Disabled, reason).note_for_now());
            service_file::unwire_everything()
        };
        if problems.is_empty() {
            problems.extend(Unconfirmed::end().err().map(|error| error.to_string()));
        }
        if !self.unconfirmed {
            problems.extend(service_file::unmarked_rules().unwrap_or_default());
        }
        // The wiring is off whether or not the agent hears of it. PID 1 tells it in the other case: the agent may wait for this to end.
        if !self.unconfirmed
            && let Err(error) = tell_agent()
        {
            note(format_args!("the agent was not told: {error}"));
        }
        drop(noted);
        let done = Done { changed };
        let nothing = if done.changed.is_empty() { "Curfew was not wired.\n" } else { "" };
        let unwired = || done.changed.iter().map(|path| format!("unwired {}\n", path.display())).collect::<String>();
        print(json, &done, || unwired() + nothing)?;
        if problems.is_empty() { Ok(Outcome::Yes) } else { Err(failed(problems.join("\ncurfew: "))) }
    }
}

/// Has the agent look while it is noted whose the change is.
fn tell_agent() -> Result<(), CliError> {
    ask::<_, Value>("Reload", json!({}))?;
    ask::<_, Value>("Reconcile", json!({})).map(drop)
}
