//! The hosts' audit: taken in order and once, and searched together with the log of what administrators did.

mod gaps;
mod usage;

use self::gaps::Gaps;
use super::admins::{Act, log};
use super::db::{Row, Tx, Value, values};
use super::{Store, StoreError, from_micros, micros};
use curfew_protocol::grant_set::HostId;
use jiff::Timestamp;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::str::FromStr;

/// How many records go into one statement.
const ROWS: usize = 100;

/// How many columns a record has.
const COLUMNS: usize = 9;

/// The most records that a host may have lost at a time.
const LONGEST_GAP: i64 = 1_000_000_000;

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
    /// It skips more than any host loses.
    #[error("records {from} to {to} are missing before the batch, and {LONGEST_GAP} are the most that may be")]
    Gap { from: i64, to: i64 },
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A place in the trail: the last row that was seen. What happened at this endpoint is a stream of its own, with no host and no series.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    time: i64,
    host: String,
    series: String,
    seq: i64,
}

/// Which rows of the trail.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrailFilter {
    pub host: Option<HostId>,
    pub user: Option<String>,
    pub grant: Option<String>,
    pub event: Option<String>,
    /// Whose word it is: the hosts' or this endpoint's.
    pub by_host: Option<bool>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub after: Option<Place>,
    pub limit: i64,
}

/// A row of the trail: a host's record, or what an administrator did.
#[derive(Clone, Debug)]
pub(crate) struct TrailRow {
    pub place: Place,
    /// Whether a host says so; otherwise it is this endpoint's own log.
    pub by_host: bool,
    pub time: Timestamp,
    pub event: String,
    /// The host's id and name.
    pub host: Option<(String, Option<String>)>,
    pub seq: i64,
    pub series: Option<String>,
    pub admin: Option<String>,
    pub user: Option<String>,
    pub grant: Option<String>,
    pub record: Box<RawValue>,
}

impl Store {
    /// Stores what is not there, and says how far the series is stored without a gap that the host could fill. What is there already stays as it is.
    pub(crate) async fn add_audit(&self, batch: &Batch<'_>, now: Timestamp) -> Result<i64, NotStored> {
        let act = Act { admin: "", now };
        let stored = self.store_batch(batch, act).await;
        if matches!(stored, Err(NotStored::TooMuch { .. })) {
            self.tell_too_much(batch, act).await?;
        }
        stored
    }

    async fn store_batch(&self, batch: &Batch<'_>, act: Act<'_>) -> Result<i64, NotStored> {
        let Batch { host, series, oldest, entries, .. } = batch;
        let on = [Some(host.as_str()), None, None];
        let mut tx = self.db.begin().await?;
        // The row is locked from here on: batches of one series queue.
        let sql = "INSERT INTO audit_state (host, series, stored_to) VALUES ($1, $2, 0)
                   ON CONFLICT (host, series) DO UPDATE SET stored_to = audit_state.stored_to RETURNING stored_to";
        let row = tx.one(sql, &values![host.as_str(), *series]).await?;
        let stored = row.ok_or_else(|| StoreError::Corrupt("the audit's state".into()))?.int("stored_to")?;
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
            began(&mut tx, batch, act).await?;
            bytes += usage::ROW;
        }
        if first.seq > next {
            if first.seq - next > LONGEST_GAP {
                return Err(NotStored::Gap { from: next, to: first.seq - 1 });
            }
            let lost = json!({"series": series, "from": next, "to": first.seq - 1});
            log(&mut tx, act, "audit.lost", on, lost).await?;
            gaps.open(next, first.seq - 1);
            bytes += usage::ROW;
        }
        let there = if first.seq <= stored { compare(&mut tx, batch, stored, act).await? } else { Compared::default() };
        let new: Vec<_> = entries.iter().filter(|entry| !there.seqs.contains(&entry.seq)).collect();
        for rows in new.chunks(ROWS) {
            let (sql, values) = insertion(batch, rows, act.now);
            tx.run(&sql, &values).await?;
        }
        if gaps.fill(first.seq, last.seq) {
            let found = json!({"series": series, "from": first.seq, "to": last.seq});
            log(&mut tx, act, "audit.found", on, found).await?;
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

    /// What happened on hosts and what administrators did, in the order of time.
    pub(crate) async fn trail(&self, filter: &TrailFilter) -> Result<Vec<TrailRow>, StoreError> {
        let mut values: Vec<Value> = values![filter.limit].into();
        let mut which = Vec::new();
        let mut term = |text: &str, value: Value| {
            values.push(value);
            which.push(format!("{text} ${}", values.len()));
        };
        if let Some(host) = &filter.host {
            term("host =", host.as_str().into());
        }
        if let Some(user) = &filter.user {
            term("user_name =", user.into());
        }
        if let Some(grant) = &filter.grant {
            term("grant_id =", grant.into());
        }
        if let Some(event) = &filter.event {
            term("event =", event.into());
        }
        if let Some(since) = filter.since {
            term("time >=", micros(since).into());
        }
        if let Some(until) = filter.until {
            term("time <", micros(until).into());
        }
        let mut which = if which.is_empty() { "1 = 1".into() } else { which.join(" AND ") };
        if let Some(after) = &filter.after {
            values.extend(values![after.time, &after.host, &after.series, after.seq]);
            let n = values.len();
            which.push_str(&format!(" AND (time, STREAM, seq) > (${}, ${}, ${}, ${n})", n - 3, n - 2, n - 1));
        }
        let part = |columns: &str, table: &str, [stream, series]: [&str; 2], order: &str| {
            let which = which.replace("STREAM", &format!("{stream}, {series}"));
            format!(
                "SELECT * FROM (SELECT time, {stream} AS stream, {series} AS series, seq, event, host, {columns}, user_name, grant_id, record
                 FROM {table} WHERE {which} ORDER BY {order} LIMIT $1) AS part_{table}"
            )
        };
        let hosts = part("CAST(NULL AS TEXT) AS admin", "audit", ["host", "series"], "time, host, series, seq");
        // What happened here comes before what happened on hosts at the same instant.
        let here = part("admin", "admin_log", ["''", "''"], "time, seq");
        let parts = match filter.by_host {
            None => format!("{here} UNION ALL {hosts}"),
            Some(true) => hosts,
            Some(false) => here,
        };
        let sql = format!(
            "SELECT trail.*, (SELECT name FROM hosts WHERE hosts.id = trail.host) AS host_name
             FROM ({parts}) AS trail ORDER BY time, stream, series, seq LIMIT $1"
        );
        self.db.all(&sql, &values).await?.iter().map(trail).collect()
    }
}

/// Says that a host which shipped another series before has begun a new one: its spool was lost.
async fn began(tx: &mut Tx<'_>, batch: &Batch<'_>, act: Act<'_>) -> Result<(), StoreError> {
    let sql = "SELECT series FROM audit_state WHERE host = $1 AND series <> $2 AND stored_to > 0 LIMIT 1";
    let host = batch.host.as_str();
    if tx.one(sql, &values![host, batch.series]).await?.is_some() {
        log(tx, act, "audit.series_began", [Some(host), None, None], json!({"series": batch.series})).await?;
    }
    Ok(())
}

/// What is there of a batch.
#[derive(Debug, Default)]
struct Compared {
    seqs: HashSet<i64>,
    /// The bytes of those that came as something else, which the log has.
    differing: usize,
}

/// Looks whether what was sent again is what is there. A record that is another one is kept in the log, once.
async fn compare(tx: &mut Tx<'_>, batch: &Batch<'_>, stored: i64, act: Act<'_>) -> Result<Compared, StoreError> {
    let (host, series) = (batch.host.as_str(), batch.series);
    let old: HashMap<_, _> = batch.entries.iter().filter(|it| it.seq <= stored).map(|it| (it.seq, it)).collect();
    let (Some(first), Some(last)) = (old.keys().min(), old.keys().max()) else { return Ok(Compared::default()) };
    let sql = "SELECT seq, record, differs FROM audit WHERE host = $1 AND series = $2 AND seq BETWEEN $3 AND $4";
    let mut there = Compared::default();
    for row in tx.all(sql, &values![host, series, *first, *last]).await? {
        let (seq, record) = (row.int("seq")?, row.text("record")?);
        there.seqs.insert(seq);
        let Some(entry) = old.get(&seq).filter(|entry| entry.record != record) else { continue };
        if row.int("differs")? != 0 {
            continue;
        }
        let sql = "UPDATE audit SET differs = 1 WHERE host = $1 AND series = $2 AND seq = $3";
        tx.run(sql, &values![host, series, seq]).await?;
        there.differing += record.len() + entry.record.len() + usage::ROW;
        let details =
            json!({"series": series, "seq": seq, "kept": readable(record), "came": readable(entry.record.clone())});
        log(tx, act, "audit.differs", [Some(host), None, None], details).await?;
    }
    Ok(there)
}

/// One statement for many rows.
fn insertion(batch: &Batch<'_>, rows: &[&AuditEntry], now: Timestamp) -> (String, Vec<Value>) {
    let columns = "host, series, seq, time, event, user_name, grant_id, record, received_at";
    let mut sql = format!("INSERT INTO audit ({columns}) VALUES ");
    let (host, series, now) = (batch.host.as_str(), batch.series, micros(now));
    let mut values = Vec::with_capacity(rows.len() * COLUMNS);
    for (index, entry) in rows.iter().enumerate() {
        let place: Vec<_> = (1..=COLUMNS).map(|column| format!("${}", index * COLUMNS + column)).collect();
        sql.push_str(if index == 0 { "(" } else { ", (" });
        sql.push_str(&place.join(", "));
        sql.push(')');
        let (user, grant) = (entry.user.as_deref(), entry.grant.as_deref());
        let time = micros(entry.time);
        values.extend(values![host, series, entry.seq, time, &entry.event, user, grant, &entry.record, now]);
    }
    (sql, values)
}

/// A row, whatever is in it: one that can't be read as it should be is shown as far as it can, and never fails the page that it is on.
fn trail(row: &Row) -> Result<TrailRow, StoreError> {
    let place =
        Place { time: row.int("time")?, host: row.text("stream")?, series: row.text("series")?, seq: row.int("seq")? };
    let name = row.maybe_text("host_name")?;
    Ok(TrailRow {
        time: nearest(place.time),
        seq: place.seq,
        series: Some(place.series.clone()).filter(|series| !series.is_empty()),
        by_host: !place.host.is_empty(),
        place,
        event: row.text("event")?,
        host: row.maybe_text("host")?.map(|host| (host, name)),
        admin: row.maybe_text("admin")?,
        user: row.maybe_text("user_name")?,
        grant: row.maybe_text("grant_id")?,
        record: readable(row.text("record")?),
    })
}

/// The time, or the first or last one that there is.
fn nearest(at: i64) -> Timestamp {
    from_micros(at).unwrap_or(if at < 0 { Timestamp::MIN } else { Timestamp::MAX })
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

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}.{}", self.time, self.seq, self.host, self.series)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no place in the audit; take `next` of the page before");
        let parts: Vec<_> = text.split('.').collect();
        let &[time, seq, host, series] = parts.as_slice() else { return Err(bad()) };
        let is_name = |name: &str| name.is_empty() || name.parse::<HostId>().is_ok();
        if !is_name(host) || !is_name(series) {
            return Err(bad());
        }
        let number = |text: &str| text.parse().map_err(|_| bad());
        Ok(Self { time: number(time)?, host: host.into(), series: series.into(), seq: number(seq)? })
    }
}
