//! `curfew-server serve`.

use super::{CliError, Global, local};
use crate::serve;
use clap::Args;
use std::io::IsTerminal as _;
use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

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
    // Of the database's own log, what is amiss.
    let which = Targets::new().with_default(level).with_target("sqlx", Level::WARN);
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    let journal = std::env::var_os("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal();
    let log = if journal { log.without_time().boxed() } else { log.boxed() };
    tracing_subscriber::registry().with(which).with(log).init();
}
