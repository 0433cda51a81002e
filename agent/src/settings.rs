//! The settings of the running agent: the host's name, the configuration in force, and why the file is not that, where
//! it is not.

use crate::config::{self, Config, ConfigError, Mode};
use std::cell::{Ref, RefCell};
use std::path::Path;

/// The configuration that was last usable.
const LAST_GOOD_CONFIG: &str = "/var/lib/curfew/agent.toml.last-good";

/// What is set.
#[derive(Debug)]
pub struct Settings {
    /// The host's name.
    pub host: String,
    config: RefCell<Config>,
    problem: RefCell<Option<String>>,
}

impl Settings {
    /// Reads the configuration, or else the one that was last usable.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], where there is none.
    pub fn open() -> Result<Self, ConfigError> {
        let (config, problem) = Config::load_or_last_good(Path::new(config::PATH), Path::new(LAST_GOOD_CONFIG))?;
        if let Some(error) = &problem {
            tracing::error!("the configuration can't be used; the last usable one is in force: {error}");
        }
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let problem = problem.map(|error| error.to_string());
        Ok(Self { host, config: RefCell::new(config), problem: RefCell::new(problem) })
    }

    /// The configuration in force.
    pub fn config(&self) -> Ref<'_, Config> {
        self.config.borrow()
    }

    /// The mode in force.
    pub fn mode(&self) -> Mode {
        self.config.borrow().mode
    }

    /// Why the file is not the configuration in force, where it is not.
    pub fn problem(&self) -> Option<String> {
        self.problem.borrow().clone()
    }

    /// Reads the configuration again. One that can't be used changes nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the file, the line and the value.
    pub fn reload(&self) -> Result<(), ConfigError> {
        match Config::load_or_last_good(Path::new(config::PATH), Path::new(LAST_GOOD_CONFIG)) {
            Ok((config, None)) => {
                *self.config.borrow_mut() = config;
                *self.problem.borrow_mut() = None;
                Ok(())
            }
            Ok((_, Some(error))) | Err(error) => {
                tracing::error!("the configuration can't be used; the one before it stays in force: {error}");
                *self.problem.borrow_mut() = Some(error.to_string());
                Err(error)
            }
        }
    }
}
