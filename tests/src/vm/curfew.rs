//! Logins to a virtual machine, and the product's command line there: as on a [`Host`](crate::Host).

use serde_json::Value;

use super::{PATIENCE, Script, Vm};
use crate::command::Output;
use crate::curfew::{Grant, granting};
use crate::journal::lines_of_json;
use crate::ssh::{login, quoted};
use crate::wait::wait_for;

impl Vm {
    /// `ssh USER@host COMMAND` inside it, with the user's key.
    pub fn ssh(&mut self, user: &str, command: &str) -> Output {
        self.run(&login(user, command))
    }

    /// As [`Vm::ssh`], beside the test.
    pub fn ssh_stay_and_run(&mut self, user: &str, command: &str) -> Script {
        self.spawn(&login(user, command))
    }

    /// `curfew grant ARGUMENTS --reason …`. Its end is a time of the machine's clock: see [`Vm::wait_clock`].
    ///
    /// # Panics
    /// When it is refused.
    pub fn grant(&mut self, arguments: &str) -> Grant {
        Grant::printed(&self.ok(&granting(arguments)))
    }

    /// `curfew status --json` as root.
    ///
    /// # Panics
    /// When it fails.
    pub fn status(&mut self) -> Value {
        serde_json::from_str(&self.ok("curfew status --json")).expect("status prints one JSON object")
    }

    /// Curfew's audit records, oldest first; `filter` as for `curfew audit`.
    ///
    /// # Panics
    /// When they can't be read.
    pub fn audit(&mut self, filter: &str) -> Vec<Value> {
        lines_of_json(&self.ok(&format!("curfew audit --json {filter}")))
    }

    /// The first audit record of an event for which `wanted` holds, waited for.
    ///
    /// # Panics
    /// When there is none in time.
    pub fn audited(&mut self, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("an audit record {event} like this"), PATIENCE, || {
            self.audit("").into_iter().find(|record| record["event"] == event && wanted(record))
        })
    }

    /// Adds to what stands in `/etc/curfew/agent.toml`, and has the agent read it.
    ///
    /// # Panics
    /// When the reload fails.
    pub fn reconfigure(&mut self, toml: &str) {
        let file = "/etc/curfew/agent.toml";
        // Keys must stand before the first table.
        let script = format!("old=$(cat {file}) && printf '%s\\n' {} \"$old\" >{file}", quoted(toml));
        self.ok(&format!("{script} && systemctl reload curfewd"));
    }
}
