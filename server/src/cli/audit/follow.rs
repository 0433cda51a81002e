//! `curfew-server audit --follow`: what comes, in the order of its coming.
//!
//! Records that came at the same time may be seen one before the other, and servers' clocks differ by a little. So each look goes back a bit, and
//! prints what was not printed.

use super::super::{CliError, output};
use super::{Audit, Client, Format, print};
use crate::http::admin_api::audit::{AuditItem, AuditList};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use std::collections::HashMap;
use std::time::Duration;

/// How many are printed at first.
const AT_FIRST: usize = 10;

/// How long after a look the next one comes.
const PAUSE: Duration = Duration::from_secs(1);

/// How far each look goes back behind what was seen last.
const BACK: SignedDuration = SignedDuration::from_secs(10);

/// A record's name.
type Name = (Option<String>, Option<String>, i64);

pub(super) async fn run(audit: &Audit, client: &Client, format: Format) -> Result<(), CliError> {
    let mut seen: HashMap<Name, Timestamp> = HashMap::new();
    // From here on everything is new.
    let begun = last_arrival(client).await?;
    let shown = audit.last(client, audit.last.unwrap_or(AT_FIRST)).await?;
    output::text(&print(format, &shown, true)?)?;
    let mut from = begun.unwrap_or(Timestamp::UNIX_EPOCH);
    seen.extend(arrivals(audit, client, from).await?.iter().filter(|it| it.received_at <= from).map(entry));
    seen.extend(shown.iter().map(entry));
    let mut away = false;
    loop {
        let items = match arrivals(audit, client, from).await {
            Ok(items) => {
                away = false;
                items
            }
            // Whoever follows does so over a restart, too: what came meanwhile comes then.
            Err(CliError::Away(problem)) => {
                if !away {
                    eprintln!("curfew-server: {}; trying again until it is there", output::printable(&problem));
                }
                away = true;
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        for item in items {
            if seen.insert(name(&item), item.received_at).is_none() {
                from = from.max(item.received_at);
                output::text(&print(format, std::slice::from_ref(&item), false)?)?;
            }
        }
        let old = back(back(from));
        seen.retain(|_, came| *came >= old);
        tokio::time::sleep(PAUSE).await;
    }
}

/// When the last record came, whatever it is: by the server's clock.
async fn last_arrival(client: &Client) -> Result<Option<Timestamp>, CliError> {
    let list: AuditList = client.ask(Method::GET, "/v1/admin/audit?order=latest&limit=1").await?;
    Ok(list.records.first().map(|item| item.received_at))
}

/// What came from a little before this time on.
async fn arrivals(audit: &Audit, client: &Client, from: Timestamp) -> Result<Vec<AuditItem>, CliError> {
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let parameters = [
            ("order", Some("arrival".into())),
            ("since", Some(back(from).to_string())),
            ("after", after),
            ("limit", Some("1000".into())),
        ];
        let page = audit.page(client, parameters).await?;
        items.extend(page.records);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(items),
        }
    }
}

fn back(from: Timestamp) -> Timestamp {
    from.saturating_sub(BACK).unwrap_or(from)
}

fn name(item: &AuditItem) -> Name {
    (item.host.clone().filter(|_| item.series.is_some()), item.series.clone(), item.seq)
}

fn entry(item: &AuditItem) -> (Name, Timestamp) {
    (name(item), item.received_at)
}
