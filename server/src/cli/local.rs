//! Commands on the server's own machine: its configuration and its database.

use super::{CliError, Global};
use crate::config::{self, Config};
use crate::store::{self, Store};
use std::path::PathBuf;

/// Where the server's configuration is.
pub(super) fn config_path(global: &Global) -> PathBuf {
    let named = global.config.clone().or_else(|| std::env::var_os("CURFEW_SERVER_CONFIG").map(PathBuf::from));
    named.unwrap_or_else(|| config::PATH.into())
}

/// The server's configuration.
pub(super) fn config(global: &Global) -> Result<Config, CliError> {
    Config::load(&config_path(global)).map_err(|error| CliError::Failed(error.to_string()))
}

/// The server's configuration and its database, whether it runs or not.
pub(super) async fn store(global: &Global) -> Result<(Config, Store), CliError> {
    let config = config(global)?;
    let opened = Store::open(&config.database, 2).await;
    let (store, _changes) = opened.map_err(|error| CliError::Failed(error.to_string()))?;
    Ok((config, store))
}

/// Who works here, for the log.
pub(super) fn who() -> String {
    let uid = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    store::name_on_the_server(&name.unwrap_or_else(|| format!("uid {uid}")))
}
