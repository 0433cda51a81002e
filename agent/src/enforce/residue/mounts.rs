//! The filesystems that are looked at: those of the host's own disks and memory (proc_pid_mountinfo(5)).
//!
//! What lies in the network or in some program's hands (NFS, FUSE, autofs) could hang whoever asks for it, and what the kernel
//! makes up (proc, sysfs, cgroup) keeps nothing for later.

use std::collections::HashSet;
use std::fs;

/// Types that are looked at. That of the host's root is another, whatever it is.
const LOCAL: [&str; 16] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "bcachefs", "zfs", "tmpfs", "ramfs", "overlay", "squashfs",
    "erofs", "rootfs", "reiserfs",
];

/// The mounts whose files are looked at, by their number.
#[derive(Debug, Default)]
pub struct Mounts(HashSet<u64>);

impl Mounts {
    /// Reads them. Where that fails nothing is looked at, and the snapshot says so.
    pub fn read() -> Self {
        Self::parse(&fs::read("/proc/self/mountinfo").unwrap_or_default())
    }

    fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mounts = text.lines().filter_map(|line| {
            let (place, source) = line.split_once(" - ")?;
            let number = place.split(' ').next()?.parse::<u64>().ok()?;
            Some((number, place.split(' ').nth(4)?, source.split(' ').next()?))
        });
        let mounts: Vec<_> = mounts.collect();
        let root = mounts.iter().rev().find(|(_, point, _)| *point == "/").map(|&(_, _, kind)| kind);
        let local = |kind: &str| LOCAL.contains(&kind) || root == Some(kind);
        Self(mounts.iter().filter(|(_, _, kind)| local(kind)).map(|&(number, ..)| number).collect())
    }

    /// Whether the files of this mount are looked at.
    pub fn has(&self, number: u64) -> bool {
        self.0.contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_of_disks_and_memory_and_of_the_roots_own_type_are_looked_at() {
        let mounts = Mounts::parse(
            b"21 1 8:1 / / rw,noatime shared:1 - virtiofs root rw\n\
              22 21 0:20 / /proc rw - proc proc rw\n\
              23 21 0:21 / /home rw master:2 - nfs4 server:/home rw\n\
              24 21 8:2 / /srv/a\\040b rw - ext4 /dev/sdb rw\n\
              25 21 0:9 / /run rw shared:3 - tmpfs tmpfs rw\n\
              nonsense\n",
        );
        let seen: Vec<u64> = (20..30).filter(|&number| mounts.has(number)).collect();
        assert_eq!(seen, [21, 24, 25]);
        assert!(!Mounts::parse(b"").has(0));
    }
}
