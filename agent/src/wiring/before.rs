//! What was there before `curfew enable` changed something, and the way back to it.

use super::{WiringError, include_in_sudoers, is_included, remove_leftovers, replace, rewire, service_files};
use crate::config;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// What was wired, and the configuration where it is changed, too.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Before {
    wired: Vec<PathBuf>,
    included: bool,
    config: Option<Replaced>,
}

/// A text, and what it was replaced by.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Replaced {
    old: String,
    /// Each that was written, or was to be, one change on top of another.
    new: Vec<String>,
}

impl Before {
    /// As it is now.
    ///
    /// # Errors
    ///
    /// That the service files can't be listed.
    pub fn now() -> Result<Self, WiringError> {
        let wired =
            service_files()?.into_iter().filter(|path| fs::read(path).is_ok_and(|text| super::marks::has_marks(&text)));
        Ok(Self { wired: wired.collect(), included: is_included(), config: None })
    }

    /// Notes that the configuration `old` is to be replaced by `new`.
    pub fn replacing_config(self, old: String, new: String) -> Self {
        Self { config: Some(Replaced { old, new: vec![new] }), ..self }
    }

    /// A second change on top of one that could still be undone: the way back leads to before the first.
    pub fn on_top_of(self, earlier: Self) -> Self {
        let config = match (earlier.config, self.config) {
            (Some(earlier), Some(later)) => Some(Replaced { old: earlier.old, new: [earlier.new, later.new].concat() }),
            (earlier, later) => earlier.or(later),
        };
        Self { config, wired: earlier.wired, included: earlier.included }
    }

    /// Brings it back. Returns the files that changed and what could not be brought back; everything else is, all the same.
    pub fn bring_back(&self) -> (Vec<PathBuf>, Vec<String>) {
        let (mut changed, mut problems) = (Vec::new(), Vec::new());
        problems.extend(remove_leftovers().err().map(|error| error.to_string()));
        match service_files() {
            Ok(files) => {
                for path in files.into_iter().filter(|path| !self.wired.contains(path)) {
                    match rewire(&path, None) {
                        Ok(true) => changed.push(path),
                        Ok(false) => {}
                        Err(error) => problems.push(error.to_string()),
                    }
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
        if !self.included {
            match include_in_sudoers(false) {
                Ok(true) => changed.push(super::SUDOERS_INCLUDE.into()),
                Ok(false) => {}
                Err(error) => problems.push(error.to_string()),
            }
        }
        let path = Path::new(config::PATH);
        // What somebody else has written meanwhile is theirs.
        if let Some(Replaced { old, new }) = &self.config
            && fs::read_to_string(path).is_ok_and(|text| new.contains(&text))
        {
            match replace(path, old.as_bytes(), None) {
                Ok(()) => changed.push(path.into()),
                Err(error) => problems.push(format!("{}: {error}", path.display())),
            }
        }
        (changed, problems)
    }
}
