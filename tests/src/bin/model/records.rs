//! The audit's records, read as they come.

use curfew::audit;
use curfew_protocol::audit::{Event, Field, Record};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// What the audit said so far.
#[derive(Debug, Default)]
pub struct Records {
    /// How many records tell of an answer.
    pub recorded: u64,
    /// The grants that ended, by their ids.
    pub ended: Vec<String>,
    /// The numbers that are not one more than the one before.
    pub out_of_order: Vec<u64>,
    last: u64,
    /// How much of the file was read.
    read: u64,
}

impl Records {
    /// Reads what is new. One sequence never fills a file.
    pub fn read(&mut self) {
        let path = Path::new(audit::FOLDER).join(format!("{:020}.jsonl", 1));
        let mut text = String::new();
        let mut file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        file.seek(SeekFrom::Start(self.read)).expect("a file can be read further on");
        self.read += file.read_to_string(&mut text).expect("the records can be read") as u64;
        for line in text.lines() {
            let record: Record = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if record.seq != self.last + 1 {
                self.out_of_order.push(record.seq);
            }
            self.last = record.seq;
            if record.entry.event == Event::GrantEnded {
                self.ended.extend(record.entry.text(Field::Grant));
            }
            self.recorded += u64::from(tells_of_an_answer(record.entry.event));
        }
    }
}

fn tells_of_an_answer(event: Event) -> bool {
    use Event::{ExemptUsed, LoginDenied, LoginPermitted, SudoDenied, SudoPermitted};
    matches!(event, LoginPermitted | LoginDenied | SudoPermitted | SudoDenied | ExemptUsed)
}
