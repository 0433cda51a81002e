//! Everything that a person, a host or the hosts with some labels have, revoked in one transaction: what an incident needs.

use crate::actor::Act;
use crate::store::{About, ChangeError, Event, LockdownFilter, OpenGrant, Store, Tx};
use curfew_protocol::grant::Text;
use serde_json::json;
use std::collections::BTreeSet;

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

/// What [`revoke_all`] would revoke now.
pub(crate) async fn would_revoke(
    store: &Store,
    filter: &LockdownFilter,
    act: Act<'_>,
) -> Result<Lockdown, ChangeError> {
    // Dropped, the transaction changes nothing.
    let mut tx = store.begin_change().await?;
    let (grants, hosts) = chosen(&mut tx, filter, act).await?;
    Ok(told(&grants, hosts.len()))
}

/// Revokes all grants that hold or will and that the filter chooses.
pub(crate) async fn revoke_all(
    store: &Store,
    filter: &LockdownFilter,
    reason: Option<&Text>,
    act: Act<'_>,
) -> Result<Lockdown, ChangeError> {
    let mut tx = store.begin_change().await?;
    let (grants, hosts) = chosen(&mut tx, filter, act).await?;
    tx.revoke_open(&grants, &hosts, reason, act).await?;
    for grant in &grants {
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

/// The grants that hold or will and that the filter chooses, and the hosts that have any of them. One that names nobody would choose all, and is a mistake.
async fn chosen(
    tx: &mut Tx<'_>,
    filter: &LockdownFilter,
    act: Act<'_>,
) -> Result<(Vec<OpenGrant>, Vec<String>), ChangeError> {
    if filter.user.is_none() && filter.host.is_none() && filter.labels.is_empty() {
        return Err(ChangeError::Invalid("name whose grants are to be revoked: a user, a host or labels".into()));
    }
    let grants = tx.open_grants(filter, act.now).await?;
    let hosts = tx.hosts_of(&grants).await?;
    Ok((grants, hosts))
}

fn told(grants: &[OpenGrant], hosts: usize) -> Lockdown {
    let users = grants.iter().map(|grant| grant.user.clone()).collect();
    Lockdown { grants: grants.iter().map(|grant| grant.id.clone()).collect(), hosts, users }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::access::grants::add;
    use crate::store::Target;
    use crate::store::testing::{act, empty, grant};
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
            add(&store, &grant(id, now, 60), &target, act(now)).await.unwrap();
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
            let would = would_revoke(&store, &which, act(now)).await.unwrap();
            assert_eq!(
                (would.grants.iter().map(String::as_str).collect::<BTreeSet<_>>(), would.hosts),
                (ids.iter().copied().collect(), hosts),
                "{which:?}"
            );
        }
        assert!(matches!(would_revoke(&store, &filter("", "", ""), act(now)).await, Err(ChangeError::Invalid(_))));
        assert!(would_revoke(&store, &filter("", "nobody", ""), act(now)).await.is_err());

        let host = store.find_host("db").await.unwrap().id;
        let done = revoke_all(&store, &filter("", "", "env=prod"), None, act(now)).await.unwrap();
        assert_eq!((done.grants.len(), done.hosts), (4, 2));
        assert!(store.set_of(&host, now).await.unwrap().grants.is_empty());
        let test = store.find_host("test").await.unwrap().id;
        assert_eq!(store.set_of(&test, now).await.unwrap().grants.len(), 1);
        let waiting = store.revocation("prod").await.unwrap();
        assert_eq!((waiting.hosts, waiting.waiting.len()), (2, 2));
        assert!(revoke_all(&store, &filter("", "", "env=prod"), None, act(now)).await.unwrap().grants.is_empty());
    }
}
