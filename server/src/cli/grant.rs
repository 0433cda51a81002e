//! `curfew-server grant`.

mod revocation;

use super::client::{Client, query, segment};
use super::host::joined;
use super::{CliError, Global, output};
use crate::duration;
use crate::http::admin_api::grants::{GrantEntry, GrantList, NewGrant};
use crate::http::schemas::{GrantDocument, LoginDocument, SudoDocument};
use crate::store::GrantState;
use clap::{Args, Subcommand};
use curfew_protocol::display;
use curfew_protocol::grant::Text;
use jiff::Timestamp;
use reqwest::Method;
use std::time::Duration;

/// Grants: who may do what, where and until when.
#[derive(Debug, Subcommand)]
pub(super) enum Grant {
    Create(Box<Create>),
    /// List grants, the newest first.
    List {
        /// Those in the set of this host, by id or name.
        #[arg(long)]
        host: Option<String>,
        /// Those of this user.
        #[arg(long)]
        user: Option<String>,
        /// Those in this state: coming, live, ended or revoked.
        #[arg(long, value_parser = state)]
        state: Option<GrantState>,
    },
    /// Show a grant as JSON, as it stands in the sets of its hosts, with what became of it.
    Show {
        /// The grant's id.
        id: String,
    },
    /// Revoke a grant: it ceases to hold on all its hosts.
    Revoke {
        /// The grant's id.
        id: String,
        /// Why, for the audit.
        #[arg(long, value_name = "TEXT")]
        reason: Option<Text>,
        /// Wait until every host that had the grant has acknowledged, for at most so long [default: 1m], and name those that have not: exit 0 if all
        /// have, and 1 if not. Hosts that fetch files, or were removed since, are not waited for. For a grant that is revoked already, too.
        #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "1m", value_parser = duration::parse)]
        wait: Option<Duration>,
    },
}

/// Create a grant for a host, or for all hosts that have some labels. Prints its id.
///
/// A grant by labels holds on the hosts that have them now, and on those that get them while it lasts: a host that enrols or is labelled later gets it, too.
/// Without --login and --sudo it grants the login.
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("where").required(true).args(["host", "labels"])))]
#[command(group(clap::ArgGroup::new("end").required(true).args(["length", "until"])))]
pub(super) struct Create {
    /// The login name on the hosts.
    user: String,
    /// The host, by id or name.
    #[arg(long)]
    host: Option<String>,
    /// The hosts that have this label: env=prod. Can be given again, or as env=prod,role=web: those that have all of them.
    #[arg(long = "label", alias = "labels", value_name = "LABEL")]
    labels: Vec<String>,
    /// How long it holds: 90s, 30m, 8h, 2d.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    length: Option<Duration>,
    /// When it ends: 2026-11-21T20:30:00Z, or a date or time in your zone.
    #[arg(long, value_name = "TIME", value_parser = duration::coming)]
    until: Option<Timestamp>,
    /// When it begins: a time, a date, or in how long; now, if left out.
    #[arg(long, value_name = "TIME", value_parser = duration::coming)]
    from_time: Option<Timestamp>,
    /// Let them log in.
    #[arg(long)]
    login: bool,
    /// A PAM service to log in over, such as sshd. Can be given again.
    #[arg(long = "service", value_name = "SERVICE")]
    services: Vec<String>,
    /// A network to log in from, such as 10.0.0.0/8. Can be given again.
    #[arg(long, value_name = "CIDR")]
    from: Vec<String>,
    /// Let them use sudo: for any command, unless --command says which.
    #[arg(long)]
    sudo: bool,
    /// A command for sudo, with its full path. Can be given again.
    #[arg(long = "command", value_name = "CMD", requires = "sudo")]
    commands: Vec<String>,
    /// A user to run commands as; root, if left out. Can be given again.
    #[arg(long, value_name = "USER", requires = "sudo")]
    run_as: Vec<String>,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The ticket behind it.
    #[arg(long, value_name = "TICKET")]
    ticket: Option<String>,
    /// Who asked for it; you, if left out.
    #[arg(long, value_name = "NAME")]
    requested_by: Option<String>,
    /// Its id, to be sure that it is made once; a new one, if left out.
    #[arg(long)]
    id: Option<String>,
}

fn state(text: &str) -> Result<GrantState, String> {
    match text {
        "coming" => Ok(GrantState::Coming),
        "live" => Ok(GrantState::Live),
        "ended" => Ok(GrantState::Ended),
        "revoked" => Ok(GrantState::Revoked),
        _ => Err(format!("{text:?} is no state: coming, live, ended or revoked")),
    }
}

impl Grant {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = Client::new(global)?;
        match self {
            Self::Create(create) => {
                let entry: GrantEntry = client.post("/v1/admin/grants", &create.order()?).await?;
                let grant = document(&entry)?;
                output::print(global, &entry, |_| format!("{}\n", grant.id))?;
                if !global.json {
                    eprintln!("curfew-server: {}", output::printable(&reach(&entry, &grant)));
                }
                Ok(())
            }
            Self::List { host, user, state } => {
                let entries = all(&client, host, user, state).await?;
                if global.json {
                    return output::print(global, &entries, |_| String::new());
                }
                output::text(&table(&entries)?)
            }
            Self::Show { id } => {
                let entry: GrantEntry = client.ask(Method::GET, &format!("/v1/admin/grants/{}", segment(&id))).await?;
                if global.json {
                    return output::print(global, &entry, |_| String::new());
                }
                let text = serde_json::to_string_pretty(&entry).map_err(|error| CliError::Failed(error.to_string()))?;
                output::text(&(display::json(&text) + "\n"))
            }
            Self::Revoke { id, reason, wait } => revocation::run(&client, global, &id, reason, wait).await,
        }
    }
}

impl Create {
    fn order(self) -> Result<NewGrant, CliError> {
        let login = self.login || !self.sudo;
        let labels = joined(&self.labels)?;
        let narrowed = !self.from.is_empty() || !self.services.is_empty();
        if narrowed && !login {
            return Err(CliError::Usage("--from and --service narrow logins; add --login".into()));
        }
        let length = self.length.map(|length| duration::within("--for", length, duration::LONGEST_GRANT_S)).transpose();
        let commands = if self.commands.is_empty() { vec!["ALL".into()] } else { self.commands };
        let run_as = if self.run_as.is_empty() { vec!["root".into()] } else { self.run_as };
        Ok(NewGrant {
            host: self.host,
            labels: (!labels.is_empty()).then_some(labels),
            id: self.id,
            user: self.user,
            not_before: self.from_time,
            not_after: self.until,
            seconds: length.map_err(CliError::Usage)?,
            login: login.then_some(LoginDocument { services: self.services, from: self.from }),
            sudo: self.sudo.then_some(SudoDocument { run_as, commands }),
            reason: self.reason,
            ticket: self.ticket,
            requested_by: self.requested_by,
            approved_by: Vec::new(),
        })
    }
}

/// On how many hosts a new grant is. One that is on none is easily a label that was mistyped.
fn reach(entry: &GrantEntry, grant: &GrantDocument) -> String {
    let end = grant.not_after.parse().map_or_else(|_| grant.not_after.clone(), output::time);
    match (&entry.labels, entry.hosts) {
        (Some(labels), Some(0)) => format!(
            "warning: no host has {labels}; the grant holds on hosts that get these labels until {end}. \
             To see the labels of hosts: curfew-server host list; to take it back: curfew-server grant revoke {}",
            grant.id
        ),
        (Some(labels), Some(hosts)) => format!("on {} with {labels}, until {end}", counted(hosts, "host")),
        _ => format!("on {}, until {end}", entry.host_name.as_deref().unwrap_or("one host")),
    }
}

/// So many of these: `1 host`, `2 hosts`.
pub(super) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Every page.
async fn all(
    client: &Client,
    host: Option<String>,
    user: Option<String>,
    state: Option<GrantState>,
) -> Result<Vec<GrantEntry>, CliError> {
    let (mut entries, mut after) = (Vec::new(), None);
    loop {
        let parameters = [
            ("host", host.clone()),
            ("user", user.clone()),
            ("state", state.map(name)),
            ("after", after),
            ("limit", Some("1000".into())),
        ];
        let page: GrantList = client.ask(Method::GET, &format!("/v1/admin/grants{}", query(&parameters))).await?;
        entries.extend(page.grants);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(entries),
        }
    }
}

fn name(state: GrantState) -> String {
    match state {
        GrantState::Coming => "coming",
        GrantState::Live => "live",
        GrantState::Ended => "ended",
        GrantState::Revoked => "revoked",
    }
    .into()
}

pub(super) fn document(entry: &GrantEntry) -> Result<GrantDocument, CliError> {
    serde_json::from_str(entry.grant.get()).map_err(|error| CliError::Failed(format!("a grant can't be read: {error}")))
}

/// Grants in lines.
pub(super) fn table(entries: &[GrantEntry]) -> Result<String, CliError> {
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let grant = document(entry)?;
        let place = entry.host_name.clone().or_else(|| entry.labels.as_ref().map(ToString::to_string));
        let what = [("login", grant.login.is_some()), ("sudo", grant.sudo.is_some())];
        let what: Vec<_> = what.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect();
        let end = grant.not_after.parse().map_or(grant.not_after, output::time);
        rows.push([
            grant.id,
            grant.user,
            place.unwrap_or_default(),
            what.join("+"),
            name(entry.state),
            end,
            grant.reason,
        ]);
    }
    Ok(output::table(["ID", "USER", "WHERE", "WHAT", "STATE", "UNTIL", "REASON"], rows))
}
