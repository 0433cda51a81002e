//! A new grant, and the hosts that get it.

use super::super::capacity;
use super::super::columns::{encode_labels, micros};
use super::super::db::{Tx, values};
use super::super::fleet::Load;
use super::super::hosts::present;
use super::super::{ChangeError, Store, StoreError};
use super::{Target, changed, moved};
use crate::actor::Act;
use curfew_protocol::grant::Grant;

/// Where a grant is now.
#[derive(Debug)]
pub(crate) struct Placed {
    /// The one host that it is for.
    pub host: Option<String>,
    /// How many hosts have it.
    pub hosts: usize,
}

impl Store {
    /// Puts a grant in its place, in a [change](Store::begin_change).
    pub(crate) async fn insert_grant(
        &self,
        tx: &mut Tx<'_>,
        grant: &Grant,
        target: &Target,
        act: Act<'_>,
    ) -> Result<Placed, ChangeError> {
        let known = self.fleet.by_labels().locked(tx).await?;
        let id = grant.id.as_str();
        if tx.one("SELECT id FROM grants WHERE id = $1", &values![id]).await?.is_some() {
            return Err(ChangeError::Conflict(format!("there is a grant {id} already; leave `id` out for a new one")));
        }
        let document = serde_json::to_string(grant).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        // By the host's own parser and limits: what it would refuse is not granted.
        Grant::from_json(document.as_bytes()).map_err(|error| ChangeError::Invalid(error.to_string()))?;
        let load = Load::one(document.len());
        let (host, selector) = match target {
            Target::Host(name) => (Some(present(tx, name).await?), None),
            Target::Labels(labels) => (None, Some(labels)),
        };
        if let Some(host) = &host {
            capacity::check_host(tx, &known, (host.id.as_str(), &host.labels), load, act.now).await?;
        }
        if let Some(labels) = selector {
            capacity::check_labels(tx, &known, labels, load, act.now).await?;
        }
        let host = host.as_ref().map(|host| host.id.as_str());
        let text = selector.map(encode_labels).transpose()?;
        let user = grant.user.as_str();
        let (begin, end) = (micros(grant.window.not_before()), micros(grant.window.not_after()));
        let bytes = i64::try_from(document.len()).unwrap_or(i64::MAX);
        let sql = "INSERT INTO grants (id, host, selector, user_name, not_before, not_after, document, bytes, created_at, created_by)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let row = values![id, host, text.as_deref(), user, begin, end, document, bytes, micros(act.now), act.admin];
        tx.run(sql, &row).await?;
        for (label, value) in selector.iter().flat_map(|labels| labels.iter()) {
            let sql = "INSERT INTO grant_terms (grant_id, label, value) VALUES ($1, $2, $3)";
            tx.run(sql, &values![id, label, value]).await?;
        }
        if let Some(host) = host {
            capacity::note(tx, host, 1, bytes).await?;
        }
        changed(tx, id, host.is_some()).await?;
        let hosts = moved(tx, id).await?;
        Ok(Placed { host: host.map(Into::into), hosts })
    }
}
