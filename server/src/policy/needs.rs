//! [`Needs`]: how many reviewers of which groups a request needs, and which of them are missing.

use super::names::{GroupName, PersonName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

/// The most reviewers of one group, and the most groups.
pub const MOST: u8 = 20;

/// Reviewers of one or more groups: `2:sre,1:security`. Never none, never more than [`MOST`] of a group.
///
/// Each reviewer counts once: whoever is in two of the groups is one of the reviewers of one of them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Needs(BTreeMap<GroupName, NonZeroU8>);

/// Why a text says no [`Needs`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NeedsError {
    /// It says nothing.
    #[error("it is empty; write it like \"1:approvers\" or \"2:sre,1:security\"")]
    Empty,
    /// A part is not a number and a group.
    #[error("{0:?} is no number and group; write it like \"2:sre,1:security\"")]
    Part(String),
    /// A number is none, or out of bounds.
    #[error("{0:?} is no number of reviewers from 1 to {MOST}")]
    Count(String),
    /// A group's name is none.
    #[error("{0:?} is no name of a group")]
    Group(String),
    /// A group is there twice.
    #[error("group {0} is there twice; say its number once")]
    Twice(GroupName),
    /// Too many groups.
    #[error("{0} groups, and {MOST} is the most")]
    Groups(usize),
}

impl Needs {
    /// So many reviewers of one group; at most [`MOST`].
    pub fn one_group(count: NonZeroU8, group: GroupName) -> Self {
        Self(BTreeMap::from([(group, count.min(most()))]))
    }

    /// Each group with its number of reviewers, by the groups' names.
    pub fn iter(&self) -> impl Iterator<Item = (&GroupName, u8)> {
        self.0.iter().map(|(group, count)| (group, count.get()))
    }

    /// How many reviewers these are.
    pub fn reviewers(&self) -> usize {
        self.iter().map(|(_, count)| usize::from(count)).sum()
    }

    /// What fulfils both: of each group the larger number.
    #[must_use]
    pub fn strictest(mut self, other: &Self) -> Self {
        for (group, &count) in &other.0 {
            let mine = self.0.entry(group.clone()).or_insert(count);
            *mine = count.max(*mine);
        }
        self
    }

    /// The same with two reviewers at least, where one would do: for a request of which nobody knows whose it is.
    #[must_use]
    pub fn by_two_at_least(mut self) -> Self {
        if self.reviewers() < 2
            && let Some(count) = self.0.values_mut().next()
        {
            *count = count.saturating_add(1).min(most());
        }
        self
    }

    /// Whether it is fulfilled wherever `other` is: of each group at least as many.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|(group, count)| self.0.get(group).is_some_and(|mine| mine >= count))
    }

    /// Which of the reviewers that are needed are missing, where these people approved; nothing when it is fulfilled.
    ///
    /// A person who is there twice counts once. Where somebody could stand for either of two groups, they stand so that the fewest are missing.
    pub fn missing<'p>(
        &self,
        approved: impl IntoIterator<Item = (&'p PersonName, &'p BTreeSet<GroupName>)>,
    ) -> Option<Self> {
        let people: BTreeMap<_, _> = approved.into_iter().collect();
        let slots: Vec<&GroupName> =
            self.iter().flat_map(|(group, count)| std::iter::repeat_n(group, usize::from(count))).collect();
        let mut seats =
            Seats { groups: people.values().copied().collect(), slots: &slots, taken: vec![None; slots.len()] };
        for person in 0..people.len() {
            seats.seat(person, &mut vec![false; slots.len()]);
        }
        let mut missing = BTreeMap::<GroupName, u8>::new();
        for (group, _) in slots.iter().zip(&seats.taken).filter(|(_, taken)| taken.is_none()) {
            *missing.entry((*group).clone()).or_default() += 1;
        }
        let missing: BTreeMap<_, _> =
            missing.into_iter().filter_map(|(group, count)| Some((group, NonZeroU8::new(count)?))).collect();
        (!missing.is_empty()).then_some(Self(missing))
    }
}

/// Who stands for which slot: a matching that is made larger by augmenting paths.
struct Seats<'s> {
    groups: Vec<&'s BTreeSet<GroupName>>,
    slots: &'s [&'s GroupName],
    taken: Vec<Option<usize>>,
}

impl Seats<'_> {
    /// Gives a person a slot, if need be by giving whoever has it another.
    fn seat(&mut self, person: usize, tried: &mut Vec<bool>) -> bool {
        for slot in 0..self.slots.len() {
            let fits = match (self.groups.get(person), self.slots.get(slot)) {
                (Some(groups), Some(group)) => groups.contains(*group),
                _ => false,
            };
            let Some(tried_before) = tried.get_mut(slot) else { continue };
            if !fits || std::mem::replace(tried_before, true) {
                continue;
            }
            let holder = self.taken.get(slot).copied().flatten();
            if holder.is_none_or(|holder| self.seat(holder, tried))
                && let Some(seat) = self.taken.get_mut(slot)
            {
                *seat = Some(person);
                return true;
            }
        }
        false
    }
}

fn most() -> NonZeroU8 {
    NonZeroU8::new(MOST).unwrap_or(NonZeroU8::MAX)
}

impl FromStr for Needs {
    type Err = NeedsError;

    fn from_str(text: &str) -> Result<Self, NeedsError> {
        if text.trim().is_empty() {
            return Err(NeedsError::Empty);
        }
        let mut needs = BTreeMap::new();
        for part in text.split(',').map(str::trim) {
            let (count, group) = part.split_once(':').ok_or_else(|| NeedsError::Part(part.into()))?;
            // Not by parse alone, which takes "+2".
            let digits = count.bytes().all(|b| b.is_ascii_digit());
            let number = count.parse::<NonZeroU8>().ok().filter(|number| digits && *number <= most());
            let number = number.ok_or_else(|| NeedsError::Count(count.into()))?;
            let group: GroupName = group.parse().map_err(|_| NeedsError::Group(group.into()))?;
            if needs.insert(group.clone(), number).is_some() {
                return Err(NeedsError::Twice(group));
            }
        }
        if needs.len() > usize::from(MOST) {
            return Err(NeedsError::Groups(needs.len()));
        }
        Ok(Self(needs))
    }
}

impl TryFrom<String> for Needs {
    type Error = NeedsError;

    fn try_from(text: String) -> Result<Self, NeedsError> {
        text.parse()
    }
}

impl From<Needs> for String {
    fn from(needs: Needs) -> Self {
        needs.to_string()
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (group, count)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{count}:{group}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, btree_set, vec};
    use proptest::prelude::*;

    fn needs(text: &str) -> Needs {
        text.parse().unwrap()
    }

    fn people(list: &[(&str, &[&str])]) -> Vec<(PersonName, BTreeSet<GroupName>)> {
        list.iter()
            .map(|(name, groups)| (name.parse().unwrap(), groups.iter().map(|group| group.parse().unwrap()).collect()))
            .collect()
    }

    fn missing(text: &str, list: &[(&str, &[&str])]) -> Option<String> {
        let people = people(list);
        needs(text).missing(people.iter().map(|(name, groups)| (name, groups))).map(|it| it.to_string())
    }

    #[test]
    fn needs_are_numbers_from_1_to_20_of_groups_that_are_there_once() {
        assert_eq!(needs("2:sre, 1:security").to_string(), "1:security,2:sre");
        assert_eq!(needs("20:team:web").reviewers(), 20);
        for (text, says) in [
            ("", "it is empty"),
            ("sre", "\"sre\" is no number and group"),
            ("2:sre,", "\"\" is no number and group"),
            ("0:sre", "\"0\" is no number of reviewers"),
            ("21:sre", "from 1 to 20"),
            ("+2:sre", "\"+2\" is no number"),
            ("-1:sre", "\"-1\" is no number"),
            ("2: sre", "no name of a group"),
            ("2:", "no name of a group"),
            ("1:sre,2:sre", "group sre is there twice"),
        ] {
            let error = text.parse::<Needs>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let many: Vec<_> = (0..21).map(|n| format!("1:g{n}")).collect();
        assert_eq!(many.join(",").parse::<Needs>(), Err(NeedsError::Groups(21)));
    }

    #[test]
    fn one_person_counts_once_whatever_groups_they_are_in() {
        let both: &[&str] = &["sre", "security"];
        assert_eq!(missing("1:sre,1:security", &[("bob", both)]).unwrap(), "1:sre");
        assert_eq!(missing("1:sre,1:security", &[("bob", both), ("bob", both)]).unwrap(), "1:sre");
        assert_eq!(missing("1:sre,1:security", &[("bob", both), ("carol", both)]), None);
        assert_eq!(missing("2:sre", &[("bob", both), ("dan", &["dev"])]).unwrap(), "1:sre");
    }

    #[test]
    fn people_stand_so_that_the_fewest_are_missing() {
        // bob could be either; only he can be of security.
        let list: &[(&str, &[&str])] = &[("bob", &["sre", "security"]), ("carol", &["sre"]), ("dan", &["sre"])];
        assert_eq!(missing("2:sre,1:security", list), None);
        assert_eq!(missing("2:sre,2:security", list).unwrap(), "1:security");
    }

    #[test]
    fn somebody_unknown_needs_two_reviewers() {
        assert_eq!(needs("1:sre").by_two_at_least(), needs("2:sre"));
        for text in ["2:sre", "1:sre,1:security", "20:sre"] {
            assert_eq!(needs(text).by_two_at_least(), needs(text));
        }
    }

    fn some_needs() -> impl Strategy<Value = Needs> {
        btree_map("[a-d]", 1_u8..4, 1..4).prop_map(|parts| {
            let parts: Vec<_> = parts.iter().map(|(group, count)| format!("{count}:{group}")).collect();
            needs(&parts.join(","))
        })
    }

    fn some_people() -> impl Strategy<Value = Vec<(PersonName, BTreeSet<GroupName>)>> {
        let groups = btree_set("[a-d]".prop_map(|group| group.parse().unwrap()), 0..4);
        vec(("[p-w]".prop_map(|name| name.parse().unwrap()), groups), 0..8)
    }

    proptest! {
        #[test]
        fn the_strictest_covers_both_and_is_the_least_that_does(a in some_needs(), b in some_needs(), c in some_needs()) {
            let both = a.clone().strictest(&b);
            prop_assert!(both.covers(&a) && both.covers(&b));
            prop_assert_eq!(&both, &b.clone().strictest(&a));
            prop_assert_eq!(both.clone().strictest(&c), a.clone().strictest(&b.clone().strictest(&c)));
            prop_assert_eq!(a.clone().strictest(&a), a.clone());
            if c.covers(&a) && c.covers(&b) {
                prop_assert!(c.covers(&both));
            }
            prop_assert_eq!(both.to_string().parse::<Needs>().unwrap(), both);
        }

        #[test]
        fn who_fulfils_the_stricter_fulfils_the_other(a in some_needs(), b in some_needs(), people in some_people()) {
            let of = |needs: &Needs| needs.missing(people.iter().map(|(name, groups)| (name, groups)));
            let both = a.clone().strictest(&b);
            if of(&both).is_none() {
                prop_assert!(of(&a).is_none() && of(&b).is_none());
            }
            // More people never make more missing.
            let count = |needs: Option<Needs>| needs.map_or(0, |needs| needs.reviewers());
            for fewer in 0..people.len() {
                let some = a.missing(people.iter().take(fewer).map(|(name, groups)| (name, groups)));
                // Of the same name, the last is meant.
                let names: BTreeSet<_> = people.iter().map(|(name, _)| name).collect();
                if names.len() == people.len() {
                    prop_assert!(count(some) >= count(of(&a)));
                }
            }
            let distinct: BTreeSet<_> = people.iter().map(|(name, _)| name).collect();
            prop_assert!(count(of(&a)) >= a.reviewers().saturating_sub(distinct.len()));
        }
    }
}
