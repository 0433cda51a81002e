//! Everything that a person, a host or the hosts with some labels have, revoked in one transaction: what an incident needs.

use super::super::columns::{decode_labels, micros};
use super::super::db::{Row, Tx, Value, values};
use super::super::events::{About, Event};
use super::super::hosts::present;
use super::super::{ChangeError, Store, StoreError, capacity};
use super::{changed, revocation};
use crate::actor::Act;
use crate::labels::Labels;
use curfew_protocol::grant::Text;
use serde_json::json;
use std::collections::{BTreeSet, HashMap, HashSet};

/// How many ids go into one statement.
const IDS: usize = 500;

/// Whose grants. What is named has to hold together; at least one is.
#[derive(Clone, Debug, Default)]
pub(crate) struct LockdownFilter {
    pub user: Option<String>,
    /// In the set of this host, by id or name; grants by labels that hold there, too.
    pub host: Option<String>,
    /// In the set of any host that has all these labels, or for whatever hosts will have them.
    pub labels: Labels,
}

/// What was revoked, or would be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lockdown {
    /// The ids of the grants.
    pub grants: Vec<String>,
    /// How many hosts had any of them.
    pub hosts: usize,
    /// Whom they let in.
    pub users: BTreeSet<String>,
}

/// A grant that holds or will.
struct Open {
    id: String,
    host: Option<String>,
    selector: Option<String>,
    user: String,
    bytes: i64,
}

/// The hosts that are meant.
struct Meant {
    labels: Labels,
    ids: HashSet<String>,
    /// What labels they have, each once.
    have: Vec<Labels>,
    /// Whether each selector was found to be for any of them.
    found: HashMap<String, bool>,
}

impl Store {
    /// What [`revoke_all`](Self::revoke_all) would revoke now.
    pub(crate) async fn would_revoke(&self, filter: &LockdownFilter, act: Act<'_>) -> Result<Lockdown, ChangeError> {
        // Dropped, the transaction changes nothing.
        let mut tx = self.db.begin_change().await?;
        let grants = chosen(&mut tx, filter, act).await?;
        let hosts = hosts_of(&mut tx, &grants).await?.len();
        Ok(told(&grants, hosts))
    }

    /// Revokes all grants that hold or will and that the filter chooses.
    pub(crate) async fn revoke_all(
        &self,
        filter: &LockdownFilter,
        reason: Option<&Text>,
        act: Act<'_>,
    ) -> Result<Lockdown, ChangeError> {
        let mut tx = self.db.begin_change().await?;
        let grants = chosen(&mut tx, filter, act).await?;
        let hosts = hosts_of(&mut tx, &grants).await?;
        let stamp = tx.stamp().await?;
        for some in hosts.chunks(IDS) {
            let (places, mut values) = list(some, 1);
            values.insert(0, stamp.into());
            let sql = format!("UPDATE hosts SET ver = ver + 1, changed = $1 WHERE id IN ({places})");
            tx.run(&sql, &values).await?;
        }
        let reason = reason.map(Text::as_str);
        for grant in &grants {
            let sql = "UPDATE grants SET revoked_at = $2, revoked_by = $3, revoke_reason = $4 WHERE id = $1";
            tx.run(sql, &values![&grant.id, micros(act.now), act.admin, reason]).await?;
            changed(&mut tx, &grant.id, grant.host.is_some()).await?;
            revocation::expect(&mut tx, &grant.id).await?;
            if let Some(host) = &grant.host {
                capacity::note(&mut tx, host, -1, -grant.bytes).await?;
            }
            let about = About { host: grant.host.as_deref(), user: Some(&grant.user), grant: Some(&grant.id) };
            tx.log(act, Event::GrantRevoked, about, json!({"reason": reason})).await?;
        }
        let details = json!({
            "user": filter.user, "host": filter.host, "labels": filter.labels, "reason": reason, "grants": grants.len(), "hosts": hosts.len()
        });
        let about = About { user: filter.user.as_deref(), ..About::default() };
        tx.log(act, Event::GrantsRevoked, about, details).await?;
        tx.commit().await?;
        Ok(told(&grants, hosts.len()))
    }
}

fn told(grants: &[Open], hosts: usize) -> Lockdown {
    let users = grants.iter().map(|grant| grant.user.clone()).collect();
    Lockdown { grants: grants.iter().map(|grant| grant.id.clone()).collect(), hosts, users }
}

/// The grants that hold or will, and that the filter chooses.
async fn chosen(tx: &mut Tx<'_>, filter: &LockdownFilter, act: Act<'_>) -> Result<Vec<Open>, ChangeError> {
    if filter.user.is_none() && filter.host.is_none() && filter.labels.is_empty() {
        return Err(ChangeError::Invalid("name whose grants are to be revoked: a user, a host or labels".into()));
    }
    let on = match &filter.host {
        Some(name) => Some(present(tx, name).await?),
        None => None,
    };
    let mut meant = match filter.labels.is_empty() {
        true => None,
        false => Some(Meant::read(tx, &filter.labels).await?),
    };
    let sql = "SELECT id, host, selector, user_name, bytes FROM grants
               WHERE revoked_at IS NULL AND not_after > $1 AND ($2 = '' OR user_name = $2) ORDER BY created_at, id";
    let user = filter.user.as_deref().unwrap_or_default();
    let mut chosen = Vec::new();
    for row in tx.all(sql, &values![micros(act.now), user]).await? {
        let grant = open(&row)?;
        let selector = grant.selector.as_deref().map(decode_labels).transpose()?;
        let here = on.as_ref().is_none_or(|host| match &selector {
            None => grant.host.as_deref() == Some(host.id.as_str()),
            Some(selector) => selector.are_all_in(&host.labels),
        });
        if here && meant.as_mut().is_none_or(|meant| meant.have(&grant, selector.as_ref())) {
            chosen.push(grant);
        }
    }
    Ok(chosen)
}

impl Meant {
    async fn read(tx: &mut Tx<'_>, labels: &Labels) -> Result<Self, StoreError> {
        let (mut which, mut values): (_, Vec<Value>) = (String::from("removed_at IS NULL"), Vec::new());
        for (label, value) in labels.iter() {
            values.extend(values![label, value]);
            let n = values.len();
            which.push_str(&format!(
                " AND id IN (SELECT host FROM host_labels WHERE label = ${} AND value = ${n})",
                n - 1
            ));
        }
        let (mut ids, mut texts) = (HashSet::new(), BTreeSet::new());
        for row in tx.all(&format!("SELECT id, labels FROM hosts WHERE {which}"), &values).await? {
            ids.insert(row.text("id")?);
            texts.insert(row.text("labels")?);
        }
        let have = texts.iter().map(|text| decode_labels(text)).collect::<Result<_, _>>()?;
        Ok(Self { labels: labels.clone(), ids, have, found: HashMap::new() })
    }

    /// Whether any of these hosts has the grant, or whatever host gets these labels.
    fn have(&mut self, grant: &Open, selector: Option<&Labels>) -> bool {
        match (&grant.host, selector, &grant.selector) {
            (Some(host), ..) => self.ids.contains(host),
            (None, Some(selector), Some(text)) => {
                if let Some(found) = self.found.get(text) {
                    return *found;
                }
                let found =
                    self.labels.are_all_in(selector) || self.have.iter().any(|labels| selector.are_all_in(labels));
                self.found.insert(text.clone(), found);
                found
            }
            _ => false,
        }
    }
}

/// The hosts that have any of the grants.
async fn hosts_of(tx: &mut Tx<'_>, grants: &[Open]) -> Result<Vec<String>, StoreError> {
    let mut hosts: BTreeSet<String> = grants.iter().filter_map(|grant| grant.host.clone()).collect();
    let mut seen = HashSet::new();
    // Grants with the same labels are on the same hosts.
    for grant in grants.iter().filter(|grant| seen.insert(grant.selector.clone())) {
        let sql = format!("SELECT id FROM hosts WHERE {}", super::HAVE_IT);
        for row in tx.all(&sql, &values![&grant.id]).await? {
            hosts.insert(row.text("id")?);
        }
    }
    Ok(hosts.into_iter().collect())
}

/// Places and values of a list in a statement, behind so many others.
fn list(ids: &[String], behind: usize) -> (String, Vec<Value>) {
    let places: Vec<_> = (1..=ids.len()).map(|n| format!("${}", n + behind)).collect();
    (places.join(", "), ids.iter().map(Into::into).collect())
}

fn open(row: &Row) -> Result<Open, StoreError> {
    Ok(Open {
        id: row.text("id")?,
        host: row.maybe_text("host")?,
        selector: row.maybe_text("selector")?,
        user: row.text("user_name")?,
        bytes: row.int("bytes")?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::testing::{act, empty, grant};
    use super::super::Target;
    use super::*;
    use jiff::Timestamp;

    fn filter(user: &str, host: &str, labels: &str) -> LockdownFilter {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        LockdownFilter { user: some(user), host: some(host), labels: labels.parse().unwrap() }
    }

    #[tokio::test]
    async fn what_is_chosen_is_what_holds_there_and_nothing_else() {
        let (_folder, store) = empty().await;
        let now = Timestamp::now();
        for (name, labels) in [("web", "env=prod,role=web"), ("db", "env=prod,role=db"), ("test", "env=test")] {
            store.add_host(&name.parse().unwrap(), &labels.parse().unwrap(), act(now)).await.unwrap();
        }
        let labels = |text: &str| Target::Labels(text.parse().unwrap());
        for (id, target) in [
            ("web", Target::Host("web".into())),
            ("test", Target::Host("test".into())),
            ("prod", labels("env=prod")),
            ("prod-db", labels("env=prod,role=db")),
            ("prod-none", labels("env=prod,role=none")),
            ("none", labels("env=none")),
        ] {
            store.add_grant(&grant(id, now, 60), &target, act(now)).await.unwrap();
        }
        for (which, ids, hosts) in [
            (filter("alice", "", ""), &["web", "test", "prod", "prod-db", "prod-none", "none"][..], 3),
            (filter("bob", "", ""), &[], 0),
            (filter("", "web", ""), &["web", "prod"], 2),
            (filter("", "", "env=prod"), &["web", "prod", "prod-db", "prod-none"], 2),
            (filter("", "", "role=db"), &["prod", "prod-db"], 2),
            (filter("", "", "env=none"), &["none"], 0),
            (filter("alice", "test", ""), &["test"], 1),
            (filter("alice", "web", "role=db"), &["prod"], 2),
        ] {
            let would = store.would_revoke(&which, act(now)).await.unwrap();
            assert_eq!(
                (would.grants.iter().map(String::as_str).collect::<BTreeSet<_>>(), would.hosts),
                (ids.iter().copied().collect(), hosts),
                "{which:?}"
            );
        }
        assert!(matches!(store.would_revoke(&filter("", "", ""), act(now)).await, Err(ChangeError::Invalid(_))));
        assert!(store.would_revoke(&filter("", "nobody", ""), act(now)).await.is_err());

        let host = store.find_host("db").await.unwrap().id;
        let done = store.revoke_all(&filter("", "", "env=prod"), None, act(now)).await.unwrap();
        assert_eq!((done.grants.len(), done.hosts), (4, 2));
        assert!(store.set_of(&host, now).await.unwrap().grants.is_empty());
        let test = store.find_host("test").await.unwrap().id;
        assert_eq!(store.set_of(&test, now).await.unwrap().grants.len(), 1);
        let waiting = store.revocation("prod").await.unwrap();
        assert_eq!((waiting.hosts, waiting.waiting.len()), (2, 2));
        assert!(store.revoke_all(&filter("", "", "env=prod"), None, act(now)).await.unwrap().grants.is_empty());
    }
}
