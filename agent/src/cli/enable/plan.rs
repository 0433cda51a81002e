//! What `curfew enable` is going to change, and the changing.

use super::super::{CliError, ask, failed};
use crate::config::edit::with_mode;
use crate::config::{self, Config, Mode};
use crate::doctor::Check;
use crate::human;
use crate::wiring::kind::Kind;
use crate::wiring::rehearsal::{self, Rehearsed};
use crate::wiring::replacement::Replacement;
use crate::wiring::service_file;
use crate::wiring::{self, SUDOERS_INCLUDE, SUDOERS_LINE};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// What is to change.
pub(super) struct Plan {
    /// The services that this host has, with who is judged in each.
    pub(super) services: Vec<(String, Kind)>,
    /// Those of them that run what people left for later.
    pub(super) background: Vec<String>,
    /// The mode from then on.
    pub(super) mode: Mode,
    /// The files that will change, in this order: the configuration, sudoers, the services.
    pub(super) replacements: Vec<Replacement>,
    /// What of it was done.
    pub(super) done: Done,
}

/// What was done, and what was so already.
#[derive(Debug, Default, Serialize)]
pub(super) struct Done {
    /// The mode from now on.
    mode: &'static str,
    changed: Vec<PathBuf>,
    unchanged: Vec<PathBuf>,
    /// Services of the configuration that this host has no file for.
    missing: Vec<PathBuf>,
    /// What the doctor found that is not as it should be.
    pub(super) checks: Vec<Check>,
    /// When it is undone, unless it is confirmed.
    pub(super) confirm_by: Option<Timestamp>,
}

impl Plan {
    /// What wiring this host takes, in the mode `wanted` if one is.
    pub(super) fn make(wanted: Option<Mode>) -> Result<Self, CliError> {
        let path = Path::new(config::PATH);
        let config = Config::load(path).map_err(failed)?;
        let mode = wanted.unwrap_or(config.mode);
        let mut done = Done { mode: mode.name(), ..Done::default() };
        let (mut replacements, mut services) = (Vec::new(), Vec::new());
        if mode != config.mode {
            let new = with_mode(path, &fs::read_to_string(path).unwrap_or_default(), mode).map_err(failed)?;
            replacements.extend(Replacement::plan(path, new.into_bytes()).map_err(failed)?);
        }
        let mut files = vec![(PathBuf::from(SUDOERS_INCLUDE), SUDOERS_LINE.as_bytes().to_vec())];
        for (service, kind) in wiring::services(&config) {
            let Some(file) = service_file::service_file(&service) else {
                done.missing.push(Path::new(wiring::PAM_FOLDER).join(service));
                continue;
            };
            if !stays_in_etc(&file) {
                let file = file.display();
                return Err(failed(format!(
                    "{file} leads out of /etc, where it could not be undone; put a file in its place"
                )));
            }
            let wired = service_file::wired(&file, kind).map_err(failed)?;
            services.push((service, kind));
            // One may be a link to another.
            if !files.iter().any(|(other, _)| is_same(other, &file)) {
                files.push((file, wired));
            }
        }
        for (file, new) in files {
            match Replacement::plan(&file, new).map_err(failed)? {
                Some(replacement) => replacements.push(replacement),
                None => done.unchanged.push(file),
            }
        }
        Ok(Self { services, background: config.background_services, mode, replacements, done })
    }

    /// It, in words.
    pub(super) fn text(&self) -> String {
        let line = |replacement: &Replacement| {
            let path = replacement.path();
            let what = if path == Path::new(config::PATH) {
                return format!("will set mode = {:?} in {}\n", self.mode.name(), path.display());
            } else if path == Path::new(SUDOERS_INCLUDE) {
                "new: the rules of live grants are read from /run/curfew/sudoers.d".to_owned()
            } else {
                lines_of(replacement.will_hold())
            };
            format!("will wire {}: {what}\n", path.display())
        };
        self.replacements.iter().map(line).collect()
    }

    /// Tries our lines alone, then every service as it is.
    pub(super) fn rehearse(&self, exempt: &[String]) -> Result<Rehearsed, CliError> {
        rehearsal::try_alone(exempt).map_err(failed)?;
        Ok(rehearsal::rehearse(&self.services, exempt, &self.background))
    }

    /// Does it, the configuration first.
    pub(super) fn carry_out(&mut self) -> Result<(), CliError> {
        // sudo-rs complains at everybody's sudo about an include of nothing.
        let folder = Path::new(wiring::DROP_IN_FOLDER);
        wiring::make_drop_in_folder(folder).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
        for replacement in &self.replacements {
            replacement.make().map_err(failed)?;
            self.done.changed.push(replacement.path().into());
            if replacement.path() == Path::new(config::PATH) {
                // Whoever is to be observed must not be refused for a moment.
                let _: Value = ask("Reload", json!({}))?;
            }
        }
        let _: Value = ask("Reload", json!({}))?;
        let _: Value = ask("Reconcile", json!({}))?;
        Ok(())
    }
}

impl Done {
    /// It, in words.
    pub(super) fn text(&self, mode: Mode) -> String {
        let lines = |word: &str, paths: &[PathBuf]| -> String {
            paths.iter().map(|path| format!("{word} {}\n", path.display())).collect()
        };
        let effect = match mode {
            Mode::Observe => "Curfew observes: nobody is refused; the audit says who would be.",
            Mode::Enforce => {
                "Curfew is in force: logins and sudo need a live grant, but for users in /etc/curfew/exempt."
            }
        };
        let next = match self.confirm_by {
            Some(until) => format!(
                "NOT CONFIRMED: it is all undone at {}. Keep this session; log in anew, not over a shared connection (ssh -S none), and run there: curfew confirm\n",
                human::time(until)
            ),
            None => "To take it back: curfew disable\n".into(),
        };
        let files = lines("wired", &self.changed) + &lines("already so:", &self.unchanged);
        files + &lines("not on this host:", &self.missing) + effect + " Sessions that are open stay open.\n" + &next
    }
}

/// Which lines of ours a service file will have.
fn lines_of(text: &[u8]) -> String {
    let copied = if service_file::is_copy(text) { "copied from /usr/lib/pam.d, with " } else { "" };
    // An elevation is denied before anybody is asked for a password, too.
    let first =
        if service_file::denies_before_password(text) { "our account and auth lines" } else { "our account line" };
    format!("{copied}{first} first and our session line last, between marks")
}

/// What undoes it may write in `/etc` alone.
fn stays_in_etc(file: &Path) -> bool {
    !file.exists() || file.canonicalize().is_ok_and(|file| file.starts_with("/etc"))
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_told_that_each_file_gets() {
        let (elevation, login) =
            [Kind::Elevation, Kind::Login].map(|kind| lines_of(&wiring::marks::wired(b"", kind))).into();
        assert!(elevation.contains("account and auth lines first"), "{elevation}");
        assert!(login.starts_with("our account line first and our session line last"), "{login}");
    }
}
