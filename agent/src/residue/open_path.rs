//! Folders and lists of keys that others may write than root, or than the person whose home it is: whoever may, can exchange all that lies there
//! later, and nothing of it need change before.

use super::kind::Kind;
use super::places::{FOLDERS, LISTS_OF_KEYS, OF_A_HOME, OF_THE_HOST, PROGRAM_FOLDERS};
use super::snapshot::{Fingerprint, Snapshot};
use crate::host::files::meta::{Meta, Type};
use crate::host::files::printable;
use crate::host::files::{Files, Found, Links};
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Adds those among the folders of the host in which, or below which, something is looked at.
pub fn of_the_host(files: &Files, snapshot: &mut Snapshot) {
    let places = OF_THE_HOST.iter().flat_map(|(_, places)| places.iter()).map(Path::new);
    // A place itself is looked at as such.
    let above = places.filter_map(Path::parent).chain(FOLDERS.iter().chain(&PROGRAM_FOLDERS).map(Path::new));
    let folders: BTreeSet<&Path> = above.flat_map(Path::ancestors).collect();
    for folder in folders {
        // What a link leads over counts as well; what leads to the folder itself is among these folders.
        let mut by_link = false;
        let mut open = None;
        let found = files.find_passing(folder, Links::Follow, |it| match it.meta.kind() {
            Type::Link => by_link = true,
            _ if by_link && open.is_none() && is_open(&it.meta, &[0]) => open = Some(it.meta),
            _ => {}
        });
        note(snapshot, folder, found.map(|found| open.or(found.map(|it| it.meta))), &[0]);
    }
}

/// Adds those in a home. Without a word about whose it is, it may be anybody's.
pub fn of_a_home(files: &Files, snapshot: &mut Snapshot, home: &Path, found: &Found, owners: &[u32]) {
    let places = OF_A_HOME.iter().flat_map(|(_, places)| places.iter()).map(Path::new);
    let above = places.filter_map(Path::parent).chain(LISTS_OF_KEYS.iter().map(Path::new));
    let inside: BTreeSet<&Path> = above.flat_map(Path::ancestors).filter(|path| !path.as_os_str().is_empty()).collect();
    note(snapshot, home, Ok(Some(found.meta)), owners);
    for path in inside {
        let found = files.find_in(found, path, Links::Follow).map(|found| found.map(|it| it.meta));
        note(snapshot, &home.join(path), found, owners);
    }
}

fn note(snapshot: &mut Snapshot, path: &Path, found: Result<Option<Meta>, String>, owners: &[u32]) {
    let name = printable(path.as_os_str().as_bytes());
    match found {
        // The home of an account may be a folder of the host.
        Ok(Some(meta)) if is_open(&meta, owners) && !snapshot.of(Kind::OpenPath).contains_key(&name) => {
            let fingerprint = Fingerprint { shown: meta.rights(), compared: String::new(), changed: meta.changed() };
            snapshot.add(Kind::OpenPath, name, fingerprint);
        }
        Ok(_) => {}
        Err(why) => snapshot.not_looked_at(Kind::OpenPath, &name, &why),
    }
}

/// The write bits of a group stand for the entries of an access control list, too (acl(5)).
fn is_open(meta: &Meta, owners: &[u32]) -> bool {
    let is_anybodys = owners.is_empty() || meta.uid() == 0;
    meta.mode() & 0o022 != 0 || !(is_anybodys || owners.contains(&meta.uid()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    /// What is open now and was not before.
    fn opened(root: &Path, act: impl FnOnce()) -> Vec<String> {
        let look = || {
            let files = Files::below(root, Duration::from_secs(60));
            let mut snapshot = Snapshot::new();
            of_the_host(&files, &mut snapshot);
            let home = files.find(Path::new("/root"), Links::Follow).unwrap().unwrap();
            of_a_home(&files, &mut snapshot, Path::new("/root"), &home, &[]);
            snapshot
        };
        let before = look();
        act();
        let after = look();
        after.of(Kind::OpenPath).keys().filter(|&it| !before.of(Kind::OpenPath).contains_key(it)).cloned().collect()
    }

    #[test]
    fn what_others_may_write_is_named_and_what_a_link_leads_to_counts() {
        let root = tempfile::tempdir().unwrap();
        let path = |path: &str| root.path().join(path);
        ["etc/apt", "usr/sbin", "usr/bin", "usr/local/sbin", "root/.ssh", "home/alice/own/bin"]
            .iter()
            .for_each(|it| fs::create_dir_all(path(it)).unwrap());
        fs::write(path("root/.ssh/authorized_keys"), "").unwrap();
        let open = |it: &str| fs::set_permissions(path(it), Permissions::from_mode(0o777)).unwrap();
        assert!(opened(root.path(), || fs::write(path("etc/new"), "").unwrap()).is_empty());
        let folders = ["etc", "usr/sbin", "usr/bin", "root", "root/.ssh", "root/.ssh/authorized_keys"];
        let named = opened(root.path(), || folders.iter().for_each(|it| open(it)));
        assert_eq!(named, ["/etc", "/root", "/root/.ssh", "/root/.ssh/authorized_keys", "/usr/bin", "/usr/sbin"]);
        let named = opened(root.path(), || {
            open("home/alice/own");
            fs::remove_dir(path("usr/local/sbin")).unwrap();
            symlink("../../home/alice/own/bin", path("usr/local/sbin")).unwrap();
        });
        assert_eq!(named, ["/usr/local/sbin"]);
    }

    #[test]
    fn a_home_is_its_owners() {
        let home = tempfile::tempdir().unwrap();
        let files = Files::below(home.path(), Duration::from_secs(60));
        let meta = files.find(Path::new("/"), Links::Follow).unwrap().unwrap().meta;
        assert!(!is_open(&meta, &[meta.uid()]) && !is_open(&meta, &[]));
        assert_eq!(is_open(&meta, &[meta.uid() + 1]), meta.uid() != 0);
    }
}
