//! Grants by host, user and state, the newest first.

use super::super::columns::micros;
use super::super::db::{Value, values};
use super::super::{Store, StoreError};
use super::{COLUMNS, GrantFilter, GrantRow, GrantState, grant};
use jiff::Timestamp;

impl Store {
    /// The grants that the filter leaves, the newest first.
    pub(crate) async fn grants(&self, filter: &GrantFilter, now: Timestamp) -> Result<Vec<GrantRow>, StoreError> {
        let mut sql = format!("SELECT {COLUMNS} FROM grants WHERE 1 = 1");
        let mut values: Vec<Value> = values![filter.limit].into();
        if let Some(host) = &filter.host {
            values.push(host.as_str().into());
            let n = values.len();
            sql.push_str(&format!(
                " AND (host = ${n} OR (host IS NULL AND NOT EXISTS (
                     SELECT 1 FROM grant_terms t WHERE t.grant_id = grants.id AND NOT EXISTS (
                         SELECT 1 FROM host_labels l WHERE l.host = ${n} AND l.label = t.label AND l.value = t.value))))"
            ));
        }
        if let Some(user) = &filter.user {
            values.push(user.into());
            sql.push_str(&format!(" AND user_name = ${}", values.len()));
        }
        if let Some(state) = filter.state {
            let at = format!("${}", values.len() + 1);
            if state == GrantState::Revoked {
                sql.push_str(" AND revoked_at IS NOT NULL");
            } else {
                values.push(micros(now).into());
                sql.push_str(&match state {
                    GrantState::Coming => format!(" AND revoked_at IS NULL AND not_before > {at}"),
                    GrantState::Ended => format!(" AND revoked_at IS NULL AND not_after <= {at}"),
                    _ => format!(" AND revoked_at IS NULL AND not_before <= {at} AND not_after > {at}"),
                });
            }
        }
        if let Some(after) = &filter.after {
            values.push(after.into());
            let n = values.len();
            sql.push_str(&format!(" AND (created_at, id) < (SELECT created_at, id FROM grants WHERE id = ${n})"));
        }
        sql.push_str(" ORDER BY created_at DESC, id DESC LIMIT $1");
        self.db.all(&sql, &values).await?.iter().map(grant).collect()
    }
}
