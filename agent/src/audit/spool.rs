//! The spool's writing end: audit records as lines of JSON in files that only grow, named by the number of their first record.
//!
//! One process writes it, the agent. A line that a crash cut short is set aside when the spool is opened again, and its number is
//! given to the next record, so that numbers have no gap. What goes when the files are too much is for `keeper` to say.

use super::noise::{Tally, is_at_will};
use crate::clock;
use curfew_protocol::audit::{Entry, Event, Field, Record};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file is followed by a new one past this length, in bytes, at the most and at the least.
const LONGEST_SEGMENT: u64 = 8 * 1024 * 1024;
const SHORTEST_SEGMENT: u64 = 128 * 1024;

/// So many files are about what is kept, where they are not too long or too short for that.
const SEGMENTS: u64 = 8;

/// How much more is written to a file before it is tried again to begin the next one, in bytes.
const TURNS_AGAIN_AFTER: u64 = 64 * 1024;

/// How many records wait in memory while the disk takes none.
const MOST_WAITING: usize = 10_000;

/// Why the spool takes no record now.
#[derive(Debug, thiserror::Error)]
#[error("audit spool {path}: {source}")]
pub struct SpoolError {
    path: PathBuf,
    source: io::Error,
}

/// The writing end. A disk that takes nothing delays records; they have their numbers when they are written.
pub struct Spool {
    folder: PathBuf,
    segment_length: u64,
    segment: Option<Segment>,
    /// Past this length of the file, the next one is begun.
    turns_at: u64,
    /// A new file was begun: there may be too many.
    turned: bool,
    waiting: VecDeque<(Entry, Timestamp)>,
    /// What did not even find room to wait.
    lost: Option<Tally>,
}

/// The file that is written.
struct Segment {
    path: PathBuf,
    file: File,
    length: u64,
    next_seq: u64,
}

impl Spool {
    /// The spool in `folder`, to go on behind its last record, of which about `keep` bytes are to be kept. Where it can't be
    /// opened, that is tried again with each record.
    pub fn open(folder: &Path, keep: u64) -> Self {
        let segment_length = segment_length(keep);
        let mut spool = Self {
            folder: folder.into(),
            segment_length,
            segment: None,
            turns_at: segment_length,
            turned: false,
            waiting: VecDeque::new(),
            lost: None,
        };
        if let Err(error) = spool.segment() {
            tracing::error!("the audit waits in memory: {error}");
        }
        spool
    }

    /// Writes the entry behind the others and numbers it.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] when the disk takes it not now; it waits in memory and is written with the next one. Where too many
    /// wait, one is lost, noise before anything else, and a record says so when the disk takes one again.
    pub fn append(&mut self, entry: Entry, now: Timestamp) -> Result<(), SpoolError> {
        self.waiting.push_back((entry, now));
        if self.waiting.len() > MOST_WAITING && self.flush().is_err() {
            let noise = self.waiting.iter().position(|(entry, _)| is_at_will(entry.event));
            let Some((lost, at)) = self.waiting.remove(noise.unwrap_or(0)) else { return Ok(()) };
            super::noise::count(&mut self.lost, Tally::new(lost.clone(), at));
            let lost = lost.into_record(0, at).message;
            return Err(self.error(io::Error::other(format!("{MOST_WAITING} records wait; this one is lost: {lost}"))));
        }
        self.flush()
    }

    /// Writes what waits.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] when the disk still takes nothing.
    pub fn flush(&mut self) -> Result<(), SpoolError> {
        while !self.waiting.is_empty() || self.lost.is_some() {
            let length = self.segment()?.length;
            if length >= self.turns_at {
                self.turns_at = match self.turn_over() {
                    Ok(()) => self.segment_length,
                    Err(error) => {
                        tracing::error!("the audit goes on in its old file, since a new one can't be begun: {error}");
                        length + TURNS_AGAIN_AFTER
                    }
                };
            }
            let seq = self.segment()?.next_seq;
            if self.waiting.is_empty() {
                self.waiting.extend(self.lost.take().map(|lost| dropped(lost, "no disk took them", clock::now())));
            }
            let Some((entry, time)) = self.waiting.pop_front() else { break };
            let record = entry.into_record(seq, time);
            if let Err(error) = self.segment()?.write(&record) {
                self.waiting.push_front((record.entry, record.time));
                return Err(error);
            }
        }
        Ok(())
    }

    /// The records that no disk took.
    pub fn waiting(&self) -> impl Iterator<Item = &(Entry, Timestamp)> {
        self.waiting.iter()
    }

    /// Whether a new file was begun since this was last asked.
    pub fn has_turned(&mut self) -> bool {
        std::mem::take(&mut self.turned)
    }

    /// The number of the last record that was written; none where it is not known.
    pub fn last_seq(&self) -> Option<u64> {
        self.segment.as_ref().map(|segment| segment.next_seq - 1)
    }

    /// A second handle on the file that is written, to sync it from another thread.
    ///
    /// # Errors
    ///
    /// What dup(2) says, or that no file could be opened.
    pub fn handle(&self) -> io::Result<File> {
        let segment = self.segment.as_ref().ok_or_else(|| io::Error::other("it could not be opened"))?;
        segment.file.try_clone()
    }

    fn segment(&mut self) -> Result<&mut Segment, SpoolError> {
        let segment = match self.segment.take() {
            Some(segment) => segment,
            None => {
                let mut found = segments(&self.folder).map_err(|source| self.error(source))?;
                found.retain(|path| !is_kept(path));
                // One that was begun, and in which nothing stands, may have a number that was given away in the one before it.
                while let [.., _, last] = found.as_slice()
                    && fs::metadata(last).is_ok_and(|about| about.len() == 0)
                {
                    fs::remove_file(last).map_err(|source| SpoolError { path: last.clone(), source })?;
                    found.pop();
                }
                let path = found.pop().unwrap_or_else(|| segment(&self.folder, 1));
                let (segment, aside) = Segment::open(&path).map_err(|source| SpoolError { path, source })?;
                if aside > 0 {
                    let reason = "they stood behind something that is no record, and are set aside";
                    let said = Entry::new(Event::AuditDropped).with(Field::Count, aside).with(Field::Reason, reason);
                    self.waiting.push_front((said, clock::now()));
                }
                segment
            }
        };
        Ok(self.segment.insert(segment))
    }

    /// Goes on in a new file.
    fn turn_over(&mut self) -> Result<(), SpoolError> {
        let Some(full) = &self.segment else { return Ok(()) };
        full.file.sync_data().map_err(|source| full.error(source))?;
        let path = segment(&self.folder, full.next_seq);
        let new = Segment::open(&path).inspect_err(|_| {
            let _there_or_not = fs::remove_file(&path);
        });
        self.segment = Some(new.map_err(|source| SpoolError { path, source })?.0);
        self.turned = true;
        Ok(())
    }

    fn error(&self, source: io::Error) -> SpoolError {
        SpoolError { path: self.folder.clone(), source }
    }
}

impl Segment {
    /// Opens a file, and goes on behind its last whole record. Says how many whole lines were set aside.
    fn open(path: &Path) -> io::Result<(Self, usize)> {
        let (next_seq, length, aside) = mend(path)?;
        let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok((Self { path: path.into(), file, length, next_seq }, aside))
    }

    fn write(&mut self, record: &Record) -> Result<(), SpoolError> {
        let mut line = serde_json::to_vec(record).map_err(|error| self.error(error.into()))?;
        line.push(b'\n');
        if let Err(source) = self.file.write_all_at(&line, self.length) {
            // Half a line must not stay in front of the next try.
            let _ = self.file.set_len(self.length);
            return Err(self.error(source));
        }
        self.length += line.len() as u64;
        self.next_seq += 1;
        Ok(())
    }

    fn error(&self, source: io::Error) -> SpoolError {
        SpoolError { path: self.path.clone(), source }
    }
}

fn segment(folder: &Path, first_seq: u64) -> PathBuf {
    folder.join(format!("{first_seq:020}.jsonl"))
}

/// The file for what is kept of files that went, from this record on.
pub fn kept_file(folder: &Path, first_seq: u64) -> PathBuf {
    folder.join(format!("{first_seq:020}.kept"))
}

/// Whether it is such a file.
pub fn is_kept(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "kept")
}

/// How long a file of the spool becomes, where so many bytes of it are kept.
pub fn segment_length(keep: u64) -> u64 {
    (keep / SEGMENTS).clamp(SHORTEST_SEGMENT, LONGEST_SEGMENT)
}

/// The record that says what is lost.
fn dropped(lost: Tally, reason: &str, now: Timestamp) -> (Entry, Timestamp) {
    let counted = lost.into_entry().fields;
    let about = [Field::Count, Field::First, Field::Last];
    let fields = counted.into_iter().filter(|(field, _)| about.contains(field)).collect();
    (Entry { event: Event::AuditDropped, fields }.with(Field::Reason, reason), now)
}

/// The spool's files, oldest first.
///
/// # Errors
///
/// What readdir(3) says; a folder that is not there is an empty spool.
pub fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if first_seq(&path).is_some() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The number that a file of the spool is named by.
pub fn first_seq(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".jsonl").or_else(|| name.strip_suffix(".kept"))?;
    if name.len() == 20 { name.parse().ok() } else { None }
}

/// Sets aside what stands behind the last whole record, and returns the next number, the length that is left, and how many
/// whole lines went.
fn mend(path: &Path) -> io::Result<(u64, u64, usize)> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut next = first_seq(path).unwrap_or(1);
    let mut good = 0;
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        match serde_json::from_slice::<Record>(line) {
            Ok(record) if line.ends_with(b"\n") && record.seq == next => {
                next += 1;
                good += line.len();
            }
            _ => break,
        }
    }
    let torn = bytes.get(good..).unwrap_or_default();
    if !torn.is_empty() {
        let aside = path.with_extension(format!("torn-at-{next}"));
        match fs::write(&aside, torn) {
            Ok(()) => {
                tracing::error!(path = %aside.display(), bytes = torn.len(), "the end of the audit spool was not a whole record; it is set aside");
            }
            // A full disk must not keep the audit from going on: nobody was told that this record is written.
            Err(error) => {
                let torn = String::from_utf8_lossy(torn);
                tracing::error!(%torn, "the end of the audit spool was not a whole record, and could not be set aside: {error}");
            }
        }
        File::options().write(true).open(path)?.set_len(good as u64)?;
    }
    Ok((next, good as u64, torn.iter().filter(|&&byte| byte == b'\n').count()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::reader::SpoolReader;
    use super::*;
    use curfew_protocol::audit::{Event, Field};

    fn entry(user: &str) -> Entry {
        Entry::new(Event::LoginDenied).with(Field::User, user)
    }

    fn seqs(folder: &Path) -> Vec<u64> {
        let mut reader = SpoolReader::resume(folder, Some(0));
        let mut seqs = Vec::new();
        loop {
            let lines = reader.peek(3).unwrap();
            if lines.is_empty() {
                return seqs;
            }
            for line in &lines {
                reader.pass(line);
                seqs.extend(line.record.as_ref().map(|record| record.seq));
            }
        }
    }

    #[test]
    fn numbers_go_on_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            let mut spool = Spool::open(folder.path(), 0);
            spool.append(entry("alice"), Timestamp::UNIX_EPOCH).unwrap();
            spool.append(entry("bob"), Timestamp::UNIX_EPOCH).unwrap();
        }
        assert_eq!(seqs(folder.path()), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_line_cut_short_is_set_aside_and_leaves_no_gap() {
        let folder = tempfile::tempdir().unwrap();
        let path = segment(folder.path(), 1);
        let mut spool = Spool::open(folder.path(), 0);
        spool.append(entry("alice"), Timestamp::UNIX_EPOCH).unwrap();
        spool.append(entry("bob"), Timestamp::UNIX_EPOCH).unwrap();
        let whole = fs::read(&path).unwrap();
        let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        for cut in first + 1..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut spool = Spool::open(folder.path(), 0);
            spool.append(entry("carol"), Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(seqs(folder.path()), [1, 2], "cut at {cut}");
            assert!(path.with_extension("torn-at-2").exists());
        }
    }

    #[test]
    fn what_no_disk_takes_waits_and_is_numbered_when_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        fs::write(&path, "in the way").unwrap();
        let mut spool = Spool::open(&path, 0);
        assert!(spool.append(entry("alice"), Timestamp::UNIX_EPOCH).is_err());
        assert_eq!(spool.waiting().count(), 1);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        spool.append(entry("bob"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(seqs(&path), [1, 2]);
        assert_eq!((spool.waiting().count(), spool.last_seq()), (0, Some(2)));
    }

    #[test]
    fn what_finds_no_room_to_wait_is_counted_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        fs::write(&path, "in the way").unwrap();
        let mut spool = Spool::open(&path, 0);
        let rare = Entry::new(Event::SessionTerminated);
        for n in 0..MOST_WAITING + 30 {
            let entry = if n % 100 == 0 { rare.clone() } else { entry("alice") };
            assert!(spool.append(entry, Timestamp::UNIX_EPOCH).is_err());
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        spool.flush().unwrap();
        assert_eq!(seqs(&path), (1..=MOST_WAITING as u64 + 1).collect::<Vec<_>>());
        let records = super::super::query::run(&path, &super::super::query::Query::default(), usize::MAX).unwrap();
        let of = |event| records.iter().filter(|record| record.entry.event == event).count();
        assert_eq!((of(Event::SessionTerminated), of(Event::LoginDenied)), (101, MOST_WAITING - 101));
        let said = records.last().unwrap();
        assert_eq!((said.entry.event, &said.entry.fields[&Field::Count]), (Event::AuditDropped, &30.into()));
        spool.append(rare, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(spool.last_seq(), Some(MOST_WAITING as u64 + 2));
    }

    #[test]
    fn whole_records_that_are_set_aside_are_said_to_be_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = segment(folder.path(), 1);
        let mut spool = Spool::open(folder.path(), 0);
        (0..4).for_each(|_| spool.append(entry("alice"), Timestamp::UNIX_EPOCH).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"seq\":2", "\"seq\":7")).unwrap();
        let mut spool = Spool::open(folder.path(), 0);
        spool.append(entry("bob"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(seqs(folder.path()), [1, 2, 3]);
        let said = fs::read_to_string(&path).unwrap();
        let said: Record = serde_json::from_str(said.lines().nth(1).unwrap()).unwrap();
        assert_eq!((said.entry.event, &said.entry.fields[&Field::Count]), (Event::AuditDropped, &3.into()));
    }

    #[test]
    fn a_file_that_could_not_be_begun_costs_no_record_and_no_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), u64::MAX);
        spool.append(entry("alice"), Timestamp::UNIX_EPOCH).unwrap();
        let in_the_way = segment(folder.path(), 2);
        fs::create_dir(&in_the_way).unwrap();
        let length = spool.segment().unwrap().file.metadata().unwrap().len();
        spool.segment().unwrap().length = length;
        spool.turns_at = length;
        spool.append(entry("bob"), Timestamp::UNIX_EPOCH).unwrap();
        fs::remove_dir(&in_the_way).unwrap();
        // A crash between the new file's beginning and its first record.
        fs::write(segment(folder.path(), 2), "").unwrap();
        let mut spool = Spool::open(folder.path(), u64::MAX);
        spool.append(entry("carol"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(seqs(folder.path()), [1, 2, 3]);
    }

    #[test]
    fn a_reader_goes_on_where_it_was_and_over_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), u64::MAX);
        for _ in 0..5 {
            spool.append(entry("alice"), Timestamp::UNIX_EPOCH).unwrap();
            spool.turn_over().unwrap();
        }
        assert_eq!(seqs(folder.path()), [1, 2, 3, 4, 5]);
        let mut reader = SpoolReader::resume(folder.path(), Some(5));
        for _ in 0..3 {
            let lines = reader.peek(1).unwrap();
            reader.pass(&lines[0]);
            reader.remember();
        }
        let mut reader = SpoolReader::resume(folder.path(), Some(5));
        assert_eq!(reader.peek(1).unwrap()[0].record.as_ref().unwrap().seq, 4);
    }
}
