//! `curfewd`: the agent. systemd starts it through curfewd.socket.

use clap::Parser;
use curfew::config::{self, Config};
use curfew::daemon::{self, Sockets};
use curfew::{log, sweep};
use std::path::PathBuf;
use std::process::ExitCode;

/// The Curfew agent: holds this host's grants, answers PAM, ends what a grant had opened.
///
/// systemd starts it through curfewd.socket. SIGHUP reads the configuration again.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// End what is over and exit, unless the agent does so itself: what PID 1 runs after each end, and at boot.
    #[arg(long, conflicts_with = "check_config")]
    sweep: bool,
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
    log::to_journal();
    match if arguments.sweep { sweep::run() } else { sockets.and_then(daemon::run) } {
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
