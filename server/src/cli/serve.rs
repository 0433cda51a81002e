//! `curfew-server serve`.

use super::{CliError, Global, local};
use crate::serve;
use clap::Args;
use std::io::IsTerminal as _;
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;

/// Run the endpoint until SIGTERM. SIGHUP reads the certificate again.
#[derive(Args, Debug)]
pub(super) struct Serve {}

impl Serve {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        log();
        Ok(serve::run(&local::config_path(global)).await?)
    }
}

/// To standard error; in a service, the journal has the times.
fn log() {
    let level = std::env::var("CURFEW_SERVER_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(Level::INFO);
    let log = tracing_subscriber::fmt().with_max_level(LevelFilter::from_level(level)).with_writer(std::io::stderr);
    let log = log.with_ansi(false).with_target(false);
    if std::env::var_os("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal() {
        log.without_time().init();
    } else {
        log.init();
    }
}
