//! What people ask the agent and what it answers: the JSON of `io.curfew.Agent`, and of `--json`.

use crate::config::service::is_roots_work;
use crate::grant::State;
use curfew_protocol::audit::Record;
use curfew_protocol::grant::{Grant, LoginAccess, LoginName, SudoAccess, Text};
use curfew_protocol::grant_set::HostId;
use curfew_protocol::jws::PublicKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// What `io.curfew.Agent.Status` answers, and `curfew status --json` prints.
#[derive(Debug, Deserialize, Serialize)]
pub struct Status {
    /// The host's name.
    pub host: String,
    /// `enforce` or `observe`.
    pub mode: String,
    /// Whether Curfew is in force: wired, and in mode `enforce`.
    pub in_force: bool,
    /// Whether PAM asks Curfew about any service: not before `curfew enable`, nor after `curfew disable`.
    #[serde(default)]
    pub wired: bool,
    /// The grants that the asker may see.
    pub grants: Vec<ShownGrant>,
    /// When the next access of them ends that no other of them goes on with.
    pub next_end: Option<Timestamp>,
    /// The last verified set; none without an endpoint.
    pub set: Option<ShownSet>,
    /// When what `curfew enable` did is undone, unless it is confirmed.
    #[serde(default)]
    pub confirm_by: Option<Timestamp>,
    /// What is wrong on this host, for root.
    pub problems: Vec<String>,
    /// What is open: everything for root, one's own for others.
    pub sessions: Vec<ShownSession>,
}

/// The endpoint, and its set that is in force; what is of the set is none before the first.
#[derive(Debug, Deserialize, Serialize)]
pub struct ShownSet {
    /// Where the endpoint is.
    pub endpoint: String,
    /// This host's name there.
    pub host: String,
    /// The set's place in the endpoint's history.
    pub epoch: Option<u64>,
    /// The same within the epoch.
    pub version: Option<u64>,
    /// When it was signed.
    pub issued: Option<Timestamp>,
    /// How long ago that was, in seconds.
    pub age_s: Option<i64>,
    /// Until when it is fresh.
    pub fresh_until: Option<Timestamp>,
    /// From when on its grants open nothing new.
    pub opens_until: Option<Timestamp>,
    /// `following` or `failing`.
    pub state: String,
    /// What is wrong, or was at the last try.
    pub problem: Option<String>,
    /// Since when it is failing.
    pub since: Option<Timestamp>,
    /// The last record of this host's audit that the endpoint has, once it has said so.
    #[serde(default)]
    pub audit_stored_to: Option<u64>,
    /// Why the audit can't be shipped there, where it can't.
    #[serde(default)]
    pub audit_problem: Option<String>,
}

/// What `io.curfew.Agent.Enroll` is asked.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EnrollOrder {
    /// Where the endpoint is.
    pub url: String,
    /// The one-use token.
    pub token: String,
    /// The authorities that alone may vouch for it, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// What people are to know the host by; its host name if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it leaves another endpoint for that.
    #[serde(default)]
    pub replace: bool,
}

/// What `io.curfew.Agent.EnrollStatic` is asked.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StaticOrder {
    /// Where the files are.
    pub url: String,
    /// Which of them is this host's.
    pub host: HostId,
    /// Who may have signed it.
    pub keys: Vec<PublicKey>,
    /// The authorities that alone may vouch for the server, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Whether the host leaves another endpoint for that.
    #[serde(default)]
    pub replace: bool,
}

/// What a host that has joined is known as.
#[derive(Debug, Deserialize, Serialize)]
pub struct Joined {
    /// Where the endpoint is.
    pub endpoint: String,
    /// This host's name there.
    pub host: String,
}

/// A grant with where it stands.
#[derive(Debug, Deserialize, Serialize)]
pub struct ShownGrant {
    /// The grant as it was approved.
    #[serde(flatten)]
    pub grant: Grant,
    /// Where it stands.
    pub state: State,
    /// Where it came from.
    pub source: String,
    /// When it ended before its time, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// Why it opens nothing, whatever its window says: its user's account is another now, or gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl ShownGrant {
    /// Whether it holds.
    pub fn is_live(&self) -> bool {
        self.state == State::Live
    }
}

/// An open session.
#[derive(Debug, Deserialize, Serialize)]
pub struct ShownSession {
    /// Who.
    pub user: String,
    /// Over which service.
    pub service: String,
    /// From where.
    pub rhost: Option<String>,
    /// logind's id.
    pub session: Option<String>,
    /// Whether it ends with its grant; not what was open before Curfew was in force, nor what an exempt user opened, or PID 1
    /// for a unit.
    pub governed: bool,
    /// Whether an exempt user opened it: it is never ended.
    #[serde(default)]
    pub exempt: bool,
    /// The grant that covers it longest, where it ends with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// When its access ends, as far as the grants say now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

/// What `io.curfew.Agent.Why` is asked.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WhyQuestion {
    /// Who.
    pub user: String,
    /// The PAM service.
    pub service: String,
    /// The address it would come from.
    #[serde(default)]
    pub from: Option<String>,
    /// When; now if left out.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// The command that sudo would run.
    #[serde(default)]
    pub command: Option<String>,
    /// Whom sudo or su would turn into; root if left out.
    #[serde(default)]
    pub run_as: Option<LoginName>,
}

impl WhyQuestion {
    /// What was asked that means nothing for such a service, by its parameter: it is not left out in silence.
    pub fn contradiction(&self, elevates: bool, login_services: &[String]) -> Option<(&'static str, String)> {
        let Self { service, .. } = self;
        if self.user.is_empty() {
            return Some(("user", "\"\" is no name of a user".into()));
        }
        if let Some(run_as) = self.run_as.as_ref().filter(|_| !elevates || is_roots_work(service)) {
            let whom =
                if elevates { "whomever it turns into, it is judged as root's work" } else { "it turns into nobody" };
            return Some(("run_as", format!("--run-as {run_as}: {service}: {whom}")));
        }
        let is_login = login_services.contains(service);
        if let Some(from) = self.from.as_ref().filter(|_| !is_login) {
            let logins = login_services.join(" ");
            return Some(("from", format!("--from {from}: {service} is no login; logins are: {logins}")));
        }
        if let Some(from) = self.from.as_ref().filter(|from| address(from).is_none()) {
            return Some(("from", format!("--from {from:?} is no address")));
        }
        if let Some(command) = self.command.as_ref().filter(|command| command.trim().is_empty()) {
            return Some(("command", format!("--command {command:?} names none")));
        }
        let command = self.command.as_ref().filter(|_| !elevates)?;
        Some(("command", format!("--command {command:?}: {service} runs no command as somebody else, as sudo does")))
    }
}

/// The address that a text stands for; the zone of a link-local one is none of it.
pub fn address(text: &str) -> Option<IpAddr> {
    text.split('%').next()?.parse().ok()
}

/// What it answers, and `curfew why --json` prints.
#[derive(Debug, Deserialize, Serialize)]
pub struct WhyAnswer {
    /// `permit` or `deny`.
    pub verdict: String,
    /// Why it is a denial, or `exempt`.
    pub reason_code: Option<String>,
    /// The grant behind it, or the one that came nearest.
    pub grant: Option<String>,
    /// Until when it is permitted.
    pub not_after: Option<Timestamp>,
    /// When the answer changes next.
    pub changes_at: Option<Timestamp>,
    /// The same in one sentence.
    pub explanation: String,
    /// Whether it is what happens: not in mode `observe`, and not where PAM does not ask Curfew.
    #[serde(default)]
    pub enforced: bool,
    /// What would change it next, in one sentence.
    #[serde(default)]
    pub next: String,
    /// What may permit it all the same, and how to see that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
}

/// The longest local grant.
pub const LONGEST_GRANT: Duration = Duration::from_secs(366 * 86_400);

/// What `io.curfew.Agent.Grant` is asked.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GrantOrder {
    /// For whom.
    pub user: LoginName,
    /// For how long, in seconds.
    pub seconds: u64,
    /// The logins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginAccess>,
    /// The elevation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo: Option<SudoAccess>,
    /// Why.
    pub reason: Text,
    /// The ticket behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Text>,
    /// Whether commands are taken that others than root could exchange, or that are not there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchecked: bool,
}

/// What `io.curfew.Agent.Rehearsed` is told.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rehearsed {
    /// `enforce` or `observe`.
    pub mode: String,
    /// The services that were tried.
    pub services: Vec<String>,
    /// As whom.
    pub users: Vec<String>,
    /// What went wrong.
    pub problems: Vec<String>,
}

/// What `io.curfew.Agent.Grant` answers.
#[derive(Debug, Deserialize, Serialize)]
pub struct Granted {
    /// The grant, which holds from now on.
    pub grant: Grant,
    /// Why sudo does not work by it yet, where it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_sudo_yet: Option<String>,
    /// What its commands give beside what their names say, what was taken unchecked, and that an exempt user needs none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Why nothing opens or ends by it as yet: Curfew is not enabled, or only observes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_in_force: Option<String>,
}

/// What `io.curfew.Agent.Revoke` is asked.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// Which grant.
    pub id: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

/// What `io.curfew.Agent.Revoke` answers.
#[derive(Debug, Deserialize, Serialize)]
pub struct Revoked {
    /// The grant, which holds no more.
    pub grant: Grant,
    /// Why that could not be stored, where it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstored: Option<String>,
    /// That its sudo rule could not be removed, where it could not. sudo asks PAM all the same, which refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_stays: Option<String>,
}

/// What `io.curfew.Agent.Clock` answers, and `curfew clock --json` prints.
#[derive(Debug, Deserialize, Serialize)]
pub struct ShownClock {
    /// The wall clock.
    pub wall: Timestamp,
    /// The latest time that is known to have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Timestamp>,
    /// Whether windows open by it.
    pub proven: bool,
    /// Why they do not, and the mend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How often it was set since the boot.
    pub steps: u64,
}

/// What `io.curfew.Agent.AcceptClock` is asked.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptClock {
    /// Why it is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

/// One page of the audit.
#[derive(Debug, Deserialize, Serialize)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<Record>,
    /// Whether there are more behind the last.
    pub more: bool,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_means_nothing_for_a_service_is_said() {
        let logins = ["sshd".to_owned(), "login".to_owned()];
        for (service, elevates, from, command, says) in [
            ("sudo", true, Some("10.0.0.1"), None, Some("sudo is no login")),
            ("cron", false, Some("10.0.0.1"), None, Some("cron is no login")),
            ("sshd", false, Some("nonsense"), None, Some("no address")),
            ("sshd", false, None, Some("/usr/bin/id"), Some("sshd runs no command")),
            ("sshd", false, Some("fe80::1%eth0"), None, None),
            ("sudo", true, None, Some("/usr/bin/id"), None),
        ] {
            let (from, command) = (from.map(str::to_owned), command.map(str::to_owned));
            let question =
                WhyQuestion { user: "alice".into(), service: service.into(), from, at: None, command, run_as: None };
            let said = question.contradiction(elevates, &logins).map(|(_, problem)| problem);
            assert_eq!(said.is_some(), says.is_some(), "{question:?}: {said:?}");
            assert!(said.unwrap_or_default().contains(says.unwrap_or_default()), "{question:?}");
        }
    }
}
