//! The configuration of a new endpoint: the one that is there, with its origins named, or a new one.

use super::undo::Undo;
use super::{InitError, absolute, check};
use crate::config::{self, Config};
use crate::owner::Owner;
use crate::sets::keys::write_private;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::{fs, io};

/// As root, for the user who will serve: the configuration at `file`, which names `origins` then. Returns what it was, to be put back.
pub(crate) fn configure(
    file: &Path,
    data: &Path,
    origins: &[String],
    owner: Owner,
) -> Result<Option<Option<String>>, InitError> {
    check(origins)?;
    let before = match fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(InitError::File { path: file.into(), source }),
    };
    let (_, text) = configuration(&absolute(data)?, origins.to_vec(), file)?;
    let Some(text) = text else { return Ok(None) };
    put_configuration(file, &text)?;
    if before.is_none() {
        // For the server alone to read: a database's password may be in it.
        let failed = |source| InitError::File { path: file.into(), source };
        std::os::unix::fs::lchown(file, None, Some(owner.gid().as_raw())).map_err(failed)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o640)).map_err(failed)?;
    }
    Ok(Some(before))
}

/// Has a configuration as it was.
pub(crate) fn restore(file: &Path, before: Option<String>) -> Result<(), InitError> {
    match before {
        Some(text) => put_configuration(file, &text),
        None => fs::remove_file(file).map_err(|source| InitError::File { path: file.into(), source }),
    }
}

/// The configuration that is there, or a new one; and its text, where it has to be written.
pub(super) fn configuration(
    data: &Path,
    origins: Vec<String>,
    file: &Path,
) -> Result<(Config, Option<String>), InitError> {
    if file.exists() {
        let config = Config::load(file)?;
        if config.origins.is_empty() && !origins.is_empty() {
            let text = fs::read_to_string(file).map_err(|source| InitError::File { path: file.into(), source })?;
            let text = with_origins(&text, &origins);
            return Ok((Config::parse(file, &text)?, Some(text)));
        }
        if config.origins.is_empty() {
            return Err(InitError::NoOrigin(file.into()));
        }
        if !(origins.is_empty() || origins == config.origins) {
            return Err(InitError::OtherOrigin(file.into()));
        }
        return Ok((config, None));
    }
    let config = Config {
        origins,
        database: config::database_in(data),
        certificate: config::certificate_in(data),
        certificate_key: config::certificate_key_in(data),
        ca: config::ca_in(data),
        key_folder: config::key_folder_in(data),
        socket: config::socket_in(data),
        ..Config::default()
    };
    let quoted = |path: &Path| toml_string(&path.display().to_string());
    let text = format!(
        "# Made by curfew-server init. Every other key, with its default: /etc/curfew/server.toml\n\
         origins = {}\nlisten = {}\ndatabase = {}\ncertificate = {}\ncertificate_key = {}\nca = {}\nkey_folder = {}\nsocket = {}\n",
        toml_list(&config.origins),
        toml_string(&listen(&config).to_string()),
        toml_string(&config.database),
        quoted(&config.certificate),
        quoted(&config.certificate_key),
        quoted(&config.ca),
        quoted(&config.key_folder),
        quoted(&config.socket)
    );
    let config = Config::parse(file, &text)?;
    Ok((config, Some(text)))
}

/// A configuration with its origins named: in the place of the line that shows the default, or at its end.
fn with_origins(text: &str, origins: &[String]) -> String {
    let line = format!("origins = {}", toml_list(origins));
    let is_it =
        |line: &str| line.trim_start_matches(['#', ' ']).split('=').next().is_some_and(|key| key.trim() == "origins");
    let mut done = false;
    let mut lines: Vec<&str> = Vec::new();
    for before in text.lines() {
        let taken = !done && is_it(before);
        done |= taken;
        lines.push(if taken { &line } else { before });
    }
    if !done {
        lines.push(&line);
    }
    lines.join("\n") + "\n"
}

/// Writes a configuration, to be taken back; what was there before is returned.
pub(super) fn write_configuration(file: &Path, text: &str, undo: &mut Undo) -> Result<Option<String>, InitError> {
    let before = fs::read_to_string(file).ok();
    if before.is_none() {
        undo.made(file.into());
    }
    put_configuration(file, text)?;
    Ok(before)
}

/// Writes a configuration as a whole, with the owner and the mode of the one that it replaces.
pub(super) fn put_configuration(file: &Path, text: &str) -> Result<(), InitError> {
    let failed = |source| InitError::File { path: file.into(), source };
    let Ok(before) = fs::symlink_metadata(file) else {
        return write_private(file, text.as_bytes()).map_err(failed);
    };
    let new = file.with_extension("toml.new");
    let _ = fs::remove_file(&new);
    write_private(&new, text.as_bytes()).map_err(failed)?;
    // Whoever is not root keeps what is theirs.
    let _ = std::os::unix::fs::lchown(&new, Some(before.uid()), Some(before.gid()));
    fs::set_permissions(&new, before.permissions()).map_err(failed)?;
    fs::rename(&new, file).map_err(failed)
}

/// All addresses, and the port of the first origin.
fn listen(config: &Config) -> std::net::SocketAddr {
    let mut listen = config.listen;
    let name = config.issuer().strip_prefix("https://").unwrap_or_default();
    let port = name.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    listen.set_port(port.unwrap_or(443));
    listen
}

/// Strings as TOML has them.
fn toml_list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| toml_string(text)).collect::<Vec<_>>().join(", "))
}

/// A string as TOML has it: JSON's is one.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_names_no_origin_gets_the_one_that_is_asked_for_and_stays_as_it_is_otherwise() {
        for (text, new) in [
            (
                "# a\n#origins = []\n\nlongest_wait = \"1m\"\n",
                "# a\norigins = [\"https://a:1\"]\n\nlongest_wait = \"1m\"\n",
            ),
            ("longest_wait = \"1m\"", "longest_wait = \"1m\"\norigins = [\"https://a:1\"]\n"),
        ] {
            assert_eq!(with_origins(text, &["https://a:1".into()]), new);
        }
    }
}
