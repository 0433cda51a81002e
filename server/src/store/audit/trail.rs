//! The audit as it is read: hosts' records and the log of this endpoint, in one order, a page at a time.
//!
//! A page costs the same whatever is asked and however much there is: each question has an index in the order of its pages, and what no index answers is
//! looked for among so many rows of it, [`SCAN`]. Then a page may have fewer rows than were asked for, and still a next one.

mod cursor;
mod question;

use super::super::columns::from_micros;
use super::super::db::Row;
use super::super::{Store, StoreError};
use super::readable;
use curfew_protocol::grant_set::HostId;
use cursor::TrailCursor;
use jiff::Timestamp;
use question::{HERE, HOSTS, Question, Source, order_key, terms};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How many rows are looked at for a page.
const SCAN: i64 = 4000;

/// In which order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Order {
    /// By when it happened, as its host says; by when it came, where the host dates it more than five minutes ahead.
    #[default]
    Time,
    /// The same backwards.
    NewestFirst,
    /// By when it came here.
    Arrival,
    /// The same backwards.
    LatestArrivalFirst,
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
    /// By the time that the order goes by.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub order: Order,
    pub after: Option<TrailCursor>,
    pub limit: i64,
}

/// A page of the trail.
#[derive(Debug)]
pub(crate) struct TrailPage {
    pub rows: Vec<TrailRow>,
    /// Where the next one begins, if there may be one.
    pub next: Option<TrailCursor>,
}

/// A row of the trail: a host's record, or what an administrator did.
#[derive(Clone, Debug)]
pub(crate) struct TrailRow {
    place: TrailCursor,
    /// Whether a host says so; otherwise it is this endpoint's own log.
    pub by_host: bool,
    pub time: Timestamp,
    /// When it came here.
    pub received_at: Timestamp,
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
    /// What happened on hosts and what administrators did.
    pub(crate) async fn trail(&self, filter: &TrailFilter) -> Result<TrailPage, StoreError> {
        let sources: &[Source] = match filter.by_host {
            None => &[HERE, HOSTS],
            Some(true) => &[HOSTS],
            Some(false) => &[HERE],
        };
        let mut end: Option<TrailCursor> = None;
        for source in sources {
            let last = self.end_of_scan(filter, *source).await?;
            end = match (end, last) {
                (Some(one), Some(other)) if filter.order.is_backwards() => Some(one.max(other)),
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        let mut question = Question::of(filter);
        let mut parts = Vec::new();
        for source in sources {
            let which = terms(&mut question, filter, *source, end);
            let at = order_key(filter.order, *source);
            let Source { table, spool, received_at, admin, .. } = source;
            parts.push(format!(
                "SELECT * FROM (SELECT {at} AS place, CAST({spool} AS BIGINT) AS spool, seq, time, {received_at} AS received_at, event, host,
                     {admin} AS admin, user_name, grant_id, record
                 FROM {table} WHERE {which} ORDER BY {} LIMIT {}) AS part_{table}",
                source.ordered(filter.order),
                filter.limit
            ));
        }
        let direction = if filter.order.is_backwards() { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT trail.*, (SELECT name FROM hosts WHERE hosts.id = trail.host) AS host_name,
                 (SELECT series FROM audit_state WHERE audit_state.spool = trail.spool) AS series
             FROM ({}) AS trail ORDER BY place {direction}, spool {direction}, seq {direction} LIMIT {}",
            parts.join(" UNION ALL "),
            filter.limit
        );
        let rows = self.db.all(&sql, &question.values).await?;
        let rows = rows.iter().map(trail).collect::<Result<Vec<_>, _>>()?;
        let full = i64::try_from(rows.len()).is_ok_and(|length| length >= filter.limit);
        let next = if full { rows.last().map(|row| row.place) } else { end };
        Ok(TrailPage { rows, next })
    }

    /// The last row that is looked at in a source; none where all are.
    async fn end_of_scan(&self, filter: &TrailFilter, source: Source) -> Result<Option<TrailCursor>, StoreError> {
        if Question::of(filter).rest.is_empty() {
            // The index has the rows themselves.
            return Ok(None);
        }
        let mut question = Question::indexed(filter);
        let which = terms(&mut question, filter, source, None);
        let at = order_key(filter.order, source);
        let Source { table, spool, .. } = source;
        let sql = format!(
            "SELECT {at} AS place, CAST({spool} AS BIGINT) AS spool, seq FROM {table} WHERE {which} ORDER BY {} LIMIT 1 OFFSET {}",
            source.ordered(filter.order),
            SCAN - 1
        );
        let row = self.db.one(&sql, &question.values).await?;
        row.map(|row| Ok(TrailCursor { at: row.int("place")?, spool: row.int("spool")?, seq: row.int("seq")? }))
            .transpose()
    }
}

/// A row, whatever is in it: one that can't be read as it should be is shown as far as it can, and never fails the page that it is on.
fn trail(row: &Row) -> Result<TrailRow, StoreError> {
    let place = TrailCursor { at: row.int("place")?, spool: row.int("spool")?, seq: row.int("seq")? };
    let name = row.maybe_text("host_name")?;
    let (time, received_at) = (nearest(row.int("time")?), nearest(row.int("received_at")?));
    let record = readable(row.text("record")?);
    // Where it has its place by when it came, the host says another time.
    let said = if place.spool != 0 && time == received_at { said(&record) } else { None };
    Ok(TrailRow {
        time: said.unwrap_or(time),
        received_at,
        seq: place.seq,
        series: row.maybe_text("series")?,
        by_host: place.spool != 0,
        place,
        event: row.text("event")?,
        host: row.maybe_text("host")?.map(|host| (host, name)),
        admin: row.maybe_text("admin")?,
        user: row.maybe_text("user_name")?,
        grant: row.maybe_text("grant_id")?,
        record,
    })
}

/// The time that a record itself says.
fn said(record: &RawValue) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Said {
        time: Timestamp,
    }
    serde_json::from_str(record.get()).ok().map(|Said { time }| time)
}

/// The time, or the first or last one that there is.
fn nearest(at: i64) -> Timestamp {
    from_micros(at).unwrap_or(if at < 0 { Timestamp::MIN } else { Timestamp::MAX })
}
