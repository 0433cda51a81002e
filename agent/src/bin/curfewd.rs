//! `curfewd`: the agent. systemd starts it through curfewd.socket.

use clap::Parser;
use curfew::config::{self, Config};
use curfew::daemon::{self, Sockets, sweep};
use curfew::log;
use std::path::{Path, PathBuf};
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
    /// The configuration to check; /etc/curfew/agent.toml if left out.
    #[arg(long, value_name = "FILE", requires = "check_config")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    // The sockets come first: no other descriptor may be open when they are taken over.
    let sockets = Sockets::from_systemd();
    let arguments = Arguments::parse();
    if arguments.check_config {
        return check_config(arguments.config.as_deref());
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

/// The usual file may be missing: everything is at its default then. One that somebody names is to be there.
fn check_config(named: Option<&Path>) -> ExitCode {
    let path = named.unwrap_or(Path::new(config::PATH));
    let checked = if named.is_some() { Config::load_existing(path) } else { Config::load(path) };
    match checked {
        Ok(_) if path.exists() => {
            println!("{}: good", path.display());
            ExitCode::SUCCESS
        }
        Ok(_) => {
            println!("{}: not there, so everything is at its default", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("curfewd: {error}");
            ExitCode::FAILURE
        }
    }
}
