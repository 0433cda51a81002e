//! The grants by labels that may still be in sets, in memory: each is read once a change, and found by the labels of a host without a look at those
//! that are not for it.

use super::super::StoreError;
use super::super::columns::{decode_labels, maybe_from_micros, micros};
use super::super::db::{Db, Row, Tx, Value, values};
use super::set_grant::{Load, SetGrant, since};
use crate::labels::Labels;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

const CHANGED: &str = "SELECT value FROM counters WHERE name = 'label_grants'";

/// What a server knows of them.
#[derive(Debug, Default)]
pub(in crate::store) struct ByLabels {
    known: RwLock<Arc<Known>>,
}

/// The grants by labels at one moment.
#[derive(Clone, Debug)]
pub(in crate::store) struct Known {
    /// How often they had changed by then, at least.
    changed: i64,
    grants: HashMap<String, (Arc<Labels>, Arc<SetGrant>)>,
    /// Each selector once, under the one of its terms that fewest selectors have: a host meets a selector by that term alone.
    by_term: HashMap<(String, String), Vec<Selector>>,
    /// All of them.
    load: Load,
}

#[derive(Clone, Debug)]
struct Selector {
    labels: Labels,
    grants: Vec<Arc<SetGrant>>,
}

impl Default for Known {
    fn default() -> Self {
        Self { changed: -1, grants: HashMap::new(), by_term: HashMap::new(), load: Load::default() }
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
        let learnt = Arc::new(before.with(changed, rows)?);
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

    fn with(&self, changed: i64, rows: &[Row]) -> Result<Self, StoreError> {
        let mut grants = self.grants.clone();
        for row in rows {
            let id = row.text("id")?;
            let selector = row.maybe_text("selector")?;
            match (maybe_from_micros(row.maybe_int("revoked_at")?)?, selector) {
                (None, Some(selector)) => {
                    grants.insert(id, (Arc::new(decode_labels(&selector)?), Arc::new(SetGrant::read(row)?)));
                }
                _ => drop(grants.remove(&id)),
            }
        }
        let since = since(Timestamp::now());
        grants.retain(|_, (_, grant)| grant.not_after > since);
        Ok(Self::new(changed, grants))
    }

    fn new(changed: i64, grants: HashMap<String, (Arc<Labels>, Arc<SetGrant>)>) -> Self {
        let mut selectors: BTreeMap<&Labels, Vec<Arc<SetGrant>>> = BTreeMap::new();
        for (labels, grant) in grants.values() {
            selectors.entry(labels.as_ref()).or_default().push(grant.clone());
        }
        let mut terms: HashMap<(&str, &str), usize> = HashMap::new();
        for term in selectors.keys().flat_map(|labels| labels.iter()) {
            *terms.entry(term).or_default() += 1;
        }
        let mut by_term: HashMap<_, Vec<_>> = HashMap::new();
        for (labels, grants) in &selectors {
            let rarest = labels.iter().min_by_key(|term| terms.get(term).copied().unwrap_or_default());
            // One that names no label is for nobody.
            let Some((name, value)) = rarest else { continue };
            let selector = Selector { labels: (*labels).clone(), grants: grants.clone() };
            by_term.entry((name.to_owned(), value.to_owned())).or_default().push(selector);
        }
        let load = grants.values().map(|(_, grant)| grant.load()).sum();
        Self { changed, by_term, load, grants }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        text.parse().unwrap()
    }

    fn known(selectors: &[&str]) -> Known {
        let grant = |id: &str| SetGrant {
            id: id.into(),
            not_after: Timestamp::MAX,
            created_at: 0,
            document: crate::store::columns::raw("{}".into()).unwrap(),
        };
        let grants = selectors.iter().map(|it| ((*it).to_owned(), (Arc::new(labels(it)), Arc::new(grant(it)))));
        Known::new(0, grants.collect())
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
        assert!(!known.by_term.contains_key(&("env".into(), "prod".into())), "every host would go through all of them");
        assert_eq!(known.of(&labels("env=prod,role=r7")).count(), 1);
    }
}
