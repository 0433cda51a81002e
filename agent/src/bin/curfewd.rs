//! `curfewd`: the agent. systemd starts it through curfewd.socket.

use clap::Parser;
use curfew::config::{self, Config};
use curfew::daemon::{self, Sockets};
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The Curfew agent: holds this host's grants, answers PAM, ends what a grant had opened.
///
/// systemd starts it through curfewd.socket. SIGHUP reads the configuration again.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Read the configuration, say whether it can be used, and end.
    #[arg(long)]
    check_config: bool,
    /// The configuration to check.
    #[arg(long, default_value = config::PATH, requires = "check_config")]
    config: PathBuf,
}

fn main() -> ExitCode {
    // The sockets come first: no other descriptor may be open when they are taken over.
    let sockets = Sockets::from_systemd();
    let arguments = Arguments::parse();
    if arguments.check_config {
        return check_config(&arguments.config);
    }
    log_to_journal();
    match sockets.and_then(daemon::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            eprintln!("curfewd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check_config(path: &std::path::Path) -> ExitCode {
    match Config::load(path) {
        Ok(_) => {
            println!("{}: good", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("curfewd: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the agent says of its own state goes to journald; the audit has its own way there.
fn log_to_journal() {
    let level = tracing_subscriber::filter::LevelFilter::INFO;
    let registry = tracing_subscriber::registry().with(level);
    match tracing_journald::layer() {
        Ok(journal) => registry.with(journal.with_syslog_identifier("curfewd".into()).with_field_prefix(None)).init(),
        Err(_) => registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).without_time()).init(),
    }
}
