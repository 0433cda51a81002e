//! The hosts' audit: taken in order and once, and [searched](trail) together with the log of what administrators did.

mod gaps;
mod series;
mod trail;
mod usage;

pub(crate) use trail::{Order, TrailFilter, TrailRow};

use self::gaps::Gaps;
use super::columns::micros;
use super::db::{Tx, Value, values};
use super::events::Event;
use super::{Store, StoreError};
use crate::actor::Act;
use curfew_protocol::grant_set::HostId;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};

/// How many records go into one statement.
const ROWS: usize = 100;

/// How many columns a record has.
const COLUMNS: usize = 9;

/// How often a day the log is told of one kind of thing about a host's audit: no host buries what administrators did.
const MOST_TOLD_A_DAY: i64 = 100;

/// The most records that a host may have lost at a time.
const LONGEST_GAP: i64 = 1_000_000_000;

/// How far ahead of this endpoint a host's clock may be. A record that is further ahead has its place by when it came: no host puts its own behind everybody
/// else's for ever.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// A record as it is stored: what is searched for beside the whole.
#[derive(Clone, Debug)]
pub(crate) struct AuditEntry {
    pub seq: i64,
    pub time: Timestamp,
    pub event: String,
    pub user: Option<String>,
    pub grant: Option<String>,
    pub record: String,
}

/// A batch as a host sent it.
#[derive(Clone, Debug)]
pub(crate) struct Batch<'b> {
    pub host: &'b HostId,
    /// The spool that its numbers count.
    pub series: &'b str,
    /// The oldest record that the host still has.
    pub oldest: i64,
    /// Records that follow each other without a gap.
    pub entries: &'b [AuditEntry],
    /// How many bytes the host may add a day.
    pub most_a_day: i64,
}

/// Why a batch is not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotStored {
    /// The host has written enough today.
    #[error(
        "the host has written {most} bytes of audit today, the most that it may (audit_daily_mib); it keeps the rest, and ships it tomorrow"
    )]
    TooMuch { most: i64 },
    /// The host has begun enough series today.
    #[error(
        "the host has begun {} new series of audit today (UTC), the most that it may; it keeps the rest, and ships it tomorrow",
        series::MOST_A_DAY
    )]
    Series,
    /// It skips more than any host loses.
    #[error("records {from} to {to} are missing before the batch, and {LONGEST_GAP} are the most that may be")]
    Gap { from: i64, to: i64 },
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Stores what is not there, and says how far the series is stored without a gap that the host could fill. What is there already stays as it is.
    pub(crate) async fn add_audit(&self, batch: &Batch<'_>, now: Timestamp) -> Result<i64, NotStored> {
        let act = Act { admin: "", now };
        // One at a time where one writes at a time: whoever grants or revokes then waits for one batch, and not for all that are there.
        let _turn = self.db.turn_of_audit().await;
        let stored = self.store_batch(batch, act).await;
        if matches!(stored, Err(NotStored::TooMuch { .. })) {
            self.tell_too_much(batch, act).await?;
        }
        stored
    }

    async fn store_batch(&self, batch: &Batch<'_>, act: Act<'_>) -> Result<i64, NotStored> {
        let Batch { host, series, oldest, entries, .. } = batch;
        let mut tx = self.db.begin().await?;
        // The row is locked from here on: batches of one series queue.
        let (spool, stored) = state(&mut tx, batch).await?;
        let mut gaps = Gaps::read(&mut tx, batch).await?;
        let next = stored.saturating_add(1);
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(gaps.stored_to(stored, *oldest));
        };
        if first.seq > next && first.seq != *oldest {
            return Ok(gaps.stored_to(stored, *oldest));
        }
        let mut bytes = 0;
        if stored == 0 {
            series::began(&mut tx, batch, act).await?;
            bytes += usage::ROW;
        }
        if first.seq > next {
            if first.seq - next > LONGEST_GAP {
                return Err(NotStored::Gap { from: next, to: first.seq - 1 });
            }
            let lost = json!({"series": series, "from": next, "to": first.seq - 1});
            tx.log_at_most(MOST_TOLD_A_DAY, act, Event::AuditLost, host.as_str(), lost).await?;
            gaps.open(next, first.seq - 1);
            bytes += usage::ROW;
        }
        let there = if first.seq <= stored {
            compare(&mut tx, batch, (spool, stored), act).await?
        } else {
            Compared::default()
        };
        let new: Vec<_> = entries.iter().filter(|entry| !there.seqs.contains(&entry.seq)).collect();
        for rows in new.chunks(ROWS) {
            let (sql, values) = insertion(batch, spool, rows, act.now);
            tx.run(&sql, &values).await?;
        }
        for (from, to) in gaps.fill(first.seq, last.seq) {
            let found = json!({"series": series, "from": from, "to": to});
            tx.log_at_most(MOST_TOLD_A_DAY, act, Event::AuditFound, host.as_str(), found).await?;
            bytes += usage::ROW;
        }
        gaps.write(&mut tx, batch).await?;
        bytes += there.differing + new.iter().map(|entry| entry.record.len() + usage::ROW).sum::<usize>();
        usage::count(&mut tx, batch, bytes, act).await?;
        let stored = stored.max(last.seq);
        let sql = "UPDATE audit_state SET stored_to = $3 WHERE host = $1 AND series = $2";
        tx.run(sql, &values![host.as_str(), *series, stored]).await?;
        tx.commit().await?;
        Ok(gaps.stored_to(stored, *oldest))
    }
}

/// The number of a series, and how far it is stored. A new one gets a number.
async fn state(tx: &mut Tx<'_>, batch: &Batch<'_>) -> Result<(i64, i64), StoreError> {
    let (host, series) = (batch.host.as_str(), batch.series);
    let sql = "UPDATE audit_state SET stored_to = stored_to WHERE host = $1 AND series = $2 RETURNING spool, stored_to";
    let there = tx.one(sql, &values![host, series]).await?;
    let row = match there {
        Some(row) => row,
        None => {
            let sql = "UPDATE counters SET value = value + 1 WHERE name = 'spools' RETURNING value";
            let row = tx.one(sql, &[]).await?.ok_or_else(|| StoreError::Corrupt("the count of spools".into()))?;
            // The same one may have come twice at once.
            let sql = "INSERT INTO audit_state (host, series, stored_to, spool) VALUES ($1, $2, 0, $3)
                       ON CONFLICT (host, series) DO UPDATE SET stored_to = audit_state.stored_to RETURNING spool, stored_to";
            let row = tx.one(sql, &values![host, series, row.int("value")?]).await?;
            row.ok_or_else(|| StoreError::Corrupt("the audit's state".into()))?
        }
    };
    Ok((row.int("spool")?, row.int("stored_to")?))
}

/// What is there of a batch.
#[derive(Debug, Default)]
struct Compared {
    seqs: HashSet<i64>,
    /// The bytes of those that came as something else, which the log has.
    differing: usize,
}

/// Looks whether what was sent again is what is there. A record that is another one is kept in the log, once.
async fn compare(
    tx: &mut Tx<'_>,
    batch: &Batch<'_>,
    (spool, stored): (i64, i64),
    act: Act<'_>,
) -> Result<Compared, StoreError> {
    let series = batch.series;
    let old: HashMap<_, _> = batch.entries.iter().filter(|it| it.seq <= stored).map(|it| (it.seq, it)).collect();
    let (Some(first), Some(last)) = (old.keys().min(), old.keys().max()) else { return Ok(Compared::default()) };
    let sql = "SELECT seq, record, differs FROM audit WHERE spool = $1 AND seq BETWEEN $2 AND $3";
    let mut there = Compared::default();
    for row in tx.all(sql, &values![spool, *first, *last]).await? {
        let (seq, record) = (row.int("seq")?, row.text("record")?);
        there.seqs.insert(seq);
        let Some(entry) = old.get(&seq).filter(|entry| entry.record != record) else { continue };
        if row.int("differs")? != 0 {
            continue;
        }
        let sql = "UPDATE audit SET differs = 1 WHERE spool = $1 AND seq = $2";
        tx.run(sql, &values![spool, seq]).await?;
        there.differing += record.len() + entry.record.len() + usage::ROW;
        let details =
            json!({"series": series, "seq": seq, "kept": readable(record), "came": readable(entry.record.clone())});
        tx.log_at_most(MOST_TOLD_A_DAY, act, Event::AuditDiffers, batch.host.as_str(), details).await?;
    }
    Ok(there)
}

/// One statement for many rows.
fn insertion(batch: &Batch<'_>, spool: i64, rows: &[&AuditEntry], now: Timestamp) -> (String, Vec<Value>) {
    let columns = "spool, host, seq, time, event, user_name, grant_id, record, received_at";
    let mut sql = format!("INSERT INTO audit ({columns}) VALUES ");
    let latest = micros(now.saturating_add(AHEAD).unwrap_or(now));
    let (host, now) = (batch.host.as_str(), micros(now));
    let mut values = Vec::with_capacity(rows.len() * COLUMNS);
    for (index, entry) in rows.iter().enumerate() {
        let place: Vec<_> = (1..=COLUMNS).map(|column| format!("${}", index * COLUMNS + column)).collect();
        sql.push_str(if index == 0 { "(" } else { ", (" });
        sql.push_str(&place.join(", "));
        sql.push(')');
        let (user, grant) = (entry.user.as_deref(), entry.grant.as_deref());
        let time = Some(micros(entry.time)).filter(|time| *time <= latest).unwrap_or(now);
        values.extend(values![spool, host, entry.seq, time, &entry.event, user, grant, &entry.record, now]);
    }
    (sql, values)
}

/// A record as JSON; `null` for one that is none.
fn readable(record: String) -> Box<RawValue> {
    match RawValue::from_string(record) {
        Ok(record) => record,
        Err(error) => {
            tracing::error!(%error, "a record of the audit can't be read; was it changed by hand?");
            RawValue::NULL.to_owned()
        }
    }
}
