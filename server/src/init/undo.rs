//! What was made, to be taken back unless all comes to a good end.

use std::path::{Path, PathBuf};

/// What was made. Dropped, it is taken back.
#[derive(Debug, Default)]
pub(super) struct Undo(Vec<PathBuf>);

impl Undo {
    /// A file or a folder was made.
    pub(super) fn made(&mut self, path: PathBuf) {
        self.0.push(path);
    }

    /// SQLite makes files beside this one.
    pub(super) fn database(&mut self, path: &Path) {
        for suffix in ["-wal", "-shm", "-journal"] {
            let mut beside = path.as_os_str().to_owned();
            beside.push(suffix);
            self.made(beside.into());
        }
    }

    /// All is well.
    pub(super) fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // A folder that somebody else put something into stays.
            if std::fs::remove_file(path).is_err() {
                let _ = std::fs::remove_dir(path);
            }
        }
    }
}
