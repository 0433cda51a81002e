//! A grant is made, or revoked.

use crate::actor::Act;
use crate::duration::LONGEST_GRANT_S;
use crate::labels::Labels;
use crate::secret::new_id;
use crate::store::{About, ChangeError, Event, GrantRow, Store, Target, Tx};
use curfew_protocol::grant::{Grant, GrantError, Text};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

/// A grant as an administrator wants it: for a host, or for hosts with some labels; until then, or for so long.
#[derive(Debug, Default)]
pub(crate) struct Proposal {
    pub host: Option<String>,
    pub labels: Option<Labels>,
    pub id: Option<String>,
    pub user: String,
    /// Now, unless given.
    pub not_before: Option<Timestamp>,
    pub not_after: Option<Timestamp>,
    /// From its beginning, in place of `not_after`.
    pub seconds: Option<u64>,
    /// As the protocol has it.
    pub login: Option<Json>,
    /// As the protocol has it.
    pub sudo: Option<Json>,
    pub reason: String,
    pub ticket: Option<String>,
    /// Whoever makes it, unless given.
    pub requested_by: Option<String>,
    /// Whoever makes it, and nobody else.
    pub approved_by: Vec<String>,
}

/// Makes a grant. Says how many hosts have it.
pub(crate) async fn create(store: &Store, proposal: &Proposal, act: Act<'_>) -> Result<(GrantRow, usize), ChangeError> {
    let (target, grant) = (proposal.target()?, proposal.grant(act)?);
    add(store, &grant, &target, act).await
}

/// As [`create`], of a grant that is written.
pub(crate) async fn add(
    store: &Store,
    grant: &Grant,
    target: &Target,
    act: Act<'_>,
) -> Result<(GrantRow, usize), ChangeError> {
    let mut tx = store.begin_change().await?;
    let hosts = insert(store, &mut tx, grant, target, act).await?;
    let row = tx.grant(grant.id.as_str()).await?;
    tx.commit().await?;
    Ok((row, hosts))
}

/// Revokes a grant on all its hosts. Again is no mistake, and changes nothing.
pub(crate) async fn revoke(
    store: &Store,
    id: &str,
    reason: Option<&Text>,
    act: Act<'_>,
) -> Result<GrantRow, ChangeError> {
    let mut tx = store.begin_change().await?;
    if let Some(revoked) = tx.revoke_grant(id, reason, act).await? {
        let about = About { host: revoked.host.as_deref(), user: Some(&revoked.user), grant: Some(id) };
        tx.log(act, Event::GrantRevoked, about, json!({"reason": reason})).await?;
    }
    let row = tx.grant(id).await?;
    tx.commit().await?;
    Ok(row)
}

/// Puts a grant in its place. Returns how many hosts have it.
pub(super) async fn insert(
    store: &Store,
    tx: &mut Tx<'_>,
    grant: &Grant,
    target: &Target,
    act: Act<'_>,
) -> Result<usize, ChangeError> {
    let placed = store.insert_grant(tx, grant, target, act).await?;
    let selector = match target {
        Target::Host(_) => None,
        Target::Labels(labels) => Some(labels),
    };
    let about = About { host: placed.host.as_deref(), user: Some(grant.user.as_str()), grant: Some(grant.id.as_str()) };
    let details = json!({"grant": grant, "selector": selector, "hosts": placed.hosts});
    tx.log(act, Event::GrantCreated, about, details).await?;
    Ok(placed.hosts)
}

impl Proposal {
    fn target(&self) -> Result<Target, ChangeError> {
        match (&self.host, &self.labels) {
            (Some(host), None) => match host.parse::<Text>() {
                Ok(name) => Ok(Target::Host(name.into())),
                Err(error) => Err(ChangeError::Invalid(format!("field `host`: {error}"))),
            },
            (None, Some(labels)) if !labels.is_empty() => Ok(Target::Labels(labels.clone())),
            _ => {
                let problem = "a grant is for a `host`, or for hosts with `labels`: name one of them";
                Err(ChangeError::Invalid(problem.into()))
            }
        }
    }

    fn grant(&self, Act { admin, now }: Act<'_>) -> Result<Grant, ChangeError> {
        let begin = self.not_before.unwrap_or_else(|| whole(now));
        let (not_before, not_after) = window(begin, self.not_after, self.seconds, now)?;
        if let Some((index, name)) = self.approved_by.iter().enumerate().find(|(_, name)| *name != admin) {
            // Nobody approves in another one's name.
            return Err(ChangeError::Invalid(format!(
                "field `approved_by[{index}]`: {name:?} is not who calls; that is {admin:?}, and approves. Say in `reason` or `ticket` who else agreed"
            )));
        }
        checked(json!({
            "id": self.id.clone().unwrap_or_else(new_id), "user": self.user, "not_before": not_before, "not_after": not_after,
            "login": self.login, "sudo": self.sudo, "reason": self.reason, "ticket": self.ticket,
            "requested_by": self.requested_by.as_deref().unwrap_or(admin), "approved_by": [admin]
        }))
    }
}

/// The whole second that has begun: nobody needs to read the fractions of one.
pub(super) fn whole(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// A grant's beginning and end: one that is over before it begins, or lasts for ever, is a mistake.
pub(super) fn window(
    begin: Timestamp,
    end: Option<Timestamp>,
    seconds: Option<u64>,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), ChangeError> {
    let bad = ChangeError::Invalid;
    let end = match (end, seconds) {
        (Some(end), None) => end,
        (None, Some(seconds)) if (1..=LONGEST_GRANT_S).contains(&seconds) => {
            let length = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            begin.checked_add(length).map_err(|_| bad(format!("{seconds} s from {begin} on is no time")))?
        }
        (None, Some(seconds)) => {
            return Err(bad(format!("seconds is {seconds}; 1 to {LONGEST_GRANT_S} is possible")));
        }
        _ => return Err(bad("the grant's end is `not_after` or `seconds`: name one of them".into())),
    };
    if end <= now {
        return Err(bad(format!("not_after {end} is over; the server's clock says {now}")));
    }
    Ok((begin, end))
}

/// The grant in a document, in which null is nothing, by the protocol's own checks; errors name the field.
fn checked(document: Json) -> Result<Grant, ChangeError> {
    parsed(document).map_err(|error| ChangeError::Invalid(error.to_string()))
}

/// As [`checked`], for whoever names the grant otherwise in errors.
pub(super) fn parsed(mut document: Json) -> Result<Grant, GrantError> {
    if let Some(fields) = document.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    Grant::from_value(&document)
}
