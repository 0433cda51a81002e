//! Noise: what people can make happen at will is written as it is while it is little, and counted when it is much.
//!
//! Nobody's noise may push other people's records out of the spool. So each person has a budget for each event that they
//! can produce ([`is_at_will`]), and within it repeats of the same collapse. What is counted becomes one record a minute,
//! with how often, the first time and the last. Names that hold no grant share one budget more, since anybody can make up
//! a thousand. Pure: the time comes in, entries go out. Every event is in exactly one record, or in exactly one count.

mod budget;
mod source;
mod tally;

use crate::clock::Reading;
use budget::{A_NAME, A_PERSON, ALL_NAMES};
use curfew_protocol::audit::{Entry, Event, Field};
use source::Source;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

pub use tally::{Tally, count};

/// How long repeats are counted before they are told.
pub const WINDOW: Duration = Duration::from_secs(60);

/// How many names without a grant are told apart. The others are counted together.
const MOST_NAMES: usize = 256;

/// What differs between two events that are the same to an auditor.
const PASSING: &[Field] = &[Field::Pid, Field::Session, Field::Tty, Field::NotAfter];

/// Whether people can make it happen as often as they like. Everything else is never counted, and is kept the longest.
pub fn is_at_will(event: Event) -> bool {
    match event {
        Event::LoginPermitted
        | Event::LoginDenied
        | Event::SessionOpened
        | Event::SessionClosed
        | Event::SudoPermitted
        | Event::SudoDenied
        | Event::ExemptUsed => true,
        Event::AgentStarted
        | Event::AgentStopped
        | Event::WiringChanged
        | Event::WiringRehearsed
        | Event::AccountChanged
        | Event::GrantReceived
        | Event::GrantRefused
        | Event::GrantStarted
        | Event::GrantEnded
        | Event::SessionTerminated
        | Event::SudoTerminated
        | Event::SudoersWritten
        | Event::SudoersRemoved
        | Event::SetApplied
        | Event::SetRefused
        | Event::LocalGranted
        | Event::LocalRevoked
        | Event::SyncFailed
        | Event::SyncRecovered
        | Event::ClockStepped
        | Event::ResidueFound
        | Event::AuditDropped => false,
    }
}

/// Whose event it is.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Who {
    /// Somebody who holds a grant, or is exempt.
    Person(String),
    /// A name, and no more: anybody can try any.
    Name(String),
}

impl Who {
    /// Whose event this is.
    pub fn of(entry: &Entry) -> Self {
        let user = entry.text(Field::User).unwrap_or_default();
        // Nobody is permitted who holds no grant, whether or not it is the one that covers the command.
        let holds = matches!(entry.event, Event::ExemptUsed | Event::SudoPermitted);
        if holds || entry.fields.contains_key(&Field::Grant) { Self::Person(user) } else { Self::Name(user) }
    }

    fn name(&self) -> &str {
        match self {
            Self::Person(name) | Self::Name(name) => name,
        }
    }
}

/// What was heard of late, and what of it is counted.
#[derive(Default)]
pub struct Noise {
    sources: HashMap<(Who, Event), Source>,
    /// All names without a grant together, by event.
    pools: HashMap<Event, Source>,
    hasher: RandomState,
    pruned_at: Duration,
}

impl Noise {
    /// Takes an event in. It comes back where it is to be written now; else it is counted.
    pub fn hear(&mut self, entry: Entry, now: Reading) -> Option<Entry> {
        if !is_at_will(entry.event) {
            return Some(entry);
        }
        if now.boot.saturating_sub(self.pruned_at) >= WINDOW {
            self.prune(now);
        }
        let key = self.key(&entry);
        let id = (Who::of(&entry), entry.event);
        if matches!(id.0, Who::Person(_)) {
            return self.sources.entry(id).or_insert_with(|| Source::new(A_PERSON)).hear(entry, key, now, None);
        }
        let pool = self.pools.entry(entry.event).or_insert_with(|| Source::new(ALL_NAMES));
        if !self.sources.contains_key(&id) && self.sources.keys().filter(|(who, _)| is_name(who)).count() >= MOST_NAMES
        {
            return pool.hear_any(entry, now);
        }
        self.sources.entry(id).or_insert_with(|| Source::new(A_NAME)).hear(entry, key, now, Some(pool))
    }

    /// What is counted of the person whom `entry` is about: it happened before that, and is written before it. Of
    /// everybody, where the agent starts or stops.
    pub fn told_before(&mut self, entry: &Entry) -> Vec<Entry> {
        if matches!(entry.event, Event::AgentStarted | Event::AgentStopped) {
            return self.all();
        }
        match entry.text(Field::User) {
            Some(user) if !is_at_will(entry.event) => {
                let theirs = self.sources.iter_mut().filter(|((who, _), _)| who.name() == user);
                theirs.flat_map(|(_, source)| source.tell()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What was counted for long enough.
    pub fn due(&mut self, now: Reading) -> Vec<Entry> {
        let mut due = Vec::new();
        for ((who, event), source) in &mut self.sources {
            let pool = if is_name(who) { self.pools.get_mut(event) } else { None };
            due.extend(source.due(now, pool));
        }
        due.extend(self.pools.values_mut().flat_map(|pool| pool.due(now, None)));
        self.prune(now);
        due
    }

    /// All that is counted, which is told thereby.
    pub fn all(&mut self) -> Vec<Entry> {
        self.sources.values_mut().chain(self.pools.values_mut()).flat_map(Source::tell).collect()
    }

    /// All that is counted, to note it down.
    pub fn pending(&self) -> impl Iterator<Item = Entry> {
        self.sources.values().chain(self.pools.values()).flat_map(Source::pending)
    }

    /// Whether something is counted.
    pub fn is_pending(&self) -> bool {
        self.sources.values().chain(self.pools.values()).any(Source::is_pending)
    }

    fn prune(&mut self, now: Reading) {
        self.sources.retain(|_, source| !source.is_quiet(now));
        self.pools.retain(|_, pool| !pool.is_quiet(now));
        self.pruned_at = now.boot;
    }

    /// What is the same in two events that are the same.
    fn key(&self, entry: &Entry) -> u64 {
        let fields = entry.fields.iter().filter(|(field, _)| !PASSING.contains(field));
        self.hasher.hash_one(fields.map(|(field, value)| (field.name(), value.to_string())).collect::<Vec<_>>())
    }
}

fn is_name(who: &Who) -> bool {
    matches!(who, Who::Name(_))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
