//! A run of sudo or su: who invoked it, what it runs, where that is kept, and which grants it goes on under.

use super::claim::Claim;
use super::hung_up::HungUp;
use super::outer::Outer;
use crate::host::cgroup::Scope;
use crate::host::plain::Plain;
use crate::host::processes::ProcessId;
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A run of sudo or su.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Elevation {
    /// What it needs of its person's grants to go on; see [`outlook`](super::outlook::outlook) for what else it needs.
    #[serde(flatten)]
    pub claim: Claim,
    /// The same as it was typed, for the audit.
    #[serde(default)]
    pub typed: Option<String>,
    /// The process of sudo or su.
    pub root: ProcessId,
    /// The invoker's id.
    pub uid: Option<u32>,
    /// The logind session that it runs in.
    pub logind_id: Option<String>,
    /// The kernel's audit session that it runs in.
    pub audit_session: Option<u32>,
    /// Who logged in where it runs.
    #[serde(default)]
    pub login_uid: Option<u32>,
    /// The control group that holds what it starts; none where the kernel has none for it.
    #[serde(default)]
    pub group: Option<Scope>,
    /// The groups of whoever invoked it, as its process had them.
    #[serde(default)]
    pub gids: Vec<u32>,
    /// When it opened, in microseconds of CLOCK_MONOTONIC.
    pub opened_us: u64,
    /// When it opened, in seconds since 1970: what had rights to give before then owes it none.
    #[serde(default)]
    pub opened_at: i64,
    /// The end for which its programs had HUP and TERM.
    #[serde(default)]
    pub hung_up_for: Option<Timestamp>,
    /// What of it had HUP and TERM.
    #[serde(default)]
    pub hung_up: HungUp,
    /// The end of it that was told to its person, and why.
    #[serde(default)]
    pub told_end: Option<Timestamp>,
    /// The runs of other people's that it is within: it goes on while all of them may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<Outer>,
    /// Who logged in, where that is another person than who invoked it.
    #[serde(default)]
    pub actor: Option<String>,
    /// Its first process and all in its control group are gone. It is kept, one for all such runs of a person by a grant, for what root may
    /// have moved out of that group or left for another login to start: that is looked for when the grant ends.
    #[serde(default)]
    pub gone: bool,
    /// Its end was carried out once: whatever the mode is by then, nothing of it is left alone.
    #[serde(default)]
    pub struck: bool,
}

impl Elevation {
    /// What those within it need of it.
    pub fn as_outer(&self) -> Outer {
        Outer { claim: self.claim.clone(), root: Some(self.root), opened_us: self.opened_us }
    }

    /// Whose rights count as no elevation; none while it is not known who that is.
    pub fn plain(&self) -> Option<Plain> {
        self.uid.map(|uid| Plain { uid, gids: self.gids.clone() })
    }

    /// Whether who invoked it is who logged in: what it leaves may then be started in any of their logins, not in this one alone.
    pub fn is_of_who_logged_in(&self) -> bool {
        self.uid.is_some() && self.login_uid == self.uid
    }

    /// Whether a process may be counted to both, by who invoked it, who logged in or the audit session. What is not known may be the same.
    pub fn may_share_with(&self, other: &Self) -> bool {
        let same = |one: Option<u32>, other: Option<u32>| one.is_none() || other.is_none() || one == other;
        same(self.uid, other.uid)
            || same(self.login_uid, other.login_uid)
            || same(self.audit_session, other.audit_session)
    }

    /// Whether `other` says the same of what may be left in a login: where, whose, and until when.
    pub fn leaves_as(&self, other: &Self) -> bool {
        self.audit_session == other.audit_session && self.leaves_elsewhere_as(other)
    }

    /// Whether `other` says the same of what may be left in other logins than their own.
    pub fn leaves_elsewhere_as(&self, other: &Self) -> bool {
        self.gone
            && (&self.claim.user, self.uid, &self.claim.service, &self.claim.pinned)
                == (&other.claim.user, other.uid, &other.claim.service, &other.claim.pinned)
    }

    /// An audit entry about it.
    pub fn entry(&self, event: Event) -> Entry {
        Entry::new(event)
            .with(Field::User, self.claim.user.as_str())
            .with(Field::RunAs, self.claim.run_as.clone())
            .with(Field::Service, self.claim.service.as_str())
            .with(Field::Pid, self.root.pid)
            .with(Field::Session, self.logind_id.clone())
            .with(Field::Grant, self.claim.grant.clone())
            .with(Field::Actor, self.actor.clone())
            // One entry stands for all runs that are gone.
            .with(Field::Command, self.typed.clone().filter(|_| !self.gone))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::grant::HeldGrant;
    use crate::grant::sudo_command::SudoCommand;
    use crate::sessions::standing::Standing;

    #[test]
    fn a_run_that_no_grant_names_goes_on_while_every_grant_that_was_live_is() {
        let held = |id: &str, end: i64| {
            let end = Timestamp::from_second(end).unwrap().to_string();
            let grant = curfew_protocol::grant::Grant::from_value(&serde_json::json!({
                "id": id, "user": "alice", "not_before": "1970-01-01T00:00:00Z", "not_after": end,
                "sudo": {"commands": ["/usr/bin/id"]}, "reason": "r", "requested_by": "a", "approved_by": []
            }));
            HeldGrant::new(grant.unwrap(), crate::grant::Source::Local)
        };
        let grants = [held("short", 10), held("long", 90)];
        let run = |pinned: &[&str], command| Elevation {
            claim: Claim {
                user: "alice".into(),
                service: "sudo".into(),
                run_as: Some("root".into()),
                command,
                pinned: pinned.iter().map(|&id| id.to_owned()).collect(),
                grant: None,
            },
            typed: Some("sudo sleep 9".into()),
            root: ProcessId { pid: 1, start: 1 },
            uid: None,
            logind_id: None,
            audit_session: None,
            login_uid: None,
            group: None,
            gids: Vec::new(),
            opened_us: 0,
            opened_at: 0,
            hung_up_for: None,
            hung_up: HungUp::default(),
            told_end: None,
            within: Vec::new(),
            actor: None,
            gone: false,
            struck: false,
        };
        let covered = |run: &Elevation, second: i64| {
            matches!(run.claim.standing(&grants, Timestamp::from_second(second).unwrap()), Standing::Covered { .. })
        };
        let unknown = run(&["short", "long"], SudoCommand::Anything);
        assert!(covered(&unknown, 9));
        assert!(!covered(&unknown, 10));
        assert!(!covered(&run(&["long", "gone"], SudoCommand::Anything), 9));
        let named = run(
            &[],
            SudoCommand::Program { name: "id".into(), paths: vec!["/usr/bin/id".into()], arguments: String::new() },
        );
        assert!(covered(&named, 89));
        assert!(!covered(&named, 90));
        // Its record has what was typed; what stands for all that are gone has nothing of one of them.
        let command = |run: &Elevation| run.entry(Event::SudoTerminated).text(Field::Command);
        assert_eq!(command(&named).as_deref(), Some("sudo sleep 9"));
        assert_eq!(command(&Elevation { gone: true, ..named }), None);
    }
}
