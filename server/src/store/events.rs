//! The log of what administrators did, and of what this endpoint found: each event in the transaction that it is about. The audit shows it beside what hosts
//! say.

use super::StoreError;
use super::columns::micros;
use super::db::{Tx, values};
use crate::actor::Act;
use serde_json::Value as Json;

macro_rules! events {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub(crate) enum Event {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Event {
            /// Every event.
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name, in the table and in what is shown.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

events! {
    /// An administrator's token was made.
    AdminAdded "admin.added"
    /// Sign-ins of administrators failed; the record says how many.
    AdminDenied "admin.denied"
    /// An administrator's token was revoked.
    AdminRevoked "admin.revoked"
    /// A host shipped a record again that is not the one that it shipped before.
    AuditDiffers "audit.differs"
    /// Records of a host that were missing have come after all.
    AuditFound "audit.found"
    /// A host has written most of the audit that it may write in a day.
    AuditLimitNear "audit.limit_near"
    /// A host has written all the audit that it may write in a day.
    AuditLimitReached "audit.limit_reached"
    /// Records of a host are missing.
    AuditLost "audit.lost"
    /// A host that shipped another series before has begun a new one: its spool was lost.
    AuditSeriesBegan "audit.series_began"
    /// Enrolments failed for their token; the record says how many.
    EnrolmentDenied "enrolment.denied"
    /// Every host takes the next set, whatever version it had.
    EpochRaised "epoch.raised"
    /// A grant was made.
    GrantCreated "grant.created"
    /// A grant was revoked.
    GrantRevoked "grant.revoked"
    /// All grants of a person, a host or labels were revoked.
    GrantsRevoked "grants.revoked"
    /// A host without a key was added.
    HostAdded "host.added"
    /// Calls in a host's name failed, which its key did not sign; the record says how many.
    HostDenied "host.denied"
    /// A token and a key became a host.
    HostEnrolled "host.enrolled"
    /// A host changed its key.
    HostKeyChanged "host.key_changed"
    /// Labels of a host were set or unset.
    HostLabelled "host.labelled"
    /// A host was removed, and the grants for it alone with it.
    HostRemoved "host.removed"
    /// A key that signs sets was announced.
    KeyAnnounced "key.announced"
    /// A key that signed sets was retired.
    KeyRetired "key.retired"
    /// A key signs sets from now on.
    KeyUsed "key.used"
    /// A request for access became a grant.
    RequestApproved "request.approved"
    /// Somebody on a host asked for access.
    RequestCreated "request.created"
    /// A request for access was denied.
    RequestDenied "request.denied"
    /// An enrolment token was made.
    TokenCreated "token.created"
    /// An enrolment token was revoked.
    TokenRevoked "token.revoked"
}

/// What an event is about, as it is searched for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About<'a> {
    pub host: Option<&'a str>,
    pub user: Option<&'a str>,
    pub grant: Option<&'a str>,
}

impl<'a> About<'a> {
    /// About a host alone.
    pub(crate) fn host(id: &'a str) -> Self {
        Self { host: Some(id), ..Self::default() }
    }
}

impl Tx<'_> {
    /// Adds an event to the log, in the transaction that does what it says.
    pub(crate) async fn log(
        &mut self,
        act: Act<'_>,
        event: Event,
        about: About<'_>,
        details: Json,
    ) -> Result<(), StoreError> {
        let next = "UPDATE counters SET value = value + 1 WHERE name = 'admin_log' RETURNING value";
        let row = self.one(next, &[]).await?.ok_or_else(|| StoreError::Corrupt("the log's number".into()))?;
        let seq = row.int("value")?;
        let About { host, user, grant } = about;
        let sql = "INSERT INTO admin_log (seq, time, event, admin, host, user_name, grant_id, record)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let record = details.to_string();
        self.run(sql, &values![seq, micros(act.now), event.name(), act.admin, host, user, grant, record]).await?;
        Ok(())
    }

    /// As [`log`](Self::log), of a host that may fill no log: at most so often a day (UTC), and the last one says that it is. False: the log has had it so
    /// often today, and is not told.
    pub(super) async fn log_at_most(
        &mut self,
        most_a_day: i64,
        act: Act<'_>,
        event: Event,
        host: &str,
        mut details: Json,
    ) -> Result<bool, StoreError> {
        // In words that lead to the index by host alone.
        let sql = "SELECT COUNT(*) AS number FROM admin_log WHERE host = $1 AND time >= $2 AND event || '' = $3";
        let row = self.one(sql, &values![host, act.start_of_day(), event.name()]).await?;
        let before = row.ok_or_else(|| StoreError::Corrupt("a count".into()))?.int("number")?;
        if before >= most_a_day {
            return Ok(false);
        }
        if before + 1 == most_a_day {
            if let Some(details) = details.as_object_mut() {
                details.insert("most_a_day".into(), most_a_day.into());
            }
            let event = event.name();
            tracing::error!(
                host,
                event,
                most_a_day,
                "a host has caused this event as often as the log takes it in a day"
            );
        }
        self.log(act, event, About::host(host), details).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_event_has_a_name_of_its_own_that_says_of_what_it_is() {
        let names: HashSet<_> = Event::ALL.iter().map(|event| event.name()).collect();
        assert_eq!(names.len(), Event::ALL.len());
        for name in names {
            let parts: Vec<_> = name.split('.').collect();
            assert!(parts.len() == 2 && parts.iter().all(|part| !part.is_empty()), "{name}");
        }
    }
}
