//! What one process asks twice at once: a service whose rules include another's has two lines of ours, and PAM asks both (`su-l` includes `su`, and `sudo-i` includes `sudo`, on some distributions).
//! Both are answered; the audit has one record.

use super::Pam;
use crate::clock;
use crate::host::processes::{Process, ProcessId};
use crate::ipc::peer::Peer;
use curfew_protocol::audit::Entry;
use std::collections::VecDeque;
use std::time::Duration;

/// The two come one right after the other.
const AT_ONCE: Duration = Duration::from_secs(2);

/// How many of the last records are remembered.
const REMEMBERED: usize = 64;

/// The records of elevations that were written of late.
#[derive(Debug, Default)]
pub struct Again(VecDeque<(ProcessId, Entry, Duration)>);

impl Again {
    /// Whether the process had this very record just now. If not, it has from now on.
    fn hears(&mut self, process: ProcessId, entry: &Entry, now: Duration) -> bool {
        self.0.retain(|(_, _, at)| now.saturating_sub(*at) <= AT_ONCE);
        if self.0.iter().any(|(known, said, _)| *known == process && said == entry) {
            return true;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((process, entry.clone(), now));
        false
    }
}

/// Whether the process at the other end had this very record just now. One that can't be seen had none.
pub fn said_already(pam: &Pam, peer: &Peer, entry: &Entry) -> bool {
    let Ok(Some(process)) = Process::read(peer.pid) else { return false };
    pam.again.borrow_mut().hears(process.id, entry, clock::boot_time())
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_protocol::audit::{Event, Field};

    #[test]
    fn the_same_of_the_same_process_at_once_is_one_record() {
        let (mut again, at) = (Again::default(), Duration::from_secs);
        let process = |pid| ProcessId { pid, start: 1 };
        let entry = |user: &str| Entry::new(Event::SudoPermitted).with(Field::User, user);
        assert!(!again.hears(process(7), &entry("alice"), at(10)));
        assert!(again.hears(process(7), &entry("alice"), at(10)));
        assert!(!again.hears(process(8), &entry("alice"), at(10)));
        assert!(!again.hears(process(7), &entry("bob"), at(10)));
        assert!(!again.hears(process(7), &entry("alice"), at(13)));
        for pid in 0..1000 {
            again.hears(process(pid), &entry("alice"), at(14));
        }
        assert_eq!(again.0.len(), REMEMBERED);
    }
}
