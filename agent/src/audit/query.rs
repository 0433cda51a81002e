//! Questions to the audit: which records, from the spool's files, in order.

use super::spool;
use curfew_protocol::audit::{Event, Field, Record};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Which records to read; what is left out does not narrow.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// From this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Until just before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Of this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Of this grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// Behind this number.
    #[serde(default)]
    pub after_seq: u64,
}

impl Query {
    fn wants(&self, record: &Record) -> bool {
        let is = |field, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| record.entry.text(field).as_deref() == Some(wanted))
        };
        record.seq > self.after_seq
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
            && self.event.is_none_or(|event| record.entry.event == event)
            && is(Field::User, &self.user)
            && is(Field::Grant, &self.grant)
    }
}

/// How often a question is asked again, where files go while they are read.
const TRIES: usize = 5;

/// The records in `folder` that `query` asks for, in order, `most` at the most.
///
/// # Errors
///
/// The file that can't be read, or the line that is no record, and why.
pub fn run(folder: &Path, query: &Query, most: usize) -> Result<Vec<Record>, (PathBuf, io::Error)> {
    for _ in 1..TRIES {
        match read(folder, query, most) {
            Err((_, error)) if error.kind() == io::ErrorKind::NotFound => {}
            read => return read,
        }
    }
    read(folder, query, most)
}

fn read(folder: &Path, query: &Query, most: usize) -> Result<Vec<Record>, (PathBuf, io::Error)> {
    let mut found = Vec::new();
    let mut last = 0;
    let paths = spool::segments(folder).map_err(|error| (folder.to_owned(), error))?;
    for path in paths {
        let file = File::open(&path).map_err(|error| (path.clone(), error))?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            reader.read_until(b'\n', &mut line).map_err(|error| (path.clone(), error))?;
            if !line.ends_with(b"\n") {
                // The end, or a record that is being written.
                break;
            }
            let record: Record = match serde_json::from_slice(&line) {
                Ok(record) => record,
                Err(error) => return Err((path, io::Error::other(format!("line {number}: {error}")))),
            };
            // What is kept of a file stands in two for a moment.
            if record.seq <= last {
                continue;
            }
            last = record.seq;
            if query.wants(&record) {
                found.push(record);
                if found.len() >= most {
                    return Ok(found);
                }
            }
        }
    }
    Ok(found)
}
