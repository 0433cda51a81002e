//! Commands on the server's own machine: its configuration and its database.

use super::{CliError, Global};
use crate::actor;
use crate::config::{self, Config};
use crate::owner::{self, Owner};
use crate::store::Store;
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

/// The server's configuration and its database, whether it runs or not. Root works on it as the user whose folder it is in, from here on.
pub(super) async fn store(global: &Global) -> Result<(Config, Store), CliError> {
    let config = config(global)?;
    if let Some(owner) = owner_of_database(&config)? {
        owner.become_them()?;
    }
    let opened = Store::open(&config.database, 2).await;
    let (store, _changes) = opened.map_err(|error| CliError::Failed(error.to_string()))?;
    Ok((config, store))
}

/// The user in whose folder the database is, where this is root and they are not.
pub(super) fn owner_of_database(config: &Config) -> Result<Option<Owner>, CliError> {
    let file = config::sqlite_file(&config.database);
    let owner = file.map(owner::of_folder_of).transpose().map_err(|error| CliError::Failed(error.to_string()))?;
    Ok(owner.flatten())
}

/// Who works here, for the log: to be asked before root works as somebody else.
pub(super) fn who() -> String {
    let uid = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    actor::name_on_the_server(&name.unwrap_or_else(|| format!("uid {uid}")))
}
