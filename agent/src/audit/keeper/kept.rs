//! The writing end of what is kept of files that went: the same lines, byte for byte and in order.

use super::super::spool::kept_file;
use super::{Group, group};
use curfew_protocol::audit::Record;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Appends the lines of `from` that stay to what is kept, durably.
pub fn keep_lines(kept: &mut Kept<'_>, from: &Path, staying: &HashSet<Group>) -> io::Result<()> {
    each_line(from, |line, record| match record {
        Some(record) if group(&record).is_none_or(|group| staying.contains(&group)) => kept.append(line, record.seq),
        _ => Ok(()),
    })?;
    kept.finish()
}

/// The writing end of what is kept.
pub struct Kept<'f> {
    folder: &'f Path,
    /// A file is followed by a new one past this length.
    longest: u64,
    file: Option<BufWriter<File>>,
    length: u64,
    last: u64,
}

impl<'f> Kept<'f> {
    /// Goes on behind the last whole line of the newest file: a crash may have left half a line, or lines of a file that is
    /// still there.
    pub fn open(folder: &'f Path, newest: Option<&Path>, longest: u64) -> io::Result<Self> {
        let mut kept = Self { folder, longest, file: None, length: 0, last: 0 };
        if let Some(path) = newest {
            each_line(path, |line, record| {
                kept.length += line.len() as u64;
                kept.last = record.map_or(kept.last, |record| record.seq);
                Ok(())
            })?;
            let file = File::options().append(true).open(path)?;
            file.set_len(kept.length)?;
            kept.file = Some(BufWriter::new(file));
        }
        Ok(kept)
    }

    fn append(&mut self, line: &[u8], seq: u64) -> io::Result<()> {
        if seq <= self.last {
            return Ok(());
        }
        if self.length >= self.longest {
            self.finish()?;
            self.file = None;
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let path = kept_file(self.folder, seq);
                self.length = 0;
                let new = File::options().create(true).append(true).mode(0o600).open(path)?;
                self.file.insert(BufWriter::new(new))
            }
        };
        file.write_all(line)?;
        self.length += line.len() as u64;
        self.last = seq;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.flush()?;
            file.get_ref().sync_all()?;
        }
        File::open(self.folder)?.sync_all()
    }
}

/// Each whole line of a file with its record, where it is one.
pub fn each_line(path: &Path, mut visit: impl FnMut(&[u8], Option<Record>) -> io::Result<()>) -> io::Result<()> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Ok(());
        }
        visit(&line, serde_json::from_slice(&line).ok())?;
    }
}
