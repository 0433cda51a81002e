//! What statx(2) says of a file, without following, mounting or asking anything that could hang.

use rustix::fs::{AtFlags, Statx, StatxFlags};
use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;

/// What a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Type {
    /// A regular file.
    Regular,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A pipe, a socket, a device.
    Other,
}

/// What statx(2) says of a file.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    statx: Statx,
}

impl Meta {
    /// Of `name` in `folder`, without following a link, mounting anything or asking a server.
    pub fn of(folder: impl AsFd, name: &CStr) -> io::Result<Self> {
        Self::ask(folder, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Of what is open.
    pub fn of_open(file: impl AsFd) -> io::Result<Self> {
        Self::ask(file, c"", AtFlags::EMPTY_PATH)
    }

    fn ask(folder: impl AsFd, name: &CStr, flags: AtFlags) -> io::Result<Self> {
        let flags = flags | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
        let statx = rustix::fs::statx(folder, name, flags, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)?;
        Ok(Self { statx })
    }

    /// What it is.
    pub fn kind(&self) -> Type {
        match self.statx.stx_mode & 0o170_000 {
            0o100_000 => Type::Regular,
            0o040_000 => Type::Folder,
            0o120_000 => Type::Link,
            _ => Type::Other,
        }
    }

    /// Its permission bits.
    pub fn mode(&self) -> u16 {
        self.statx.stx_mode & 0o7777
    }

    /// Its owner.
    pub fn uid(&self) -> u32 {
        self.statx.stx_uid
    }

    /// Which device it is the node of, if it is one.
    pub fn device(&self) -> Option<String> {
        let kind = match self.statx.stx_mode & 0o170_000 {
            0o020_000 => "character",
            0o060_000 => "block",
            _ => return None,
        };
        Some(format!("{kind} device {}:{}", self.statx.stx_rdev_major, self.statx.stx_rdev_minor))
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.statx.stx_size
    }

    /// The number of the mount that it is on, where the kernel tells (since 5.8).
    pub fn mount(&self) -> Option<u64> {
        (self.statx.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(self.statx.stx_mnt_id)
    }

    /// What tells it from any other file.
    pub fn identity(&self) -> (u32, u32, u64) {
        (self.statx.stx_dev_major, self.statx.stx_dev_minor, self.statx.stx_ino)
    }

    /// Its mode and owner as a report shows them.
    pub fn rights(&self) -> String {
        format!("mode {:o} owner {}:{}", self.mode(), self.statx.stx_uid, self.statx.stx_gid)
    }

    /// When it was last changed in any way, in nanoseconds since 1970. Root alone can set that back, and only by the clock.
    pub fn changed(&self) -> i64 {
        let at = self.statx.stx_ctime;
        at.tv_sec.saturating_mul(1_000_000_000).saturating_add(i64::from(at.tv_nsec))
    }

    /// What changes with its content: size and times.
    pub fn times(&self) -> String {
        let (changed, modified) = (self.statx.stx_ctime, self.statx.stx_mtime);
        format!(
            "size {} mtime {}.{:09} ctime {}.{:09}",
            self.statx.stx_size, modified.tv_sec, modified.tv_nsec, changed.tv_sec, changed.tv_nsec
        )
    }
}
