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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::testing::{act, empty, grant};
    use super::super::Target;
    use super::*;

    #[tokio::test]
    async fn the_last_grant_that_fits_is_taken_and_the_next_one_refused() {
        let (_folder, store) = empty().await;
        let now = Timestamp::now();
        let name = "a".parse().unwrap();
        let host = store.add_host(&name, &Default::default(), act(now)).await.unwrap();
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $3)
                   INSERT INTO grants (id, host, user_name, not_before, not_after, document, bytes, created_at, created_by)
                   SELECT 'g' || i, $1, 'alice', 0, $2, '{}', 500, 0, 'x' FROM n";
        let end = micros(now) + 60_000_000;
        let most = i64::try_from(MOST_GRANTS).unwrap();
        let mut tx = store.db.begin().await.unwrap();
        tx.run(sql, &values![host.id.as_str(), end, most - 1]).await.unwrap();
        tx.commit().await.unwrap();
        let here = Target::Host("a".into());
        store.add_grant(&grant("last", now, 60), &here, act(now)).await.unwrap();
        for target in [here, Target::Labels("env=prod".parse().unwrap())] {
            let error = store.add_grant(&grant("more", now, 60), &target, act(now)).await.unwrap_err();
            assert!(matches!(&error, ChangeError::Conflict(problem) if problem.contains("10000 grants")), "{error}");
        }
        // What is over makes room.
        let later = now + jiff::SignedDuration::from_secs(120);
        store.add_grant(&grant("more", later, 60), &Target::Host("a".into()), act(later)).await.unwrap();
    }
}
