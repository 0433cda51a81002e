//! The loop that ships the audit to the endpoint: in order, at least once, from where the endpoint says that it is.
//!
//! Nothing about it is kept on the host: the endpoint is asked how far it is, at the start and after each failure. A connection lives for one batch, so
//! that a fleet that has nothing to say holds none.

use super::backoff::{Backoff, random};
use super::client::{Ask, Link};
use super::failure::Failure;
use super::follower::Follower;
use super::identity::Identity;
use curfew_protocol::host_api::{AuditBatch, AuditStored, ProblemKind, audit_path};
use reqwest::header::{CONNECTION, HeaderValue};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How long a host waits at most before its first batch after a start.
const LONGEST_SPLAY: Duration = Duration::from_secs(5);

/// How shipping goes, for `curfew status`.
#[derive(Clone, Debug, Default)]
pub struct Shipping {
    /// The last record that the endpoint has, once it has said so.
    pub stored_to: Option<u64>,
    /// Why it can't be shipped, where it can't.
    pub problem: Option<String>,
}

/// Ships for as long as the agent runs, wherever it belongs. Never returns.
pub async fn follow(follower: &Rc<Follower>) {
    tokio::time::sleep(LONGEST_SPLAY.mul_f64(random())).await;
    loop {
        follower.audit.ships(follower.endpoint.ships(None));
        // A static endpoint hands out files and takes none.
        match follower.endpoint.identity().filter(|identity| !identity.is_static()) {
            Some(identity) => tokio::select! {
                () = ship_as(follower, identity) => {}
                () = follower.endpoint.moved() => {}
            },
            None => follower.endpoint.moved().await,
        }
        *follower.endpoint.shipping.borrow_mut() = Shipping::default();
    }
}

/// Ships as this host.
async fn ship_as(follower: &Rc<Follower>, identity: Rc<Identity>) {
    let mut backoff = Backoff::default();
    loop {
        let Err(failure) = ship(follower, &identity, &follower.endpoint.shipping, &mut backoff).await;
        let before = follower.endpoint.shipping.borrow_mut().problem.replace(failure.to_string());
        if before.is_none() {
            tracing::warn!("the audit can't be shipped to the endpoint; it waits in the spool: {failure}");
        }
        tokio::time::sleep(backoff.after(&failure, random())).await;
    }
}

/// Ships until something fails.
async fn ship(
    follower: &Follower,
    identity: &Rc<Identity>,
    shipping: &RefCell<Shipping>,
    backoff: &mut Backoff,
) -> Result<std::convert::Infallible, Failure> {
    let link = Link::open(follower.endpoint.folder(), Rc::clone(identity))?;
    let own = |error: std::io::Error| Failure::Broken(format!("the spool can't be read: {error}"));
    let mut stored_to = send(&link, &follower.audit.empty_shipment().map_err(own)?).await?;
    if follower.audit.last_seq().is_some_and(|last| stored_to > last) {
        // As after a snapshot of this host was restored: the numbers mean something else from here on.
        tracing::error!("the endpoint has {stored_to} records of this spool, which has fewer: it gets another name");
        follower.audit.begin_series().map_err(own)?;
        stored_to = send(&link, &follower.audit.empty_shipment().map_err(own)?).await?;
        if follower.audit.last_seq().is_some_and(|last| stored_to > last) {
            return Err(Failure::Broken(format!("it claims to have {stored_to} records, more than there are")));
        }
    }
    loop {
        follower.audit.ships(follower.endpoint.ships(Some(stored_to)));
        if shipping.replace(Shipping { stored_to: Some(stored_to), problem: None }).problem.is_some() {
            tracing::info!("the audit is shipped to the endpoint again");
        }
        let batch = follower.audit.next_shipment(stored_to).await.map_err(own)?;
        let answer = match send(&link, &batch).await {
            Err(Failure::Problem { problem, .. })
                if problem.kind == ProblemKind::TooLarge && batch.records.len() == 1 =>
            {
                tracing::error!(
                    "an audit record is too long for the endpoint and is left out there: {}",
                    problem.detail
                );
                last_of(&batch)
            }
            answer => answer?,
        };
        // It may have some of an earlier connection, which it stored while this one began.
        if answer > last_of(&batch) && follower.audit.last_seq().is_none_or(|last| answer > last) {
            return Err(Failure::Broken(format!("it claims to have {answer} records, more than there are")));
        }
        if answer <= stored_to && answer != last_of(&batch) {
            // Behind what it said before, as after a restore: it is asked for less, a pause apart.
            tokio::time::sleep(backoff.next(random())).await;
        } else {
            backoff.reset();
        }
        stored_to = answer;
    }
}

fn last_of(batch: &AuditBatch) -> u64 {
    batch.records.last().and_then(|record| record.get("seq")?.as_u64()).unwrap_or_default()
}

/// Sends one batch, and returns how far the endpoint is then.
async fn send(link: &Link, batch: &AuditBatch) -> Result<u64, Failure> {
    let body = serde_json::to_vec(batch).map_err(|error| Failure::Broken(error.to_string()))?;
    let mut ask = Ask::post(audit_path(&link.identity.host), "application/json", body);
    ask.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let AuditStored { stored_to } = link.ask(&ask).await?.json()?;
    Ok(stored_to)
}
