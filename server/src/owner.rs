//! Whose a folder is, for root: what root does in a folder of somebody else's, it does as they. So nothing that they put there (a link, a file with many
//! names, a folder that is exchanged meanwhile) can make root write or give away anything that they could not.

use nix::unistd::{Gid, Uid, User, geteuid, setgroups, setresgid, setresuid};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, mkdirat, open, openat, readlinkat, unlinkat};
use rustix::process::umask;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// The most links on the way to a folder.
const MOST_LINKS: usize = 40;

/// What a folder is opened for: its place, and that no link is followed to it.
const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Somebody who is not root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Owner {
    uid: Uid,
    gid: Gid,
}

/// Where the way to a folder ends.
#[derive(Debug)]
pub(crate) enum Way {
    /// In a folder of somebody else's: what is behind it is theirs.
    Foreign(Owner),
    /// In folders of root's alone. What is missing of it is `rest`.
    Own { last: OwnedFd, rest: Vec<OsString> },
}

/// Why root does not go there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WayError {
    /// Somebody else made the link.
    #[error("{path}: it is a link that user {uid} made, and root follows none but its own; name the folder itself")]
    Link { path: PathBuf, uid: u32 },
    /// Others can exchange what is in it.
    #[error(
        "{path}: others than its owner can write there (mode {mode:o}); take a folder that they can't, or chmod go-w {path}"
    )]
    Open { path: PathBuf, mode: u32 },
    /// It is no folder.
    #[error("{0}: it is no folder")]
    NoFolder(PathBuf),
    /// It can't be looked at.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
}

/// Whether this is root.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// Goes the way to a folder, which need not be there, step by step.
pub(crate) fn way(path: &Path) -> Result<Way, WayError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: rustix::io::Errno| WayError::File { path, source: source.into() }
    };
    let path = std::path::absolute(path).map_err(|source| WayError::File { path: path.into(), source })?;
    let root = || open("/", PLACE, Mode::empty()).map_err(failed(Path::new("/")));
    let (mut at, mut here, mut links) = (root()?, PathBuf::from("/"), 0);
    let mut steps = steps(&path);
    while let Some(step) = steps.pop() {
        let next = match openat(&at, &step, PLACE, Mode::empty()) {
            Ok(next) => next,
            Err(rustix::io::Errno::NOENT) => {
                steps.push(step);
                steps.reverse();
                return Ok(Way::Own { last: at, rest: steps });
            }
            Err(error) => return Err(failed(&here.join(&step))(error)),
        };
        let place = here.join(&step);
        let stat = fstat(&next).map_err(failed(&place))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                links += 1;
                if stat.st_uid != 0 || links > MOST_LINKS {
                    return Err(WayError::Link { path: place, uid: stat.st_uid });
                }
                let target = readlinkat(&next, "", Vec::new()).map_err(failed(&place))?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                if target.is_absolute() {
                    (at, here) = (root()?, PathBuf::from("/"));
                }
                steps.extend(self::steps(&target));
            }
            FileType::Directory => {
                if stat.st_uid != 0 {
                    return Ok(Way::Foreign(Owner::of(&stat)));
                }
                refuse_if_open(&place, &stat)?;
                (at, here) = (next, place);
            }
            _ => return Err(WayError::NoFolder(place)),
        }
    }
    Ok(Way::Own { last: at, rest: Vec::new() })
}

/// The steps of a path, the last one first.
fn steps(path: &Path) -> Vec<OsString> {
    let mut steps: Vec<_> = path
        .components()
        .filter(|step| matches!(step, Component::Normal(_) | Component::ParentDir))
        .map(|step| step.as_os_str().to_owned())
        .collect();
    steps.reverse();
    steps
}

/// In a folder that others can write to, anything may be exchanged; where the sticky bit is set, only what is theirs.
fn refuse_if_open(path: &Path, stat: &Stat) -> Result<(), WayError> {
    let mode = stat.st_mode & 0o7777;
    let others = mode & 0o002 != 0 || (mode & 0o020 != 0 && stat.st_gid != 0);
    if others && mode & 0o1000 == 0 {
        return Err(WayError::Open { path: path.into(), mode });
    }
    Ok(())
}

/// Makes what is missing of a folder of root's, for only root to read. Returns how many folders were made.
pub(crate) fn make(path: &Path, mut last: OwnedFd, rest: &[OsString]) -> Result<usize, WayError> {
    let failed = |source: rustix::io::Errno| WayError::File { path: path.into(), source: source.into() };
    for step in rest {
        mkdirat(&last, step, Mode::from_raw_mode(0o700)).map_err(failed)?;
        let next = openat(&last, step, PLACE, Mode::empty()).map_err(failed)?;
        let stat = fstat(&next).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory || stat.st_uid != 0 {
            return Err(WayError::NoFolder(path.into()));
        }
        last = next;
    }
    Ok(rest.len())
}

impl Owner {
    fn of(stat: &Stat) -> Self {
        Self { uid: Uid::from_raw(stat.st_uid), gid: Gid::from_raw(stat.st_gid) }
    }

    /// The group of their folder.
    pub(crate) fn gid(self) -> Gid {
        self.gid
    }

    /// Their name, for people.
    pub(crate) fn name(self) -> String {
        let user = User::from_uid(self.uid).ok().flatten();
        user.map_or_else(|| format!("user {}", self.uid), |user| user.name)
    }

    /// This program, run as they, without any other group.
    pub(crate) fn this_program(self) -> Command {
        let mut command = Command::new("/proc/self/exe");
        // With a user named, std gives up all other groups, too.
        command.uid(self.uid.as_raw()).gid(self.gid.as_raw()).current_dir("/");
        command
    }

    /// Becomes them, for good.
    pub(crate) fn become_them(self) -> io::Result<()> {
        setgroups(&[self.gid])?;
        setresgid(self.gid, self.gid, self.gid)?;
        Ok(setresuid(self.uid, self.uid, self.uid)?)
    }
}

/// Who has the folder of a file, if this is root and they are not.
pub(crate) fn of_folder_of(file: &Path) -> Result<Option<Owner>, WayError> {
    let Some(folder) = file.parent().filter(|_| is_root()) else { return Ok(None) };
    match way(folder)? {
        Way::Foreign(owner) => Ok(Some(owner)),
        Way::Own { .. } => Ok(None),
    }
}

/// A folder that files are put into, whoever else can write there.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl Folder {
    /// The folder at `path`, or a new one that everybody can read.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Whatever the umask, as the files; by it and not afterwards, when another folder might have been put there.
        let before = umask(Mode::from_raw_mode(0o022));
        let made = std::fs::DirBuilder::new().recursive(true).create(path);
        umask(before);
        made?;
        Ok(Self(open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// Whether there is a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Puts a file there that everybody can read, in the place of whatever has its name. No link is followed.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write as _;
        let new = format!(".{name}.new");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        // What a run that was cut off left there.
        let _ = unlinkat(&self.0, &new, AtFlags::empty());
        let mut file = std::fs::File::from(openat(&self.0, &new, flags, Mode::from_raw_mode(0o644))?);
        // Whatever the umask: a web server reads it.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(rustix::fs::renameat(&self.0, &new, &self.0, name)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    #[test]
    fn a_file_is_put_beside_a_link_and_not_through_it() {
        let [folder, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let precious = elsewhere.path().join("precious");
        std::fs::write(&precious, "mine").unwrap();
        for name in ["a.jws", ".a.jws.new"] {
            symlink(&precious, folder.path().join(name)).unwrap();
        }
        Folder::open(folder.path()).unwrap().replace("a.jws", b"set").unwrap();
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine");
        let file = folder.path().join("a.jws");
        let kind = std::fs::symlink_metadata(&file).unwrap();
        assert!(kind.is_file() && kind.permissions().mode() & 0o777 == 0o644);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn root_sees_whose_a_folder_is_and_follows_no_link_of_others() {
        if !is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("own")).unwrap();
        std::fs::create_dir_all(at("theirs/inner")).unwrap();
        chown(at("theirs"), Some(12345), Some(12346)).unwrap();
        let theirs = Owner { uid: Uid::from_raw(12345), gid: Gid::from_raw(12346) };
        for path in ["theirs", "theirs/inner", "theirs/not/there"] {
            assert!(matches!(way(&at(path)), Ok(Way::Foreign(owner)) if owner == theirs), "{path}");
        }
        symlink(at("theirs"), at("link")).unwrap();
        assert!(matches!(way(&at("link/x")), Ok(Way::Foreign(owner)) if owner == theirs), "root's own link");
        std::os::unix::fs::lchown(at("link"), Some(12345), None).unwrap();
        assert!(matches!(way(&at("link/x")), Err(WayError::Link { uid: 12345, .. })));
        let Ok(Way::Own { last, rest }) = way(&at("own/new/er")) else { unreachable!("it is root's") };
        assert_eq!(rest, ["new", "er"]);
        make(&at("own/new/er"), last, &rest).unwrap();
        assert_eq!(std::fs::metadata(at("own/new/er")).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::set_permissions(at("own"), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(way(&at("own/new")), Err(WayError::Open { mode: 0o777, .. })));
        std::fs::set_permissions(at("own"), std::fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(matches!(way(&at("own/new")), Ok(Way::Own { .. })));
    }
}
