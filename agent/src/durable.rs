//! Files that survive a crash: the old one or the new one is there, never a half.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Replaces the file `path`, which root alone can read: a new file, fsync(2), rename(2), fsync(2) of the folder. The new file has always the same
/// name, so that one that a crash left is written over.
///
/// # Errors
///
/// What the disk says; the old file is still there then.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, |file| file.sync_all())?;
    File::open(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?.sync_all()
}

/// As [`write`], for what a power loss may take: only a crash of the program leaves no half.
///
/// # Errors
///
/// As [`write`].
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, |_| Ok(()))
}

/// Makes a folder that root alone can read, where it is not there.
///
/// # Errors
///
/// What mkdir(2) says.
pub fn private_folder(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn put(path: &Path, bytes: &[u8], sync: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let new = new_name(path)?;
    let written =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&new).and_then(|mut file| {
            file.write_all(bytes)?;
            sync(&file)
        });
    written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| {
        // On a full disk, what is half written is in the way of everybody.
        let _ = fs::remove_file(&new);
    })
}

fn new_name(path: &Path) -> io::Result<PathBuf> {
    let mut name = OsString::from(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(".new");
    Ok(path.with_file_name(name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_is_written_over_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.json");
        fs::write(folder.path().join("store.json.new"), "half of something longer").unwrap();
        write(&path, b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_unsynced(&path, b"again").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"again");
        assert!(write(&folder.path().join("gone/store.json"), b"").is_err());
    }
}
