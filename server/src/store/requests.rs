//! What people on hosts ask for, and what became of it.

use super::columns::{from_micros, maybe_from_micros, micros, raw};
use super::db::{Row, Tx, Value, values};
use super::{ChangeError, Store, StoreError};
use crate::actor::Act;
use curfew_protocol::grant_set::HostId;
use curfew_protocol::host_api::AccessRequest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

const COLUMNS: &str = "id, host, user_name, document, created_at, state, decided_at, decided_by, decision_reason, grant_id, \
                       (SELECT name FROM hosts WHERE hosts.id = requests.host) AS host_name";

// Where a request is in its life. No doc comment: the API's document has none.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
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
    pub user: String,
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
    pub after: Option<RequestCursor>,
    pub limit: i64,
}

/// A place in the list of requests. It stays where it is, whatever is decided meanwhile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RequestCursor {
    /// 0 among those that wait, and 1 among those that were decided.
    rank: i64,
    created_at: i64,
    id: String,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision<'d> {
    pub state: RequestState,
    pub reason: Option<&'d str>,
    pub grant: Option<&'d str>,
}

impl RequestRow {
    /// Its place in the list.
    pub(crate) fn cursor(&self) -> RequestCursor {
        let rank = i64::from(self.state != RequestState::Pending);
        RequestCursor { rank, created_at: micros(self.created_at), id: self.id.clone() }
    }
}

impl fmt::Display for RequestCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.rank, self.created_at, self.id)
    }
}

impl FromStr for RequestCursor {
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
}

impl Tx<'_> {
    /// How many requests of a host wait for a decision.
    pub(crate) async fn pending_requests(&mut self, host: &HostId) -> Result<i64, StoreError> {
        let waiting = "SELECT COUNT(*) AS n FROM requests WHERE host = $1 AND state = 'pending'";
        let row = self.one(waiting, &values![host.as_str()]).await?;
        row.map_or(Ok(0), |row| row.int("n"))
    }

    /// Keeps a request that waits.
    pub(crate) async fn insert_request(
        &mut self,
        id: &str,
        host: &HostId,
        request: &AccessRequest,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let document = serde_json::to_string(request).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let sql = "INSERT INTO requests (id, host, user_name, document, created_at, state) VALUES ($1, $2, $3, $4, $5, 'pending')";
        self.run(sql, &values![id, host.as_str(), request.user.as_str(), document, micros(now)]).await?;
        Ok(())
    }

    /// The request of this id, as the transaction has it.
    pub(crate) async fn request(&mut self, id: &str) -> Result<RequestRow, ChangeError> {
        let sql = format!("SELECT {COLUMNS} FROM requests WHERE id = $1");
        match self.one(&sql, &values![id]).await? {
            Some(row) => Ok(request(&row)?),
            None => Err(no_request(id)),
        }
    }

    /// Decides a request, once.
    pub(crate) async fn decide(&mut self, id: &str, decision: Decision<'_>, act: Act<'_>) -> Result<(), ChangeError> {
        let Decision { state, reason, grant } = decision;
        let sql =
            "UPDATE requests SET state = $2, decided_at = $3, decided_by = $4, decision_reason = $5, grant_id = $6
                   WHERE id = $1 AND state = 'pending'";
        let values = values![id, state.name(), micros(act.now), act.admin, reason, grant];
        if self.run(sql, &values).await? == 0 {
            let before = self.request(id).await?;
            return Err(ChangeError::Conflict(format!("request {id} is {} already", before.state.name())));
        }
        Ok(())
    }
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
        user: row.text("user_name")?,
        document: raw(row.text("document")?)?,
        created_at: from_micros(row.int("created_at")?)?,
        state,
        decided_at: maybe_from_micros(row.maybe_int("decided_at")?)?,
        decided_by: row.maybe_text("decided_by")?,
        decision_reason: row.maybe_text("decision_reason")?,
        grant: row.maybe_text("grant_id")?,
    })
}
