//! What had HUP and TERM before an end came: that it ends then is Curfew's doing, and no end by itself.

use crate::host::processes::{Process, ProcessId};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How many processes are remembered one by one.
const MOST: usize = 256;

/// The processes that had HUP and TERM, by what they were called.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct HungUp(Vec<(ProcessId, String)>);

impl HungUp {
    /// Sends HUP and TERM to processes, and remembers those that are there to have them, or were just before: `had` knows the latter.
    pub fn send<'a>(processes: impl Iterator<Item = &'a Process>, had: &mut HashMap<ProcessId, String>) -> Self {
        // All are looked at before any has them: sudo passes its own on, and what it runs may be dead by then.
        let there = processes.filter(|process| had.contains_key(&process.id) || process.id.lives());
        let there: Vec<(&Process, String)> =
            there.map(|it| (it, had.get(&it.id).cloned().unwrap_or_else(|| it.label()))).collect();
        for (process, _) in &there {
            process.signal(Signal::SIGHUP);
            process.signal(Signal::SIGTERM);
        }
        let told: Vec<_> = there.into_iter().take(MOST).map(|(process, label)| (process.id, label)).collect();
        had.extend(told.iter().cloned());
        Self(told)
    }

    /// Whether nothing had them.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The processes that no other record tells, with what they were called.
    pub fn iter(&self) -> impl Iterator<Item = &(ProcessId, String)> {
        self.0.iter().filter(|(_, name)| !name.is_empty())
    }

    /// Those of `others` are told in a record of their own: they had them, and are named no more.
    pub fn note_told(&mut self, others: &Self) {
        let is_told = |process: ProcessId| others.0.iter().any(|(other, _)| *other == process);
        self.0.iter_mut().filter(|(process, _)| is_told(*process)).for_each(|(_, name)| name.clear());
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
    fn what_dies_of_what_another_passes_on_had_it_too() {
        let mut shell = std::process::Command::new("sh");
        let mut shell = shell
            .args(["-c", "trap 'kill -KILL $! 2>/dev/null; wait; exit' HUP TERM; sleep 60 & wait"])
            .spawn()
            .unwrap();
        let pid = i32::try_from(shell.id()).unwrap();
        let child = || {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            children.split_whitespace().next().and_then(|child| Process::read(child.parse().unwrap()).unwrap())
        };
        let child = loop {
            match child() {
                Some(child) if child.name == "sleep" => break child,
                _ => std::thread::sleep(std::time::Duration::from_millis(5)),
            }
        };
        let shell_itself = Process::read(pid).unwrap().unwrap();
        let had = HungUp::send([&shell_itself, &child].into_iter(), &mut HashMap::new());
        shell.wait().unwrap();
        assert_eq!(had.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [shell_itself.id, child.id]);
    }

    #[test]
    fn what_died_of_it_for_a_login_is_told_of_its_run_of_sudo_too_and_what_was_gone_before_is_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::read(i32::try_from(child.id()).unwrap()).unwrap().unwrap();
        let mut had = HashMap::new();
        let of_login = HungUp::send([&process].into_iter(), &mut had);
        child.wait().unwrap();
        let of_run = HungUp::send([&process].into_iter(), &mut had);
        assert!(of_login.iter().count() == 1 && of_run == of_login);
        let mut of_login = of_login;
        of_login.note_told(&of_run);
        assert!(of_login.iter().count() == 0 && !of_login.is_empty(), "told once, of the run");
        assert!(HungUp::send([&process].into_iter(), &mut HashMap::new()).is_empty());
    }
}
