//! What people on hosts ask for, and what became of it.

use super::columns::{from_micros, maybe_from_micros, micros, raw};
use super::db::{Row, Tx, Value, values};
use super::events::{About, Event};
use super::grants::insert;
use super::{ChangeError, Store, StoreError, Target};
use crate::actor::Act;
use crate::secret::new_id;
use curfew_protocol::grant::{Grant, Text};
use curfew_protocol::grant_set::HostId;
use curfew_protocol::host_api::AccessRequest;
use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};
use std::fmt;
use std::str::FromStr;

/// The most requests of one host that wait for a decision.
const MOST_PENDING: i64 = 100;

const COLUMNS: &str = "id, host, document, created_at, state, decided_at, decided_by, decision_reason, grant_id, \
                       (SELECT name FROM hosts WHERE hosts.id = requests.host) AS host_name";

/// Where a request is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RequestState {
    Pending,
    Approved,
    Denied,
}

/// A request as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct RequestRow {
    pub id: String,
    pub host: String,
    pub host_name: String,
    pub document: Box<RawValue>,
    pub created_at: Timestamp,
    pub state: RequestState,
    pub decided_at: Option<Timestamp>,
    pub decided_by: Option<String>,
    pub decision_reason: Option<String>,
    pub grant: Option<String>,
}

/// Which requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestFilter {
    pub state: Option<RequestState>,
    pub host: Option<HostId>,
    pub user: Option<String>,
    pub after: Option<RequestPlace>,
    pub limit: i64,
}

/// A place in the list of requests. It stays where it is, whatever is decided meanwhile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RequestPlace {
    /// 0 among those that wait, and 1 among those that were decided.
    rank: i64,
    created_at: i64,
    id: String,
}

impl RequestRow {
    /// Its place in the list.
    pub(crate) fn place(&self) -> RequestPlace {
        let rank = i64::from(self.state != RequestState::Pending);
        RequestPlace { rank, created_at: micros(self.created_at), id: self.id.clone() }
    }
}

impl fmt::Display for RequestPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.rank, self.created_at, self.id)
    }
}

impl FromStr for RequestPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no place in the list of requests; take `next` of the page before");
        let mut parts = text.splitn(3, '.');
        let (Some(rank), Some(created_at), Some(id)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad());
        };
        let number = |text: &str| text.parse().map_err(|_| bad());
        if id.chars().any(char::is_control) {
            return Err(bad());
        }
        Ok(Self { rank: number(rank)?, created_at: number(created_at)?, id: id.into() })
    }
}

impl RequestState {
    /// Its name in tables and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
        }
    }
}

impl Store {
    /// Keeps a request. Nothing where the host has too many that wait.
    pub(crate) async fn add_request(
        &self,
        host: &HostId,
        request: &AccessRequest,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let mut tx = self.db.begin().await?;
        let waiting = "SELECT COUNT(*) AS n FROM requests WHERE host = $1 AND state = 'pending'";
        let row = tx.one(waiting, &values![host.as_str()]).await?;
        if row.map_or(Ok(0), |row| row.int("n"))? >= MOST_PENDING {
            return Ok(None);
        }
        let id = new_id();
        let document = serde_json::to_string(request).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let sql = "INSERT INTO requests (id, host, user_name, document, created_at, state) VALUES ($1, $2, $3, $4, $5, 'pending')";
        tx.run(sql, &values![&id, host.as_str(), request.user.as_str(), document, micros(now)]).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// Requests that the filter leaves: those that wait, then those that were decided, each the newest first.
    pub(crate) async fn requests(&self, filter: &RequestFilter) -> Result<Vec<RequestRow>, StoreError> {
        const RANK: &str = "CASE WHEN state = 'pending' THEN 0 ELSE 1 END";
        let (mut which, mut values): (_, Vec<Value>) = (String::from("1 = 1"), values![filter.limit].into());
        let terms = [
            ("state", filter.state.map(RequestState::name)),
            ("host", filter.host.as_ref().map(HostId::as_str)),
            ("user_name", filter.user.as_deref()),
        ];
        for (column, value) in terms.into_iter().filter_map(|(column, value)| Some((column, value?))) {
            values.push(value.into());
            which.push_str(&format!(" AND {column} = ${}", values.len()));
        }
        if let Some(after) = &filter.after {
            values.extend(values![after.rank, after.created_at, &after.id]);
            let n = values.len();
            let (rank, at, id) = (n - 2, n - 1, n);
            which.push_str(&format!(
                " AND ({RANK} > ${rank} OR ({RANK} = ${rank} AND (created_at, id) < (${at}, ${id})))"
            ));
        }
        let sql =
            format!("SELECT {COLUMNS} FROM requests WHERE {which} ORDER BY {RANK}, created_at DESC, id DESC LIMIT $1");
        self.db.all(&sql, &values).await?.iter().map(request).collect()
    }

    /// The request of this id.
    pub(crate) async fn request(&self, id: &str) -> Result<RequestRow, ChangeError> {
        let sql = format!("SELECT {COLUMNS} FROM requests WHERE id = $1");
        match self.db.one(&sql, &values![id]).await? {
            Some(row) => Ok(request(&row)?),
            None => Err(no_request(id)),
        }
    }

    /// Approves a request that waits: `grant` is what comes of it, for so many seconds where so many were asked for.
    pub(crate) async fn approve(
        &self,
        id: &str,
        grant: &Grant,
        [asked, approved]: [u64; 2],
        act: Act<'_>,
    ) -> Result<(), ChangeError> {
        let (mut tx, known) = self.begin_grants().await?;
        let details = json!({"request": id, "asked_seconds": asked, "approved_seconds": approved});
        let decision =
            Decision { state: RequestState::Approved, reason: None, grant: Some(grant.id.as_str()), details };
        let host = decide(&mut tx, id, decision, act).await?;
        insert(&mut tx, &known, grant, &Target::Host(host), act).await?;
        Ok(tx.commit().await?)
    }

    /// Denies a request that waits.
    pub(crate) async fn deny(&self, id: &str, reason: &Text, act: Act<'_>) -> Result<(), ChangeError> {
        let mut tx = self.db.begin_change().await?;
        let details = json!({"request": id, "reason": reason});
        let decision = Decision { state: RequestState::Denied, reason: Some(reason.as_str()), grant: None, details };
        decide(&mut tx, id, decision, act).await?;
        Ok(tx.commit().await?)
    }
}

/// What becomes of a request.
struct Decision<'d> {
    state: RequestState,
    reason: Option<&'d str>,
    grant: Option<&'d str>,
    /// For the log.
    details: Json,
}

/// Decides a request once, and returns its host.
async fn decide(tx: &mut Tx<'_>, id: &str, decision: Decision<'_>, act: Act<'_>) -> Result<String, ChangeError> {
    let Decision { state, reason, grant, details } = decision;
    let sql = "UPDATE requests SET state = $2, decided_at = $3, decided_by = $4, decision_reason = $5, grant_id = $6
               WHERE id = $1 AND state = 'pending' RETURNING host, user_name";
    let row = tx.one(sql, &values![id, state.name(), micros(act.now), act.admin, reason, grant]).await?;
    let Some(row) = row else {
        return Err(match tx.one("SELECT state FROM requests WHERE id = $1", &values![id]).await? {
            Some(row) => ChangeError::Conflict(format!("request {id} is {} already", row.text("state")?)),
            None => no_request(id),
        });
    };
    let (host, user) = (row.text("host")?, row.text("user_name")?);
    let event = if state == RequestState::Approved { Event::RequestApproved } else { Event::RequestDenied };
    tx.log(act, event, About { host: Some(&host), user: Some(&user), grant }, details).await?;
    Ok(host)
}

fn no_request(id: &str) -> ChangeError {
    ChangeError::NotFound { what: "request", name: id.into() }
}

fn request(row: &Row) -> Result<RequestRow, StoreError> {
    let state = match row.text("state")?.as_str() {
        "pending" => RequestState::Pending,
        "approved" => RequestState::Approved,
        "denied" => RequestState::Denied,
        other => return Err(StoreError::Corrupt(format!("request state {other:?}"))),
    };
    Ok(RequestRow {
        id: row.text("id")?,
        host: row.text("host")?,
        host_name: row.text("host_name")?,
        document: raw(row.text("document")?)?,
        created_at: from_micros(row.int("created_at")?)?,
        state,
        decided_at: maybe_from_micros(row.maybe_int("decided_at")?)?,
        decided_by: row.maybe_text("decided_by")?,
        decision_reason: row.maybe_text("decision_reason")?,
        grant: row.maybe_text("grant_id")?,
    })
}
