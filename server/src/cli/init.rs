//! `curfew-server init`.

use super::{CliError, Global, output};
use crate::{config, init};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Make what a new endpoint needs: a database, a signing key, a certificate for trying it out, the first administrator's token.
///
/// The token is printed this once. Nothing is overwritten. With --config and a file that is there, that file says where everything goes. Run by root, it gives
/// the data to the user who owns the data folder.
#[derive(Args, Debug)]
pub(super) struct Init {
    /// Where the server keeps its data.
    #[arg(long, value_name = "DIR", default_value = config::DATA)]
    data: PathBuf,
    /// A URL by which hosts will reach it. Can be given again.
    #[arg(long = "origin", value_name = "URL")]
    origins: Vec<String>,
}

impl Init {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let there = global.config.as_ref().is_some_and(|file| file.exists());
        if self.origins.is_empty() && !there {
            return Err(CliError::Usage(
                "name the URL by which hosts will reach it: --origin https://NAME:8443".into(),
            ));
        }
        let made = init::run(&self.data, self.origins, global.config.clone()).await?;
        let file = made.config_file.display();
        let value = json!({
            "config": made.config_file, "ca": made.config.ca, "certificate_made": made.certificate, "kid": made.kid,
            "origins": made.config.origins, "admin_token": made.token.reveal()
        });
        output::print(global, &value, |_| {
            format!(
                "Made a new endpoint.\n\n  configuration  {file}\n  signing key    {}\n  CA for hosts   {}\n  admin token    {}\n\n\
                 The token is shown this once: put it into a file that you alone can read.\n\
                 Next: curfew-server serve --config {file}\n",
                made.kid,
                made.config.ca.display(),
                made.token.reveal()
            )
        })
    }
}
