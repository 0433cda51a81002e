//! What the endpoint is sent of the spool: batches in order, without a gap that is not the host's own.

use super::reader::SpoolReader;
use super::spool::{first_seq, segments};
use crate::durable;
use curfew_protocol::grant::GrantId;
use curfew_protocol::host_api::{AuditBatch, LONGEST_BATCH, MOST_RECORDS};
use std::fs;
use std::io;
use std::path::Path;

/// What a batch has beside its records, in bytes, and more.
const ENVELOPE: u64 = 4096;

/// The file with the spool's name.
const SERIES: &str = "series";

/// Reads the batch behind the record with the number `stored_to`, of those that are durable.
///
/// # Errors
///
/// What reading the spool or naming it says.
pub fn read(folder: &Path, stored_to: u64, durable_to: u64) -> io::Result<AuditBatch> {
    let series = series(folder)?;
    let mut oldest = segments(folder)?.first().and_then(|path| first_seq(path)).unwrap_or(1);
    let mut records = Vec::new();
    if stored_to < durable_to {
        let mut reader = SpoolReader::behind(folder, stored_to);
        let mut room = LONGEST_BATCH as u64 - ENVELOPE;
        for line in reader.peek(MOST_RECORDS)? {
            let due = reader.next_seq();
            let Some(record) = &line.record else {
                reader.pass(&line);
                continue;
            };
            if record.seq > durable_to || (record.seq > due && !records.is_empty()) {
                break;
            }
            // A record that is longer than any batch goes alone, and is refused alone.
            if line.length > room && !records.is_empty() {
                break;
            }
            if record.seq > due {
                // What is missing before it can't be read any more, wherever it went.
                oldest = oldest.max(record.seq);
            }
            room = room.saturating_sub(line.length);
            records.push(serde_json::to_value(record)?);
            reader.pass(&line);
        }
    }
    Ok(AuditBatch { series, oldest, records })
}

/// The spool's name, made when it is first asked for.
fn series(folder: &Path) -> io::Result<GrantId> {
    let path = folder.join(SERIES);
    let kept = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
    if let Some(series) = kept {
        return Ok(series);
    }
    begin_series(folder)?;
    fs::read_to_string(&path)?.trim().parse().map_err(io::Error::other)
}

/// Gives the spool a new name.
///
/// # Errors
///
/// What the disk says.
pub fn begin_series(folder: &Path) -> io::Result<()> {
    let name = ulid::Ulid::generate().to_string();
    durable::write(&folder.join(SERIES), format!("{name}\n").as_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::audit::spool::Spool;
    use curfew_protocol::audit::{Entry, Event, Field};
    use jiff::Timestamp;

    fn spool(folder: &Path, records: usize, text: &str) {
        let mut spool = Spool::open(folder, u64::MAX);
        for _ in 0..records {
            let entry = Entry::new(Event::LoginDenied).with(Field::Reason, text);
            spool.append(entry, Timestamp::UNIX_EPOCH).unwrap();
        }
    }

    fn seqs(batch: &AuditBatch) -> Vec<u64> {
        batch.records.iter().map(|record| record.get("seq").and_then(serde_json::Value::as_u64).unwrap()).collect()
    }

    #[test]
    fn what_is_durable_and_not_stored_yet_goes_in_order() {
        let folder = tempfile::tempdir().unwrap();
        spool(folder.path(), 5, "x");
        let batch = read(folder.path(), 1, 4).unwrap();
        assert_eq!((seqs(&batch), batch.oldest), (vec![2, 3, 4], 1));
        assert!(read(folder.path(), 4, 4).unwrap().records.is_empty());
        assert!(read(folder.path(), 9, 5).unwrap().records.is_empty());
        assert_eq!(read(folder.path(), 0, 5).unwrap().series, batch.series);
    }

    #[test]
    fn a_batch_stays_within_its_bounds() {
        let folder = tempfile::tempdir().unwrap();
        spool(folder.path(), MOST_RECORDS + 1, "x");
        assert_eq!(read(folder.path(), 0, u64::MAX).unwrap().records.len(), MOST_RECORDS);
        let folder = tempfile::tempdir().unwrap();
        spool(folder.path(), 5, &"x".repeat(LONGEST_BATCH / 3));
        let batch = read(folder.path(), 0, u64::MAX).unwrap();
        assert_eq!(seqs(&batch), [1, 2]);
        assert!(serde_json::to_vec(&batch).unwrap().len() <= LONGEST_BATCH);
    }

    #[test]
    fn what_the_spool_lost_is_said_to_be_lost() {
        let folder = tempfile::tempdir().unwrap();
        spool(folder.path(), 4, "x");
        let path = segments(folder.path()).unwrap().remove(0);
        let text = fs::read_to_string(&path).unwrap();
        let second = text.lines().nth(1).unwrap();
        fs::write(&path, text.replace(second, "nonsense")).unwrap();
        assert_eq!(seqs(&read(folder.path(), 0, 4).unwrap()), [1]);
        let batch = read(folder.path(), 1, 4).unwrap();
        assert_eq!((seqs(&batch), batch.oldest), (vec![3, 4], 3));
    }
}
