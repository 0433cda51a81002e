//! Programs that give rights to whoever starts them, and device nodes that give the device to whoever opens them, on every local filesystem on
//! which they do. Since everything is walked for that, what is in the folders of programs is noted on the way.
//!
//! The places where programs are, and those where anybody can put one, come first; then each mount as a whole. A place is walked breadth
//! first, so that what stands openly is seen before what is buried, and each folder at its top has
//! a share: nobody hides anything by filling their own home. The walk holds names and no descriptors, follows no link, leaves no mount, and
//! rests as long as it works: nobody waits for it.

use super::kind::Kind;
use super::places::PROGRAM_FOLDERS;
use super::snapshot::{Fingerprint, Snapshot};
use crate::host::files::meta::{Meta, Type};
use crate::host::files::printable;
use crate::host::files::{Files, Found, Links, each_entry};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::fmt::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where it looks first, behind the folders of programs. What other people can fill comes last.
const PLACES: [&str; 16] = [
    "/usr/local",
    "/usr/libexec",
    "/usr/lib",
    "/usr",
    "/lib",
    "/etc",
    "/opt",
    "/root",
    "/srv",
    "/var/lib",
    "/var",
    "/dev/shm",
    "/tmp",
    "/var/tmp",
    "/home",
    // With a share for each folder at the host's top.
    "/",
];

/// The most entries that it looks at.
const MOST: usize = 4_000_000;

/// The most of them below one folder at the top of a place. The test need not make as many.
const SHARE: usize = if cfg!(test) { 600 } else { 200_000 };

/// How long it works before it rests for as long.
const WORKS_FOR: Duration = Duration::from_millis(4);

/// Adds the setuid, setgid and capable files, the device nodes that others than root may open, and the programs.
pub fn look(files: &Files, snapshot: &mut Snapshot) {
    files.mounts.unseen().for_each(|(point, why)| unseen(snapshot, point, why));
    let mut walk = Walk { files, snapshot, left: MOST, places: HashSet::new(), since: Instant::now() };
    let mut places = Vec::new();
    for place in PROGRAM_FOLDERS.into_iter().chain(PLACES).map(Path::new).chain(files.mounts.walked()) {
        match files.find(place, Links::Follow) {
            Ok(Some(found)) if found.meta.kind() == Type::Folder && walk.places.insert(found.meta.identity()) => {
                places.push((place, found));
            }
            Ok(_) => {}
            Err(why) => unseen(walk.snapshot, place, &why),
        }
    }
    for (place, found) in places {
        if let Err(why) = walk.place(place, &found) {
            unseen(walk.snapshot, place, &why);
        }
    }
}

/// Notes that nothing below a path was looked at.
fn unseen(snapshot: &mut Snapshot, path: &Path, why: &str) {
    let area = printable(path.as_os_str().as_bytes());
    let has_programs = PROGRAM_FOLDERS.iter().map(Path::new).any(|it| it.starts_with(path) || it == path);
    for kind in Kind::WALKED.into_iter().filter(|&kind| kind != Kind::Program || has_programs) {
        snapshot.not_looked_at(kind, &area, why);
    }
}

struct Walk<'a> {
    files: &'a Files,
    snapshot: &'a mut Snapshot,
    left: usize,
    /// The places: /bin may be /usr/bin, and all are below /.
    places: HashSet<(u32, u32, u64)>,
    /// Since when it works without a rest.
    since: Instant,
}

/// A folder that is found, by the number of its parent.
struct Folder {
    parent: usize,
    /// The folder at the top of the place that it is below.
    top: usize,
    name: Box<OsStr>,
    identity: (u32, u32, u64),
    /// How many entries were looked at below a folder at the top.
    share: usize,
}

impl Walk<'_> {
    fn place(&mut self, place: &Path, found: &Found) -> Result<(), String> {
        let open = match found.folder() {
            Ok(open) => open,
            // A mount whose folder was removed: nothing is there any more.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let identity = found.meta.identity();
        let mut folders = vec![Folder { parent: 0, top: 0, name: place.as_os_str().into(), identity, share: 0 }];
        self.folder(&open, &mut folders, 0)?;
        let mut next = 1;
        while next < folders.len() {
            match self.open(&open, &folders, next) {
                Ok(Some(folder)) => self.folder(&folder, &mut folders, next)?,
                Ok(None) => {}
                Err(why) => self.unseen(&folders, next, &why),
            }
            next += 1;
        }
        Ok(())
    }

    /// Opens a folder that was found, if it is still that folder.
    fn open(&self, place: &OwnedFd, folders: &[Folder], number: usize) -> Result<Option<OwnedFd>, String> {
        let (Some(folder), path) = (folders.get(number), path(folders, number, false)) else { return Ok(None) };
        if folders.get(folder.top).is_none_or(|top| top.share >= SHARE) {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(place, &path, flags, Mode::empty()) {
            Ok(open) => match Meta::of_open(&open) {
                Ok(meta) if meta.identity() == folder.identity => Ok(Some(open)),
                _ => Err("it became another folder meanwhile".into()),
            },
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Looks at what is in an open folder.
    ///
    /// # Errors
    ///
    /// Why nothing more of this place is looked at.
    fn folder(&mut self, open: &OwnedFd, folders: &mut Vec<Folder>, number: usize) -> Result<(), String> {
        self.files.time()?;
        self.rest();
        let top = folders.get(number).map_or(0, |folder| folder.top);
        let here = path(folders, number, true);
        let of_programs = PROGRAM_FOLDERS.iter().any(|it| here == Path::new(it));
        // Other mounts are places of their own, and could hang whoever asks.
        let mounted = self.files.mounts.in_folder(&here);
        let mut stopped = Ok(());
        let listed = each_entry(open, |name, kind| {
            let share = folders.get_mut(top).map_or(SHARE, |top| {
                top.share += 1;
                top.share
            });
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                stopped = Err(format!("more than {MOST} entries in all"));
                return false;
            }
            if share.is_multiple_of(256) {
                self.rest();
                if self.files.time().is_err() {
                    stopped = self.files.time();
                    return false;
                }
            }
            if share >= SHARE {
                self.unseen(folders, top, &format!("more than {SHARE} entries"));
                return false;
            }
            if !mounted.contains(&OsStr::from_bytes(name.to_bytes())) {
                self.entry(open, name, kind, folders, number);
                if of_programs {
                    self.program(open, name, &here);
                }
            }
            true
        });
        stopped?;
        if let Err(error) = listed {
            self.unseen(folders, number, &error.to_string());
        }
        Ok(())
    }

    fn entry(&mut self, open: &OwnedFd, name: &CStr, kind: FileType, folders: &mut Vec<Folder>, parent: usize) {
        if matches!(kind, FileType::Symlink | FileType::Fifo | FileType::Socket) {
            return;
        }
        // What is gone again is nothing that was left.
        let Ok(meta) = Meta::of(open, name) else { return };
        match meta.kind() {
            Type::Folder if !self.places.contains(&meta.identity()) => {
                let top = folders.get(parent).map_or(0, |parent| parent.top);
                // Below the place itself each folder is a top.
                let top = if parent == 0 { folders.len() } else { top };
                folders.push(Folder {
                    parent,
                    top,
                    name: OsStr::from_bytes(name.to_bytes()).into(),
                    identity: meta.identity(),
                    share: 0,
                });
            }
            Type::Regular => {
                let capabilities = capabilities(open, name);
                if meta.mode() & 0o6000 != 0 || capabilities.is_some() {
                    let mut shown = meta.rights();
                    capabilities.iter().for_each(|it| _ = write!(shown, " capabilities {it}"));
                    self.add(Kind::SetuidFile, &path(folders, parent, true), name, shown, &meta);
                }
            }
            Type::Other if meta.mode() & 0o066 != 0 || meta.uid() != 0 => {
                if let Some(device) = meta.device() {
                    let shown = format!("{device} {}", meta.rights());
                    self.add(Kind::DeviceNode, &path(folders, parent, true), name, shown, &meta);
                }
            }
            Type::Folder | Type::Link | Type::Other => {}
        }
    }

    /// A program, or a link to one: by its times, since their contents are too much for a look.
    fn program(&mut self, open: &OwnedFd, name: &CStr, folder: &Path) {
        let Ok(meta) = Meta::of(open, name) else { return };
        let shown = match meta.kind() {
            Type::Regular => String::new(),
            Type::Link => match rustix::fs::readlinkat(open, name, Vec::new()) {
                Ok(target) => format!("link to {}", printable(target.to_bytes())),
                Err(_) => return,
            },
            Type::Folder | Type::Other => return,
        };
        self.add(Kind::Program, folder, name, shown, &meta);
    }

    fn add(&mut self, kind: Kind, folder: &Path, name: &CStr, shown: String, meta: &Meta) {
        let path = folder.join(OsStr::from_bytes(name.to_bytes()));
        let fingerprint = Fingerprint { shown, compared: meta.times(), changed: meta.changed() };
        self.snapshot.add(kind, printable(path.as_os_str().as_bytes()), fingerprint);
    }

    fn rest(&mut self) {
        let worked = self.since.elapsed();
        if worked >= WORKS_FOR {
            std::thread::sleep(worked.min(10 * WORKS_FOR));
            self.since = Instant::now();
        }
    }

    fn unseen(&mut self, folders: &[Folder], number: usize, why: &str) {
        unseen(self.snapshot, &path(folders, number, true), why);
    }
}

/// The path of a folder: whole, or as seen from its place.
fn path(folders: &[Folder], mut number: usize, whole: bool) -> PathBuf {
    let mut names = Vec::new();
    while let Some(folder) = folders.get(number).filter(|_| number != 0) {
        names.push(&folder.name);
        number = folder.parent;
    }
    let place = folders.first().filter(|_| whole).map(|place| &place.name);
    let mut path = Vec::new();
    for name in place.into_iter().chain(names.into_iter().rev()) {
        if !path.is_empty() && !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
    }
    std::ffi::OsString::from_vec(path).into()
}

/// The capabilities of a file, in hexadecimal (capabilities(7), "File capabilities").
fn capabilities(folder: &OwnedFd, name: &CStr) -> Option<String> {
    let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    let mut value = [0_u8; 64];
    match rustix::fs::lgetxattr(OsStr::from_bytes(&path), c"security.capability", &mut value) {
        Ok(length) => Some(value.iter().take(length).fold(String::new(), |mut text, byte| {
            _ = write!(text, "{byte:02x}");
            text
        })),
        Err(Errno::RANGE) => Some("longer than any are".into()),
        Err(_) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rustix::fs::mknodat;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    fn found(root: &Path, patience: Duration) -> Snapshot {
        let mut snapshot = Snapshot::new();
        look(&Files::below(root, patience), &mut snapshot);
        snapshot
    }

    fn plant(root: &Path, path: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).unwrap();
    }

    #[test]
    fn setuid_files_are_found_at_any_depth_and_links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        plant(root.path(), "usr/bin/sudo");
        plant(root.path(), "home/alice/a/b/c/d/x,y\n");
        ["var/lib/elsewhere", "etc/x", "x"].iter().for_each(|path| plant(root.path(), path));
        fs::create_dir_all(root.path().join("tmp")).unwrap();
        symlink("..", root.path().join("tmp/loop")).unwrap();
        symlink("usr/bin", root.path().join("bin")).unwrap();
        let snapshot = found(root.path(), Duration::from_secs(10));
        let names: Vec<&String> = snapshot.of(Kind::SetuidFile).keys().collect();
        assert_eq!(names, ["/etc/x", "/home/alice/a/b/c/d/x\\x2cy\\u{a}", "/usr/bin/sudo", "/var/lib/elsewhere", "/x"]);
        assert!(["/etc/", "/home/", "/usr/"].iter().all(|place| !snapshot.may_hide(Kind::SetuidFile, place)));
    }

    #[test]
    fn device_nodes_that_others_may_open_and_programs_are_noted_on_the_way() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
            fs::write(root.path().join(path), "").unwrap();
        };
        ["usr/sbin/x", "usr/local/bin/folder/x", "usr/lib/x", "srv/own/y"].iter().for_each(|path| make(path));
        symlink("../../srv/own", root.path().join("usr/local/sbin")).unwrap();
        symlink("/home/alice/x", root.path().join("usr/local/bin/x")).unwrap();
        nix::unistd::mkfifo(&root.path().join("usr/sbin/fifo"), nix::sys::stat::Mode::S_IRWXO).unwrap();
        let snapshot = found(root.path(), Duration::from_secs(10));
        let programs = snapshot.of(Kind::Program);
        // A folder of programs that is a link is looked at where that leads.
        assert_eq!(programs.keys().collect::<Vec<_>>(), ["/usr/local/bin/x", "/usr/local/sbin/y", "/usr/sbin/x"]);
        assert_eq!(programs.values().next().unwrap().shown, "link to /home/alice/x");
        assert!(snapshot.of(Kind::DeviceNode).is_empty());
        // Root alone makes nodes.
        if rustix::process::geteuid().is_root() {
            for (name, mode) in [("disk", 0o666), ("own", 0o600)] {
                let path = root.path().join("usr/lib").join(name);
                mknodat(rustix::fs::CWD, &path, FileType::BlockDevice, Mode::empty(), rustix::fs::makedev(7, 0))
                    .unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            let snapshot = found(root.path(), Duration::from_secs(10));
            let nodes: Vec<_> =
                snapshot.of(Kind::DeviceNode).iter().map(|(name, it)| format!("{name} ({})", it.shown)).collect();
            assert_eq!(nodes, ["/usr/lib/disk (block device 7:0 mode 666 owner 0:0)"]);
        }
        let null = Meta::of(rustix::fs::CWD, c"/dev/null").unwrap();
        assert_eq!(null.device().as_deref(), Some("character device 1:3"));
    }

    #[test]
    fn a_home_that_is_too_full_hides_no_other() {
        let root = tempfile::tempdir().unwrap();
        let full = root.path().join("home/bob/many");
        fs::create_dir_all(&full).unwrap();
        (0..SHARE).for_each(|number| symlink("x", full.join(number.to_string())).unwrap());
        plant(root.path(), "home/alice/a/x");
        plant(root.path(), "home/zoe/a/x");
        let snapshot = found(root.path(), Duration::from_secs(30));
        assert_eq!(snapshot.of(Kind::SetuidFile).len(), 2);
        let unseen = snapshot.unseen(Kind::SetuidFile).keys().filter(|area| area.starts_with("/home"));
        assert_eq!(unseen.collect::<Vec<_>>(), ["/home/bob"]);
    }

    #[test]
    fn what_there_was_no_time_for_is_noted() {
        let root = tempfile::tempdir().unwrap();
        plant(root.path(), "usr/bin/sudo");
        let snapshot = found(root.path(), Duration::ZERO);
        assert!(snapshot.may_hide(Kind::SetuidFile, "/usr/bin/sudo"));
    }
}
