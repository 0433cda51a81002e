//! A change that nobody has confirmed yet. A file says so and how to go back; a timer of PID 1 starts `curfew-revert.service` at the end of
//! the wait, which goes back. Neither the agent nor the network is needed for it, and a boot before the end goes back at once.
//!
//! Only a login that began after the change confirms it: whoever can log in anew is not locked out.

use super::before::Before;
use crate::clock;
use crate::durable;
use crate::enforce::processes::{Process, Table};
use crate::program::{self, Said};
use jiff::Timestamp;
use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What says that a change is unconfirmed. `curfew-revert.service` does nothing without it.
pub const PATH: &str = "/var/lib/curfew/unconfirmed";

/// The one who goes back.
const SERVICE: &str = "curfew-revert.service";

/// What starts it.
const TIMER: &str = "curfew-revert.timer";

const SYSTEMCTL: &str = "/usr/bin/systemctl";

const SYSTEMD_RUN: &str = "/usr/bin/systemd-run";

/// A change that waits to be confirmed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Unconfirmed {
    /// When it is undone, by the wall clock; PID 1 waits by a clock that nobody can set.
    pub until: Timestamp,
    /// What was there before.
    pub before: Before,
    /// When it was made, on CLOCK_BOOTTIME, in milliseconds.
    made_at_ms: u64,
}

/// Why a change can't wait, or can't be confirmed.
#[derive(Debug, thiserror::Error)]
pub enum UnconfirmedError {
    /// The file that says so.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// PID 1 does not keep the timer.
    #[error(
        "PID 1 does not keep the timer that would undo it ({0}); to change it for good, without a way back: --no-confirm"
    )]
    Timer(String),
    /// The caller is in no login.
    #[error(
        "this process belongs to no login, so it shows nobody's way in; log in to this host anew, and confirm there"
    )]
    NoLogin,
    /// The caller's login is older than the change.
    #[error(
        "this login began before the change, so it does not show that one can log in now; log in to this host anew, and confirm there"
    )]
    OldLogin,
    /// /proc can't be read.
    #[error("when this login began can't be told: {0}")]
    Processes(io::Error),
}

impl Unconfirmed {
    /// The change that waits now, if one does. One whose file makes no sense waits, too: everything is unwired then.
    ///
    /// # Errors
    ///
    /// That the file is there and can't be read.
    pub fn load() -> Result<Option<Self>, UnconfirmedError> {
        match fs::read(PATH) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| Self {
                until: Timestamp::UNIX_EPOCH,
                before: Before::default(),
                made_at_ms: u64::MAX,
            }))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(UnconfirmedError::File { path: PATH.into(), source }),
        }
    }

    /// Has the host go back to `before` after `wait`, from before anything is changed. A change that waits already stays the one that is gone back
    /// to.
    ///
    /// # Errors
    ///
    /// [`UnconfirmedError`]; nothing waits then.
    pub fn begin(before: Before, wait: Duration) -> Result<Self, UnconfirmedError> {
        let until = clock::now().checked_add(wait).unwrap_or(Timestamp::MAX);
        let made_at_ms = u64::try_from(clock::boot_time().as_millis()).unwrap_or(u64::MAX);
        let unconfirmed = Self { until, before, made_at_ms };
        let file = |source| UnconfirmedError::File { path: PATH.into(), source };
        let bytes = serde_json::to_vec(&unconfirmed).map_err(|error| file(error.into()))?;
        durable::write(Path::new(PATH), &bytes).map_err(file)?;
        if let Err(problem) = arm(wait) {
            Self::end()?;
            return Err(UnconfirmedError::Timer(problem));
        }
        Ok(unconfirmed)
    }

    /// Whether the caller's login began after the change.
    ///
    /// # Errors
    ///
    /// [`UnconfirmedError::NoLogin`], [`UnconfirmedError::OldLogin`], or that it can't be told.
    pub fn check_login(&self) -> Result<(), UnconfirmedError> {
        let me = i32::try_from(std::process::id()).unwrap_or_default();
        let me = Process::read(me).map_err(UnconfirmedError::Processes)?;
        let session = me.and_then(|me| me.audit_session).ok_or(UnconfirmedError::NoLogin)?;
        let table = Table::read().map_err(UnconfirmedError::Processes)?;
        let starts = table.iter().filter(|it| it.audit_session == Some(session)).map(|it| it.id.start);
        let ticks =
            sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100);
        match starts.min() {
            Some(start) if start.saturating_mul(1000) / ticks.max(1) > self.made_at_ms => Ok(()),
            _ => Err(UnconfirmedError::OldLogin),
        }
    }

    /// Nothing waits any more: it was confirmed, or is undone.
    ///
    /// # Errors
    ///
    /// That the file is still there: the change will be undone.
    pub fn end() -> Result<(), UnconfirmedError> {
        let path = Path::new(PATH);
        let file = |source| UnconfirmedError::File { path: PATH.into(), source };
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(error)),
            _ => {}
        }
        if let Some(folder) = path.parent().filter(|folder| folder.exists()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(file)?;
        }
        // Without the file its ringing changes nothing.
        let _ = program::run_and_wait(SYSTEMCTL, &["stop", TIMER]);
        Ok(())
    }
}

/// Has PID 1 start the way back after `wait`, by CLOCK_MONOTONIC.
fn arm(wait: Duration) -> Result<(), String> {
    let _ = program::run_and_wait(SYSTEMCTL, &["stop", TIMER]);
    let after = format!("--on-active={}ms", wait.as_millis());
    let unit = format!("--unit={SERVICE}");
    let timer =
        ["--quiet", &after, "--timer-property=AccuracySec=100ms", "--timer-property=RemainAfterElapse=no", &unit];
    program::run_and_wait(SYSTEMD_RUN, &timer).and_then(Said::output)?;
    let state = program::run_and_wait(SYSTEMCTL, &["is-active", TIMER]).and_then(Said::output)?;
    if state.trim() == "active" { Ok(()) } else { Err(format!("{TIMER} is {}", state.trim())) }
}
