//! A change that nobody has confirmed yet. A file says so and how to go back; a timer of PID 1 starts `curfew-revert.service` at the end of
//! the wait, which goes back. Neither the agent nor the network is needed for it, and a boot before the end goes back at once.
//!
//! Only a login that came by a service of ours after the change confirms it: whoever can log in anew is not locked out.

use super::replacement::{self, Replacement};
use super::service_file::unwire_everything;
use crate::clock;
use crate::clock::monotonic_us;
use crate::durable;
use crate::host::guard_timer::{self, Rings};
use crate::host::process_table::{Table, Wanted};
use crate::host::processes::{Process, ProcessId};
use crate::host::program::{self, Said};
use crate::sessions::session::Session;
use crate::sessions::table::{self, Sessions};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What says that a change is unconfirmed. `curfew-revert.service` does nothing without it.
pub const PATH: &str = "/var/lib/curfew/unconfirmed";

/// The one who goes back.
const SERVICE: &str = "curfew-revert.service";

/// What the names of the timers that start it begin with; each change has one of its own.
const TIMER: &str = "curfew-revert-";

const SYSTEMCTL: &str = "/usr/bin/systemctl";

const SYSTEMD_RUN: &str = "/usr/bin/systemd-run";

/// A change that waits to be confirmed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Unconfirmed {
    /// When it is undone, by the wall clock; PID 1 waits by a clock that nobody can set.
    pub until: Timestamp,
    /// What was replaced; none where nobody knows any more.
    pub replaced: Option<Vec<Replacement>>,
    /// PID 1's timer.
    timer: String,
    /// When it was made, on CLOCK_MONOTONIC, in microseconds; none before all of it is there.
    made_at_us: Option<u64>,
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
    /// The trial outlasted the wait.
    #[error(
        "its time to be confirmed was over before it had been tried; wait for longer: --confirm 10m; or, where an earlier change waits, confirm that first"
    )]
    Over,
    /// The caller is in no login that came after the change.
    #[error(
        "this shell is of no login that PAM asked Curfew about after the change, so it does not show that one can log in now; \
         log in to this host anew, over ssh and not over a shared connection (ssh -S none), and confirm there"
    )]
    NoNewLogin,
    /// /proc can't be read.
    #[error("which login this is can't be told: {0}")]
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
                replaced: None,
                timer: format!("{TIMER}unknown.timer"),
                made_at_us: None,
            }))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(file(source)),
        }
    }

    /// Has the host go back after `wait` to before what is replaced, from before anything is.
    ///
    /// # Errors
    ///
    /// [`UnconfirmedError`]: then nothing waits that did not before.
    pub fn begin(replaced: Option<Vec<Replacement>>, wait: Duration) -> Result<Self, UnconfirmedError> {
        Self { until: Timestamp::UNIX_EPOCH, replaced, timer: String::new(), made_at_us: None }.wait_for(wait)
    }

    /// Has the host go back to before this at the time that it has, from before more is replaced: until that is there and right, nobody is given more time.
    ///
    /// # Errors
    ///
    /// That it can't be written down: then this waits as before.
    pub fn begin_more(&self, replacements: &[Replacement]) -> Result<Self, UnconfirmedError> {
        let replaced = self.replaced.clone().map(|earlier| replacement::on_top_of(earlier, replacements));
        let more = Self { replaced, made_at_us: None, ..self.clone() };
        more.store()?;
        Ok(more)
    }

    /// What was begun on top of this is undone: this waits on as it did, unless somebody went back meanwhile.
    ///
    /// # Errors
    ///
    /// That it can't be written down: it is undone at its time, and no login can confirm it.
    pub fn go_on(&self) -> Result<(), UnconfirmedError> {
        match Self::load()?.is_some_and(|waits| waits.timer == self.timer) {
            true => self.store(),
            false => Ok(()),
        }
    }

    /// The same change, from now on with this time until it is undone. It takes the place of what waits only once PID 1 keeps its timer.
    fn wait_for(self, wait: Duration) -> Result<Self, UnconfirmedError> {
        let until = clock::now().checked_add(wait).unwrap_or(Timestamp::MAX);
        let timer = format!("{TIMER}{}.timer", clock::boot_time().as_nanos());
        if let Err(problem) = arm(&timer, wait) {
            // It may run all the same, and would end what waits already.
            stop(&timer);
            return Err(UnconfirmedError::Timer(problem));
        }
        let earlier = Self::load();
        let unconfirmed = Self { until, timer, ..self };
        if let Err(error) = unconfirmed.store() {
            stop(&unconfirmed.timer);
            return Err(error);
        }
        earlier.ok().flatten().iter().for_each(|earlier| stop(&earlier.timer));
        Ok(unconfirmed)
    }

    /// Whether this is what waits, and still does.
    ///
    /// # Errors
    ///
    /// That somebody went back meanwhile, or that its time is over; or that it can't be told.
    pub fn check_waits(&self) -> Result<(), UnconfirmedError> {
        if Self::load()?.is_none_or(|waits| waits.timer != self.timer) {
            return Err(file(io::Error::other("it was undone meanwhile")));
        }
        if self.until <= clock::now() { Err(UnconfirmedError::Over) } else { Ok(()) }
    }

    /// All of it is there: who logs in from now on meets it. `wait` gives it another time from now on.
    ///
    /// # Errors
    ///
    /// As [`Unconfirmed::check_waits`], or that it can't be written down.
    pub fn made(self, wait: Option<Duration>) -> Result<Self, UnconfirmedError> {
        self.check_waits()?;
        let made = Self { made_at_us: Some(monotonic_us()), ..self };
        match wait {
            Some(wait) => made.wait_for(wait),
            None => made.store().map(|()| made),
        }
    }

    fn store(&self) -> Result<(), UnconfirmedError> {
        let bytes = serde_json::to_vec(self).map_err(|error| file(error.into()))?;
        durable::write(Path::new(PATH), &bytes).map_err(file)
    }

    /// Whether the caller's login came by a service of ours after the change, as the agent noted when PAM asked it.
    ///
    /// # Errors
    ///
    /// [`UnconfirmedError::NoNewLogin`], or that it can't be told.
    pub fn check_login(&self) -> Result<(), UnconfirmedError> {
        let me = i32::try_from(std::process::id()).unwrap_or_default();
        let me = Process::read(me).map_err(UnconfirmedError::Processes)?.map(|me| me.id);
        let wanted = Wanted { trees: me.into_iter().collect(), ..Wanted::default() };
        let table = Table::look(&wanted).map_err(UnconfirmedError::Processes)?;
        let line = me.map(|me| table.ancestors(me)).unwrap_or_default();
        let sessions = Sessions::open(Path::new(table::FOLDER));
        let made_at_us = self.made_at_us.unwrap_or(u64::MAX);
        if sessions.sessions().iter().any(|session| shows(session, &line, made_at_us)) {
            Ok(())
        } else {
            Err(UnconfirmedError::NoNewLogin)
        }
    }

    /// Whether its time is over: PID 1 does not wait any more, or not since the last boot. Another change's timer may ring while this one has time.
    pub fn is_due(&self) -> bool {
        let state = program::run_and_wait(SYSTEMCTL, &["show", "--property=SubState", "--value", &self.timer]);
        state.and_then(Said::output).map_or(true, |state| state.trim() != "waiting")
    }

    /// Goes back. Returns the files that changed, and what could not be brought back; everything else is, all the same.
    pub fn undo(&self) -> (Vec<PathBuf>, Vec<String>) {
        self.replaced.as_deref().map_or_else(unwire_everything, replacement::undo)
    }

    /// Nothing waits any more: it was confirmed, or is undone.
    ///
    /// # Errors
    ///
    /// That the file is still there: the change will be undone.
    pub fn end() -> Result<(), UnconfirmedError> {
        let timer = Self::load().ok().flatten().map(|waits| waits.timer);
        let path = Path::new(PATH);
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(error)),
            _ => {}
        }
        if let Some(folder) = path.parent().filter(|folder| folder.exists()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(file)?;
        }
        timer.iter().for_each(|timer| stop(timer));
        Ok(())
    }
}

/// Whether a session shows that one can log in: PAM asked about it, it is one of ours, and it opened after the change.
fn shows(session: &Session, line: &HashSet<ProcessId>, made_at_us: u64) -> bool {
    session.admitted
        && !session.background
        && !session.of_unit
        && session.opened_us > made_at_us
        && line.contains(&session.leader)
}

fn file(source: io::Error) -> UnconfirmedError {
    UnconfirmedError::File { path: PATH.into(), source }
}

/// Has PID 1 start the way back after `wait`, by CLOCK_MONOTONIC.
fn arm(timer: &str, wait: Duration) -> Result<(), String> {
    let rings = Rings { at: None, after_us: Some(wait.as_micros()), accuracy: "100ms" };
    let description = "The way back from a `curfew enable` that nobody has confirmed";
    let arguments = guard_timer::arguments(timer.trim_end_matches(".timer"), description, &rings, SERVICE);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    program::run_and_wait(SYSTEMD_RUN, &arguments).and_then(Said::output)?;
    let state = program::run_and_wait(SYSTEMCTL, &["is-active", timer]).and_then(Said::output)?;
    if state.trim() == "active" { Ok(()) } else { Err(format!("{timer} is {}", state.trim())) }
}

/// Without the file, or with another change's in it, its ringing changes nothing that it should not: a failure here is none.
fn stop(timer: &str) {
    let _ = program::run_and_wait(SYSTEMCTL, &["stop", timer]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_login_of_ours_that_came_afterwards_shows_that_one_can_log_in() {
        let leader = ProcessId { pid: 7, start: 1 };
        let line = HashSet::from([leader]);
        let session = |admitted: bool, background: bool, opened_us: u64, pid: i32| -> Session {
            serde_json::from_value(json!({
                "user": "root", "service": "sshd", "rhost": null, "leader": {"pid": pid, "start": 1}, "uid": 0, "logind_id": null,
                "audit_session": 3, "grant": null, "admitted": admitted, "opened_us": opened_us, "background": background,
            }))
            .unwrap()
        };
        for (session, shown) in [
            (session(true, false, 101, 7), true),
            // From before, of somebody else's, a job, one that was refused or that the agent found by itself, and a unit's.
            (session(true, false, 100, 7), false),
            (session(true, false, 101, 8), false),
            (session(true, true, 101, 7), false),
            (session(false, false, 101, 7), false),
            (Session { of_unit: true, ..session(true, false, 101, 7) }, false),
        ] {
            assert_eq!(shows(&session, &line, 100), shown, "{session:?}");
        }
    }
}
