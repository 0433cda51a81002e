//! A set has room for so many grants: one more that a host could not be told of is refused when it is made, and so are labels that bring too many.
//!
//! What counts here and what is put into a set is one predicate: [`is_open`](super::fleet::SetGrant::is_open). What a host takes is the protocol's own
//! [`fits`](curfew_protocol::grant_set::fits).

use super::columns::{decode_labels, micros};
use super::db::{Row, Tx, values};
use super::fleet::{Known, Load};
use super::{ChangeError, StoreError};
use crate::labels::Labels;
use curfew_protocol::grant_set::{MOST_GRANT_BYTES, MOST_GRANTS};
use jiff::Timestamp;

/// That the set of a host with these labels has room for `more`.
pub(super) async fn check_host(
    tx: &mut Tx<'_>,
    known: &Known,
    (host, labels): (&str, &Labels),
    more: Load,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let sql = "SELECT open_grants AS n, open_bytes AS bytes FROM hosts WHERE id = $1";
    let bound = load(tx.one(sql, &values![host]).await?)?;
    if bound.with(known.whole_load()).with(more).fits() {
        return Ok(());
    }
    let by_labels = known.load(labels, now).with(more);
    if bound.with(by_labels).fits() {
        return Ok(());
    }
    refuse_unless_fits(host, counted_anew(tx, host, now).await?.with(by_labels))
}

/// That the sets of all hosts that have these labels have room for one more grant of this load.
pub(super) async fn check_labels(
    tx: &mut Tx<'_>,
    known: &Known,
    selector: &Labels,
    more: Load,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let (mut which, mut terms) = (String::from("removed_at IS NULL"), Vec::new());
    for (label, value) in selector.iter() {
        let (first, second) = (terms.len() + 1, terms.len() + 2);
        which.push_str(&format!(
            " AND id IN (SELECT l.host FROM host_labels l WHERE l.label = ${first} AND l.value = ${second})"
        ));
        terms.extend(values![label, value]);
    }
    // The fullest of them with everything that could be for it: enough, unless there are very many.
    let fullest = format!(
        "SELECT COALESCE(MAX(open_grants), 0) AS n, COALESCE(MAX(open_bytes), 0) AS bytes FROM hosts WHERE {which}"
    );
    if load(tx.one(&fullest, &terms).await?)?.with(known.whole_load()).with(more).fits() {
        return Ok(());
    }
    let each = format!("SELECT id, labels, open_grants AS n, open_bytes AS bytes FROM hosts WHERE {which}");
    for row in tx.all(&each, &terms).await? {
        let (host, labels) = (row.text("id")?, decode_labels(&row.text("labels")?)?);
        let by_labels = known.load(&labels, now).with(more);
        if !load(Some(row))?.with(by_labels).fits() {
            refuse_unless_fits(&host, counted_anew(tx, &host, now).await?.with(by_labels))?;
        }
    }
    Ok(())
}

/// Notes that a host has one more open grant of its own, or one less.
pub(super) async fn note(tx: &mut Tx<'_>, host: &str, grants: i64, bytes: i64) -> Result<(), StoreError> {
    let sql = "UPDATE hosts SET open_grants = open_grants + $2, open_bytes = open_bytes + $3 WHERE id = $1";
    tx.run(sql, &values![host, grants, bytes]).await?;
    Ok(())
}

/// The open grants that are for this host alone.
async fn counted_anew(tx: &mut Tx<'_>, host: &str, now: Timestamp) -> Result<Load, StoreError> {
    let sql = "SELECT COUNT(*) AS n, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes FROM grants
               WHERE host = $1 AND revoked_at IS NULL AND not_after > $2";
    let Some(row) = tx.one(sql, &values![host, micros(now)]).await? else { return Ok(Load::default()) };
    let sql = "UPDATE hosts SET open_grants = $2, open_bytes = $3 WHERE id = $1";
    tx.run(sql, &values![host, row.int("n")?, row.int("bytes")?]).await?;
    load(Some(row))
}

fn load(row: Option<Row>) -> Result<Load, StoreError> {
    let Some(row) = row else { return Ok(Load::default()) };
    let number = |column: &str| row.int(column).map(|n| usize::try_from(n).unwrap_or_default());
    Ok(Load { grants: number("n")?, bytes: number("bytes")? })
}

fn refuse_unless_fits(host: &str, load: Load) -> Result<(), ChangeError> {
    if load.fits() {
        return Ok(());
    }
    let Load { grants, bytes } = load;
    Err(ChangeError::Conflict(format!(
        "the set of host {host} would be too full: {grants} grants of {bytes} bytes, and {MOST_GRANTS} of {MOST_GRANT_BYTES} are the most; revoke some"
    )))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{act, empty, grant};
    use super::super::{Store, Target};
    use super::*;
    use crate::access::grants::add;
    use curfew_protocol::grant_set::HostId;
    use jiff::SignedDuration;

    fn labels(text: &str) -> Labels {
        text.parse().unwrap()
    }

    async fn host(store: &Store, name: &str, own: &str) -> HostId {
        store.add_host(&name.parse().unwrap(), &labels(own), act(Timestamp::now())).await.unwrap().id
    }

    /// So many grants of a minute for a host, or by these labels, written at once.
    async fn many(store: &Store, host: Option<&HostId>, selector: &str, n: usize, end: Timestamp) {
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $3)
                   INSERT INTO grants (id, host, selector, user_name, not_before, not_after, document, bytes, created_at, created_by, changed)
                   SELECT $4 || i, $1, $2, 'alice', 0, $5, '{}', 2, 0, 'x',
                          (SELECT value + 1 FROM counters WHERE name = 'label_grants') FROM n";
        let mut tx = store.db.begin().await.unwrap();
        let id = host.map(HostId::as_str);
        let text = id.is_none().then(|| serde_json::to_string(&labels(selector)).unwrap());
        let prefix = format!("{}{}-", id.unwrap_or_default(), selector.replace(['=', ','], "-"));
        let n = i64::try_from(n).unwrap();
        tx.run(sql, &values![id, text.as_deref(), n, prefix, micros(end)]).await.unwrap();
        tx.run("UPDATE counters SET value = value + 1 WHERE name = 'label_grants'", &[]).await.unwrap();
        if let Some(id) = id {
            note(&mut tx, id, n, n * 2).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    fn is_full<T: std::fmt::Debug>(done: Result<T, ChangeError>) {
        assert!(
            matches!(&done, Err(ChangeError::Conflict(problem)) if problem.contains("would be too full")),
            "{done:?}"
        );
    }

    #[tokio::test]
    async fn the_last_grant_that_fits_is_taken_and_the_next_one_refused() {
        let (_folder, store) = empty().await;
        let now = Timestamp::now();
        let id = host(&store, "a", "env=prod").await;
        many(&store, Some(&id), "", MOST_GRANTS - 1, now + SignedDuration::from_mins(1)).await;
        let here = Target::Host("a".into());
        add(&store, &grant("last", now, 60), &here, act(now)).await.unwrap();
        for target in [here, Target::Labels(labels("env=prod"))] {
            is_full(add(&store, &grant("more", now, 60), &target, act(now)).await);
        }
        assert_eq!(store.set_of(&id, now).await.unwrap().grants.len(), MOST_GRANTS);
        // What is over makes room, though it stays in sets for a while where there is some.
        let later = now + SignedDuration::from_mins(2);
        add(&store, &grant("more", later, 60), &Target::Host("a".into()), act(later)).await.unwrap();
        let set = store.set_of(&id, later).await.unwrap();
        assert_eq!((set.grants.len(), set.left_out), (MOST_GRANTS, 0));
        assert!(set.grants.iter().any(|grant| grant.get().contains("\"more\"")));
    }

    #[tokio::test]
    async fn grants_by_labels_that_a_host_does_not_have_take_none_of_its_room() {
        let (_folder, store) = empty().await;
        let now = Timestamp::now();
        let end = now + SignedDuration::from_mins(1);
        let id = host(&store, "a", "env=prod").await;
        many(&store, None, "env=prod,role=none", MOST_GRANTS, end).await;
        many(&store, None, "env=test", MOST_GRANTS - 1, end).await;
        add(&store, &grant("own", now, 60), &Target::Host("a".into()), act(now)).await.unwrap();
        add(&store, &grant("wide", now, 60), &Target::Labels(labels("env=prod")), act(now)).await.unwrap();
        assert_eq!(store.set_of(&id, now).await.unwrap().grants.len(), 2);
        // A label that would bring too many is not set, and a host with such labels does not come in.
        is_full(store.label_host("a", &labels("role=none"), &[], act(now)).await);
        let set = store.label_host("a", &labels("env=test"), &[], act(now)).await.unwrap();
        assert_eq!(store.set_of(&set.id, now).await.unwrap().grants.len(), MOST_GRANTS);
        add(&store, &grant("test", now, 60), &Target::Labels(labels("env=dev")), act(now)).await.unwrap();
        is_full(add(&store, &grant("one", now, 60), &Target::Labels(labels("env=test")), act(now)).await);
        many(&store, None, "a=b", MOST_GRANTS + 1, end).await;
        is_full(store.add_host(&"b".parse().unwrap(), &labels("a=b"), act(now)).await);
    }

    #[tokio::test]
    async fn a_set_that_is_too_full_all_the_same_goes_out_with_what_fits() {
        let (_folder, store) = empty().await;
        let now = Timestamp::now();
        let id = host(&store, "a", "env=prod").await;
        many(&store, Some(&id), "", MOST_GRANTS + 5, now + SignedDuration::from_mins(1)).await;
        let set = store.set_of(&id, now).await.unwrap();
        assert_eq!((set.grants.len(), set.left_out), (MOST_GRANTS, 5));
    }
}
