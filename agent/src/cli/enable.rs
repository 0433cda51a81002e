//! `curfew enable` and `curfew disable`: wire PAM and sudo, and unwire them to the byte.

use super::{CliError, Outcome, ask, is_root, print};
use crate::config::{self, Config};
use crate::enforce::sudoers;
use crate::request::messages::Status;
use crate::wiring::{self, Kind, PAM_FOLDER, SUDOERS_INCLUDE};
use clap::Args;
use curfew_protocol::exempt;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Wire PAM and sudo: from then on, logins and sudo need a live grant. Root alone.
///
/// Puts marked lines into PAM's service files and an include into sudoers. Sessions that are open stay open. `curfew disable`
/// takes it all back, to the byte.
#[derive(Args, Debug)]
pub struct Enable {}

/// Unwire PAM and sudo: everything is as it was before `curfew enable`. Root alone.
#[derive(Args, Debug)]
pub struct Disable {}

/// What was done, and what was so already.
#[derive(Debug, Default, Serialize)]
struct Done {
    changed: Vec<PathBuf>,
    unchanged: Vec<PathBuf>,
    /// Services of the configuration that this host has no file for.
    missing: Vec<PathBuf>,
}

impl Done {
    fn note(&mut self, path: PathBuf, changed: bool) {
        if changed { self.changed.push(path) } else { self.unchanged.push(path) }
    }

    fn text(&self, verb: &str) -> String {
        let lines = |word: &str, paths: &[PathBuf]| -> String {
            paths.iter().map(|path| format!("{word} {}\n", path.display())).collect()
        };
        lines(verb, &self.changed) + &lines("already so:", &self.unchanged) + &lines("not on this host:", &self.missing)
    }
}

impl Enable {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, CliError> {
        only_root()?;
        let services = services()?;
        // An agent that does not answer would lock everybody out but the exempt.
        let before: Status = ask("Status", json!({}))?;
        module_is_there()?;
        somebody_is_exempt()?;
        wiring::remove_leftovers().map_err(failed)?;
        // sudo-rs complains at everybody's sudo about an include of nothing.
        let folder = Path::new(sudoers::FOLDER);
        sudoers::make_folder(folder).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
        let mut done = Done::default();
        done.note(PathBuf::from(SUDOERS_INCLUDE), wiring::include_in_sudoers(true).map_err(failed)?);
        for (service, kind) in services {
            let path = Path::new(PAM_FOLDER).join(service);
            if path.exists() {
                let changed = wiring::rewire(&path, Some(kind)).map_err(failed)?;
                done.note(path, changed);
            } else {
                done.missing.push(path);
            }
        }
        let _: Value = ask("Reload", json!({}))?;
        print(json, &done, || done.text("wired") + &advice(&before))?;
        Ok(Outcome::Yes)
    }
}

fn advice(before: &Status) -> String {
    let effect = match before.mode.as_str() {
        "observe" => "Curfew observes: nobody is refused; the audit says who would be.",
        _ => "Curfew is in force: logins and sudo need a live grant, but for users in /etc/curfew/exempt.",
    };
    format!("{effect} Sessions that are open stay open.\nTo take it back: curfew disable\n")
}

impl Disable {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, CliError> {
        only_root()?;
        let mut done = Done::default();
        // Every file, whatever the configuration says by now: nothing of ours may stay behind.
        let mut problems = Vec::new();
        problems.extend(wiring::remove_leftovers().err().map(|error| error.to_string()));
        for path in service_files()? {
            match wiring::rewire(&path, None) {
                Ok(true) => done.note(path, true),
                Ok(false) => {}
                // The others are unwired all the same.
                Err(error) => problems.push(error.to_string()),
            }
        }
        match wiring::include_in_sudoers(false) {
            Ok(true) => done.note(PathBuf::from(SUDOERS_INCLUDE), true),
            Ok(false) => {}
            Err(error) => problems.push(error.to_string()),
        }
        // The wiring is off whether or not the agent hears of it.
        if let Err(error) = ask::<_, Value>("Reload", json!({})) {
            eprintln!("curfew: the agent was not told: {error}");
        }
        let nothing = if done.changed.is_empty() { "Curfew was not wired.\n" } else { "" };
        print(json, &done, || done.text("unwired") + nothing)?;
        if problems.is_empty() { Ok(Outcome::Yes) } else { Err(failed(problems.join("\ncurfew: "))) }
    }
}

fn only_root() -> Result<(), CliError> {
    if is_root() { Ok(()) } else { Err(CliError::Failed("only root may do this; log in as an exempt user".into())) }
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Failed(error.to_string())
}

/// The services of the configuration, with who is judged in each.
fn services() -> Result<Vec<(String, Kind)>, CliError> {
    let config = Config::load(Path::new(config::PATH)).map_err(failed)?;
    let logins = config.login_services.into_iter().map(|service| (service, Kind::Login));
    let elevations = config.elevation_services.into_iter().map(|service| (service, Kind::Elevation));
    let background = config.background_services.into_iter().map(|service| (service, Kind::Login));
    Ok(logins.chain(elevations).chain(background).collect())
}

fn service_files() -> Result<Vec<PathBuf>, CliError> {
    let entries = std::fs::read_dir(PAM_FOLDER).map_err(|error| failed(format!("{PAM_FOLDER}: {error}")))?;
    let mut paths: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect();
    paths.sort();
    Ok(paths)
}

/// PAM denies everybody who meets a module that is not there, so it must be where this machine's PAM looks.
fn module_is_there() -> Result<(), CliError> {
    let multiarch = format!("/usr/lib/{}-linux-gnu/security", std::env::consts::ARCH);
    let folders = [multiarch.as_str(), "/usr/lib64/security", "/usr/lib/security"];
    if folders.iter().any(|folder| Path::new(folder).join("pam_curfew.so").is_file()) {
        return Ok(());
    }
    Err(CliError::Failed(format!("pam_curfew.so is in none of {}; install the package again", folders.join(" "))))
}

/// Somebody must always get in: the exempt list has to be believed, and to name a user of this host.
fn somebody_is_exempt() -> Result<(), CliError> {
    let path = Path::new(exempt::EXEMPT_LIST);
    let names = exempt::names(path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
    if names.iter().any(|name| nix::unistd::User::from_name(name).ok().flatten().is_some()) {
        return Ok(());
    }
    Err(failed(format!("{} names no user of this host; add one that you can log in as", path.display())))
}
