//! What the host API's messages look like, for the OpenAPI document: the protocol has the types themselves, and a test holds them together.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong (RFC 9457).
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument {
    /// The kind of problem, such as `urn:curfew:not-found`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What it was this time, and the next step.
    pub detail: String,
}

/// An Ed25519 public key (RFC 8037), named by its thumbprint (RFC 7638).
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = PublicKey)]
pub(crate) struct PublicKeyDocument {
    #[schema(pattern = "^OKP$")]
    pub kty: String,
    #[schema(pattern = "^Ed25519$")]
    pub crv: String,
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    pub x: String,
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    pub kid: String,
}

/// A host is enrolled.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = Enrolled)]
pub(crate) struct EnrolledDocument {
    /// The host's id.
    pub host: String,
    /// The endpoint's name, `iss` of its sets.
    pub issuer: String,
    /// The keys that sign sets, to be pinned.
    pub keys: Vec<PublicKeyDocument>,
}

/// Records of one host's audit, in order and without a gap.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = AuditBatch)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditBatchDocument {
    /// The spool's name, made when its numbers began at 1.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub series: String,
    /// The number of the oldest record that the host still has.
    pub oldest: u64,
    /// The records as the host's spool has them.
    #[schema(max_items = 500)]
    pub records: Vec<AuditRecordDocument>,
}

/// A record of the audit. It has more fields, by its event.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = AuditRecord)]
pub(crate) struct AuditRecordDocument {
    /// Its number on the host.
    #[schema(minimum = 1)]
    pub seq: u64,
    /// When it happened.
    #[schema(format = DateTime)]
    pub time: String,
    /// What happened, such as `login.permitted`.
    #[schema(min_length = 1, max_length = 256)]
    pub event: String,
    /// The same in one plain sentence.
    pub message: String,
}

/// How far a series of the host's audit is stored.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = AuditStored)]
pub(crate) struct AuditStoredDocument {
    /// The last record that is stored; 0 for none.
    pub stored_to: u64,
}

/// A request for access, made on a host.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = AccessRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessRequestDocument {
    /// Who asks.
    #[schema(pattern = "^[A-Za-z0-9_.][A-Za-z0-9_.@+-]{0,255}$")]
    pub user: String,
    /// For how long, in seconds.
    #[schema(minimum = 1, maximum = 316_224_000)]
    pub seconds: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo: Option<SudoDocument>,
    /// Why.
    #[schema(min_length = 1, max_length = 1024)]
    pub reason: String,
    /// The ticket behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1024)]
    pub ticket: Option<String>,
}

/// The request is kept.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = RequestMade)]
pub(crate) struct RequestMadeDocument {
    /// The request's id.
    pub request: String,
}

/// The logins that a grant permits; empty lists don't narrow.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = Login)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginDocument {
    /// PAM service names, such as `sshd`; empty for every login service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64)]
    pub services: Vec<String>,
    /// Networks to come from, such as `10.0.0.0/8`; empty for anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64)]
    pub from: Vec<String>,
}

/// The elevation that a grant permits.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = Sudo)]
#[serde(deny_unknown_fields)]
pub(crate) struct SudoDocument {
    /// The users whom the commands may run as; root if left out.
    #[serde(default = "root_alone")]
    #[schema(min_items = 1, max_items = 64, required = false)]
    pub run_as: Vec<String>,
    /// The commands with their full paths, or `ALL`.
    #[schema(min_items = 1, max_items = 64)]
    pub commands: Vec<String>,
}

fn root_alone() -> Vec<String> {
    vec!["root".into()]
}

/// An approved grant, as it stands in the sets of its hosts.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = Grant)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantDocument {
    /// Its name: 1 to 64 of `A-Z a-z 0-9 _ -`.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub id: String,
    /// The login name on the host.
    #[schema(pattern = "^[A-Za-z0-9_.][A-Za-z0-9_.@+-]{0,255}$")]
    pub user: String,
    /// The first instant at which it holds.
    #[schema(format = DateTime)]
    pub not_before: String,
    /// The first instant at which it no longer holds.
    #[schema(format = DateTime)]
    pub not_after: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo: Option<SudoDocument>,
    /// Why.
    #[schema(min_length = 1, max_length = 1024)]
    pub reason: String,
    /// The ticket behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Who asked for it.
    pub requested_by: String,
    /// Who approved it.
    pub approved_by: Vec<String>,
    /// The request that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The policy that allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use curfew_protocol::grant::Grant;
    use curfew_protocol::host_api::{AccessRequest, AuditBatch, AuditStored, Enrolled, Problem, ProblemKind};
    use curfew_protocol::jws::SigningKey;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    /// The protocol's type and the document read and write the same JSON.
    fn alike<P: DeserializeOwned + Serialize, D: DeserializeOwned + Serialize>(json: &Value) {
        assert_eq!(serde_json::to_value(serde_json::from_value::<P>(json.clone()).unwrap()).unwrap(), *json);
        assert_eq!(serde_json::to_value(serde_json::from_value::<D>(json.clone()).unwrap()).unwrap(), *json);
    }

    #[test]
    fn the_documents_are_what_the_protocol_reads_and_writes() {
        alike::<Problem, ProblemDocument>(&serde_json::to_value(Problem::new(ProblemKind::Clock, "x")).unwrap());
        let key = SigningKey::generate().unwrap().public();
        alike::<Enrolled, EnrolledDocument>(&json!({"host": "h", "issuer": "https://a", "keys": [key]}));
        alike::<AuditStored, AuditStoredDocument>(&json!({"stored_to": 7}));
        let record = json!({"seq": 1, "time": "2026-11-21T20:00:00Z", "event": "agent.started", "message": "m"});
        alike::<AuditBatch, AuditBatchDocument>(&json!({"series": "s", "oldest": 1, "records": [record]}));
        let (login, sudo) =
            (json!({"services": ["sshd"], "from": ["10.0.0.0/8"]}), json!({"run_as": ["root"], "commands": ["ALL"]}));
        alike::<AccessRequest, AccessRequestDocument>(
            &json!({"user": "alice", "seconds": 60, "login": login, "sudo": sudo, "reason": "r", "ticket": "t"}),
        );
        alike::<Grant, GrantDocument>(&json!({
            "id": "g", "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z", "login": login, "sudo": sudo,
            "reason": "r", "ticket": "t", "requested_by": "alice", "approved_by": ["bob"], "request": "q", "policy": "p"
        }));
    }
}
