//! Folders and files that their owner alone can read, to be taken back.

use super::InitError;
use super::undo::Undo;
use crate::sets::keys::write_private;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A folder that its owner alone can read, and those above it.
pub(super) fn make_folder(path: &Path, undo: &mut Undo) -> Result<(), InitError> {
    let missing = path.ancestors().take_while(|it| it.symlink_metadata().is_err()).map(PathBuf::from);
    let missing: Vec<_> = missing.collect();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| InitError::File { path: path.into(), source })?;
    missing.into_iter().rev().for_each(|path| undo.made(path));
    Ok(())
}

/// A file that its owner alone can read, and that was not there.
pub(super) fn make_file(path: &Path, bytes: &[u8], undo: &mut Undo) -> Result<(), InitError> {
    write_private(path, bytes).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => InitError::There(path.into()),
        _ => InitError::File { path: path.into(), source },
    })?;
    undo.made(path.into());
    Ok(())
}
