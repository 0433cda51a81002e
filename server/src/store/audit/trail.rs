//! The audit as it is read: hosts' records and the log of this endpoint, in one order, a page at a time.
//!
//! A page costs the same whatever is asked and however much there is: each question has an index in the order of its pages, and what no index answers is
//! looked for among so many rows of it, [`SCAN`]. Then a page may have fewer rows than were asked for, and still a next one.

use super::super::columns::{from_micros, micros};
use super::super::db::{Row, Value};
use super::super::{Store, StoreError};
use super::readable;
use curfew_protocol::grant_set::HostId;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::str::FromStr;

/// How many rows are looked at for a page.
const SCAN: i64 = 4000;

/// A place in the trail: the last row that was seen. What happened at this endpoint is a spool of its own, 0.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct TrailCursor {
    at: i64,
    spool: i64,
    seq: i64,
}

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

/// One of the two tables, as the trail has it.
#[derive(Clone, Copy)]
struct Source {
    table: &'static str,
    spool: &'static str,
    received_at: &'static str,
    admin: &'static str,
    /// What its rows are ordered by.
    keys: [&'static str; 3],
}

const HERE: Source =
    Source { table: "admin_log", spool: "0", received_at: "time", admin: "admin", keys: ["time", "seq", ""] };
const HOSTS: Source = Source {
    table: "audit",
    spool: "spool",
    received_at: "received_at",
    admin: "CAST(NULL AS TEXT)",
    keys: ["time", "spool", "seq"],
};

/// On which side of a place, in the order that is asked for.
#[derive(Clone, Copy)]
enum Side {
    Behind,
    UpTo,
}

/// A question in SQL: what an index answers, what it does not, and the values of both.
struct Question {
    indexed: Vec<String>,
    rest: Vec<String>,
    values: Vec<Value>,
}

/// The column that has no index of its own.
const EVENT: &str = "event";

/// The columns that are asked for, and their values.
fn columns(filter: &TrailFilter) -> impl Iterator<Item = (&'static str, &str)> {
    let asked = [
        ("grant_id", filter.grant.as_deref()),
        ("user_name", filter.user.as_deref()),
        ("host", filter.host.as_ref().map(HostId::as_str)),
        (EVENT, filter.event.as_deref()),
    ];
    asked.into_iter().filter_map(|(column, value)| Some((column, value?)))
}

impl Question {
    fn of(filter: &TrailFilter) -> Self {
        let mut it = Self::indexed(filter);
        let skipped = it.indexed.len();
        for (column, value) in columns(filter).skip(skipped) {
            // In words that lead to no index: the one above has the rows in the order that they are taken in.
            let term = format!("{column} || '' = {}", it.value(value.into()));
            it.rest.push(term);
        }
        it
    }

    /// Of a question what an index answers: the first of what is asked for has the fewest rows. By arrival there is one order alone.
    fn indexed(filter: &TrailFilter) -> Self {
        let mut it = Self { indexed: Vec::new(), rest: Vec::new(), values: Vec::new() };
        let first = columns(filter).next().filter(|(column, _)| *column != EVENT && !filter.order.is_by_arrival());
        if let Some((column, value)) = first {
            let term = format!("{column} = {}", it.value(value.into()));
            it.indexed.push(term);
        }
        it
    }

    fn value(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }
}

impl Order {
    fn is_backwards(self) -> bool {
        matches!(self, Self::NewestFirst | Self::LatestArrivalFirst)
    }

    fn is_by_arrival(self) -> bool {
        matches!(self, Self::Arrival | Self::LatestArrivalFirst)
    }

    /// What the rows of a source are ordered by.
    fn keys(self, source: Source) -> Vec<&'static str> {
        let first = order_key(self, source);
        let others = source.keys.into_iter().skip(1).filter(|key| !key.is_empty());
        std::iter::once(first).chain(others).collect()
    }
}

impl Source {
    /// The term that leaves what comes behind a place, or all up to it.
    fn beside(self, question: &mut Question, order: Order, place: TrailCursor, side: Side) -> String {
        let keys = order.keys(self);
        // This endpoint's rows come before those of all spools at the same instant.
        let (is_here, backwards) = (self.table == HERE.table, order.is_backwards());
        let values = match (is_here, place.spool) {
            (true, 0) => vec![place.at, place.seq],
            (true, _) => vec![place.at, i64::MAX],
            (false, _) => vec![place.at, place.spool, place.seq],
        };
        let (exact, wide) = match (side, backwards) {
            (Side::Behind, false) => (">", ">="),
            (Side::Behind, true) => ("<", "<="),
            (Side::UpTo, false) => ("<=", "<="),
            (Side::UpTo, true) => (">=", ">="),
        };
        let places: Vec<_> = values.into_iter().map(|value| question.value(value.into())).collect();
        let (first, key) = (places.first().cloned().unwrap_or_default(), order_key(order, self));
        // The first column by itself, too: that is what an index is entered by.
        format!("{key} {wide} {first} AND ({}) {exact} ({})", keys.join(", "), places.join(", "))
    }

    fn ordered(self, order: Order) -> String {
        let direction = if order.is_backwards() { " DESC" } else { "" };
        order.keys(self).iter().map(|key| format!("{key}{direction}")).collect::<Vec<_>>().join(", ")
    }
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

fn order_key(order: Order, source: Source) -> &'static str {
    if order.is_by_arrival() { source.received_at } else { "time" }
}

/// What a source has to meet: the question, the times, and the places between which it is looked for.
fn terms(question: &mut Question, filter: &TrailFilter, source: Source, end: Option<TrailCursor>) -> String {
    let mut terms: Vec<_> = question.indexed.iter().chain(&question.rest).cloned().collect();
    let key = order_key(filter.order, source);
    for (compare, time) in [(">=", filter.since), ("<", filter.until)] {
        if let Some(time) = time {
            terms.push(format!("{key} {compare} {}", question.value(micros(time).into())));
        }
    }
    for (side, place) in [(Side::Behind, filter.after), (Side::UpTo, end)] {
        if let Some(place) = place {
            terms.push(source.beside(question, filter.order, place, side));
        }
    }
    if terms.is_empty() { "1 = 1".into() } else { terms.join(" AND ") }
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

impl std::fmt::Display for TrailCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.at, self.spool, self.seq)
    }
}

impl FromStr for TrailCursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no place in the audit; take `next` of the page before");
        let numbers: Option<Vec<i64>> = text.split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[at, spool, seq]) => Ok(Self { at, spool, seq }),
            _ => Err(bad()),
        }
    }
}
