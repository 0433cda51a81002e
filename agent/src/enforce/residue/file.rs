//! Opening what hostile people may have put there: nothing is opened for reading before it is known to be a regular file of a
//! local filesystem, nothing is read beyond a limit, and no folder is listed beyond one.

use super::mounts::Mounts;
use super::snapshot::printable;
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, Statx, StatxFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::ffi::{CStr, OsString};
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Whether the last part of a path may be a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Links {
    /// The link itself is meant.
    Stay,
    /// What it points to is meant.
    Follow,
}

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

    /// What changes with its content: size and times. Only root can set a change time back, by the clock.
    pub fn times(&self) -> String {
        let (changed, modified) = (self.statx.stx_ctime, self.statx.stx_mtime);
        format!(
            "size {} mtime {}.{:09} ctime {}.{:09}",
            self.statx.stx_size, modified.tv_sec, modified.tv_nsec, changed.tv_sec, changed.tv_nsec
        )
    }
}

/// The host's files, for the time of one look.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    mounts: Mounts,
    until: Instant,
}

/// Something that is open and may be looked at.
#[derive(Debug)]
pub struct Found {
    /// It, as a place only: nothing can be read by it.
    place: OwnedFd,
    /// What it is.
    pub meta: Meta,
}

impl Files {
    /// The files below `root`, for at most `patience`.
    pub fn below(root: &Path, patience: Duration) -> Self {
        Self { root: root.into(), mounts: Mounts::read(), until: Instant::now() + patience }
    }

    /// Whether a mount may be looked at.
    pub fn on_local(&self, meta: &Meta) -> bool {
        meta.mount().is_some_and(|number| self.mounts.has(number))
    }

    /// That there is time left.
    pub fn time(&self) -> Result<(), String> {
        if Instant::now() < self.until { Ok(()) } else { Err("no time was left".into()) }
    }

    /// Finds what is at `path`, if anything is.
    ///
    /// # Errors
    ///
    /// Why it was not looked at.
    pub fn find(&self, path: &Path, links: Links) -> Result<Option<Found>, String> {
        self.time()?;
        let nofollow = if links == Links::Stay { OFlags::NOFOLLOW } else { OFlags::empty() };
        let path = self.root.join(path.strip_prefix("/").unwrap_or(path));
        let place = match rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC | nofollow, Mode::empty()) {
            Ok(place) => place,
            // A link that leads nowhere or in circles is nothing to read; the link itself is found by `Links::Stay`.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let meta = Meta::of_open(&place).map_err(|error| error.to_string())?;
        if !self.on_local(&meta) {
            return Err("it is on no local filesystem".into());
        }
        Ok(Some(Found { place, meta }))
    }
}

impl Found {
    /// Its content, if it is a regular file of at most `most` bytes.
    ///
    /// # Errors
    ///
    /// Why it can't be read.
    pub fn read(&self, most: u64) -> Result<Option<Vec<u8>>, String> {
        if self.meta.kind() != Type::Regular || self.meta.size() > most {
            return Ok(None);
        }
        // Not blocking, also where somebody holds a lease on it.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = self.reopen(flags).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        File::from(file).take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok((bytes.len() as u64 <= most).then_some(bytes))
    }

    /// Where it points to, if it is a link.
    pub fn target(&self) -> Option<String> {
        let target = rustix::fs::readlinkat(&self.place, c"", Vec::new()).ok()?;
        Some(printable(target.as_bytes()))
    }

    /// The names in it, sorted, at most `most`, and whether these are all.
    ///
    /// # Errors
    ///
    /// Why it can't be listed.
    pub fn names(&self, most: usize) -> Result<(Vec<OsString>, bool), String> {
        let folder = self.folder().map_err(|error| error.to_string())?;
        let mut names = Vec::new();
        let all = each_entry(&folder, |name, _| {
            names.push(OsString::from_vec(name.to_bytes().to_vec()));
            names.len() < most
        });
        names.sort();
        all.map(|all| (names, all)).map_err(|error| error.to_string())
    }

    /// It as a folder to list.
    ///
    /// # Errors
    ///
    /// What open(2) says.
    pub fn folder(&self) -> io::Result<OwnedFd> {
        self.reopen(OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC)
    }

    fn reopen(&self, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(rustix::fs::open(format!("/proc/self/fd/{}", self.place.as_raw_fd()), flags, Mode::empty())?)
    }
}

/// Calls `take` with each name in an open folder and what it is, for as long as that says so; whether these were all.
///
/// # Errors
///
/// What getdents(2) says.
pub fn each_entry(folder: &OwnedFd, mut take: impl FnMut(&CStr, rustix::fs::FileType) -> bool) -> io::Result<bool> {
    let mut space = [MaybeUninit::uninit(); 32 * 1024];
    let mut entries = RawDir::new(folder, &mut space);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." && !take(name, entry.file_type()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}
