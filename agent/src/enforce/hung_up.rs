//! What had HUP and TERM before an end came: that it ends then is Curfew's doing, and no end by itself.

use super::processes::{Process, ProcessId};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

/// How many processes are remembered one by one.
const MOST: usize = 256;

/// The processes that had HUP and TERM, by what they were called.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct HungUp(Vec<(ProcessId, String)>);

impl HungUp {
    /// Sends HUP and TERM to processes, and remembers those that were there to have them.
    pub fn send<'a>(processes: impl Iterator<Item = &'a Process>) -> Self {
        let mut told = Vec::new();
        for process in processes {
            let label = (told.len() < MOST).then(|| process.label());
            let hung_up = process.signal(Signal::SIGHUP);
            process.signal(Signal::SIGTERM);
            told.extend(label.filter(|_| hung_up).map(|label| (process.id, label)));
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
