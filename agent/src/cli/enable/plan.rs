//! What `curfew enable` is going to change, and the changing.

use super::super::{CliError, ask, failed};
use crate::config::edit::with_mode;
use crate::config::{self, Config, Mode};
use crate::doctor::Check;
use crate::enforce::sudoers;
use crate::human;
use crate::wiring::rehearsal::{self, Rehearsed};
use crate::wiring::{self, Kind, SUDOERS_INCLUDE, SUDOERS_LINE};
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
    /// The configuration as it is, and as it will be.
    pub(super) config: Option<(String, String)>,
    /// The files that will be wired.
    pub(super) files: Vec<PathBuf>,
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
        let edited = if mode == config.mode {
            None
        } else {
            let old = fs::read_to_string(path).unwrap_or_default();
            let new = with_mode(path, &old, mode).map_err(failed)?;
            Some((old, new))
        };
        let mut done = Done { mode: mode.name(), ..Done::default() };
        let (mut files, mut services) = (Vec::new(), Vec::new());
        for (service, kind) in wiring::services(&config) {
            match wiring::service_file(&service) {
                Some(file) if !stays_in_etc(&file) => {
                    return Err(failed(format!(
                        "{} leads out of /etc, where it could not be undone; put a file in its place",
                        file.display()
                    )));
                }
                Some(file) if wiring::would_change(&file, Some(kind)).map_err(failed)? => files.push(file),
                Some(file) => done.unchanged.push(file),
                None => {
                    done.missing.push(Path::new(wiring::PAM_FOLDER).join(service));
                    continue;
                }
            }
            services.push((service, kind));
        }
        let include = PathBuf::from(SUDOERS_INCLUDE);
        if fs::read_to_string(&include).is_ok_and(|text| text == SUDOERS_LINE) {
            done.unchanged.push(include);
        } else {
            files.push(include);
        }
        Ok(Self { services, background: config.background_services, mode, config: edited, files, done })
    }

    /// It, in words.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            let what = if file == Path::new(SUDOERS_INCLUDE) {
                "new: the rules of live grants are read from /run/curfew/sudoers.d"
            } else {
                "our account line first, our session line last, between marks"
            };
            text += &format!("will wire {}: {what}\n", file.display());
        }
        if self.config.is_some() {
            text += &format!("will set mode = {:?} in {}\n", self.mode.name(), config::PATH);
        }
        text
    }

    /// Tries our lines alone, then every service as it is.
    pub(super) fn rehearse(&self, exempt: &[String]) -> Result<Rehearsed, CliError> {
        rehearsal::try_alone(exempt).map_err(|problem| failed(format!("nothing was changed: {problem}")))?;
        Ok(rehearsal::rehearse(&self.services, exempt, &self.background))
    }

    /// Does it, the configuration first.
    pub(super) fn carry_out(&mut self) -> Result<(), CliError> {
        // sudo-rs complains at everybody's sudo about an include of nothing.
        let folder = Path::new(sudoers::FOLDER);
        sudoers::make_folder(folder).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
        if let Some((_, new)) = &self.config {
            let path = PathBuf::from(config::PATH);
            wiring::replace(&path, new.as_bytes(), None)
                .map_err(|error| failed(format!("{}: {error}", path.display())))?;
            self.done.changed.push(path);
            // Whoever is to be observed must not be refused for a moment.
            let _: Value = ask("Reload", json!({}))?;
        }
        if self.files.iter().any(|file| file == Path::new(SUDOERS_INCLUDE)) {
            wiring::include_in_sudoers(true).map_err(failed)?;
            self.done.changed.push(SUDOERS_INCLUDE.into());
        }
        for (service, kind) in &self.services {
            if let Some(file) = wiring::service_file(service).filter(|file| self.files.contains(file)) {
                wiring::rewire(&file, Some(*kind)).map_err(failed)?;
                self.done.changed.push(file);
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
                "NOT CONFIRMED: it is all undone at {}. Keep this session; log in anew, and run there: curfew confirm\n",
                human::time(until)
            ),
            None => "To take it back: curfew disable\n".into(),
        };
        let files = lines("wired", &self.changed) + &lines("already so:", &self.unchanged);
        files + &lines("not on this host:", &self.missing) + effect + " Sessions that are open stay open.\n" + &next
    }
}

/// What undoes it may write in `/etc` alone.
fn stays_in_etc(file: &Path) -> bool {
    !file.exists() || file.canonicalize().is_ok_and(|file| file.starts_with("/etc"))
}
