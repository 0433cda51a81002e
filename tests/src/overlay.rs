//! A writable view of a read-only tree: overlayfs with a scratch layer on top.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::root::Root;

/// A mounted overlay with its scratch layer in `upper` beside it.
#[derive(Debug)]
pub struct Overlay {
    folder: PathBuf,
    root: PathBuf,
}

impl Overlay {
    /// Mounts a writable view of `root` in `folder`.
    ///
    /// # Panics
    /// When it can't be mounted.
    #[must_use]
    pub fn mount(root: &Root, folder: &Path) -> Self {
        let place = |name: &str| {
            let path = folder.join(name);
            fs::create_dir_all(&path).expect("a folder for the overlay can be made");
            path
        };
        let overlay = Self { folder: folder.to_owned(), root: place("root") };
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            root.lowerdir(),
            place("upper").display(),
            place("work").display()
        );
        mount(Some("overlay"), &overlay.root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .unwrap_or_else(|error| panic!("overlay {options}: {error}"));
        overlay
    }

    /// Where it is mounted.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Unmounts it. The scratch layer stays.
    pub fn unmount(&self) {
        let _ = umount2(&self.root, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir_all(self.folder.join("work"));
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        self.unmount();
    }
}
