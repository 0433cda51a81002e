//! One server on an SQLite file: it holds a lock as long as it runs.

use super::{OpenError, is_there};
use crate::config;
use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// The one server on an SQLite file holds this.
#[derive(Debug)]
pub(crate) struct Lock(#[allow(dead_code)] Option<File>);

impl Lock {
    /// Takes it; on PostgreSQL there is nothing to take.
    pub(crate) fn take(url: &str) -> Result<Self, OpenError> {
        let Some(file) = config::sqlite_file(url) else { return Ok(Self(None)) };
        is_there(file)?;
        let mut path = file.as_os_str().to_owned();
        path.push(".server");
        let path = PathBuf::from(path);
        let failed = |source| OpenError::Lock { path: path.clone(), source };
        let flags = nix::libc::O_NOFOLLOW;
        let lock = File::options().create(true).append(true).custom_flags(flags).open(&path).map_err(failed)?;
        if nix::unistd::geteuid().is_root() {
            // Whoever has the database serves it next time, and needs this.
            let owner = std::fs::symlink_metadata(file).map_err(failed)?;
            std::os::unix::fs::fchown(&lock, Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
        }
        match lock.try_lock() {
            Ok(()) => Ok(Self(Some(lock))),
            Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::Locked { path: file.into() }),
            Err(std::fs::TryLockError::Error(source)) => Err(OpenError::Lock { path, source }),
        }
    }
}
