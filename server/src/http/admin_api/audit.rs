//! The audit: who did what, where and when, on hosts and at this endpoint.

use super::authenticate::Admin;
use super::{Problems, paging};
use crate::http::body::Params;
use crate::http::error::Refusal;
use crate::http::state::AppState;
use crate::store::{Order, TrailFilter, TrailRow};
use axum::Json;
use axum::extract::State;
use curfew_protocol::grant::Text;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Whose word something is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AuditSource)]
pub(crate) enum Source {
    Endpoint,
    Host,
}

/// What happened on a host, or what an administrator did.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct AuditItem {
    /// When, by the host's clock, however wrong that is.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// When it came here, by this endpoint's clock.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// Whose word it is: `endpoint` for this endpoint's own log, and `host` for what the host says, whatever the event is called.
    pub source: Source,
    /// What, such as `login.permitted` on a host or `grant.created` here.
    pub event: String,
    /// The host's id.
    pub host: Option<String>,
    /// The host's name.
    pub host_name: Option<String>,
    /// The administrator, where one did it.
    pub admin: Option<String>,
    /// Whom it is about.
    pub user: Option<String>,
    /// The grant behind it.
    pub grant: Option<String>,
    /// Its number: on the host, or in the log of what administrators did.
    pub seq: i64,
    /// The spool of the host that the number counts.
    pub series: Option<String>,
    /// The whole record.
    #[schema(value_type = Object)]
    pub record: Box<RawValue>,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AuditOrder)]
pub(crate) enum OrderBy {
    /// By when it happened, as its host says. What a host dates more than five minutes ahead of this endpoint has its place, and is found by `since` and
    /// `until`, by when it came.
    #[default]
    Time,
    /// The same backwards.
    Newest,
    /// By when it came here, for whoever follows; `since` and `until` are such times then.
    Arrival,
    /// The same backwards.
    Latest,
}

/// A page of the audit. It may have fewer records than were asked for, or none, and still a next one.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct AuditList {
    /// The records, in the order that was asked for.
    pub records: Vec<AuditItem>,
    /// `after` of the next page.
    pub next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// On this host, by id or name; a host that was removed, by its id.
    #[param(value_type = Option<String>)]
    host: Option<Text>,
    /// About this user.
    #[param(value_type = Option<String>)]
    user: Option<Text>,
    /// Under this grant.
    #[param(value_type = Option<String>)]
    grant: Option<Text>,
    /// This event.
    #[param(value_type = Option<String>)]
    event: Option<Text>,
    /// By this one's word.
    source: Option<Source>,
    /// From this time on.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// `time`, `newest`, `arrival` or `latest`.
    #[serde(default)]
    #[param(inline)]
    order: OrderBy,
    /// `next` of the page before, in the same order.
    after: Option<String>,
    /// How many at most: 1 to 1000, 100 unless given.
    limit: Option<i64>,
}

impl From<TrailRow> for AuditItem {
    fn from(row: TrailRow) -> Self {
        let (host, host_name) = row.host.unzip();
        Self {
            time: row.time,
            received_at: row.received_at,
            source: if row.by_host { Source::Host } else { Source::Endpoint },
            event: row.event,
            host,
            host_name: host_name.flatten(),
            admin: row.admin.filter(|admin| !admin.is_empty()),
            user: row.user,
            grant: row.grant,
            seq: row.seq,
            series: row.series,
            record: row.record,
        }
    }
}

/// Search the audit
#[utoipa::path(
    get, path = "/v1/admin/audit", operation_id = "audit_list", tag = "admin", security(("admin" = [])), params(AuditQuery),
    responses((status = 200, description = "A page of the audit", body = AuditList), Problems)
)]
pub(super) async fn list(
    State(app): State<Arc<AppState>>,
    _: Admin,
    Params(query): Params<AuditQuery>,
) -> Result<Json<AuditList>, Refusal> {
    let limit = paging::limit(query.limit)?;
    let after = paging::after(query.after.as_deref())?;
    let host = paging::host(&app.store, query.host.as_ref()).await?;
    let filter = TrailFilter {
        host,
        user: query.user.map(Into::into),
        grant: query.grant.map(Into::into),
        event: query.event.map(Into::into),
        by_host: query.source.map(|source| source == Source::Host),
        since: query.since,
        until: query.until,
        order: match query.order {
            OrderBy::Time => Order::Time,
            OrderBy::Newest => Order::NewestFirst,
            OrderBy::Arrival => Order::Arrival,
            OrderBy::Latest => Order::LatestArrivalFirst,
        },
        after,
        limit,
    };
    let page = app.store.trail(&filter).await?;
    let next = page.next.map(|place| place.to_string());
    Ok(Json(AuditList { records: page.rows.into_iter().map(Into::into).collect(), next }))
}
