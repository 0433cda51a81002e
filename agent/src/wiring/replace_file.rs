//! Files replaced and removed at once and durably.

use super::PAM_FOLDER;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How the names of files begin that are not yet in place. sudo skips names with a dot.
const NEW_BEGINS: &str = ".curfew-";

/// How they end.
const NEW_ENDS: &str = ".new";

/// Why a file was not wired or unwired; it is as it was.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct WiringError {
    /// The file.
    pub(super) path: PathBuf,
    /// What the system says.
    pub(super) source: io::Error,
}

impl WiringError {
    pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self { path: path.into(), source }
    }
}

pub(super) fn remove_if_there(path: &Path) -> Result<bool, WiringError> {
    match remove(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(WiringError::at(path)(error)),
    }
}

/// Removes a file durably: a power loss does not bring it back.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    File::open(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?.sync_all()
}

/// Replaces a file at once and durably, with its owner and mode kept, or `mode` where it is new.
///
/// # Errors
///
/// What the disk says; the file is as it was then.
pub fn replace(path: &Path, bytes: &[u8], mode: Option<u32>) -> io::Result<()> {
    // A link stays a link: what it points to is replaced.
    let path = if path.exists() { path.canonicalize()? } else { path.to_owned() };
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut new = tempfile::Builder::new().prefix(NEW_BEGINS).suffix(NEW_ENDS).tempfile_in(folder)?;
    new.write_all(bytes)?;
    match fs::metadata(&path) {
        Ok(old) => {
            std::os::unix::fs::fchown(new.as_file(), Some(old.uid()), Some(old.gid()))?;
            new.as_file().set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
        }
        Err(_) => new.as_file().set_permissions(fs::Permissions::from_mode(mode.unwrap_or(0o644)))?,
    }
    new.as_file().sync_all()?;
    new.persist(&path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Removes what an `enable` or `disable` that was killed left half written.
///
/// # Errors
///
/// [`WiringError`] names the file that is still there.
pub fn remove_leftovers() -> Result<(), WiringError> {
    for folder in [Path::new(PAM_FOLDER), Path::new("/etc/sudoers.d")] {
        // A folder that is not there holds nothing.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(NEW_BEGINS) && name.ends_with(NEW_ENDS) {
                let path = entry.path();
                fs::remove_file(&path).map_err(|source| WiringError { path, source })?;
            }
        }
    }
    Ok(())
}
