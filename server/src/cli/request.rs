//! `curfew-server request`.

use super::client::{Client, query, segment};
use super::{CliError, Global, output};
use crate::duration;
use crate::http::admin_api::grants::GrantEntry;
use crate::http::admin_api::requests::{Approval, Denial, RequestEntry, RequestList};
use clap::Subcommand;
use curfew_protocol::grant::Text;
use curfew_protocol::host_api::AccessRequest;
use reqwest::Method;
use std::time::Duration;

/// Requests that people made on hosts.
#[derive(Debug, Subcommand)]
pub(super) enum Request {
    /// List requests that wait, the newest first, with what each asks for; what is long is cut, and `show` has all of it.
    List {
        /// Those that were decided, too, after those that wait.
        #[arg(long)]
        all: bool,
        /// Those of this host, by id or name.
        #[arg(long)]
        host: Option<String>,
        /// Those of this user.
        #[arg(long)]
        user: Option<String>,
    },
    /// Show a request: all that it asks for, and what became of it.
    Show {
        /// The request's id.
        id: String,
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
            Self::List { all, host, user } => {
                let requests = pages(&client, all, host, user).await?;
                output::print(global, &requests, |requests| table(requests))
            }
            Self::Show { id } => {
                let entry: RequestEntry =
                    client.ask(Method::GET, &format!("/v1/admin/requests/{}", segment(&id))).await?;
                output::print(global, &entry, shown)
            }
            Self::Approve { id, length } => {
                let seconds =
                    length.map(|length| duration::within("--for", length, duration::LONGEST_GRANT_S)).transpose();
                let approval = Approval { seconds: seconds.map_err(CliError::Usage)? };
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

/// Every page.
async fn pages(
    client: &Client,
    all: bool,
    host: Option<String>,
    user: Option<String>,
) -> Result<Vec<RequestEntry>, CliError> {
    let (mut requests, mut after) = (Vec::new(), None);
    loop {
        let parameters = [
            ("state", (!all).then(|| "pending".into())),
            ("host", host.clone()),
            ("user", user.clone()),
            ("after", after),
            ("limit", Some("1000".into())),
        ];
        let page: RequestList = client.ask(Method::GET, &format!("/v1/admin/requests{}", query(&parameters))).await?;
        requests.extend(page.requests);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(requests),
        }
    }
}

/// What was asked for; nothing of a document that can't be read.
fn asked(entry: &RequestEntry) -> Option<AccessRequest> {
    serde_json::from_str(entry.request.get()).ok()
}

/// All that is asked for, in words: `login from 10.0.0.0/8; sudo as postgres: /usr/bin/psql`.
fn access(asked: &AccessRequest) -> String {
    let login = asked.login.as_ref().map(ToString::to_string);
    let sudo = asked.sudo.as_ref().map(ToString::to_string);
    login.into_iter().chain(sudo).collect::<Vec<_>>().join("; ")
}

fn table(requests: &[RequestEntry]) -> String {
    let rows = requests.iter().map(|entry| {
        let (user, what, length, reason, ticket) = asked(entry).map_or_else(unreadable, |asked| {
            let length = duration::typed(Duration::from_secs(asked.seconds));
            (
                asked.user.to_string(),
                access(&asked),
                length,
                asked.reason.to_string(),
                asked.ticket.as_ref().map(ToString::to_string),
            )
        });
        [
            entry.id.clone(),
            entry.host_name.clone(),
            user,
            length,
            entry.state.clone(),
            output::time(entry.created_at),
            short(what),
            short(reason),
            ticket.map(short).unwrap_or_else(|| "-".into()),
        ]
    });
    output::table(["ID", "HOST", "USER", "FOR", "STATE", "MADE", "WHAT", "REASON", "TICKET"], rows)
}

/// The most of a cell: what is longer, `request show` has.
const LONGEST_CELL: usize = 80;

/// A text as far as a table has room for it.
fn short(text: String) -> String {
    match text.char_indices().nth(LONGEST_CELL) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn unreadable() -> (String, String, String, String, Option<String>) {
    ("?".into(), "can't be read; deny it".into(), "?".into(), String::new(), None)
}

/// A request line by line, each command on a line of its own.
fn shown(entry: &RequestEntry) -> String {
    let mut lines = vec![
        ("request", entry.id.clone()),
        ("state", entry.state.clone()),
        ("host", format!("{} ({})", entry.host_name, entry.host)),
        ("made", output::time(entry.created_at)),
    ];
    match asked(entry) {
        None => lines.push(("asks for", format!("can't be read; deny it: {}", entry.request.get()))),
        Some(asked) => {
            lines.push(("user", asked.user.to_string()));
            lines.push(("for", duration::typed(Duration::from_secs(asked.seconds))));
            lines.extend(asked.login.iter().map(|login| ("login", login.to_string())));
            if let Some(sudo) = &asked.sudo {
                let users: Vec<_> = sudo.run_as.iter().map(ToString::to_string).collect();
                lines.push(("sudo as", users.join(", ")));
                lines.extend(sudo.commands.iter().map(|command| ("command", command.to_string())));
            }
            lines.push(("reason", asked.reason.to_string()));
            lines.extend(asked.ticket.iter().map(|ticket| ("ticket", ticket.to_string())));
        }
    }
    lines.extend(entry.decided_by.iter().map(|who| ("decided by", who.clone())));
    lines.extend(entry.decided_at.map(|at| ("decided", output::time(at))));
    lines.extend(entry.decision_reason.iter().map(|reason| ("because", reason.clone())));
    lines.extend(entry.grant.iter().map(|grant| ("grant", grant.clone())));
    lines.iter().map(|(name, text)| format!("{name:<12}{}\n", output::printable(text))).collect()
}
