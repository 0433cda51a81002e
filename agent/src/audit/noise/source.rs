//! One person's events of one kind: what is written, which repeats are counted, and what is beyond the budget.

use super::budget::{Budget, Limits};
use super::tally::{Tally, count};
use super::{Reading, WINDOW};
use curfew_protocol::audit::{Entry, Field};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How many of the same are written in a minute before they are counted.
pub const SINGLE: u32 = 20;

/// How many repeated things of one person are told apart.
const MOST_KEYS: usize = 64;

/// How many kinds of what is beyond the budget are told apart, and the first of each written whole, in a minute.
const MOST_KINDS: usize = 20;

/// How much of each field tells one kind from another, in characters.
const KIND_LENGTH: usize = 64;

/// What a record has beside its fields, in bytes: number, time, sentence.
const ENVELOPE: usize = 300;

/// One person's, or all unknown names', events of one kind.
pub struct Source {
    budget: Budget,
    repeats: HashMap<u64, Repeats>,
    rest: Option<Rest>,
}

impl Source {
    /// One that was quiet.
    pub fn new(limits: Limits) -> Self {
        Self { budget: Budget::new(limits), repeats: HashMap::new(), rest: None }
    }

    /// Takes an event in, which is the same as others with its `key`, and has to fit into the budget of the `pool`, too. It
    /// comes back where it is to be written now.
    pub fn hear(&mut self, entry: Entry, key: u64, now: Reading, pool: Option<&mut Self>) -> Option<Entry> {
        let before = self.repeats.get_mut(&key);
        let is_known = before.is_some();
        if let Some(before) = before
            && before.is_loud(now.boot)
        {
            count(&mut before.counted, Tally::new(entry, now.wall));
            return None;
        }
        let bytes = length(&entry);
        let is_covered = self.budget.covers(bytes, now.boot);
        if is_covered && pool.as_ref().is_none_or(|pool| pool.budget.covers(bytes, now.boot)) {
            self.charge(bytes, now, pool);
            if is_known || self.repeats.len() < MOST_KEYS {
                self.repeats.entry(key).or_insert_with(|| Repeats::new(now.boot)).written += 1;
            }
            return Some(entry);
        }
        if let Some(before) = self.repeats.get_mut(&key) {
            count(&mut before.counted, Tally::new(entry, now.wall));
            return None;
        }
        match pool {
            Some(pool) if is_covered => pool.rest(now).hear(entry, now),
            _ => self.rest(now).hear(entry, now),
        }
    }

    /// As [`hear`](Self::hear), without a look for repeats.
    pub fn hear_any(&mut self, entry: Entry, now: Reading) -> Option<Entry> {
        let bytes = length(&entry);
        if self.budget.covers(bytes, now.boot) {
            self.budget.charge(bytes, now.boot);
            return Some(entry);
        }
        self.rest(now).hear(entry, now)
    }

    /// What was counted for long enough. Too many counts to be told one by one are counted together.
    pub fn due(&mut self, now: Reading, mut pool: Option<&mut Self>) -> Vec<Entry> {
        let mut due = Vec::new();
        let closed: Vec<u64> =
            self.repeats.iter().filter(|(_, it)| it.is_past(now.boot)).map(|(key, _)| *key).collect();
        for key in closed {
            let Some(tally) = self.repeats.get_mut(&key).and_then(|repeats| repeats.close(now.boot)) else {
                self.repeats.remove(&key);
                continue;
            };
            let entry = tally.clone().into_entry();
            let bytes = length(&entry);
            let is_covered = self.budget.covers(bytes, now.boot);
            match pool.as_deref_mut() {
                Some(pool) if is_covered && !pool.budget.covers(bytes, now.boot) => {
                    pool.rest(now).count(tally);
                }
                pool if is_covered => {
                    self.charge(bytes, now, pool);
                    due.push(entry);
                }
                _ => self.rest(now).count(tally),
            }
        }
        if self.rest.as_ref().is_some_and(|rest| rest.is_past(now.boot)) {
            due.extend(self.rest.take().and_then(Rest::into_entry));
        }
        due
    }

    /// All that is counted, which is told thereby.
    pub fn tell(&mut self) -> Vec<Entry> {
        let repeats = self.repeats.values_mut().filter_map(|repeats| repeats.counted.take()).map(Tally::into_entry);
        let mut told: Vec<Entry> = repeats.collect();
        told.extend(self.rest.take().and_then(Rest::into_entry));
        told
    }

    /// All that is counted.
    pub fn pending(&self) -> impl Iterator<Item = Entry> {
        let repeats = self.repeats.values().filter_map(|repeats| repeats.counted.clone()).map(Tally::into_entry);
        repeats.chain(self.rest.clone().and_then(Rest::into_entry))
    }

    /// Whether something is counted.
    pub fn is_pending(&self) -> bool {
        self.repeats.values().any(|repeats| repeats.counted.is_some())
            || self.rest.as_ref().is_some_and(|rest| rest.tally.is_some())
    }

    /// Whether there is nothing to remember of it.
    pub fn is_quiet(&self, now: Reading) -> bool {
        self.budget.is_whole(now.boot)
            && self.rest.as_ref().is_none_or(|rest| rest.is_past(now.boot) && rest.tally.is_none())
            && self.repeats.values().all(|repeats| repeats.is_past(now.boot) && repeats.counted.is_none())
    }

    /// What is beyond the budget in this minute.
    fn rest(&mut self, now: Reading) -> &mut Rest {
        if self.rest.as_ref().is_some_and(|rest| rest.is_past(now.boot) && rest.tally.is_none()) {
            self.rest = None;
        }
        self.rest.get_or_insert_with(|| Rest::new(now.boot))
    }

    fn charge(&mut self, bytes: usize, now: Reading, pool: Option<&mut Self>) {
        self.budget.charge(bytes, now.boot);
        if let Some(pool) = pool {
            pool.budget.charge(bytes, now.boot);
        }
    }
}

/// The same, again and again.
struct Repeats {
    opened: Duration,
    written: u32,
    counted: Option<Tally>,
}

impl Repeats {
    fn new(opened: Duration) -> Self {
        Self { opened, written: 0, counted: None }
    }

    fn is_past(&self, now: Duration) -> bool {
        now.saturating_sub(self.opened) >= WINDOW
    }

    /// Whether enough was written of it for now.
    fn is_loud(&mut self, now: Duration) -> bool {
        if self.is_past(now) && self.counted.is_none() {
            *self = Self::new(now);
        }
        self.written >= SINGLE
    }

    /// What was counted until now. While it goes on, it is counted from the start.
    fn close(&mut self, now: Duration) -> Option<Tally> {
        self.opened = now;
        self.written = SINGLE;
        self.counted.take()
    }
}

/// What is beyond the budget.
#[derive(Clone)]
struct Rest {
    opened: Duration,
    tally: Option<Tally>,
    /// How many of each kind; of the first of each, none was counted.
    kinds: BTreeMap<String, u64>,
    others: u64,
}

impl Rest {
    fn new(opened: Duration) -> Self {
        Self { opened, tally: None, kinds: BTreeMap::new(), others: 0 }
    }

    fn is_past(&self, now: Duration) -> bool {
        now.saturating_sub(self.opened) >= WINDOW
    }

    /// Takes an event in. The first of a kind comes back, to be written: what is new must not drown in what is not.
    fn hear(&mut self, entry: Entry, now: Reading) -> Option<Entry> {
        let kind = kind(&entry);
        if !self.kinds.contains_key(&kind) && self.kinds.len() < MOST_KINDS {
            self.kinds.insert(kind, 0);
            return Some(entry);
        }
        self.count(Tally::new(entry, now.wall));
        None
    }

    fn count(&mut self, more: Tally) {
        let kind = kind(more.common());
        if self.kinds.len() < MOST_KINDS || self.kinds.contains_key(&kind) {
            *self.kinds.entry(kind).or_default() += more.count();
        } else {
            self.others += more.count();
        }
        count(&mut self.tally, more);
    }

    fn into_entry(self) -> Option<Entry> {
        let mut kinds: Vec<(u64, String)> = self.kinds.into_iter().map(|(kind, count)| (count, kind)).collect();
        kinds.push((self.others, "others".into()));
        kinds.retain(|(count, _)| *count > 0);
        kinds.sort_by_key(|(often, _)| std::cmp::Reverse(*often));
        let told: Vec<String> = kinds.into_iter().map(|(count, kind)| format!("{count} × {kind}")).collect();
        Some(self.tally?.into_entry().with(Field::Counted, told))
    }
}

/// Who did what over which service, in short. Of a run of sudo, the program tells, since a grant names few, and nobody can
/// vary it as they can the arguments.
fn kind(entry: &Entry) -> String {
    let what = if entry.fields.contains_key(&Field::Program) { Field::Program } else { Field::Command };
    let texts = [Field::User, Field::Service, Field::Rhost, Field::RunAs, what].map(|field| entry.text(field));
    let shortened = texts.iter().flatten().map(|text| text.chars().take(KIND_LENGTH).collect());
    shortened.collect::<Vec<String>>().join(" ")
}

/// About how long its record is, in bytes.
fn length(entry: &Entry) -> usize {
    let fields = entry.fields.iter().map(|(field, value)| field.name().len() + value.to_string().len() + 4);
    ENVELOPE + fields.sum::<usize>()
}
