//! The command line: one file a command.
//!
//! `init`, `serve`, `admin-token`, `epoch`, `export`, `policy` and `openapi` work on this machine; the others ask a server over HTTPS.
//! Exit codes: 0 done, 1 failed, 2 used wrongly.

mod admin_token;
mod audit;
mod client;
mod epoch;
mod export;
mod grant;
mod host;
mod init;
mod key;
mod local;
mod output;
mod policy;
mod request;
mod revoke;
mod serve;
mod token;

use crate::init::InitError;
use crate::serve::ServeError;
use crate::sets::export::ExportError;
use clap::{Args, CommandFactory, Parser, Subcommand};
use curfew_protocol::display;
use std::path::PathBuf;
use std::process::ExitCode;

/// The central endpoint of Curfew: says who may do what on which host, until when, and keeps the audit of all of them.
///
/// To begin: `curfew-server init`, then `curfew-server serve`. The commands that ask a server need its URL and an administrator's token; on the server
/// itself, its configuration has the URL and the CA.
#[derive(Debug, Parser)]
#[command(name = "curfew-server", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Debug)]
struct Global {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// The server's configuration, on the server itself. [default: /etc/curfew/server.toml, or what CURFEW_SERVER_CONFIG names]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's URL. [default: what CURFEW_SERVER_URL says, or the configuration's first origin]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// The file with the administrator's token. [default: what CURFEW_SERVER_TOKEN_FILE names; CURFEW_SERVER_TOKEN has the token itself]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The CA that signed the server's certificate, in PEM. [default: what CURFEW_SERVER_CA names, or the configuration's; else the system's]
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Serve(serve::Serve),
    #[command(subcommand)]
    Host(host::Host),
    #[command(subcommand)]
    Token(token::Token),
    #[command(subcommand)]
    Grant(grant::Grant),
    Revoke(revoke::Revoke),
    #[command(subcommand)]
    Request(request::Request),
    Audit(audit::Audit),
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(subcommand)]
    Key(key::Key),
    #[command(subcommand)]
    AdminToken(admin_token::AdminToken),
    #[command(subcommand)]
    Epoch(epoch::Epoch),
    Export(export::Export),
    /// Print the OpenAPI document of the calls.
    Openapi,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// It was used wrongly.
    #[error("{0}")]
    Usage(String),
    /// It was tried, and failed.
    #[error("{0}")]
    Failed(String),
    /// The server is not there, or can't do it now; it may be there soon.
    #[error("{0}")]
    Away(String),
    /// What there is to say is said, by the same program, run as somebody else for this, or in the output; it ends with this code.
    #[error("")]
    Told(u8),
    /// No new endpoint.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The server does not run.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// No files.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The output could not be written.
    #[error("the output can't be written: {0}")]
    Output(#[from] std::io::Error),
}

/// What the command line takes: for its manual pages and completions.
#[must_use]
pub fn command_line() -> clap::Command {
    Cli::command()
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = parsed();
    let json = cli.global.json;
    let serves = matches!(cli.command, Command::Serve(_));
    let runtime = if serves {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    };
    let done = runtime.map_err(CliError::from).and_then(|runtime| runtime.block_on(command(cli)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough: `curfew-server audit | head`.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(CliError::Told(code)) => ExitCode::from(code),
        Err(error) => {
            let text = error.to_string();
            if json {
                note_json(&text)
            } else {
                eprintln!("curfew-server: {}", output::printable(&text))
            }
            let wrongly =
                matches!(error, CliError::Usage(_) | CliError::Init(InitError::NoOrigin(_) | InitError::Origin(_)));
            ExitCode::from(if wrongly { 2 } else { 1 })
        }
    }
}

/// The command line. What is no command line gets its usage, or with --json an error as JSON.
fn parsed() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
            note_json(error.render().to_string().trim_end());
            std::process::exit(error.exit_code());
        }
        error.exit()
    })
}

/// Says what went wrong to a program: an object with `error`.
fn note_json(error: &str) {
    eprintln!("{}", display::json(&serde_json::json!({"error": error}).to_string()));
}

async fn command(cli: Cli) -> Result<(), CliError> {
    let global = cli.global;
    match cli.command {
        Command::Init(init) => init.run(&global).await,
        Command::Serve(serve) => serve.run(&global).await,
        Command::Host(host) => host.run(&global).await,
        Command::Token(token) => token.run(&global).await,
        Command::Grant(grant) => grant.run(&global).await,
        Command::Revoke(revoke) => revoke.run(&global).await,
        Command::Request(request) => request.run(&global).await,
        Command::Audit(audit) => audit.run(&global).await,
        Command::Policy(policy) => policy.run(&global),
        Command::Key(key) => key.run(&global).await,
        Command::AdminToken(token) => token.run(&global).await,
        Command::Epoch(epoch) => epoch.run(&global).await,
        Command::Export(export) => export.run(&global).await,
        Command::Openapi => {
            let text = crate::http::router::openapi().map_err(|error| CliError::Failed(error.to_string()))?;
            output::text(&text)
        }
    }
}
