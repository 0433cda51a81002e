//! `curfew-server epoch`.

use super::{CliError, Global, local, output};
use crate::actor::Act;
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::json;

/// The epoch: the number before the version of every set.
#[derive(Debug, Subcommand)]
pub(super) enum Epoch {
    /// Raise the epoch, after the database came back from a backup.
    ///
    /// Hosts never go back to an older set. A database from a backup counts versions from where they were then, so that hosts would refuse its sets as older
    /// than what they have. A higher epoch makes every set newer than any before. What was granted or revoked after the backup is lost all the same: look
    /// at it again.
    Bump,
}

impl Epoch {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let Self::Bump = self;
        let who = local::who();
        let (_, store) = local::store(global).await?;
        let act = Act { admin: &who, now: Timestamp::now() };
        let epoch = store.bump_epoch(act).await.map_err(|error| CliError::Failed(error.to_string()))?;
        store.close().await;
        output::print(global, &json!({"epoch": epoch}), |_| format!("the epoch is {epoch}\n"))
    }
}
