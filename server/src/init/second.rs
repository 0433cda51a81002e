//! A second `init`: an endpoint that is there is named, with how to go on with it.

use super::{InitError, absolute};
use crate::config::{self, Config, ConfigError};
use crate::owner;
use std::path::Path;
use std::{fs, io};

/// Refuses where an endpoint is there that this configuration, or the usual one for `data`, is about: before anything else is asked or tried.
pub(crate) fn refuse_second(data: &Path, config_file: Option<&Path>) -> Result<(), InitError> {
    let data = absolute(data)?;
    let own = data.join("server.toml");
    let file = config_file.unwrap_or(&own);
    // Root reads nothing in somebody else's folder: there they look themselves, which this is for as well.
    let readable = owner::of_folder_of(&absolute(file)?)?.is_none();
    let (config, there) = match readable.then(|| Config::load(file)) {
        Some(Ok(config)) => (config, true),
        Some(Err(ConfigError::Read { source, .. })) if source.kind() == io::ErrorKind::NotFound => (
            Config {
                database: config::database_in(&data),
                key_folder: config::key_folder_in(&data),
                ..Config::default()
            },
            false,
        ),
        _ => return Ok(()),
    };
    existing(file, &config, there).map_or(Ok(()), Err)
}

/// The endpoint that this configuration is about, if there is one; `there` says whether the file is.
pub(super) fn existing(file: &Path, config: &Config, there: bool) -> Option<InitError> {
    let kept = |path: &Path, what: fn(&fs::Metadata) -> bool| path.symlink_metadata().is_ok_and(|it| what(&it));
    let keys = Some(&*config.key_folder).filter(|it| kept(it, fs::Metadata::is_dir) && holds_something(it));
    let database = config::sqlite_file(&config.database).filter(|it| kept(it, |it| it.is_file() && it.len() > 0));
    let place = keys.or(database)?.to_owned();
    let start = start(file);
    let next = match (there, config.origins.is_empty()) {
        (true, false) => start,
        (true, true) => format!(
            "write the URL by which hosts reach it into {}, like origins = [\"https://curfew.example.org:8443\"], and then: {start}",
            file.display()
        ),
        (false, _) => format!("put its configuration back to {}, and then: {start}", file.display()),
    };
    Some(InitError::Endpoint { place, next })
}

fn holds_something(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut inside| inside.next().is_some())
}

/// How an endpoint with this configuration is started: as the service, where the file is the service's.
pub(crate) fn start(config_file: &Path) -> String {
    match config_file == Path::new(config::PATH) {
        true => "systemctl enable --now curfew-server".into(),
        false => format!("curfew-server serve --config {}", config_file.display()),
    }
}
