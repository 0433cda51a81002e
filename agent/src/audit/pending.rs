//! What is counted and not told yet, noted in a file beside the spool, for the next agent, should this one be killed. A
//! power loss may take the note; at most what was counted in the second before the death is in no note.

use super::query::{self, Query};
use crate::durable;
use curfew_protocol::audit::{Entry, Field, Record};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The most counts in a note.
const MOST: usize = 500;

/// The note.
#[derive(Deserialize, Serialize)]
struct Note {
    /// The last record when it was written: what is told behind it may be told already.
    after_seq: u64,
    counts: Vec<Entry>,
}

/// Notes what is counted, in place of the note before; no note where nothing is.
///
/// # Errors
///
/// What the disk says.
pub fn note(folder: &Path, after_seq: u64, counts: impl Iterator<Item = Entry>) -> io::Result<()> {
    let counts: Vec<Entry> = counts.take(MOST).collect();
    if counts.is_empty() {
        return match fs::remove_file(path(folder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    durable::write_unsynced(&path(folder), &serde_json::to_vec(&Note { after_seq, counts })?)
}

/// What the last agent counted and did not tell.
pub fn untold(folder: &Path) -> Vec<Entry> {
    let Ok(text) = fs::read(path(folder)) else { return Vec::new() };
    let note: Note = match serde_json::from_slice(&text) {
        Ok(note) => note,
        Err(error) => {
            tracing::error!("what the audit had counted when the agent died can't be read: {error}");
            return Vec::new();
        }
    };
    let query = Query { after_seq: note.after_seq, ..Query::default() };
    let told = query::run(folder, &query, usize::MAX).unwrap_or_default();
    let is_told = |counted: &Entry| told.iter().any(|record: &Record| is_same(&record.entry, counted));
    note.counts.into_iter().filter(|counted| !is_told(counted)).collect()
}

/// Whether the two counts are of the same events: no two begin in the same nanosecond.
fn is_same(told: &Entry, counted: &Entry) -> bool {
    told.event == counted.event
        && [Field::First, Field::User].iter().all(|field| told.fields.get(field) == counted.fields.get(field))
}

fn path(folder: &Path) -> PathBuf {
    folder.join("counted.json")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::spool::Spool;
    use super::*;
    use curfew_protocol::audit::Event;
    use jiff::Timestamp;

    fn counted(user: &str, first: &str) -> Entry {
        let entry = Entry::new(Event::SudoPermitted).with(Field::User, user).with(Field::Count, 7);
        entry.with(Field::First, first)
    }

    #[test]
    fn what_was_told_after_the_note_is_not_told_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), u64::MAX);
        spool.append(counted("alice", "t0"), Timestamp::UNIX_EPOCH).unwrap();
        let noted = [counted("alice", "t1"), counted("bob", "t1"), counted("alice", "t0")];
        note(folder.path(), 1, noted.clone().into_iter()).unwrap();
        assert_eq!(untold(folder.path()), noted);
        spool.append(counted("alice", "t1").with(Field::Count, 9), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(untold(folder.path()), noted[1..]);
        note(folder.path(), 2, std::iter::empty()).unwrap();
        note(folder.path(), 2, std::iter::empty()).unwrap();
        assert!(untold(folder.path()).is_empty());
    }

    #[test]
    fn a_note_that_was_lost_costs_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path()), "").unwrap();
        assert!(untold(folder.path()).is_empty());
    }
}
