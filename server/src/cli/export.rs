//! `curfew-server export`.

use super::{CliError, Global, local, output};
use crate::owner::Owner;
use crate::sets::export;
use crate::sets::export::{ExportError, Files, Signed};
use clap::Args;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

/// Write every host's set to a folder, freshly signed, for any web server to serve: HOST-ID.jws each, and keys.json with the keys that sign them.
///
/// The files, and the folder if it is made, are for everybody to read, whatever the umask. A host finds its own by its id: curfew enroll URL --static --host HOST-ID --keys keys.json
///
/// Meant for a timer that runs well within --lifetime, and for hosts that poll files. Each file is replaced as a whole. The file of a host that was removed
/// is written once more, with no grants, as long as it is there.
#[derive(Args, Debug)]
pub(super) struct Export {
    /// The folder.
    folder: PathBuf,
    /// For how long the sets are fresh: 30s to 30d.
    #[arg(long, value_name = "DURATION", value_parser = export::lifetime, default_value = "1h")]
    lifetime: Duration,
    /// Print the files, one JSON object each, for a root that writes them.
    #[arg(long, hide = true)]
    signed: bool,
}

impl Export {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        if self.signed {
            return sign(global, self.lifetime, |signed| {
                println!("{}", serde_json::to_string(&signed).unwrap_or_default());
                Ok(())
            })
            .await;
        }
        let mut files = Files::open(&self.folder)?;
        match local::owner_of_database(&local::config(global)?)? {
            None => sign(global, self.lifetime, |signed| files.put(signed)).await?,
            // The database is another user's: they sign, and root writes where root may.
            Some(owner) => self.signed_by(owner, global, &mut files)?,
        }
        let written = files.written();
        output::print(global, &written, |written| {
            let files: Vec<_> = written.hosts.iter().map(|host| format!("{host}.jws\n")).collect();
            format!("{}keys.json\n{} hosts in {}\n", files.concat(), files.len(), written.folder.display())
        })
    }

    fn signed_by(&self, owner: Owner, global: &Global, files: &mut Files) -> Result<(), CliError> {
        let lifetime = format!("{}s", self.lifetime.as_secs());
        let mut program = owner.this_program();
        program.args(["export", "/", "--signed", "--lifetime", &lifetime, "--config"]);
        program.arg(std::path::absolute(local::config_path(global))?).stdout(Stdio::piped());
        let mut signing = program.spawn()?;
        let lines = signing.stdout.take().map(BufReader::new);
        for line in lines.into_iter().flat_map(BufRead::lines) {
            let signed = serde_json::from_str(&line?);
            files.put(
                signed.map_err(|error| {
                    CliError::Failed(format!("what {} signed can't be read: {error}", owner.name()))
                })?,
            )?;
        }
        match signing.wait()?.success() {
            true => Ok(()),
            false => Err(CliError::Failed(format!(
                "{} could not sign the sets; what was signed before is written",
                owner.name()
            ))),
        }
    }
}

/// Signs every set.
async fn sign(
    global: &Global,
    lifetime: Duration,
    put: impl FnMut(Signed) -> Result<(), ExportError>,
) -> Result<(), CliError> {
    let (config, store) = local::store(global).await?;
    let signed = export::run(&store, &config, lifetime, put).await;
    store.close().await;
    Ok(signed?)
}
