//! Whether a process may do more than the person may by whom it was started.
//!
//! A process that has root's rights anywhere, be it in a saved id that it can take back, is elevated. One that owes its rights to a setuid
//! program of the host's own, or has them in a user namespace of the person's alone, is not: sudo had no part in it.

use super::credentials::Credentials;
use super::processes::Process;
use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statx};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Whom a process belongs to that has no more rights than they.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Plain {
    /// Their user id.
    pub uid: u32,
    /// Their groups; none where they are not known, and then no group counts.
    pub gids: Vec<u32>,
}

impl Plain {
    /// Whether the rights of any of its threads go beyond the person's.
    pub fn is_exceeded_by(&self, process: &Process) -> bool {
        process.rights().any(|rights| self.is_exceeded(rights))
    }

    fn is_exceeded(&self, rights: &Credentials) -> bool {
        let foreign = |gid: &u32| !self.gids.is_empty() && !self.gids.contains(gid);
        rights.uids.iter().any(|&uid| uid != self.uid)
            || rights.gids.iter().any(foreign)
            || rights.groups.iter().any(foreign)
            || rights.permitted != 0
    }

    /// Whether `process` is elevated: one of its threads has rights beyond the person's, and neither a program that had them to give before `since` (seconds
    /// since 1970) nor a user namespace of the person's own explains them. This reads the host's own files alone: no file system
    /// of the person's is asked for anything.
    pub fn is_elevated(&self, process: &Process, since: i64) -> bool {
        process.rights().any(|rights| {
            self.is_exceeded(rights)
                && !self.is_explained_by_program(process, rights, since)
                && !self.is_explained_by_namespace(process, rights)
        })
    }

    /// Whether `process` is in a user namespace that reaches beyond what is the person's: nobody but root can have written its map, whenever that was,
    /// and whoever is in it can take what it stands for.
    pub fn is_in_anothers_namespace(&self, process: &Process) -> bool {
        if !is_in_another_namespace(process) {
            return false;
        }
        let maps = self.maps(process);
        // One without a map stands for nobody.
        let reaches_beyond =
            |(map, allowed): (String, Vec<(u32, u32)>)| !map.is_empty() && !stands_for(&map, &[], &allowed);
        // Where their groups are not known, no group counts.
        let counted = if self.gids.is_empty() { 1 } else { 2 };
        maps.into_iter().take(counted).any(reaches_beyond)
    }

    /// As ping(8) and ssh-agent(1) have theirs: by set ids or capabilities of a file on the host's own file systems that is older than the
    /// elevation, run by the person themselves.
    fn is_explained_by_program(&self, process: &Process, rights: &Credentials, since: i64) -> bool {
        let Credentials { uids: uids @ [real_uid, ..], gids, groups, permitted } = rights;
        let exe = format!("/proc/{}/exe", process.id.pid);
        let Some(program) = stat(Path::new(&exe)) else { return false };
        // As PID 1 sees them: the agent has mounts of its own.
        let systems = ["/proc/1/root/", "/proc/1/root/usr/"].map(|path| stat(Path::new(path)));
        let on_system =
            systems.iter().flatten().any(|system| mount(system).is_some() && mount(system) == mount(&program));
        if *real_uid != self.uid || !on_system || program.stx_ctime.tv_sec >= since {
            return false;
        }
        let mode = u32::from(program.stx_mode);
        let own_uid = |uid: u32| uid == self.uid || (mode & 0o4000 != 0 && uid == program.stx_uid);
        let own_gid = |gid: u32| self.has(gid) || (mode & 0o2000 != 0 && gid == program.stx_gid);
        let as_root = mode & 0o4000 != 0 && program.stx_uid == 0;
        let capable = || rustix::fs::getxattr(exe.as_str(), "security.capability", &mut [0_u8; 64]).is_ok();
        uids.iter().all(|&uid| own_uid(uid))
            && gids.iter().all(|&gid| own_gid(gid))
            && groups.iter().all(|&gid| self.has(gid))
            && (*permitted == 0 || as_root || capable())
    }

    fn has(&self, gid: u32) -> bool {
        self.gids.is_empty() || self.gids.contains(&gid)
    }

    /// As a rootless container has them: in a user namespace (user_namespaces(7)) in which nothing stands for anybody but the person and
    /// the ids that subuid(5) and subgid(5) lend them.
    fn is_explained_by_namespace(&self, process: &Process, rights: &Credentials) -> bool {
        let Credentials { uids, gids, .. } = rights;
        let [(uid_map, lent_uids), (gid_map, lent_gids)] = self.maps(process);
        stands_for(&uid_map, uids, &lent_uids) && stands_for(&gid_map, gids, &lent_gids)
    }

    /// The maps of the namespace that a process is in (user_namespaces(7)), each with what it may stand for.
    fn maps(&self, process: &Process) -> [(String, Vec<(u32, u32)>); 2] {
        let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", process.id.pid)).unwrap_or_default();
        let lent = |path: &str| lent(&fs::read_to_string(path).unwrap_or_default(), self.uid);
        let (mut uids, mut gids) = (lent("/etc/subuid"), lent("/etc/subgid"));
        uids.push((self.uid, 1));
        gids.extend(self.gids.iter().map(|&gid| (gid, 1)));
        [(read("uid_map"), uids), (read("gid_map"), gids)]
    }
}

/// Whether `process` is in another user namespace than the agent.
pub fn is_in_another_namespace(process: &Process) -> bool {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).ok();
    let map = |pid: &str| fs::read_to_string(format!("/proc/{pid}/uid_map")).ok();
    let pid = process.id.pid.to_string();
    match namespace(&pid) {
        Some(theirs) => Some(theirs) != namespace("self"),
        // A link that a security module hides: the host's own namespace stands for all ids there are.
        None => map("self").is_some_and(|own| map(&pid).is_some_and(|theirs| theirs != own)),
    }
}

/// Without asking a file system that may not answer (statx(2), `AT_STATX_DONT_SYNC`).
fn stat(path: &Path) -> Option<Statx> {
    statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID).ok()
}

/// The mount that it lies on; none where the kernel (before 5.8) does not tell.
fn mount(about: &Statx) -> Option<u64> {
    (about.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(about.stx_mnt_id)
}

/// Whether a map of a user namespace stands for ids of `allowed` alone (the first, and how many), and all of `ids` are among them.
fn stands_for(map: &str, ids: &[u32], allowed: &[(u32, u32)]) -> bool {
    let inside = |first: u32, count: u32| {
        allowed.iter().any(|&(begin, length)| {
            first >= begin && u64::from(first) + u64::from(count) <= u64::from(begin) + u64::from(length)
        })
    };
    let mut lines = map.lines().map(|line| {
        let numbers: Vec<u32> = line.split_ascii_whitespace().filter_map(|it| it.parse().ok()).collect();
        <[u32; 3]>::try_from(numbers).ok()
    });
    !map.is_empty()
        && lines.all(|line| line.is_some_and(|[_within, outside, count]| inside(outside, count)))
        && ids.iter().all(|&id| inside(id, 1))
}

/// The ids that a file such as subuid(5) lends somebody: by their number, or by a name that stands for it in passwd(5).
fn lent(text: &str, uid: u32) -> Vec<(u32, u32)> {
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let is_theirs = |name: &str| {
        name == uid.to_string()
            || accounts.lines().any(|line| {
                let mut fields = line.split(':');
                fields.next() == Some(name) && fields.nth(1) == Some(uid.to_string().as_str())
            })
    };
    let ranges = text.lines().filter_map(|line| {
        let [name, first, count] = <[&str; 3]>::try_from(line.split(':').collect::<Vec<_>>()).ok()?;
        // Nobody is lent root, nor anybody else who has an account, whatever a file says.
        let range: (u32, u32) = (first.parse().ok()?, count.trim().parse().ok()?);
        let is_of_account = accounts.lines().filter_map(|line| line.split(':').nth(2)?.parse::<u32>().ok());
        let mut is_of_account = is_of_account.map(|it| it >= range.0 && it - range.0 < range.1);
        (is_theirs(name) && range.0 > 0 && !is_of_account.any(|taken| taken)).then_some(range)
    });
    ranges.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn any_right_beyond_the_persons_counts_wherever_it_is_kept() {
        let alice = Plain { uid: 1001, gids: vec![1001, 27] };
        let own = Credentials { uids: [1001; 4], gids: [1001; 4], groups: vec![27], permitted: 0 };
        assert!(!alice.is_exceeded(&own));
        for place in 0..4 {
            let mut one = own.clone();
            one.uids[place] = 0;
            assert!(alice.is_exceeded(&one), "user id {place}");
            let mut one = own.clone();
            one.gids[place] = 42;
            assert!(alice.is_exceeded(&one), "group id {place}");
        }
        assert!(alice.is_exceeded(&Credentials { groups: vec![27, 42], ..own.clone() }));
        assert!(alice.is_exceeded(&Credentials { permitted: 1 << 21, ..own.clone() }));
        // Where her groups are not known, none counts.
        assert!(!Plain { uid: 1001, gids: Vec::new() }.is_exceeded(&Credentials { groups: vec![42], ..own }));
    }

    #[test]
    fn only_a_namespace_of_the_persons_own_ids_explains_rights() {
        let hers = [(1001, 1), (100_000, 65_536)];
        assert!(stands_for("0 1001 1\n1 100000 65536\n", &[100_998; 4], &hers));
        assert!(stands_for("0 1001 1\n", &[1001; 4], &hers));
        // The host's own namespace, one that root made, and one that reaches beyond what is lent.
        assert!(!stands_for("0 0 4294967295\n", &[0; 4], &hers));
        assert!(!stands_for("0 0 1\n", &[0; 4], &hers));
        assert!(!stands_for("0 1001 1\n1 100000 65537\n", &[1001; 4], &hers));
        // Rights of before it went in there.
        assert!(!stands_for("0 1001 1\n", &[1001, 0, 1001, 1001], &hers));
        assert!(!stands_for("", &[1001; 4], &hers));
    }

    #[test]
    fn ids_are_lent_by_number_and_never_from_root_on() {
        assert_eq!(lent("7777:200:10\n8888:300:10\n7777:0:5\n7777:x:5\n", 7777), [(200, 10)]);
    }
}
