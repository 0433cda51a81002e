//! What goes when the spool is as large as it may be: the oldest first, what the endpoint has long before what it has not,
//! and of a file that goes, the noise alone.
//!
//! The lines that stay go over into a file beside it (`*.kept`), byte for byte and in order, so that it reads like any other
//! file of the spool: everything that nobody makes at will, and of the rest whatever is little. One person's noise fills no
//! room but its own. A file is removed only when the audit has said so ([`Dropped::entry`]).

mod kept;

use super::noise::{Who, is_at_will};
use super::spool::{is_kept, segment_length, segments};
use curfew_protocol::audit::{Entry, Event, Field, Record};
use jiff::Timestamp;
use kept::{Kept, each_line, keep_lines};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How many times as much is kept of what the endpoint does not have.
const UNSHIPPED: u64 = 4;

/// What is kept of files that went has one part in so many of the whole.
const KEPT_PART: u64 = 4;

/// What people make at will may fill one part in so many of what is kept of a file.
const LITTLE_PART: u64 = 8;

/// Where the audit goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shipping {
    /// Nowhere.
    Nowhere,
    /// To an endpoint, which has the records up to this one, once it has said so.
    To(Option<u64>),
}

impl Shipping {
    /// Whether the endpoint has everything up to this record, in a word; none where there is no endpoint.
    fn has(self, seq: u64) -> Option<&'static str> {
        match self {
            Self::Nowhere => None,
            Self::To(None) => Some("unknown"),
            Self::To(Some(stored)) if stored >= seq => Some("yes"),
            Self::To(Some(_)) => Some("no"),
        }
    }

    /// Whether there is an endpoint, and it is not known to have this record.
    pub fn lacks(self, seq: u64) -> bool {
        !matches!(self.has(seq), None | Some("yes"))
    }
}

/// A file that goes.
#[derive(Debug)]
pub struct Dropped {
    path: PathBuf,
    /// The numbers of its first record and of its last.
    range: Option<(u64, u64)>,
    /// How many records go with it, and the times of the first and the last.
    gone: u64,
    times: Option<(Timestamp, Timestamp)>,
    shipped: Option<&'static str>,
}

impl Dropped {
    /// The record that says so; none where every record stays.
    pub fn entry(&self) -> Option<Entry> {
        let (from, to) = self.range.filter(|_| self.gone > 0)?;
        let time = |which: fn((Timestamp, Timestamp)) -> Timestamp| self.times.map(|times| which(times).to_string());
        Some(
            Entry::new(Event::AuditDropped)
                .with(Field::Count, self.gone)
                .with(Field::From, from)
                .with(Field::To, to)
                .with(Field::First, time(|times| times.0))
                .with(Field::Last, time(|times| times.1))
                .with(Field::Reason, "the spool is as large as it may be")
                .with(Field::Shipped, self.shipped),
        )
    }

    /// Removes it.
    ///
    /// # Errors
    ///
    /// What unlink(2) says.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// What has to go next.
#[derive(Debug)]
pub enum Next {
    /// Nothing: it fits.
    Nothing,
    /// Nothing yet: the endpoint lacks what is too much, the last of which has this number.
    WaitsFor(u64),
    /// This file. What stays of it is in a file of what is kept, durably.
    Goes(Dropped),
}

/// What has to go next for the spool to keep to about `keep` bytes.
///
/// # Errors
///
/// What the disk says; the file stays then.
pub fn next(folder: &Path, keep: u64, shipping: Shipping) -> io::Result<Next> {
    let mut files = Vec::new();
    for path in segments(folder)? {
        let length = fs::metadata(&path)?.len();
        files.push((path, length));
    }
    let (kept, written): (Vec<_>, Vec<_>) = files.into_iter().partition(|(path, _)| is_kept(path));
    let length = |files: &[(PathBuf, u64)]| files.iter().map(|(_, length)| length).sum::<u64>();
    let (of_kept, of_all) = (length(&kept), length(&kept) + length(&written));
    let waits = |length: u64, most: u64, contents: &Contents| {
        shipping.lacks(contents.last()) && length <= most.saturating_mul(UNSHIPPED)
    };
    if let [(oldest, _), _, ..] = kept.as_slice()
        && of_kept > keep / KEPT_PART
    {
        let contents = Contents::read(oldest)?;
        if !waits(of_kept, keep / KEPT_PART, &contents) {
            return Ok(Next::Goes(contents.dropped(oldest, &HashSet::new(), true, shipping)));
        }
    }
    // The last file is being written.
    let [(oldest, _), _, ..] = written.as_slice() else { return Ok(Next::Nothing) };
    if of_all <= keep {
        return Ok(Next::Nothing);
    }
    let contents = Contents::read(oldest)?;
    if waits(of_all, keep, &contents) {
        return Ok(Next::WaitsFor(contents.last()));
    }
    let longest = segment_length(keep);
    let little = contents.little(longest / LITTLE_PART);
    let newest = kept.last().map(|(path, _)| path.as_path());
    keep_lines(&mut Kept::open(folder, newest, longest)?, oldest, &little)?;
    Ok(Next::Goes(contents.dropped(oldest, &little, false, shipping)))
}

/// What people make at will, by who and what. All names without a grant are one.
type Group = (Option<String>, Event);

fn group(record: &Record) -> Option<Group> {
    let who = match Who::of(&record.entry) {
        Who::Person(name) => Some(name),
        Who::Name(_) => None,
    };
    is_at_will(record.entry.event).then_some((who, record.entry.event))
}

/// How much of a file.
#[derive(Clone, Copy, Default)]
struct Share {
    records: u64,
    bytes: u64,
    times: Option<(Timestamp, Timestamp)>,
}

impl Share {
    fn add(&mut self, more: Self) {
        self.records += more.records;
        self.bytes += more.bytes;
        self.times = match (self.times, more.times) {
            (Some(mine), Some(other)) => Some((mine.0.min(other.0), mine.1.max(other.1))),
            (mine, other) => mine.or(other),
        };
    }
}

/// What is in a file: how much of whose.
#[derive(Default)]
struct Contents {
    range: Option<(u64, u64)>,
    at_will: HashMap<Group, Share>,
    rare: Share,
    /// Lines that are no records.
    broken: u64,
}

impl Contents {
    fn read(path: &Path) -> io::Result<Self> {
        let mut contents = Self::default();
        each_line(path, |line, record| {
            let Some(record) = record else {
                contents.broken += 1;
                return Ok(());
            };
            contents.range = Some((contents.range.map_or(record.seq, |range| range.0), record.seq));
            let share = Share { records: 1, bytes: line.len() as u64, times: Some((record.time, record.time)) };
            match group(&record) {
                Some(group) => contents.at_will.entry(group).or_default().add(share),
                None => contents.rare.add(share),
            }
            Ok(())
        })?;
        Ok(contents)
    }

    fn last(&self) -> u64 {
        self.range.map_or(0, |range| range.1)
    }

    /// Those who have least, as far as they fit into `room` bytes together.
    fn little(&self, mut room: u64) -> HashSet<Group> {
        let mut shares: Vec<_> = self.at_will.iter().map(|(group, share)| (share.bytes, group)).collect();
        shares.sort_by(|(a, (who_a, _)), (b, (who_b, _))| a.cmp(b).then_with(|| who_a.cmp(who_b)));
        let mut little = HashSet::new();
        for (bytes, group) in shares {
            let Some(left) = room.checked_sub(bytes) else { break };
            room = left;
            little.insert(group.clone());
        }
        little
    }

    /// The file as one that goes, with all that is in none of the `staying` groups; with what is rare, too, where that goes.
    fn dropped(&self, path: &Path, staying: &HashSet<Group>, rare_goes: bool, shipping: Shipping) -> Dropped {
        let mut gone = if rare_goes { self.rare } else { Share::default() };
        let going = self.at_will.iter().filter(|(group, _)| !staying.contains(group));
        going.for_each(|(_, share)| gone.add(*share));
        Dropped {
            path: path.into(),
            range: self.range,
            gone: gone.records + self.broken,
            times: gone.times,
            shipped: shipping.has(self.last()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
