//! `curfew-server host`.

use super::client::{Client, query, segment};
use super::{CliError, Global, output};
use crate::host_name::HostName;
use crate::http::admin_api::hosts::{HostDocument, HostList, LabelChange, NewHost};
use crate::labels::Labels;
use clap::Subcommand;
use reqwest::Method;

/// Hosts: what there is, what they are called, and that they are gone.
#[derive(Debug, Subcommand)]
pub(super) enum Host {
    /// List hosts.
    List {
        /// Those that have this label: env=prod. Can be given again, or as env=prod,role=web: those that have all of them.
        #[arg(long = "label", alias = "labels", value_name = "LABEL")]
        labels: Vec<String>,
        /// Those that were removed.
        #[arg(long)]
        removed: bool,
    },
    /// Show a host.
    Show {
        /// The host's id or name.
        host: String,
    },
    /// Add a host without a key, whose sets are exported as files. Prints its id. Other hosts enrol: see `curfew-server token create`.
    Add {
        /// Its name.
        name: HostName,
        /// A label of its: env=prod. Can be given again.
        #[arg(long = "label", alias = "labels", value_name = "LABEL")]
        labels: Vec<String>,
    },
    /// Set and unset a host's labels. Grants by labels begin and cease to hold on it with this.
    Label {
        /// The host's id or name.
        host: String,
        /// Labels to set: env=prod
        #[arg(value_name = "LABEL", required_unless_present = "unset")]
        set: Vec<String>,
        /// A label to unset, by its name alone: env. Can be given again. It has to be there.
        #[arg(long, value_name = "NAME")]
        unset: Vec<String>,
    },
    /// Remove a host and its key. It can come back only by enrolling again. Grants for it alone are revoked.
    Remove {
        /// The host's id or name.
        host: String,
    },
}

/// Labels that were given one by one.
pub(super) fn joined(labels: &[String]) -> Result<Labels, CliError> {
    labels.join(",").parse().map_err(CliError::Usage)
}

impl Host {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = Client::new(global)?;
        let path = |host: &str| format!("/v1/admin/hosts/{}", segment(host));
        match self {
            Self::List { labels, removed } => {
                let labels = joined(&labels)?;
                let hosts = all(&client, &labels, removed).await?;
                output::print(global, &hosts, |hosts| table(hosts))?;
                if !global.json && !labels.is_empty() {
                    eprintln!("curfew-server: {} hosts with {labels}", hosts.len());
                }
                Ok(())
            }
            Self::Show { host } => {
                let host: HostDocument = client.ask(Method::GET, &path(&host)).await?;
                output::print(global, &host, |host| table(std::slice::from_ref(host)))
            }
            Self::Add { name, labels } => {
                let new = NewHost { name, labels: joined(&labels)? };
                let host: HostDocument = client.post("/v1/admin/hosts", &new).await?;
                output::print(global, &host, |host| format!("{}\n", host.id))
            }
            Self::Label { host, set, unset } => {
                let change = LabelChange { set: joined(&set)?, unset };
                let path = format!("{}/labels", path(&host));
                let host: HostDocument = client.send_json(Method::PATCH, &path, &change).await?;
                output::print(global, &host, |host| table(std::slice::from_ref(host)))
            }
            Self::Remove { host } => {
                let host: HostDocument = client.ask(Method::DELETE, &path(&host)).await?;
                output::print(global, &host, |host| format!("{} ({}) is removed\n", host.name, host.id))
            }
        }
    }
}

/// Every page.
async fn all(client: &Client, labels: &Labels, removed: bool) -> Result<Vec<HostDocument>, CliError> {
    let (mut hosts, mut after) = (Vec::new(), None);
    loop {
        let parameters = [
            ("labels", (!labels.is_empty()).then(|| labels.to_string())),
            ("removed", removed.then(|| "true".into())),
            ("after", after),
            ("limit", Some("1000".into())),
        ];
        let page: HostList = client.ask(Method::GET, &format!("/v1/admin/hosts{}", query(&parameters))).await?;
        hosts.extend(page.hosts);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(hosts),
        }
    }
}

fn table(hosts: &[HostDocument]) -> String {
    let rows = hosts.iter().map(|host| {
        let set = match (&host.kid, &host.removed_at) {
            (_, Some(_)) => "removed".into(),
            (None, None) => "from files".into(),
            (Some(_), None) if host.applied == host.version => "applied".into(),
            (Some(_), None) => format!("{} of {}", host.applied, host.version),
        };
        let seen = output::maybe_time(host.seen_at);
        [host.id.clone(), host.name.clone(), output::labels(&host.labels), set, seen]
    });
    output::table(["ID", "NAME", "LABELS", "SET", "SEEN"], rows)
}
