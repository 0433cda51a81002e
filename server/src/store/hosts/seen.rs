//! What hosts said of themselves: when they called, and what they applied.

use super::super::columns::micros;
use super::super::db::{Value, values};
use super::super::{Store, StoreError};
use curfew_protocol::grant_set::HostId;
use jiff::Timestamp;

/// How many hosts are written down at a time.
const AT_A_TIME: usize = 100;

/// What a host said of itself, lately.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub at: Timestamp,
    /// The version that it says it applied, with its epoch.
    pub applied: Option<(i64, i64)>,
}

impl Store {
    /// Writes down what hosts said of themselves, some at a time: in between, somebody's change has its turn. As a change, since it locks hosts one after
    /// the other, and so do changes, in another order.
    pub(crate) async fn note_seen(&self, seen: &[(HostId, Seen)]) -> Result<(), StoreError> {
        for some in seen.chunks(AT_A_TIME) {
            let (mut rows, mut values): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
            for (id, seen) in some {
                let (epoch, ver) = seen.applied.unzip();
                values.extend(values![id.as_str(), micros(seen.at), epoch, ver]);
                let n = values.len();
                rows.push(format!("(${}, ${}, ${}, ${n})", n - 3, n - 2, n - 1));
            }
            // Both databases call the columns of VALUES so.
            let sql = format!(
                "UPDATE hosts SET seen_at = said.column2, applied_epoch = COALESCE(said.column3, applied_epoch),
                     applied_ver = COALESCE(said.column4, applied_ver)
                 FROM (VALUES {}) AS said WHERE hosts.id = said.column1",
                rows.join(", ")
            );
            let mut tx = self.db.begin_change().await?;
            tx.run(&sql, &values).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
