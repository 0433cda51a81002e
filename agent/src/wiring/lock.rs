//! One at a time: whoever enables, disables, confirms or goes back holds a lock meanwhile (flock(2)).

use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::time::{Duration, Instant};

/// The file that is locked; it holds nothing.
const LOCK: &str = "/run/curfew/wiring.lock";

/// How long another may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a lock that another holds is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The turn, for as long as this lives.
#[derive(Debug)]
pub struct Turn {
    _locked: Flock<File>,
}

impl Turn {
    /// Waits for its turn.
    ///
    /// # Errors
    ///
    /// That the lock can't be made, or that another holds it for too long.
    pub fn take() -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{LOCK}: {error}"));
        let mut file =
            File::options().write(true).create(true).truncate(false).mode(0o600).open(LOCK).map_err(named)?;
        // Whoever may read it can lock it, and nobody else should hold root up.
        file.set_permissions(Permissions::from_mode(0o600)).map_err(named)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => return Ok(Self { _locked: locked }),
                Err((_, errno)) if Instant::now() >= deadline => {
                    return Err(named(io::Error::other(format!(
                        "another enable, disable or confirm is at work ({errno})"
                    ))));
                }
                Err((again, _)) => file = again,
            }
            std::thread::sleep(TRIED_AGAIN_AFTER);
        }
    }
}
