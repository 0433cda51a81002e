//! The grants by labels that may still be in sets, in memory: each is read once a change, and found by the labels of a host without a look at those
//! that are not for it.

use super::super::StoreError;
use super::super::columns::{decode_labels, maybe_from_micros, micros};
use super::super::db::{Db, Row, Tx, Value, values};
use super::set_grant::{Load, SetGrant, since};
use super::shards::Shards;
use crate::labels::Labels;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, PoisonError, RwLock};

const CHANGED: &str = "SELECT value FROM counters WHERE name = 'label_grants'";

/// What a server knows of them.
#[derive(Debug, Default)]
pub(in crate::store) struct ByLabels {
    known: RwLock<Arc<Known>>,
}

/// How often grants that are in no set any more are forgotten.
const FORGET: SignedDuration = SignedDuration::from_mins(10);

/// The grants by labels at one moment. What a change of one of them costs does not grow with them.
#[derive(Clone, Debug)]
pub(in crate::store) struct Known {
    /// How often they had changed by then, at least.
    changed: i64,
    grants: Shards<String, (Labels, Arc<SetGrant>)>,
    /// The term that each selector is found by.
    selectors: Shards<Labels, Term>,
    /// Each selector once, under the one of its terms that fewest selectors had: a host meets a selector by that term alone.
    by_term: Shards<Term, Vec<Selector>>,
    /// How many selectors have a term.
    uses: Shards<Term, usize>,
    /// All of them.
    load: Load,
    forgot: Timestamp,
}

/// A label's name and value.
type Term = (String, String);

#[derive(Clone, Debug)]
struct Selector {
    labels: Labels,
    grants: Vec<Arc<SetGrant>>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            changed: -1,
            grants: Shards::default(),
            selectors: Shards::default(),
            by_term: Shards::default(),
            uses: Shards::default(),
            load: Load::default(),
            forgot: Timestamp::MIN,
        }
    }
}

impl ByLabels {
    /// The grants as they are after so many changes, or later.
    pub(in crate::store) async fn after(&self, changes: i64, db: &Db) -> Result<Arc<Known>, StoreError> {
        let known = self.known();
        if known.changed >= changes {
            return Ok(known);
        }
        let (sql, values) = known.unread();
        // The count first: the grants are at least as new.
        let changed = count(db.one(CHANGED, &[]).await?)?;
        let rows = db.all(sql, &values).await?;
        self.learn(&known, changed, &rows)
    }

    /// The grants as a change that has the lock finds them.
    pub(in crate::store) async fn locked(&self, tx: &mut Tx<'_>) -> Result<Arc<Known>, StoreError> {
        let known = self.known();
        let changed = count(tx.one(CHANGED, &[]).await?)?;
        if known.changed >= changed {
            return Ok(known);
        }
        let (sql, values) = known.unread();
        let rows = tx.all(sql, &values).await?;
        self.learn(&known, changed, &rows)
    }

    fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, before: &Known, changed: i64, rows: &[Row]) -> Result<Arc<Known>, StoreError> {
        let learnt = Arc::new(before.with(changed, rows, Timestamp::now())?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if learnt.changed > known.changed {
            *known = learnt.clone();
        }
        Ok(learnt)
    }
}

fn count(row: Option<Row>) -> Result<i64, StoreError> {
    row.ok_or_else(|| StoreError::Corrupt("the count of the changes of grants by labels".into()))?.int("value")
}

impl Known {
    /// How often they had changed by then, at least.
    pub(in crate::store) fn changed(&self) -> i64 {
        self.changed
    }

    /// The grants that a host with these labels has, those that ended lately among them.
    pub(in crate::store) fn of<'k>(&'k self, labels: &'k Labels) -> impl Iterator<Item = &'k Arc<SetGrant>> {
        let met = labels.iter().filter_map(|(name, value)| self.by_term.get(&(name.to_owned(), value.to_owned())));
        let selectors = met.flatten().filter(|selector| selector.labels.are_all_in(labels));
        selectors.flat_map(|selector| &selector.grants)
    }

    /// What they take of the set of a host with these labels.
    pub(in crate::store) fn load(&self, labels: &Labels, now: Timestamp) -> Load {
        self.of(labels).filter(|grant| grant.is_open(now)).map(|grant| grant.load()).sum()
    }

    /// What all of them would take of one set.
    pub(in crate::store) fn whole_load(&self) -> Load {
        self.load
    }

    /// The statement that reads what is not known.
    fn unread(&self) -> (&'static str, [Value; 2]) {
        let sql = "SELECT id, selector, not_after, created_at, document, revoked_at FROM grants
                   WHERE host IS NULL AND changed > $1 AND ($1 >= 0 OR (revoked_at IS NULL AND not_after > $2))";
        (sql, values![self.changed, micros(since(Timestamp::now()))])
    }

    fn with(&self, changed: i64, rows: &[Row], now: Timestamp) -> Result<Self, StoreError> {
        let mut known = Self { changed, ..self.clone() };
        for row in rows {
            let id = row.text("id")?;
            known.remove(&id);
            let selector = row.maybe_text("selector")?;
            if let (None, Some(selector)) = (maybe_from_micros(row.maybe_int("revoked_at")?)?, selector) {
                known.add(decode_labels(&selector)?, Arc::new(SetGrant::read(row)?));
            }
        }
        known.forget(now);
        Ok(known)
    }

    fn add(&mut self, labels: Labels, grant: Arc<SetGrant>) {
        self.load = self.load.with(grant.load());
        self.grants.insert(grant.id().to_owned(), (labels.clone(), grant.clone()));
        let found_by = self.selectors.get(&labels).cloned();
        let is_new = found_by.is_none();
        // One that names no label is for nobody.
        let Some(term) = found_by.or_else(|| self.rarest(&labels)) else { return };
        if is_new {
            labels.iter().for_each(|(name, value)| self.use_term((name.to_owned(), value.to_owned()), 1));
            self.selectors.insert(labels.clone(), term.clone());
        }
        let mut selectors = self.by_term.remove(&term).unwrap_or_default();
        match selectors.iter_mut().find(|selector| selector.labels == labels) {
            Some(selector) => selector.grants.push(grant),
            None => selectors.push(Selector { labels, grants: vec![grant] }),
        }
        self.by_term.insert(term, selectors);
    }

    fn remove(&mut self, id: &str) {
        let Some((labels, grant)) = self.grants.remove(id) else { return };
        self.load = self.load.without(grant.load());
        let Some(term) = self.selectors.get(&labels).cloned() else { return };
        let mut selectors = self.by_term.remove(&term).unwrap_or_default();
        for selector in selectors.iter_mut().filter(|selector| selector.labels == labels) {
            selector.grants.retain(|other| other.id() != id);
        }
        if selectors.iter().any(|selector| selector.labels == labels && selector.grants.is_empty()) {
            selectors.retain(|selector| selector.labels != labels);
            self.selectors.remove(&labels);
            labels.iter().for_each(|(name, value)| self.use_term((name.to_owned(), value.to_owned()), -1));
        }
        if !selectors.is_empty() {
            self.by_term.insert(term, selectors);
        }
    }

    /// The term of `labels` that fewest selectors have.
    fn rarest(&self, labels: &Labels) -> Option<Term> {
        let terms = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        terms.min_by_key(|term| self.uses.get(term).copied().unwrap_or_default())
    }

    fn use_term(&mut self, term: Term, more: isize) {
        match self.uses.remove(&term).unwrap_or_default().saturating_add_signed(more) {
            0 => {}
            uses => drop(self.uses.insert(term, uses)),
        }
    }

    /// Forgets what is in no set any more, from time to time.
    fn forget(&mut self, now: Timestamp) {
        if now.duration_since(self.forgot) < FORGET {
            return;
        }
        self.forgot = now;
        let since = since(now);
        let gone: Vec<_> =
            self.grants.iter().filter(|(_, (_, grant))| grant.is_gone(since)).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.remove(id));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn labels(text: &str) -> Labels {
        text.parse().unwrap()
    }

    fn grant(id: &str) -> Arc<SetGrant> {
        let document = crate::store::columns::raw("{}".into()).unwrap();
        Arc::new(SetGrant { id: id.into(), not_after: Timestamp::MAX, created_at: 0, document })
    }

    fn known(selectors: &[&str]) -> Known {
        let mut known = Known::default();
        selectors.iter().for_each(|it| known.add(labels(it), grant(it)));
        known
    }

    #[test]
    fn a_host_has_the_grants_whose_labels_it_all_has() {
        let known = known(&["env=prod", "env=prod,role=web", "env=test", "env=prod,role=db", "a=b,c=d,env=prod"]);
        let of = |text: &str| {
            let labels = labels(text);
            let mut ids: Vec<_> = known.of(&labels).map(|grant| grant.id.clone()).collect();
            ids.sort();
            ids
        };
        assert_eq!(of("env=prod"), ["env=prod"]);
        assert_eq!(of("env=prod,role=web"), ["env=prod", "env=prod,role=web"]);
        assert_eq!(of("env=prod,role=web,a=b,c=d"), ["a=b,c=d,env=prod", "env=prod", "env=prod,role=web"]);
        assert_eq!(of("env=dev"), [""; 0]);
        assert_eq!(of(""), [""; 0]);
    }

    #[test]
    fn those_that_are_not_for_a_host_are_not_looked_at() {
        let selectors: Vec<_> = (0..1000).map(|n| format!("env=prod,role=r{n}")).collect();
        let known = known(&selectors.iter().map(String::as_str).collect::<Vec<_>>());
        let under_env = known.by_term.get(&("env".into(), "prod".into())).map_or(0, Vec::len);
        assert!(under_env <= 1, "every host would go through {under_env} of them");
        assert_eq!(known.of(&labels("env=prod,role=r7")).count(), 1);
    }
    #[test]
    fn what_is_left_of_the_last_grant_is_nothing() {
        let mut known = known(&["env=prod", "env=prod,role=web"]);
        known.add(labels("env=prod"), grant("second"));
        for id in ["env=prod", "second", "env=prod,role=web", "unknown"] {
            known.remove(id);
        }
        let left = [
            known.grants.iter().count(),
            known.selectors.iter().count(),
            known.by_term.iter().count(),
            known.uses.iter().count(),
        ];
        assert_eq!((left, known.load), ([0; 4], Load::default()));
    }

    proptest! {
        /// However grants came and went, a host has what a look at each of them says.
        #[test]
        fn it_is_the_same_as_a_look_at_each(changes in vec((0..24_u8, 0..3_u8, 0..3_u8, 0..3_u8, any::<bool>()), 0..60)) {
            let selector = |a, b, c| {
                let terms = [("a", a), ("b", b), ("c", c)].into_iter().filter(|(_, value)| *value > 0);
                labels(&terms.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(","))
            };
            let (mut known, mut each) = (Known::default(), BTreeMap::new());
            for (id, a, b, c, goes) in changes {
                let id = id.to_string();
                known.remove(&id);
                each.remove(&id);
                if !goes {
                    known.add(selector(a, b, c), grant(&id));
                    each.insert(id, selector(a, b, c));
                }
            }
            for (a, b, c) in [(1, 1, 1), (1, 2, 0), (2, 2, 2), (0, 0, 1), (0, 0, 0)] {
                let host = selector(a, b, c);
                let found: BTreeSet<_> = known.of(&host).map(|grant| grant.id.clone()).collect();
                let expected = each.iter().filter(|(_, selector)| !selector.is_empty() && selector.are_all_in(&host));
                prop_assert_eq!(found, expected.map(|(id, _)| id.clone()).collect::<BTreeSet<_>>());
            }
            prop_assert_eq!(known.load.grants, each.len());
        }
    }
}
