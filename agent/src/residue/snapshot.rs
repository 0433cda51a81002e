//! What one look at the host found: items, each with a fingerprint, and what could not be looked at.
//!
//! Names come from hostile files: they are made printable here, and how much a snapshot holds has an end.

pub use super::kind::Kind;
use super::places::TABLE;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How much a snapshot holds: bytes of names and of what is shown.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// What an item takes beside its texts.
const ITEM: usize = 128;

/// The most places that it says were not looked at.
const MOST_UNSEEN: usize = 1_000;

/// The longest name of such a place, in bytes.
const LONGEST_AREA: usize = 512;

/// What tells an item from what it was.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fingerprint {
    /// What the report says of it; printable.
    pub shown: String,
    /// What is compared beside that: a hash, times.
    pub compared: String,
    /// When its file was last changed in any way, in nanoseconds since 1970; 0 where that says nothing of it.
    #[serde(default)]
    pub changed: i64,
}

impl Fingerprint {
    /// Whether it is the same thing, whenever it was touched.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.shown, &self.compared) == (&other.shown, &other.compared)
    }
}

/// What one look at the host found.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Whether sudo was open already when the lists were read.
    pub late: bool,
    /// The tables that it was taken by ([`TABLE`](super::places::TABLE)).
    #[serde(default)]
    pub table: u32,
    /// When it was begun, in nanoseconds since 1970.
    #[serde(default)]
    pub begun: i64,
    /// When it was finished.
    #[serde(default)]
    pub finished: i64,
    /// When sudo opened, where that was before it was finished: what was changed from then on may not have been there before.
    #[serde(default)]
    pub opened: Option<i64>,
    /// Whether the clock was set between the opening and the end of this look: change times tell nothing then.
    #[serde(default)]
    pub clock_was_set: bool,
    /// Homes that were looked at for people of this grant who are not in /etc/passwd.
    pub homes: BTreeSet<String>,
    items: BTreeMap<Kind, BTreeMap<String, Fingerprint>>,
    unseen: BTreeMap<Kind, BTreeMap<String, String>>,
    #[serde(skip)]
    bytes: usize,
}

impl Snapshot {
    /// One by the tables of today, with nothing in it.
    pub fn new() -> Self {
        Self { table: TABLE, ..Self::default() }
    }

    /// Adds an item. One of the same name, such as a second line for the same account, gets a number.
    pub fn add(&mut self, kind: Kind, name: String, fingerprint: Fingerprint) {
        self.bytes += ITEM + name.len() + fingerprint.shown.len() + fingerprint.compared.len();
        if self.bytes > MOST_BYTES {
            return self.not_looked_at(kind, "", "too much for one look");
        }
        let items = self.items.entry(kind).or_default();
        let mut unique = name.clone();
        let mut count = 1;
        while items.contains_key(&unique) {
            count += 1;
            unique = format!("{name} (number {count})");
        }
        items.insert(unique, fingerprint);
    }

    /// Takes what was found by walking everything, and what was not looked at then, from another.
    pub fn take_walked(&mut self, other: &Self) {
        for kind in Kind::WALKED {
            self.unseen.remove(&kind);
            self.unseen.extend(other.unseen.get(&kind).map(|areas| (kind, areas.clone())));
            other.of(kind).iter().for_each(|(name, fingerprint)| self.add(kind, name.clone(), fingerprint.clone()));
        }
    }

    /// Notes that there was no walk.
    pub fn not_walked(&mut self, why: &str) {
        Kind::WALKED.iter().for_each(|&kind| self.not_looked_at(kind, "", why));
    }

    /// Whether an item in it may have come after sudo opened.
    pub fn may_be_new(&self, item: &Fingerprint) -> bool {
        self.opened.is_some_and(|opened| (opened..=self.finished).contains(&item.changed))
    }

    /// Whether an item that is not in it was there before all the same, by its change time.
    pub fn is_old(&self, item: &Fingerprint) -> bool {
        item.changed != 0 && item.changed < self.opened.unwrap_or(self.begun) && !self.clock_was_set
    }

    /// Notes that what lies below `area` (a path, printable; all of the kind where it is empty) was not looked at.
    pub fn not_looked_at(&mut self, kind: Kind, area: &str, why: &str) {
        let areas = self.unseen.entry(kind).or_default();
        // A shorter area says more, never less.
        let area = if areas.len() < MOST_UNSEEN { beginning(area, LONGEST_AREA) } else { "" };
        areas.entry(area.to_owned()).or_insert_with(|| why.to_owned());
    }

    /// The items of a kind.
    pub fn of(&self, kind: Kind) -> &BTreeMap<String, Fingerprint> {
        const NONE: &BTreeMap<String, Fingerprint> = &BTreeMap::new();
        self.items.get(&kind).unwrap_or(NONE)
    }

    /// What of a kind was not looked at, and why.
    pub fn unseen(&self, kind: Kind) -> &BTreeMap<String, String> {
        const NONE: &BTreeMap<String, String> = &BTreeMap::new();
        self.unseen.get(&kind).unwrap_or(NONE)
    }

    /// Whether the item may be there although it is not in the snapshot.
    pub fn may_hide(&self, kind: Kind, name: &str) -> bool {
        // Accounts and groups are not named by the file that was not looked at.
        let by_path = !matches!(kind, Kind::Account | Kind::Group);
        let unseen = self.unseen(kind).keys().any(|area| !by_path || name.starts_with(area.as_str()));
        // By other tables, it looked elsewhere.
        unseen || self.table != TABLE
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.values().map(BTreeMap::len).sum()
    }

    /// Whether nothing was found at all.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// The first bytes of a text, at most `most`, and only whole characters.
pub fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_comes_back_from_its_json_and_a_second_line_of_one_name_is_an_item_of_its_own() {
        let mut snapshot = Snapshot::new();
        for shown in ["uid 0", "uid 1"] {
            let fingerprint = Fingerprint { shown: shown.into(), ..Fingerprint::default() };
            snapshot.add(Kind::Account, "eve".into(), fingerprint);
        }
        snapshot.not_looked_at(Kind::SetuidFile, "/srv", "too much");
        assert_eq!(snapshot.of(Kind::Account).keys().collect::<Vec<_>>(), ["eve", "eve (number 2)"]);
        let json = serde_json::to_vec(&snapshot).unwrap();
        let back: Snapshot = serde_json::from_slice(&json).unwrap();
        assert_eq!(
            (back.of(Kind::Account), back.unseen(Kind::SetuidFile)),
            (snapshot.of(Kind::Account), snapshot.unseen(Kind::SetuidFile))
        );
        assert!(snapshot.may_hide(Kind::SetuidFile, "/srv/x") && !snapshot.may_hide(Kind::SetuidFile, "/usr/x"));
    }
}
