//! A login: who came in by which service and from where, and what it needs of their grants to go on.

use super::hung_up::HungUp;
use super::standing::Standing;
use crate::grant::HeldGrant;
use crate::grant::decision::Request;
use crate::host::cgroup::Scope;
use crate::host::processes::ProcessId;
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A login.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Session {
    /// Who.
    pub user: String,
    /// The PAM service.
    pub service: String,
    /// The address that it came from.
    pub rhost: Option<String>,
    /// The process that opened it; the session is over when it ends.
    pub leader: ProcessId,
    /// The user's id, where it is known.
    pub uid: Option<u32>,
    /// The logind session.
    pub logind_id: Option<String>,
    /// The kernel's audit session.
    pub audit_session: Option<u32>,
    /// The grant that it opened under.
    pub grant: Option<String>,
    /// PAM asked about it, and was told to let it in: by a grant, as an exempt user's, or because the mode is to observe.
    #[serde(default)]
    pub admitted: bool,
    /// When it opened, in microseconds of CLOCK_MONOTONIC.
    pub opened_us: u64,
    /// The warnings that its people had.
    #[serde(default)]
    pub told: Told,
    /// The end for which its programs had HUP and TERM.
    #[serde(default)]
    pub hung_up_for: Option<Timestamp>,
    /// What of it had HUP and TERM.
    #[serde(default)]
    pub hung_up: HungUp,
    /// Its first process is gone, and something that it started is left.
    #[serde(default)]
    pub closed: bool,
    /// It opened as an exempt user's, and is never ended.
    #[serde(default)]
    pub exempt: bool,
    /// PID 1 opened it for a unit that root set up: it is never ended, and is no login of the user's.
    #[serde(default)]
    pub of_unit: bool,
    /// It is a job that was left for later, and goes on under any grant.
    #[serde(default)]
    pub background: bool,
    /// It is not known any more where it came from: it goes on under any login grant.
    #[serde(default)]
    pub from_unknown: bool,
    /// Its end was carried out once: whatever the mode is by then, nothing of it is left alone.
    #[serde(default)]
    pub struck: bool,
}

/// Which warnings were given: for an end, the shortest time before it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Told {
    /// Of the end of the login.
    pub login: Option<(Timestamp, Duration)>,
    /// Of the end of sudo.
    pub sudo: Option<(Timestamp, Duration)>,
    /// The end of the login that was told as such, and why.
    #[serde(default)]
    pub end: Option<Timestamp>,
}

impl Session {
    /// What begins with this process, and of which nothing else is known.
    pub fn headed_by(leader: ProcessId, user: String) -> Self {
        Self {
            user,
            service: String::new(),
            rhost: None,
            leader,
            uid: None,
            logind_id: None,
            audit_session: None,
            grant: None,
            admitted: false,
            opened_us: 0,
            told: Told::default(),
            hung_up_for: None,
            hung_up: HungUp::default(),
            closed: false,
            exempt: false,
            of_unit: false,
            background: false,
            from_unknown: false,
            struck: false,
        }
    }

    /// Whether it is never ended, whatever the grants say.
    pub fn is_left_alone(&self) -> bool {
        self.exempt || self.of_unit
    }

    /// The question whether it may go on.
    pub fn request(&self) -> Request<'_> {
        if self.background {
            return Request::Background { user: &self.user };
        }
        if self.from_unknown {
            return Request::Stay { user: &self.user, service: &self.service };
        }
        Request::Login { user: &self.user, service: &self.service, from: self.rhost.as_deref() }
    }

    /// Whether it may go on at `now`.
    pub fn standing(&self, grants: &[HeldGrant], now: Timestamp) -> Standing {
        Standing::of(&self.request(), grants, now)
    }

    /// Its control group.
    pub fn scope(&self) -> Option<Scope> {
        match (&self.logind_id, self.uid) {
            (Some(id), Some(uid)) => Scope::of_session(uid, id),
            _ => None,
        }
    }

    /// The grant to which it is owed, as it stands.
    pub fn owed_to(&self, standing: &Standing, grants: &[HeldGrant], now: Timestamp) -> Option<String> {
        standing.owed_to(self.grant.as_deref(), &self.request(), grants, now)
    }

    /// An audit entry about it.
    pub fn entry(&self, event: Event) -> Entry {
        Entry::new(event)
            .with(Field::User, self.user.as_str())
            .with(Field::Service, self.service.as_str())
            .with(Field::Rhost, self.rhost.clone())
            .with(Field::Pid, self.leader.pid)
            .with(Field::Session, self.logind_id.clone())
            .with(Field::Grant, self.grant.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn session(leader: ProcessId) -> Session {
        let service = "sshd".into();
        Session { service, opened_us: 1, ..Session::headed_by(leader, "alice".into()) }
    }

    #[test]
    fn what_goes_on_under_another_grant_is_owed_to_the_one_that_covered_it_last() {
        let held = |id: &str, begin: i64, end: i64| {
            let [begin, end] = [begin, end].map(|at| Timestamp::from_second(at).unwrap().to_string());
            let grant = curfew_protocol::grant::Grant::from_value(&json!({
                "id": id, "user": "alice", "not_before": begin, "not_after": end, "login": {}, "reason": "r", "requested_by": "a", "approved_by": []
            }));
            HeldGrant::new(grant.unwrap(), crate::grant::Source::Local)
        };
        let grants = [held("first", 0, 10), held("second", 5, 20), held("longest", 15, 90)];
        let owed_to = |first: Option<&str>, grants: &[HeldGrant], second: i64| {
            let session = Session { grant: first.map(str::to_owned), ..session(ProcessId { pid: 7, start: 8 }) };
            let now = Timestamp::from_second(second).unwrap();
            session.owed_to(&session.standing(grants, now), grants, now)
        };
        // The one that it opened under has it for as long as it covers it, whatever else does.
        assert_eq!(owed_to(Some("first"), &grants, 7).as_deref(), Some("first"));
        assert_eq!(owed_to(Some("second"), &grants, 17).as_deref(), Some("second"));
        assert_eq!(owed_to(Some("first"), &grants, 12).as_deref(), Some("second"));
        assert_eq!(owed_to(Some("first"), &grants, 90).as_deref(), Some("longest"));
        assert_eq!(owed_to(Some("first"), &grants[..1], 10).as_deref(), Some("first"));
        // Of what nobody knows any more, it stays what it was.
        assert_eq!(owed_to(Some("gone"), &[], 12).as_deref(), Some("gone"));
        assert_eq!(owed_to(None, &grants[..1], 12), None);
        assert_eq!(owed_to(None, &grants[..1], 7).as_deref(), Some("first"));
    }
}
