//! `curfew-server export`.

use super::{CliError, Global, local, output};
use crate::{duration, export};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Write every host's set to a folder, freshly signed, for any web server to serve: HOST-ID.jws each, and keys.json with the keys that sign them.
///
/// Meant for a timer that runs well within --lifetime, and for hosts that poll files. Each file is replaced as a whole. The file of a host that was removed
/// is written once more, with no grants, as long as it is there.
#[derive(Args, Debug)]
pub(super) struct Export {
    /// The folder.
    folder: PathBuf,
    /// For how long the sets are fresh.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "1h")]
    lifetime: Duration,
}

impl Export {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let (config, store) = local::store(global).await?;
        let written = export::run(&store, &config, &self.folder, self.lifetime).await?;
        store.close().await;
        output::print(global, &written, |written| {
            let files: Vec<_> = written.hosts.iter().map(|host| format!("{host}.jws\n")).collect();
            format!("{}keys.json\n{} hosts in {}\n", files.concat(), files.len(), written.folder.display())
        })
    }
}
