//! What had HUP and TERM before an end came: that it ends then is Curfew's doing, and no end by itself.

use super::processes::{Process, ProcessId};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How many processes are remembered one by one.
const MOST: usize = 256;

/// The processes that had HUP and TERM, by what they were called.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct HungUp(Vec<(ProcessId, String)>);

impl HungUp {
    /// Sends HUP and TERM to processes, and remembers those that were there to have them, now or just before: `had` knows the latter.
    pub fn send<'a>(processes: impl Iterator<Item = &'a Process>, had: &mut HashMap<ProcessId, String>) -> Self {
        let mut told = Vec::new();
        for process in processes {
            let label = had.get(&process.id).cloned().unwrap_or_else(|| process.label());
            let hung_up = process.signal(Signal::SIGHUP);
            process.signal(Signal::SIGTERM);
            if (hung_up || had.contains_key(&process.id)) && told.len() < MOST {
                had.insert(process.id, label.clone());
                told.push((process.id, label));
            }
        }
        Self(told)
    }

    /// Whether nothing had them.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The processes, with what they were called.
    pub fn iter(&self) -> impl Iterator<Item = &(ProcessId, String)> {
        self.0.iter()
    }

    /// More had them, for the same end or a later one.
    pub fn extend(&mut self, more: Self) {
        let room = MOST.saturating_sub(self.0.len());
        self.0.extend(more.0.into_iter().take(room));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_died_of_it_for_a_login_is_told_of_its_run_of_sudo_too_and_what_was_gone_before_is_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::read(i32::try_from(child.id()).unwrap()).unwrap().unwrap();
        let mut had = HashMap::new();
        let of_login = HungUp::send([&process].into_iter(), &mut had);
        child.wait().unwrap();
        let of_run = HungUp::send([&process].into_iter(), &mut had);
        assert!(of_login.iter().count() == 1 && of_run == of_login);
        assert!(HungUp::send([&process].into_iter(), &mut HashMap::new()).is_empty());
    }
}
