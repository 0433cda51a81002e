//! What is asked of the trail, in SQL: terms that lead to an index, in the order of its rows, and terms that lead to none.

use super::{Order, TrailCursor, TrailFilter};
use crate::store::columns::micros;
use crate::store::db::Value;
use curfew_protocol::grant_set::HostId;

/// One of the two tables, as the trail has it.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) table: &'static str,
    pub(super) spool: &'static str,
    pub(super) received_at: &'static str,
    pub(super) admin: &'static str,
    /// What its rows are ordered by.
    keys: [&'static str; 3],
}

pub(super) const HERE: Source =
    Source { table: "admin_log", spool: "0", received_at: "time", admin: "admin", keys: ["time", "seq", ""] };
pub(super) const HOSTS: Source = Source {
    table: "audit",
    spool: "spool",
    received_at: "received_at",
    admin: "CAST(NULL AS TEXT)",
    keys: ["time", "spool", "seq"],
};

/// On which side of a place, in the order that is asked for.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Behind,
    UpTo,
}

/// A question in SQL: what an index answers, what it does not, and the values of both.
pub(super) struct Question {
    indexed: Vec<String>,
    pub(super) rest: Vec<String>,
    pub(super) values: Vec<Value>,
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
    pub(super) fn of(filter: &TrailFilter) -> Self {
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
    pub(super) fn indexed(filter: &TrailFilter) -> Self {
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
    pub(super) fn is_backwards(self) -> bool {
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

    pub(super) fn ordered(self, order: Order) -> String {
        let direction = if order.is_backwards() { " DESC" } else { "" };
        order.keys(self).iter().map(|key| format!("{key}{direction}")).collect::<Vec<_>>().join(", ")
    }
}

pub(super) fn order_key(order: Order, source: Source) -> &'static str {
    if order.is_by_arrival() { source.received_at } else { "time" }
}

/// What a source has to meet: the question, the times, and the places between which it is looked for.
pub(super) fn terms(question: &mut Question, filter: &TrailFilter, source: Source, end: Option<TrailCursor>) -> String {
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
