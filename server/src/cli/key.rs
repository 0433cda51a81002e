//! `curfew-server key`.

use super::client::{Client, segment};
use super::{CliError, Global, output};
use crate::http::admin_api::keys::{KeyList, KeyUse, NewKey};
use clap::Subcommand;
use reqwest::Method;

/// The keys that sign sets. To change to a new one: `key add`, copy its file to the other servers' key folders, wait until `key list` names no host that
/// lags, `key use`, and after a day `key retire` the old one.
#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// List the keys, and the hosts that have not heard of the newest.
    List,
    /// Announce a key in every set from now on: a new one, or one that was put into the server's key folder.
    Add {
        /// The one in the key folder.
        kid: Option<String>,
    },
    /// Sign with a key from now on. Refused while there are hosts that have not applied a set which names it.
    Use {
        /// The key's name.
        kid: String,
        /// Even so: those hosts will refuse their sets until they enrol again.
        #[arg(long)]
        force: bool,
    },
    /// Take a key out of every set from now on.
    Retire {
        /// The key's name.
        kid: String,
    },
}

impl Key {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = Client::new(global)?;
        let path = |kid: &str, what: &str| format!("/v1/admin/keys/{}/{what}", segment(kid));
        let keys: KeyList = match self {
            Self::List => client.ask(Method::GET, "/v1/admin/keys").await?,
            Self::Add { kid } => client.post("/v1/admin/keys", &NewKey { kid }).await?,
            Self::Use { kid, force } => client.post(&path(&kid, "use"), &KeyUse { force }).await?,
            Self::Retire { kid } => client.ask(Method::POST, &path(&kid, "retire")).await?,
        };
        output::print(global, &keys, say)
    }
}

fn say(list: &KeyList) -> String {
    let rows = list.keys.iter().map(|key| {
        let here = if key.here { "yes" } else { "no" };
        [
            key.kid.clone(),
            key.state.clone(),
            here.into(),
            output::time(key.announced_at),
            output::maybe_time(key.used_at),
        ]
    });
    let mut text = output::table(["KEY", "STATE", "FILE HERE", "ANNOUNCED", "USED FROM"], rows);
    if !list.without_newest.is_empty() {
        let names: Vec<_> = list.without_newest.iter().map(|name| output::printable(name)).collect();
        text.push_str(&format!("Hosts that have not heard of the newest key: {}\n", names.join(", ")));
    }
    text
}
