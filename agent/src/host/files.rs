//! Opening what hostile people may have put there: nothing is opened for reading before it is known to be a regular file of a
//! local filesystem, nothing is read beyond a limit, and no folder is listed beyond one. No step of a path, nor what a link leads to, goes onto a
//! filesystem that could hang.

pub mod meta;

use self::meta::{Meta, Type};
use super::mounts::Mounts;
use curfew_protocol::display;
use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr, OsString};
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// How many links a path may lead through (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// What is said of what is not looked at since it could hang.
const NOT_LOCAL: &str = "it is on no local filesystem";

/// Whether the last part of a path may be a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Links {
    /// The link itself is meant.
    Stay,
    /// What it points to is meant.
    Follow,
}

/// The host's files, for the time of one look.
#[derive(Debug)]
pub struct Files {
    root: io::Result<Found>,
    /// What is mounted, as of the beginning: what comes later is not looked at.
    pub mounts: Mounts,
    until: Instant,
}

/// Something that is open and may be looked at.
#[derive(Debug)]
pub struct Found {
    /// It, as a place only: nothing can be read by it.
    place: OwnedFd,
    /// Where it is, without links.
    path: PathBuf,
    /// What it is.
    pub meta: Meta,
}

impl Files {
    /// The files below `root`, for at most `patience`.
    pub fn below(root: &Path, patience: Duration) -> Self {
        Self { root: Found::folder_at(root), mounts: Mounts::read(), until: Instant::now() + patience }
    }

    /// The same for as long again.
    pub fn for_another(self, patience: Duration) -> Self {
        Self { until: Instant::now() + patience, ..self }
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
        let root = self.root.as_ref().map_err(io::Error::to_string)?;
        self.find_in(root, path.strip_prefix("/").unwrap_or(path), links)
    }

    /// As [`Self::find`], and shows `passed` all that the path leads over: folders, links and what it finds.
    ///
    /// # Errors
    ///
    /// Why it was not looked at.
    pub fn find_passing(&self, path: &Path, links: Links, passed: impl FnMut(&Found)) -> Result<Option<Found>, String> {
        let root = self.root.as_ref().map_err(io::Error::to_string)?;
        self.walk(root, path.strip_prefix("/").unwrap_or(path), links, passed)
    }

    /// Finds what is at `path` in a folder, if anything is.
    ///
    /// # Errors
    ///
    /// Why it was not looked at.
    pub fn find_in(&self, folder: &Found, path: &Path, links: Links) -> Result<Option<Found>, String> {
        self.walk(folder, path, links, |_| {})
    }

    fn walk(
        &self,
        folder: &Found,
        path: &Path,
        links: Links,
        mut passed: impl FnMut(&Found),
    ) -> Result<Option<Found>, String> {
        self.time()?;
        let mut here = folder.again()?;
        passed(&here);
        let mut waiting: Vec<OsString> = steps(path);
        let mut links_left = MOST_LINKS;
        while let Some(step) = waiting.pop() {
            let Some(next) = self.step(&here, &step)? else { return Ok(None) };
            passed(&next);
            if next.meta.kind() != Type::Link || (waiting.is_empty() && links == Links::Stay) {
                here = next;
                continue;
            }
            // A link that leads nowhere or in circles is nothing to read; the link itself is found by `Links::Stay`.
            let (Some(less), Ok(target)) = (links_left.checked_sub(1), next.link()) else { return Ok(None) };
            links_left = less;
            if target.is_absolute() {
                here = Found::folder_at(Path::new("/")).map_err(|error| error.to_string())?;
            }
            waiting.extend(steps(&target));
        }
        Ok(Some(here))
    }

    /// One step of a path: never onto a filesystem that could hang.
    fn step(&self, here: &Found, name: &OsStr) -> Result<Option<Found>, String> {
        let path = match name.as_encoded_bytes() {
            b".." => here.path.parent().unwrap_or(&here.path).to_owned(),
            _ => here.path.join(name),
        };
        // Known by its place: to open what is mounted there can hang, also where nothing is read. (openat2(2) would tell, and is not allowed to
        // a service that may make no set-user-ID files.)
        if self.mounts.hangs_at(&path) {
            return Err(NOT_LOCAL.into());
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let place = match rustix::fs::openat(&here.place, name, flags, Mode::empty()) {
            Ok(place) => place,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let meta = Meta::of_open(&place).map_err(|error| error.to_string())?;
        // What was mounted since.
        if meta.mount().is_none_or(|number| !self.mounts.has(number)) {
            return Err(NOT_LOCAL.into());
        }
        Ok(Some(Found { place, path, meta }))
    }
}

/// The steps of a path, the last first.
fn steps(path: &Path) -> Vec<OsString> {
    let steps = path.components().rev().filter_map(|it| match it {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    steps.collect()
}

impl Found {
    /// Where it is, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder that is there for certain.
    fn folder_at(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let place = rustix::fs::open(&path, flags, Mode::empty())?;
        Ok(Self { meta: Meta::of_open(&place)?, place, path })
    }

    fn again(&self) -> Result<Self, String> {
        let place = self.place.try_clone().map_err(|error| error.to_string())?;
        Ok(Self { place, path: self.path.clone(), meta: self.meta })
    }

    /// Its content, if it is a regular file of at most `most` bytes.
    ///
    /// # Errors
    ///
    /// Why it can't be read.
    pub fn read(&self, most: u64) -> Result<Option<Vec<u8>>, String> {
        if self.meta.kind() != Type::Regular || self.meta.size() > most {
            return Ok(None);
        }
        let bytes = self.beginning(most + 1)?;
        Ok((bytes.len() as u64 <= most).then_some(bytes))
    }

    /// The first bytes of its content, at most `most`; none where it is no regular file.
    ///
    /// # Errors
    ///
    /// Why it can't be read.
    pub fn beginning(&self, most: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        if self.meta.kind() == Type::Regular {
            // Not blocking, also where somebody holds a lease on it.
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            let file = self.reopen(flags).map_err(|error| error.to_string())?;
            File::from(file).take(most).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        }
        Ok(bytes)
    }

    /// Where it points to, if it is a link.
    pub fn target(&self) -> Option<String> {
        self.link().ok().map(|target| printable(target.as_os_str().as_encoded_bytes()))
    }

    fn link(&self) -> io::Result<PathBuf> {
        let target = rustix::fs::readlinkat(&self.place, c"", Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
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

/// Bytes of a name as text that is safe to print, different for different names. A comma parts the entries of a report.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' | ',' => _ = write!(text, "\\x{:02x}", u32::from(character)),
                ' '..='~' => text.push(character),
                // Some that have no width count as letters (U+3164).
                _ if character.is_alphanumeric() && !display::misleads(character) => text.push(character),
                _ => _ = write!(text, "{}", character.escape_unicode()),
            }
        }
        for byte in chunk.invalid() {
            _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable_and_stay_different() {
        for (name, shown) in [
            (&b"plain name-1"[..], "plain name-1"),
            (b"a\nb\x1b[31m", "a\\u{a}b\\u{1b}[31m"),
            (b"a,b\\", "a\\x2cb\\x5c"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("für\u{202e}".as_bytes(), "für\\u{202e}"),
            ("a\u{3164}\u{200b}".as_bytes(), "a\\u{3164}\\u{200b}"),
        ] {
            assert_eq!(printable(name), shown);
        }
        assert_ne!(printable(b"a\n"), printable(b"a\\u{a}"));
    }
}
