//! The filesystems that are looked at: those of the host's own disks and memory (proc_pid_mountinfo(5)).
//!
//! What lies in the network or in some program's hands (NFS, FUSE, autofs) could hang whoever asks for it, and what the kernel
//! makes up (proc, sysfs, cgroup) keeps nothing for later. On which of them set-user-ID bits and device nodes count is read from PID 1: the agent's
//! own view of the host has nosuid everywhere.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::ops::Bound;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Types that are looked at. That of the host's root is another, whatever it is.
const LOCAL: [&str; 16] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "bcachefs", "zfs", "tmpfs", "ramfs", "overlay", "squashfs",
    "erofs", "rootfs", "reiserfs",
];

/// Types that keep no files of anybody's.
const MADE_UP: [&str; 21] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// One line of mountinfo.
#[derive(Clone, Debug)]
struct Mount {
    number: u64,
    device: String,
    kind: String,
    /// Set-user-ID bits do not count, and device nodes are not looked for.
    is_tame: bool,
}

/// What is mounted at a place, the uppermost.
type Points = BTreeMap<PathBuf, Mount>;

/// The mounts of the host.
#[derive(Debug, Default)]
pub struct Mounts {
    /// Whose files are looked at, by their number.
    local: HashSet<u64>,
    points: Points,
    /// Where set-user-ID bits or device nodes count and files are looked at.
    walked: Vec<PathBuf>,
    /// Where they count and nothing is looked at, and why.
    unseen: Vec<(PathBuf, String)>,
}

impl Mounts {
    /// Reads them. Where that fails nothing is looked at, and the snapshot says so.
    pub fn read() -> Self {
        let own = fs::read("/proc/self/mountinfo").unwrap_or_default();
        // Without PID 1's word they are taken to count everywhere.
        Self::parse(&own, fs::read("/proc/1/mountinfo").ok().as_deref())
    }

    fn parse(own: &[u8], of_pid_1: Option<&[u8]>) -> Self {
        let all: Vec<(PathBuf, Mount)> = mounts(own).collect();
        let points: Points = all.iter().cloned().collect();
        let root = points.get(Path::new("/")).map(|root| root.kind.clone());
        let is_local = |kind: &str| LOCAL.contains(&kind) || root.as_deref() == Some(kind);
        let local = all.iter().filter(|(_, it)| is_local(&it.kind)).map(|(_, it)| it.number).collect();
        let hosts: Points = match of_pid_1 {
            Some(text) => mounts(text).collect(),
            None => all.into_iter().map(|(point, it)| (point, Mount { is_tame: false, ..it })).collect(),
        };
        let (mut walked, mut unseen) = (Vec::new(), Vec::new());
        for (point, host) in hosts.iter().filter(|(_, it)| !it.is_tame && !MADE_UP.contains(&it.kind.as_str())) {
            if !is_local(&host.kind) {
                unseen.push((point.clone(), format!("{} is no local filesystem", host.kind)));
            }
        }
        for (point, mount) in points.iter().filter(|(_, it)| is_local(&it.kind)) {
            let over = point.ancestors().find_map(|above| hosts.get(above));
            let Some(host) = over.filter(|host| !host.is_tame && is_local(&host.kind)) else { continue };
            if mount.device == host.device {
                walked.push(point.clone());
            } else {
                unseen.push((point.clone(), "the agent's own confinement hides it".into()));
            }
        }
        Self { local, points, walked, unseen }
    }

    /// Whether the files of this mount are looked at.
    pub fn has(&self, number: u64) -> bool {
        self.local.contains(&number)
    }

    /// Whether something is mounted at this place that is not looked at.
    pub fn hangs_at(&self, point: &Path) -> bool {
        self.points.get(point).is_some_and(|mount| !self.has(mount.number))
    }

    /// The names in a folder at which something is mounted.
    pub fn in_folder(&self, folder: &Path) -> Vec<&OsStr> {
        let below = self.points.range::<Path, _>((Bound::Excluded(folder), Bound::Unbounded));
        let below = below.map(|(point, _)| point.as_path()).take_while(|point| point.starts_with(folder));
        below.filter(|point| point.parent() == Some(folder)).filter_map(Path::file_name).collect()
    }

    /// Where set-user-ID bits or device nodes count and files are looked at.
    pub fn walked(&self) -> impl Iterator<Item = &Path> {
        self.walked.iter().map(PathBuf::as_path)
    }

    /// Where they count and nothing is looked at, and why.
    pub fn unseen(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.unseen.iter().map(|(point, why)| (point.as_path(), why.as_str()))
    }
}

fn mounts(text: &[u8]) -> impl Iterator<Item = (PathBuf, Mount)> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let number = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let device = String::from_utf8_lossy(fields.nth(1)?).into_owned();
        let point = PathBuf::from(OsString::from_vec(unescaped(fields.nth(1)?)));
        let options = fields.next()?;
        let has = |sought: &[u8]| options.split(|&byte| byte == b',').any(|option| option == sought);
        // What is mounted nosuid alone is in the kernel's and the service manager's hands (/dev): device nodes are its purpose.
        let is_tame = has(b"nosuid");
        let kind = fields.skip_while(|&field| field != b"-").nth(1)?;
        let kind = String::from_utf8_lossy(kind).into_owned();
        Some((point, Mount { number, device, kind, is_tame }))
    })
}

/// Without the octal escapes of blanks and backslashes.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, others @ ..] = rest {
        let escaped = others.get(..3).filter(|_| *first == b'\\');
        let byte = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { others.get(3..).unwrap_or_default() } else { others };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[u8] = b"21 1 8:1 / / rw,noatime,nosuid shared:1 - virtiofs root rw\n\
        22 21 0:20 / /proc rw - proc proc rw\n\
        23 21 0:21 / /home rw master:2 - nfs4 server:/home rw\n\
        24 21 8:2 / /srv/a\\040b rw,nosuid - ext4 /dev/sdb rw\n\
        25 21 0:9 / /run rw shared:3 - tmpfs tmpfs rw\n\
        26 24 0:9 / /srv/a\\040b rw shared:3 - fuse.x tmpfs rw\n\
        nonsense\n";

    #[test]
    fn only_mounts_of_disks_and_memory_and_of_the_roots_own_type_are_looked_at() {
        let mounts = Mounts::parse(OWN, None);
        let seen: Vec<u64> = (20..30).filter(|&number| mounts.has(number)).collect();
        assert_eq!(seen, [21, 24, 25]);
        assert!(!mounts.hangs_at(Path::new("/run")) && mounts.hangs_at(Path::new("/home")));
        assert!(mounts.hangs_at(Path::new("/srv/a b")), "another lies over it");
        assert_eq!(mounts.in_folder(Path::new("/srv")), ["a b"]);
        assert_eq!(mounts.in_folder(Path::new("/")), ["home", "proc", "run"]);
        assert!(!Mounts::parse(b"", None).has(0));
    }

    #[test]
    fn whether_setuid_bits_and_device_nodes_count_is_pid_1s_word() {
        let of_pid_1 = b"1 1 8:1 / / rw,noatime shared:1 - virtiofs root rw\n\
            2 1 0:20 / /proc rw - proc proc rw\n\
            3 1 0:9 / /run rw,nosuid,nodev shared:3 - tmpfs tmpfs rw\n\
            4 1 0:21 / /mnt rw master:2 - nfs4 server:/mnt rw\n\
            5 1 8:2 / /srv/b rw - ext4 /dev/sdb rw\n\
            6 1 8:3 / /srv/c rw,nosuid - ext4 /dev/sdc rw\n";
        let own = b"21 1 8:1 / / rw,nosuid - virtiofs root rw\n\
            22 21 8:1 /var/lib/curfew /var/lib/curfew rw,nosuid - virtiofs root rw\n\
            23 21 0:9 / /run rw,nosuid - tmpfs tmpfs rw\n\
            24 21 0:21 / /mnt rw,nosuid - nfs4 server:/mnt rw\n\
            25 21 8:2 / /srv/b rw,nosuid - ext4 /dev/sdb rw\n\
            27 21 8:3 / /srv/c rw,nosuid - ext4 /dev/sdc rw\n\
            26 21 0:9 /inaccessible /usr/lib/modules ro - tmpfs tmpfs rw\n";
        let places = |mounts: &Mounts| mounts.walked().map(|it| it.display().to_string()).collect::<Vec<_>>();
        let mounts = Mounts::parse(own, Some(of_pid_1));
        assert_eq!(places(&mounts), ["/", "/srv/b", "/var/lib/curfew"]);
        let unseen: Vec<_> = mounts.unseen().map(|(point, why)| format!("{}: {why}", point.display())).collect();
        let hidden = "/usr/lib/modules: the agent's own confinement hides it";
        assert_eq!(unseen, ["/mnt: nfs4 is no local filesystem", hidden]);
        let unknown = Mounts::parse(own, None);
        assert!(places(&unknown).contains(&"/run".into()), "without PID 1's word it counts everywhere");
    }
}
