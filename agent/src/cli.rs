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
use crate::ipc::client;
use clap::{Parser, Subcommand};
use curfew_protocol::display;
use curfew_protocol::exempt;
use curfew_protocol::varlink::CallError;
use nix::unistd::User;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Write;
use std::path::Path;
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
            note_json(said_of_usage(&error.render().to_string()));
            std::process::exit(error.exit_code());
        }
        error.exit()
    })
}

/// What clap says of a command line, for a field that says already that it is an error.
fn said_of_usage(text: &str) -> &str {
    text.strip_prefix("error: ").unwrap_or(text).trim_end()
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
        CallError::Refused { detail, .. } if detail.starts_with("only root may") && is_exempt() => {
            format!("{detail}; {}", way_to_root(true))
        }
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

/// What the agent says of a parameter is said of the command line: it was used wrongly.
fn misused(error: CliError) -> CliError {
    match error {
        CliError::Agent(CallError::Refused { error, detail }) if error == "org.varlink.service.InvalidParameter" => {
            // It names the parameter of the call, and then says what is wrong.
            let problem = detail.strip_prefix("parameter `").and_then(|rest| rest.split_once("`: "));
            CliError::Usage(problem.map_or(detail.clone(), |(_, problem)| problem.to_owned()))
        }
        other => other,
    }
}

fn only_root() -> Result<(), CliError> {
    if is_root() {
        Ok(())
    } else {
        Err(CliError::Failed(format!("only root may do this; {}", way_to_root(is_exempt()))))
    }
}

/// What somebody may do who is not root and would have to be.
fn way_to_root(is_exempt: bool) -> &'static str {
    match is_exempt {
        true => "run it with sudo, which Curfew never refuses you: sudo curfew …",
        false => "log in as an exempt user",
    }
}

/// Whether the list has whoever runs this. One that can't be read has nobody.
fn is_exempt() -> bool {
    let me = User::from_uid(nix::unistd::getuid()).ok().flatten();
    me.is_some_and(|me| exempt::lists(Path::new(exempt::EXEMPT_LIST), &me.name).unwrap_or(false))
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Failed(error.to_string())
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_json_does_not_say_twice_that_it_is_one() {
        let error = Cli::try_parse_from(["curfew", "nonsense", "--json"]).unwrap_err();
        let said = error.render().to_string();
        assert!(said_of_usage(&said).starts_with("unrecognized subcommand"), "{said}");
    }

    #[test]
    fn an_exempt_user_is_told_to_use_sudo() {
        assert!(way_to_root(true).contains("sudo curfew") && !way_to_root(true).contains("log in"));
        assert!(way_to_root(false).contains("log in as an exempt user"));
    }

    #[test]
    fn a_parameter_that_the_agent_refuses_is_a_mistake_of_the_command_line() {
        let refused = |error: &str, detail: &str| {
            misused(CliError::Agent(CallError::Refused { error: error.into(), detail: detail.into() }))
        };
        let misused = refused("org.varlink.service.InvalidParameter", "parameter `from`: --from x is no address");
        assert!(matches!(&misused, CliError::Usage(text) if text == "--from x is no address"), "{misused:?}");
        assert!(matches!(refused("io.curfew.Agent.Failed", "no"), CliError::Agent(_)));
    }
}
