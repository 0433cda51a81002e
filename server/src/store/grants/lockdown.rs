//! Everything that a person, a host or the hosts with some labels have: which grants those are, and all of them revoked.

use super::super::columns::{decode_labels, micros};
use super::super::db::{Row, Tx, Value, values};
use super::super::hosts::present;
use super::super::{ChangeError, StoreError, capacity};
use super::{changed, revocation};
use crate::actor::Act;
use crate::labels::Labels;
use curfew_protocol::grant::Text;
use jiff::Timestamp;
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

/// A grant that holds or will.
#[derive(Debug)]
pub(crate) struct OpenGrant {
    pub id: String,
    pub host: Option<String>,
    pub user: String,
    selector: Option<String>,
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

impl Tx<'_> {
    /// The grants that hold or will, and that the filter chooses, the oldest first.
    pub(crate) async fn open_grants(
        &mut self,
        filter: &LockdownFilter,
        now: Timestamp,
    ) -> Result<Vec<OpenGrant>, ChangeError> {
        let on = match &filter.host {
            Some(name) => Some(present(self, name).await?),
            None => None,
        };
        let mut meant = match filter.labels.is_empty() {
            true => None,
            false => Some(Meant::read(self, &filter.labels).await?),
        };
        let sql = "SELECT id, host, selector, user_name, bytes FROM grants
                   WHERE revoked_at IS NULL AND not_after > $1 AND ($2 = '' OR user_name = $2) ORDER BY created_at, id";
        let user = filter.user.as_deref().unwrap_or_default();
        let mut chosen = Vec::new();
        for row in self.all(sql, &values![micros(now), user]).await? {
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

    /// The hosts that have any of the grants.
    pub(crate) async fn hosts_of(&mut self, grants: &[OpenGrant]) -> Result<Vec<String>, StoreError> {
        let mut hosts: BTreeSet<String> = grants.iter().filter_map(|grant| grant.host.clone()).collect();
        let mut seen = HashSet::new();
        // Grants with the same labels are on the same hosts.
        for grant in grants.iter().filter(|grant| seen.insert(grant.selector.clone())) {
            let sql = format!("SELECT id FROM hosts WHERE {}", super::HAVE_IT);
            for row in self.all(&sql, &values![&grant.id]).await? {
                hosts.insert(row.text("id")?);
            }
        }
        Ok(hosts.into_iter().collect())
    }

    /// Raises the version of these hosts' sets, and revokes the grants. Each host has any of them.
    pub(crate) async fn revoke_open(
        &mut self,
        grants: &[OpenGrant],
        hosts: &[String],
        reason: Option<&Text>,
        act: Act<'_>,
    ) -> Result<(), StoreError> {
        let stamp = self.stamp().await?;
        for some in hosts.chunks(IDS) {
            let (places, mut values) = list(some, 1);
            values.insert(0, stamp.into());
            let sql = format!("UPDATE hosts SET ver = ver + 1, changed = $1 WHERE id IN ({places})");
            self.run(&sql, &values).await?;
        }
        let reason = reason.map(Text::as_str);
        for grant in grants {
            let sql = "UPDATE grants SET revoked_at = $2, revoked_by = $3, revoke_reason = $4 WHERE id = $1";
            self.run(sql, &values![&grant.id, micros(act.now), act.admin, reason]).await?;
            changed(self, &grant.id, grant.host.is_some()).await?;
            revocation::expect(self, &grant.id).await?;
            if let Some(host) = &grant.host {
                capacity::note(self, host, -1, -grant.bytes).await?;
            }
        }
        Ok(())
    }
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
    fn have(&mut self, grant: &OpenGrant, selector: Option<&Labels>) -> bool {
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

/// Places and values of a list in a statement, behind so many others.
fn list(ids: &[String], behind: usize) -> (String, Vec<Value>) {
    let places: Vec<_> = (1..=ids.len()).map(|n| format!("${}", n + behind)).collect();
    (places.join(", "), ids.iter().map(Into::into).collect())
}

fn open(row: &Row) -> Result<OpenGrant, StoreError> {
    Ok(OpenGrant {
        id: row.text("id")?,
        host: row.maybe_text("host")?,
        selector: row.maybe_text("selector")?,
        user: row.text("user_name")?,
        bytes: row.int("bytes")?,
    })
}
