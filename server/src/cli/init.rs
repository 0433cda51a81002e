//! `curfew-server init`.

use super::{CliError, Global, output};
use crate::init::{InitError, Whose};
use crate::owner::{self, Owner};
use crate::{config, init};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Make what a new endpoint needs: a database, a signing key, a certificate for trying it out, the first administrator's token.
///
/// The token is printed this once. Nothing is overwritten, and where something fails, nothing is left. Without --data it is for the service: the
/// configuration is /etc/curfew/server.toml, and --origin is written there. With --config and a file that is there, that file says where everything goes.
/// Root makes what is in somebody else's folder as they: the data belongs to whoever serves it.
#[derive(Args, Debug)]
pub(super) struct Init {
    /// Where the server keeps its data, with its configuration. [default: /var/lib/curfew-server, and the configuration in /etc/curfew]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A URL by which hosts will reach it. Can be given again.
    #[arg(long = "origin", value_name = "URL")]
    origins: Vec<String>,
}

impl Init {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let config = match (&global.config, &self.data) {
            (Some(file), _) => Some(file.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(config::PATH.into()),
        };
        let data = self.data.unwrap_or_else(|| config::DATA.into());
        init::refuse_second(&data, config.as_deref())?;
        let there = config.as_ref().is_some_and(|file| file.exists());
        if self.origins.is_empty() && !there {
            return Err(CliError::Usage(
                "name the URL by which hosts will reach it: --origin https://NAME:8443".into(),
            ));
        }
        let folders = match init::whose(&data)? {
            Whose::Theirs(owner) => return as_owner(owner, global, &data, &self.origins, config),
            Whose::Own(folders) => folders,
        };
        let made = init::run(&data, self.origins, config).await.inspect_err(|_| {
            // What was made for nothing goes; what somebody has put something into stays.
            data.ancestors().take(folders).all(|folder| std::fs::remove_dir(folder).is_ok());
        })?;
        let file = made.config_file.display();
        let value = json!({
            "config": made.config_file, "ca": made.config.ca, "certificate_made": made.certificate, "kid": made.kid,
            "origins": made.config.origins, "admin_token": made.token.reveal()
        });
        output::print(global, &value, |_| {
            format!(
                "Made a new endpoint.\n\n  configuration  {file}\n  signing key    {}\n  CA for hosts   {}\n  admin token    {}\n\n\
                 The token is shown this once: put it into a file that you alone can read.\n\
                 Next: {}\n",
                made.kid,
                made.config.ca.display(),
                made.token.reveal(),
                init::start(&made.config_file)
            )
        })
    }
}

/// Root's part of it, where the data is in somebody else's folder: the configuration, if that is elsewhere. Everything else they do themselves.
fn as_owner(
    owner: Owner,
    global: &Global,
    data: &Path,
    origins: &[String],
    config: Option<PathBuf>,
) -> Result<(), CliError> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(CliError::from);
    let mut program = owner.this_program();
    program.arg("init").arg("--data").arg(absolute(data)?);
    let mut before = None;
    match &config {
        // Theirs, too: they write it.
        Some(file) if owner::of_folder_of(&absolute(file)?).map_err(InitError::from)?.is_some() => {
            program.arg("--config").arg(absolute(file)?);
            program.args(origins.iter().flat_map(|origin| ["--origin", origin.as_str()]));
        }
        Some(file) => {
            before = init::configure(file, data, origins, owner)?;
            program.arg("--config").arg(absolute(file)?);
        }
        None => drop(program.args(origins.iter().flat_map(|origin| ["--origin", origin.as_str()]))),
    }
    if global.json {
        program.arg("--json");
    }
    let done = program.status()?;
    if done.success() {
        return Ok(());
    }
    if let (Some(before), Some(file)) = (before, &config) {
        init::restore(file, before)?;
    }
    if let Some(code @ (1 | 2)) = done.code().and_then(|code| u8::try_from(code).ok()) {
        return Err(CliError::Told(code));
    }
    Err(CliError::Failed(format!(
        "{} could not make the endpoint in {}; nothing is left of it",
        owner.name(),
        data.display()
    )))
}
