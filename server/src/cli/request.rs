//! `curfew-server request`.

use super::client::{Client, query, segment};
use super::{CliError, Global, output};
use crate::admin_api::grants::GrantEntry;
use crate::admin_api::requests::{Approval, Denial, RequestEntry, RequestList};
use crate::documents::AccessRequestDocument;
use crate::duration;
use clap::Subcommand;
use curfew_protocol::grant::Text;
use reqwest::Method;
use std::time::Duration;

/// Requests that people made on hosts.
#[derive(Debug, Subcommand)]
pub(super) enum Request {
    /// List requests that wait, the newest first.
    List {
        /// Those that were decided, too: the newest 1000 in all.
        #[arg(long)]
        all: bool,
    },
    /// Approve a request: it becomes a grant on its host, from now on. Prints the grant's id.
    Approve {
        /// The request's id.
        id: String,
        /// For how long; as long as was asked, if left out.
        #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
        length: Option<Duration>,
    },
    /// Deny a request.
    Deny {
        /// The request's id.
        id: String,
        /// Why, for the one who asked.
        #[arg(long, value_name = "TEXT")]
        reason: Text,
    },
}

impl Request {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = Client::new(global)?;
        let path = |id: &str, what: &str| format!("/v1/admin/requests/{}/{what}", segment(id));
        match self {
            Self::List { all } => {
                let state = (!all).then(|| "pending".into());
                let parameters = query(&[("state", state), ("limit", Some("1000".into()))]);
                let list: RequestList = client.ask(Method::GET, &format!("/v1/admin/requests{parameters}")).await?;
                output::print(global, &list.requests, |requests| table(requests))
            }
            Self::Approve { id, length } => {
                let approval = Approval { seconds: length.map(|length| length.as_secs()) };
                let entry: GrantEntry = client.post(&path(&id, "approve"), &approval).await?;
                let grant = super::grant::document(&entry)?;
                output::print(global, &entry, |_| format!("{}\n", grant.id))
            }
            Self::Deny { id, reason } => {
                let entry: RequestEntry = client.post(&path(&id, "deny"), &Denial { reason }).await?;
                output::print(global, &entry, |entry| format!("request {} is denied\n", entry.id))
            }
        }
    }
}

fn table(requests: &[RequestEntry]) -> String {
    let rows = requests.iter().map(|entry| {
        let asked: Option<AccessRequestDocument> = serde_json::from_str(entry.request.get()).ok();
        let (user, what, length, reason) = asked.map_or_else(Default::default, |asked| {
            let what = [("login", asked.login.is_some()), ("sudo", asked.sudo.is_some())];
            let what: Vec<_> = what.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect();
            (asked.user, what.join("+"), format!("{} s", asked.seconds), asked.reason)
        });
        [
            entry.id.clone(),
            entry.host_name.clone(),
            user,
            what,
            length,
            entry.state.clone(),
            output::time(entry.created_at),
            reason,
        ]
    });
    output::table(["ID", "HOST", "USER", "WHAT", "FOR", "STATE", "MADE", "REASON"], rows)
}
