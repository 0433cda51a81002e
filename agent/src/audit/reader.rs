//! The spool's reading end: lines in order, over files, from any number on.

use super::spool::{first_seq, segments};
use crate::durable;
use curfew_protocol::audit::Record;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// One line of the spool.
pub struct Line {
    /// The record; none where the line is not one.
    pub record: Option<Record>,
    /// Its length in bytes.
    pub length: u64,
}

/// The reading end. The copy to journald remembers how far it came, over restarts.
pub struct SpoolReader {
    folder: PathBuf,
    next_seq: u64,
    segment: Option<PathBuf>,
    offset: u64,
}

impl SpoolReader {
    /// Goes on behind the last record that was passed; from the beginning where none was. After a power loss, the mark may be
    /// ahead of the spool, whose last number is `last` where that is known.
    pub fn resume(folder: &Path, last: Option<u64>) -> Self {
        let passed =
            fs::read_to_string(mark_path(folder)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0_u64);
        Self::behind(folder, passed.min(last.unwrap_or(u64::MAX)))
    }

    /// Begins behind the record with this number.
    pub fn behind(folder: &Path, seq: u64) -> Self {
        Self { folder: folder.into(), next_seq: seq.saturating_add(1), segment: None, offset: 0 }
    }

    /// The number of the record that comes next, if there is no gap.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The next lines, `most` at the most, without passing them.
    ///
    /// # Errors
    ///
    /// What reading the files says.
    pub fn peek(&mut self, most: usize) -> io::Result<Vec<Line>> {
        loop {
            let Some(path) = self.current()? else { return Ok(Vec::new()) };
            let lines = match read_lines(&path, self.offset, most) {
                // It went meanwhile; what is kept of it stands in another file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.segment = None;
                    continue;
                }
                lines => lines?,
            };
            if let Some(behind) =
                lines.iter().position(|line| line.record.as_ref().is_none_or(|it| it.seq >= self.next_seq))
            {
                self.offset += lines.iter().take(behind).map(|line| line.length).sum::<u64>();
                return Ok(lines.into_iter().skip(behind).collect());
            }
            let skipped: u64 = lines.iter().map(|line| line.length).sum();
            self.offset += skipped;
            if skipped == 0 && !self.step(&path)? {
                return Ok(Vec::new());
            }
        }
    }

    /// Passes a line of the last [`peek`](Self::peek).
    pub fn pass(&mut self, line: &Line) {
        self.offset += line.length;
        if let Some(record) = &line.record {
            self.next_seq = record.seq + 1;
        }
    }

    /// Writes down how far it came. A mark that a crash loses means a record copied twice, with the same number.
    pub fn remember(&self) {
        let mark = format!("{}\n", self.next_seq - 1);
        if let Err(error) = durable::write_unsynced(&mark_path(&self.folder), mark.as_bytes()) {
            tracing::debug!("how far the journal has the audit could not be written down: {error}");
        }
    }

    /// The file that holds the next record.
    fn current(&mut self) -> io::Result<Option<PathBuf>> {
        if self.segment.is_none() {
            let mut segments = segments(&self.folder)?;
            segments.retain(|path| fs::metadata(path).is_ok_and(|about| about.len() > 0));
            let holds = segments.iter().rposition(|path| first_seq(path).is_some_and(|first| first <= self.next_seq));
            self.segment = segments.get(holds.unwrap_or(0)).cloned();
            self.offset = 0;
        }
        Ok(self.segment.clone())
    }

    /// Goes on to the file behind `path`, if there is one.
    fn step(&mut self, path: &Path) -> io::Result<bool> {
        let next = segments(&self.folder)?.into_iter().find(|other| other.as_path() > path);
        if next.is_some() {
            self.segment = next;
            self.offset = 0;
            return Ok(true);
        }
        Ok(false)
    }
}

fn mark_path(folder: &Path) -> PathBuf {
    folder.join("journald.mark")
}

fn read_lines(path: &Path, offset: u64, most: usize) -> io::Result<Vec<Line>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut reader = BufReader::new(file);
    let mut lines = Vec::new();
    let mut bytes = Vec::new();
    while lines.len() < most {
        bytes.clear();
        let length = reader.by_ref().take(1024 * 1024).read_until(b'\n', &mut bytes)?;
        if !bytes.ends_with(b"\n") {
            break;
        }
        lines.push(Line { record: serde_json::from_slice(&bytes).ok(), length: length as u64 });
    }
    Ok(lines)
}
