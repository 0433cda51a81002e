//! A set has room for so many grants: one more that no host could be told of is refused when it is made.

use super::super::db::{Tx, Value, values};
use super::super::{ChangeError, micros};
use curfew_protocol::grant_set::{LONGEST_SET, MOST_GRANTS};
use jiff::Timestamp;

/// What of a set's length is for grants: a quarter of it is base64, and the claims around them are short.
const MOST_BYTES: usize = LONGEST_SET / 4 * 3 - 64 * 1024;

/// Whether the sets of `host`, or of every host for a grant by labels, have room for one more grant of this length. Grants by labels count for
/// every host: a label may be set at any time.
pub(super) async fn check(
    tx: &mut Tx<'_>,
    host: Option<&str>,
    length: usize,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let open = "revoked_at IS NULL AND not_after > $1";
    let sums = "COUNT(*) AS n, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes";
    let by_labels = format!("SELECT {sums} FROM grants WHERE host IS NULL AND {open}");
    let (n, bytes) = counted(tx, &by_labels, &values![micros(now)]).await?;
    let (more, more_bytes) = match host {
        Some(host) => {
            let own = format!("SELECT {sums} FROM grants WHERE host = $2 AND {open}");
            counted(tx, &own, &values![micros(now), host]).await?
        }
        None => {
            let fullest = format!(
                "SELECT COALESCE(MAX(n), 0) AS n, COALESCE(MAX(bytes), 0) AS bytes
                 FROM (SELECT {sums} FROM grants WHERE host IS NOT NULL AND {open} GROUP BY host) AS each_host"
            );
            counted(tx, &fullest, &values![micros(now)]).await?
        }
    };
    let (n, bytes) = (n.saturating_add(more), bytes.saturating_add(more_bytes));
    let fits = |have: i64, more: usize, most: usize| usize::try_from(have).is_ok_and(|have| have + more <= most);
    if fits(n, 1, MOST_GRANTS) && fits(bytes, length, MOST_BYTES) {
        return Ok(());
    }
    Err(ChangeError::Conflict(format!(
        "a host's set is full: {n} grants of {bytes} bytes, and {MOST_GRANTS} of {MOST_BYTES} are the most; revoke some"
    )))
}

async fn counted(tx: &mut Tx<'_>, sql: &str, values: &[Value]) -> Result<(i64, i64), ChangeError> {
    match tx.one(sql, values).await? {
        Some(row) => Ok((row.int("n")?, row.int("bytes")?)),
        None => Ok((0, 0)),
    }
}
