//! The command line: one file a command.
//!
//! Exit codes: 0 yes or done, 1 no or failed, 2 used wrongly.

mod audit;
mod clock;
mod confirm;
mod disable;
mod doctor;
mod enable;
mod enroll;
mod grant;
mod rehearse;
mod revoke;
mod status;
mod why;

use crate::human;
use crate::request::client;
use clap::{Parser, Subcommand};
use curfew_protocol::display;
use curfew_protocol::varlink::CallError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// How long the agent may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Just-in-time access on this host: who may log in and use sudo, until when, and why.
#[derive(Debug, Parser)]
#[command(name = "curfew", version, arg_required_else_help = true)]
pub struct Cli {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(status::Status),
    Why(why::Why),
    Grant(grant::GrantCommand),
    Revoke(revoke::Revoke),
    Audit(audit::Audit),
    Clock(clock::Clock),
    Doctor(doctor::Doctor),
    Enable(enable::Enable),
    Confirm(confirm::Confirm),
    Disable(disable::Disable),
    Enroll(enroll::Enroll),
    Leave(enroll::Leave),
    RotateKey(enroll::RotateKey),
    Sync(enroll::Sync),
    #[command(hide = true)]
    Rehearse(rehearse::Rehearse),
}

/// What a command came to.
#[derive(Debug)]
pub enum Outcome {
    /// Yes, or done.
    Yes,
    /// No: the answer is out, and it is not an error.
    No,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// It was used wrongly.
    #[error("{0}")]
    Usage(String),
    /// It was tried, and failed.
    #[error("{0}")]
    Failed(String),
    /// The agent did not do it.
    #[error("{}", explain(.0))]
    Agent(#[from] CallError),
    /// The output could not be written.
    #[error("the output can't be written: {0}")]
    Output(#[from] std::io::Error),
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = parsed();
    let done = match cli.command {
        Command::Status(status) => status.run(cli.json),
        Command::Why(why) => why.run(cli.json),
        Command::Grant(grant) => grant.run(cli.json),
        Command::Revoke(revoke) => revoke.run(cli.json),
        Command::Audit(audit) => audit.run(cli.json),
        Command::Clock(clock) => clock.run(cli.json),
        Command::Doctor(doctor) => doctor.run(cli.json),
        Command::Confirm(confirm) => confirm.run(cli.json),
        Command::Rehearse(rehearse) => rehearse.run(),
        Command::Enable(enable) => enable.run(cli.json),
        Command::Disable(disable) => disable.run(cli.json),
        Command::Enroll(enroll) => enroll.run(cli.json),
        Command::Leave(leave) => leave.run(cli.json),
        Command::RotateKey(rotate) => rotate.run(cli.json),
        Command::Sync(sync) => sync.run(cli.json),
    };
    match done {
        Ok(Outcome::Yes) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        // The reader has seen enough: `curfew audit | head`.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            if cli.json {
                note_json(&error.to_string())
            } else {
                note(&error)
            }
            ExitCode::from(if matches!(error, CliError::Usage(_)) { 2 } else { 1 })
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

/// Asks the agent what changes nothing the second time: an agent that ends meanwhile is asked again when it is back.
fn ask<P: Serialize, R: DeserializeOwned>(method: &str, parameters: P) -> Result<R, CliError> {
    Ok(client::ask(&name(method), &parameters, PATIENCE)?)
}

/// Has the agent do something, once.
fn order<P: Serialize, R: DeserializeOwned>(method: &str, parameters: P) -> Result<R, CliError> {
    order_patiently(method, parameters, PATIENCE)
}

/// As [`order`], for what may take a while.
fn order_patiently<P: Serialize, R: DeserializeOwned>(
    method: &str,
    parameters: P,
    patience: Duration,
) -> Result<R, CliError> {
    client::call(&name(method), &parameters, patience).map_err(|error| match error {
        CallError::Broken(_) | CallError::TimedOut => failed(format!(
            "{}. It may have been done all the same: look before you try again (curfew status)",
            explain(&error)
        )),
        error => error.into(),
    })
}

fn name(method: &str) -> String {
    format!("io.curfew.Agent.{method}")
}

fn explain(error: &CallError) -> String {
    match error {
        CallError::Unreachable(_) => format!("{error}. Is it running? systemctl status curfewd.socket curfewd"),
        CallError::TimedOut => format!("{error}. See what holds it up: journalctl -u curfewd"),
        CallError::Broken(_) => format!("{error}. See what ended it: journalctl -u curfewd"),
        other => other.to_string(),
    }
}

/// Prints a value as JSON, or a text. Nothing in either drives the terminal.
fn print(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), CliError> {
    print_painted(json, value, || display::printable_lines(&text()))
}

/// As [`print`], for a text that is printable but for our own colours.
fn print_painted(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", encoded(value)?)?;
    } else {
        write!(out, "{}", text())?;
    }
    out.flush()?;
    Ok(())
}

/// A value as one line of JSON.
fn encoded(value: &impl Serialize) -> Result<String, CliError> {
    Ok(display::json(&serde_json::to_string(value).map_err(std::io::Error::from)?))
}

/// Says something beside the output.
fn note(text: impl std::fmt::Display) {
    eprintln!("curfew: {}", display::printable_lines(&human::localized(&text.to_string())));
}

/// Says what went wrong to a program: an object with `error`.
fn note_json(error: &str) {
    eprintln!("{}", display::json(&serde_json::json!({"error": human::localized(error)}).to_string()));
}

fn only_root() -> Result<(), CliError> {
    if is_root() { Ok(()) } else { Err(CliError::Failed("only root may do this; log in as an exempt user".into())) }
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Failed(error.to_string())
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
