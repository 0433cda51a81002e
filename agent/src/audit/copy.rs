//! The copy of the audit in the journal: every record, in order, at least once. It catches up where journald was away, and copies again what a
//! journald that went away may not have read.

use super::reader::SpoolReader;
use super::{Audit, GATHERED, journald};
use crate::journal::Journal;
use std::io;
use std::time::{Duration, Instant};

/// The error of a datagram that is too long (send(2)).
const EMSGSIZE: i32 = nix::errno::Errno::EMSGSIZE as i32;

/// How many records are copied before anything else has its turn.
const BATCH: usize = 64;

/// How long everything else has its turn then.
const TURN: Duration = Duration::from_millis(2);

/// The longest pause between two tries to reach journald.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What journald took so long before the last record that it took has been read by it.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// How far a journald that goes away has read for certain: what its socket held is lost with it, and nobody is told. One that hung for longer than
/// [`READ_WITHIN`] with room in its socket, and then went, may lack some; the audit has them.
struct Read {
    /// The last record that it had read when it took the last one.
    surely_to: u64,
    /// A later one, and when it was taken.
    then: (u64, Instant),
}

impl Read {
    fn to(seq: u64) -> Self {
        Self { surely_to: seq, then: (seq, Instant::now()) }
    }

    /// It took the records up to this one.
    fn took(&mut self, seq: u64) {
        if self.then.1.elapsed() >= READ_WITHIN {
            self.surely_to = self.then.0;
            self.then = (seq, Instant::now());
        }
    }
}

impl Audit {
    /// Copies every record to journald, in order, at least once. Never returns.
    pub async fn copy_to_journal(&self) {
        let mut reader = SpoolReader::resume(&self.folder, self.spool.borrow().last_seq());
        let mut read = Read::to(reader.next_seq().saturating_sub(1));
        let mut journal = None;
        let mut pause = Duration::from_millis(100);
        loop {
            match batch(&mut reader, &mut journal) {
                Ok(copied) => {
                    pause = Duration::from_millis(100);
                    if copied == 0 {
                        self.to_copy.notified().await;
                    } else {
                        read.took(reader.next_seq().saturating_sub(1));
                    }
                    // While records come, somebody waits for answers.
                    let busy = self.last_written.get().elapsed() < GATHERED;
                    tokio::time::sleep(if copied < BATCH || busy { GATHERED } else { TURN }).await;
                }
                Err(error) => {
                    tracing::debug!("journald takes no record now: {error}");
                    // A socket that is full may have room again, or be gone: only this connection tells the one from the other.
                    if error.kind() != io::ErrorKind::WouldBlock {
                        journal = None;
                        if reader.next_seq() > read.surely_to + 1 {
                            reader = SpoolReader::behind(&self.folder, read.surely_to);
                            reader.remember();
                            read = Read::to(read.surely_to);
                        }
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

/// Copies up to [`BATCH`] records, and returns how many.
pub(super) fn batch(reader: &mut SpoolReader, journal: &mut Option<Journal>) -> io::Result<usize> {
    let batch = reader.peek(BATCH)?;
    if batch.is_empty() {
        return Ok(0);
    }
    let journal = match journal {
        Some(journal) => journal,
        None => journal.insert(Journal::connect()?),
    };
    for line in &batch {
        match line.record.as_ref().map(|record| journal.send(&journald::message(record))) {
            // It is in the spool; nothing behind it waits for a record that journald will never take.
            Some(Err(error)) if error.raw_os_error() == Some(EMSGSIZE) => {
                tracing::error!("an audit record is too long for journald: {error}");
            }
            Some(Err(error)) => return Err(error),
            Some(Ok(())) | None => {}
        }
        reader.pass(line);
    }
    reader.remember();
    Ok(batch.len())
}
