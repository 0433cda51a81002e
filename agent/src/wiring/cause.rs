//! Who changes the wiring, and why: noted before the first file changes. The agent finds the change by its own look, maybe at half of it, and
//! takes from here whose it is. What anybody changes by hand has no such note.

use crate::clock;
use crate::durable;
use crate::host::processes::{self, Process, ProcessId};
use crate::host::users;
use crate::sessions::person;
use crate::sessions::table::{self, Sessions};
use curfew_protocol::audit::{Entry, Field};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// Where that is noted. A boot forgets it.
const PATH: &str = "/run/curfew/wiring-cause.json";

/// For how long it holds for what an unfinished or unwatched change did: PID 1's way back does not wait for the agent's look.
const HOLDS_FOR: Duration = Duration::from_secs(60);

/// How long a change waits for the name of who makes it.
const PATIENCE: Duration = Duration::from_millis(500);

/// What was done.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// `curfew enable`.
    Enabled,
    /// `curfew disable`.
    Disabled,
    /// What `curfew enable` had done was taken back.
    Undone,
    /// `curfew confirm`.
    Confirmed,
}

impl Deed {
    fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Undone => "undone",
            Self::Confirmed => "confirmed",
        }
    }
}

/// Whose a change is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Cause {
    deed: Deed,
    actor: Option<String>,
    reason: Option<String>,
    /// The process that makes the change.
    process: Option<ProcessId>,
    /// When it was noted, on CLOCK_BOOTTIME.
    at: Duration,
}

/// A note that goes with this: what changes from then on is somebody else's.
#[derive(Debug)]
pub struct Noted {
    _private: (),
}

impl Drop for Noted {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(PATH);
    }
}

impl Cause {
    /// What the calling process does for the person behind it: as the agent has noted it, or else whoever logged in, or root.
    pub fn own(deed: Deed, reason: Option<String>) -> Self {
        let process = Process::read(own_pid()).ok().flatten();
        let known = process.and_then(|process| person::known(&Sessions::open(Path::new(table::FOLDER)), &process));
        let person = known.or_else(|| processes::login_uid(own_pid()).map(name_of));
        Self { actor: Some(person.unwrap_or_else(|| "root".into())), ..Self::of_nobody(deed, reason) }
    }

    /// What the calling process does by itself, as PID 1 was told to have it done.
    pub fn of_nobody(deed: Deed, reason: Option<String>) -> Self {
        let process = Process::read(own_pid()).ok().flatten().map(|process| process.id);
        Self { deed, actor: None, reason, process, at: clock::boot_time() }
    }

    /// What `actor` did.
    pub fn of(deed: Deed, actor: String) -> Self {
        Self { deed, actor: Some(actor), reason: None, process: None, at: clock::boot_time() }
    }

    /// Notes it. The audit is less without; the change does not wait for it.
    pub fn note(&self) {
        let bytes = serde_json::to_vec(self).map_err(std::io::Error::from);
        if let Err(error) = bytes.and_then(|bytes| durable::write_unsynced(Path::new(PATH), &bytes)) {
            eprintln!("curfew: the audit will not say who changed the wiring: {PATH}: {error}");
        }
    }

    /// The same, until what is returned is dropped.
    pub fn note_for_now(&self) -> Noted {
        self.note();
        Noted { _private: () }
    }

    /// Whose the change is that the agent finds now, where that is noted.
    pub fn of_now() -> Option<Self> {
        let cause: Self = serde_json::from_slice(&std::fs::read(PATH).ok()?).ok()?;
        let works = cause.process.is_some_and(ProcessId::lives);
        Some(cause).filter(|cause| cause.holds(works, clock::boot_time()))
    }

    fn holds(&self, works: bool, now: Duration) -> bool {
        works || now.checked_sub(self.at).is_some_and(|age| age <= HOLDS_FOR)
    }

    /// The entry, with whose the change is.
    pub fn told(&self, entry: Entry) -> Entry {
        entry
            .with(Field::Outcome, self.deed.name())
            .with(Field::Actor, self.actor.clone())
            .with(Field::Reason, self.reason.clone())
    }
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or_default()
}

/// The name of the user `uid`, or the number: a directory that hangs holds up no change.
fn name_of(uid: u32) -> String {
    users::name_within(uid, PATIENCE).unwrap_or_else(|| format!("uid {uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_protocol::audit::Event;

    #[test]
    fn a_cause_holds_while_its_process_works_and_a_minute_for_what_is_found_later() {
        let cause = Cause { at: Duration::from_secs(100), ..Cause::of(Deed::Disabled, "carol".into()) };
        assert!(cause.holds(false, Duration::from_secs(160)) && !cause.holds(false, Duration::from_secs(161)));
        assert!(cause.holds(true, Duration::from_secs(1000)));
        // It is of another boot.
        assert!(!cause.holds(false, Duration::from_secs(99)));
    }

    #[test]
    fn a_record_says_what_was_done_by_whom_and_why() {
        let told = |cause: &Cause| {
            let entry = cause.told(Entry::new(Event::WiringChanged));
            [Field::Outcome, Field::Actor, Field::Reason].map(|field| entry.text(field).unwrap_or_default())
        };
        assert_eq!(told(&Cause::of(Deed::Confirmed, "carol".into())), ["confirmed", "carol", ""]);
        let undone = Cause::of_nobody(Deed::Undone, Some("nobody confirmed it in time".into()));
        assert_eq!(told(&undone), ["undone", "", "nobody confirmed it in time"]);
        assert!(undone.process.is_some_and(ProcessId::lives));
        assert!(Cause::own(Deed::Enabled, None).actor.is_some());
    }

    #[test]
    fn who_changes_the_wiring_has_a_name_or_a_number() {
        assert_eq!(name_of(0), "root");
        assert_eq!(name_of(4_000_000_001), "uid 4000000001");
    }
}
