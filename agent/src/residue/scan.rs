//! One look at the host: where people who are root leave things for later (`places`). First the lists, which are short; then set-user-ID files and
//! what else everything is walked for (`setuid`).

mod files;

use self::files::{HASHED, HASHED_IN_HOMES, names, printed};
use super::kind::Kind;
use super::lines;
use super::open_path;
use super::places::{BY_ENDS_OF_NAMES, LISTS_OF_KEYS, OF_A_HOME, OF_A_RUNTIME_FOLDER, OF_THE_HOST};
use super::setuid;
use super::snapshot::{Fingerprint, Snapshot};
use crate::host::files::meta::Type;
use crate::host::files::printable;
use crate::host::files::{Files, Links};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the lists may take. What is not looked at by then is noted.
const LISTS_TAKE: Duration = Duration::from_secs(10);

/// How long the walk may take; likewise.
const WALK_TAKES: Duration = Duration::from_secs(240);

/// The most names in a folder of which few are looked at: dpkg has several files for each package.
const MOST_NAMES: usize = 50_000;

/// What packages bring is compared by its size and times: it is much, and does not change without them.
const HASHED_OF_PACKAGES: u64 = 0;

/// The longest list of keys, accounts or groups that is read.
const LONGEST_LIST: u64 = 8 * 1024 * 1024;

/// The longest list of keys that is read.
const LONGEST_KEYS: u64 = 1024 * 1024;

/// A look of which the lists are read.
#[derive(Debug)]
pub struct Lists {
    files: Files,
    /// What was found.
    pub snapshot: Snapshot,
}

/// Whose homes are looked at beside those of all accounts in /etc/passwd.
#[derive(Clone, Debug, Default)]
pub struct Homes {
    /// Those that are known.
    pub known: BTreeSet<PathBuf>,
    /// Of whom none is known, and why.
    pub unknown: Vec<(String, String)>,
}

/// Reads the lists. Blocks, for about [`LISTS_TAKE`] at most; a disk that hangs can hold it up longer.
pub fn lists(homes: &Homes) -> Lists {
    lists_of(Files::below(Path::new("/"), LISTS_TAKE), homes)
}

/// Walks everything for set-user-ID files, with rests. Blocks, for about [`WALK_TAKES`] at most.
pub fn walk(files: Files) -> Snapshot {
    walk_for(files, WALK_TAKES)
}

fn walk_for(files: Files, patience: Duration) -> Snapshot {
    let files = files.for_another(patience);
    let mut found = Snapshot::new();
    setuid::look(&files, &mut found);
    found
}

impl Lists {
    /// What was found, and the host's files as of the beginning, to be walked.
    pub fn into_parts(self) -> (Snapshot, Files) {
        (self.snapshot, self.files)
    }
}

fn lists_of(files: Files, homes_of_people: &Homes) -> Lists {
    let snapshot = Snapshot::new();
    let mut look = Look { files: &files, snapshot, seen: HashSet::new() };
    for (kind, places) in OF_THE_HOST {
        for place in places.iter().map(Path::new) {
            let hashed = if place.starts_with("/usr") { HASHED_OF_PACKAGES } else { HASHED };
            look.tree(*kind, None, place, hashed);
        }
    }
    for (kind, folder, ends) in BY_ENDS_OF_NAMES {
        look.by_ends_of_names(*kind, folder, ends);
    }
    open_path::of_the_host(&files, &mut look.snapshot);
    look.runtime_folders();
    for (name, why) in &homes_of_people.unknown {
        look.snapshot.not_looked_at(Kind::AuthorizedKeys, &format!("the home of {}", printable(name.as_bytes())), why);
    }
    for (home, owners) in look.lists(&homes_of_people.known) {
        look.home(&home, &owners);
    }
    let snapshot = look.snapshot;
    Lists { files, snapshot }
}

struct Look<'a> {
    files: &'a Files,
    snapshot: Snapshot,
    /// The folders that were listed as a whole place: /lib may be /usr/lib.
    seen: HashSet<(u32, u32, u64)>,
}

impl Look<'_> {
    /// The accounts and groups, and the homes of all accounts with the ids of whose they are, where these are known.
    fn lists(&mut self, homes_of_people: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, Vec<u32>> {
        let mut homes = BTreeMap::from([("/root".into(), vec![0])]);
        self.list(Kind::Account, None, Path::new("/etc/passwd"), LONGEST_LIST, |snapshot, _, text| {
            lines::accounts(snapshot, text);
            for (home, uid) in lines::homes(text) {
                homes.entry(PathBuf::from(OsStr::from_bytes(home))).or_default().extend(uid);
            }
        });
        let passwords = |snapshot: &mut Snapshot, _, text: &[u8]| lines::passwords(snapshot, text);
        self.list(Kind::Account, None, Path::new("/etc/shadow"), LONGEST_LIST, passwords);
        let groups = |snapshot: &mut Snapshot, _, text: &[u8]| lines::groups(snapshot, text);
        self.list(Kind::Group, None, Path::new("/etc/group"), LONGEST_LIST, groups);
        for path in ["/etc/passwd", "/etc/shadow", "/etc/group"] {
            // Whoever may write it needs no line of their own.
            let kind = if path == "/etc/group" { Kind::Group } else { Kind::Account };
            if let Ok(Some(found)) = self.files.find(Path::new(path), Links::Follow) {
                let changed = found.meta.changed();
                let fingerprint = Fingerprint { shown: found.meta.rights(), compared: String::new(), changed };
                self.snapshot.add(kind, format!("{path} itself"), fingerprint);
            }
        }
        for home in homes_of_people {
            if !homes.contains_key(home) {
                self.snapshot.homes.insert(printed(home));
                homes.insert(home.clone(), Vec::new());
            }
        }
        homes
    }

    /// What is in one home. Most of the homes in /etc/passwd are not there, or hold nothing of this.
    fn home(&mut self, home: &Path, owners: &[u32]) {
        let found = match self.files.find(home, Links::Follow) {
            Ok(Some(found)) if found.meta.kind() == Type::Folder => found,
            Ok(_) => return,
            Err(why) => {
                let kinds = OF_A_HOME.iter().map(|(kind, _)| *kind).chain([Kind::AuthorizedKeys, Kind::OpenPath]);
                return kinds.for_each(|kind| self.snapshot.not_looked_at(kind, &printed(home), &why));
            }
        };
        open_path::of_a_home(self.files, &mut self.snapshot, home, &found, owners);
        for name in LISTS_OF_KEYS {
            let path = home.join(name);
            let shown = printed(&path);
            let keys = |snapshot: &mut Snapshot, changed, text: &[u8]| lines::keys(snapshot, &shown, changed, text);
            self.list(Kind::AuthorizedKeys, Some((&found, Path::new(name))), &path, LONGEST_KEYS, keys);
        }
        for (kind, places) in OF_A_HOME {
            for place in places.iter().map(Path::new) {
                self.tree(*kind, Some((&found, place)), &home.join(place), HASHED_IN_HOMES);
            }
        }
    }

    /// What people's own service managers have for this boot.
    fn runtime_folders(&mut self) {
        let above = Path::new("/run/user");
        match self.files.find(above, Links::Stay).and_then(|found| names(found.as_ref())) {
            Ok(names) => {
                for folder in names.iter().map(|name| above.join(name)) {
                    for (kind, places) in OF_A_RUNTIME_FOLDER {
                        places.iter().for_each(|it| self.tree(*kind, None, &folder.join(it), HASHED_IN_HOMES));
                    }
                }
            }
            Err(why) => {
                for (kind, _) in OF_A_RUNTIME_FOLDER {
                    self.snapshot.not_looked_at(*kind, "/run/user", &why);
                }
            }
        }
    }

    /// The files in a folder whose names end so. A `*` in its path stands for the rest of a name.
    fn by_ends_of_names(&mut self, kind: Kind, folder: &str, ends: &[&str]) {
        let folders = match folder.split_once('*') {
            None => Ok(vec![PathBuf::from(folder)]),
            Some((before, after)) => self.folders(Path::new(before), after.trim_start_matches('/')),
        };
        let folders = folders.unwrap_or_else(|why| {
            self.snapshot.not_looked_at(kind, folder, &why);
            Vec::new()
        });
        for folder in folders {
            if let Err(why) = self.in_folder(kind, &folder, ends) {
                self.snapshot.not_looked_at(kind, &printed(&folder), &why);
            }
        }
    }

    /// What is at `rest` in each folder whose path begins so.
    fn folders(&self, beginning: &Path, rest: &str) -> Result<Vec<PathBuf>, String> {
        let (Some(above), Some(name)) = (beginning.parent(), beginning.file_name()) else { return Ok(Vec::new()) };
        let names = names(self.files.find(above, Links::Follow)?.as_ref())?;
        let names = names.into_iter().filter(|it| it.as_os_str().as_bytes().starts_with(name.as_bytes()));
        Ok(names.map(|it| above.join(it).join(rest)).collect())
    }

    fn in_folder(&mut self, kind: Kind, folder: &Path, ends: &[&str]) -> Result<(), String> {
        let found = self.files.find(folder, Links::Follow)?.filter(|found| found.meta.kind() == Type::Folder);
        let Some(found) = found else { return Ok(()) };
        let (names, is_all) = found.names(MOST_NAMES)?;
        for name in names.iter().filter(|name| ends.iter().any(|end| name.as_bytes().ends_with(end.as_bytes()))) {
            let path = folder.join(name);
            if let Err(why) = self.file(kind, Some((&found, Path::new(name))), &path, 1, HASHED_OF_PACKAGES) {
                self.snapshot.not_looked_at(kind, &printed(&path), &why);
            }
        }
        if is_all { Ok(()) } else { Err(format!("more than {MOST_NAMES} files in it")) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::files::MOST_FILES;
    use super::*;
    use crate::residue::difference::difference;
    use crate::residue::places::NOT_LOOKED_AT;
    use nix::sys::stat::Mode;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Instant;

    /// A small host in a folder.
    struct Small(tempfile::TempDir);

    impl Small {
        fn new() -> Self {
            let small = Self(tempfile::tempdir().unwrap());
            small.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\n");
            small.write("etc/group", "sudo:x:27:ops\n");
            small.write("etc/shadow", "root:*:1::\n");
            small.write("etc/sudoers.d/dave", "dave ALL=(ALL) ALL\n");
            fs::create_dir_all(small.path("home/alice/.ssh")).unwrap();
            small
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn write(&self, path: &str, text: &str) {
            fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
            fs::write(self.path(path), text).unwrap();
        }

        fn look(&self) -> Snapshot {
            self.look_for(LISTS_TAKE)
        }

        fn look_for(&self, patience: Duration) -> Snapshot {
            let lists = lists_of(Files::below(self.0.path(), patience), &Homes::default());
            let (mut snapshot, files) = lists.into_parts();
            snapshot.take_walked(&walk_for(files, patience));
            snapshot
        }
    }

    #[test]
    fn what_runs_among_much_else_is_told_by_the_end_of_its_name() {
        let host = Small::new();
        (0..MOST_FILES).for_each(|number| host.write(&format!("var/lib/dpkg/info/{number}.list"), ""));
        host.write("usr/local/lib/python3.11/dist-packages/a.py", "");
        let before = host.look();
        host.write("var/lib/dpkg/info/bash.postinst", "");
        host.write("var/lib/dpkg/info/bash.md5sums", "");
        host.write("usr/local/lib/python3.11/dist-packages/a.pth", "");
        host.write("usr/local/lib/python3.11/dist-packages/b.py", "");
        host.write("usr/lib/python3.11/sitecustomize.py", "");
        host.write("usr/lib/python2/dist-packages/a.pth", "");
        let named = difference(&before, &host.look()).into_iter().filter(|it| it.starts_with("added"));
        let named: Vec<String> = named.collect();
        assert_eq!(
            named,
            [
                "added system hook /usr/lib/python3.11/sitecustomize.py",
                "added system hook /usr/local/lib/python3.11/dist-packages/a.pth",
                "added system hook /var/lib/dpkg/info/bash.postinst",
            ]
        );
    }

    #[test]
    fn what_is_planted_is_named_and_what_stays_is_not() {
        let host = Small::new();
        let before = host.look();
        assert!(difference(&before, &host.look()).is_empty());
        host.write("etc/cron.d/later", "* * * * * root true\n");
        host.write("var/spool/cron/atjobs/a0001", "");
        host.write("etc/sudoers.d/dave", "dave ALL=(ALL) NOPASSWD: ALL\n");
        host.write("etc/group", "sudo:x:27:ops,alice\n");
        host.write("etc/shadow", "root:$y$secret:1::\n");
        host.write(
            "home/alice/.ssh/authorized_keys",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIh8r2nMCZ2VdVUQLdMNlNMvpEe7CbnRHcZTW4gvBAhV eve\n",
        );
        host.write("home/alice/.config/systemd/user/default.target.wants/x.service", "[Service]\n");
        host.write("var/lib/systemd/linger/alice", "");
        host.write("run/systemd/transient/run-u1.service", "");
        host.write("run/systemd/transient/session-12.scope", "");
        host.write("run/systemd/transient/session-c1.scope.d/50-TasksMax.conf", "");
        host.write("run/systemd/transient/curfew-end.timer", "");
        host.write("run/user/1001/systemd/transient/run-u2.timer", "");
        host.write("etc/pam.d/sshd", "");
        assert_eq!(
            difference(&before, &host.look()),
            [
                "changed sudoers /etc/sudoers.d/dave",
                "changed account password of root",
                "changed group sudo (gid 27 members ops alice; before: gid 27 members ops)",
                "added access file /etc/pam.d/sshd",
                "added authorized_keys /home/alice/.ssh/authorized_keys: ssh-ed25519 SHA256:YVmL3EJPPtwD eve",
                "added crontab /etc/cron.d/later",
                "added at job /var/spool/cron/atjobs/a0001",
                "added transient unit /run/systemd/transient/run-u1.service",
                "added transient unit /run/user/1001/systemd/transient/run-u2.timer",
                "added user unit /home/alice/.config/systemd/user/default.target.wants/x.service",
                "added linger /var/lib/systemd/linger/alice",
                NOT_LOOKED_AT,
            ]
        );
    }

    #[test]
    fn rights_and_links_count() {
        let host = Small::new();
        host.write("etc/cron.d/job", "");
        host.write("srv/target", "one");
        symlink("../../srv/target", host.path("etc/cron.d/link")).unwrap();
        let before = host.look();
        host.write("srv/target", "two");
        fs::set_permissions(host.path("etc/cron.d/job"), fs::Permissions::from_mode(0o666)).unwrap();
        fs::set_permissions(host.path("etc/sudoers.d"), fs::Permissions::from_mode(0o777)).unwrap();
        let said = difference(&before, &host.look());
        for sentence in ["changed crontab /etc/cron.d/job", "changed crontab /etc/cron.d/link"] {
            assert!(said.iter().any(|it| it == sentence), "{said:#?}");
        }
        assert!(said.iter().any(|it| it.starts_with("added sudoers /etc/sudoers.d (folder mode 777")), "{said:#?}");
    }

    #[test]
    fn nothing_hostile_is_read_or_holds_up_the_look() {
        let host = Small::new();
        let before = host.look();
        nix::unistd::mkfifo(&host.path("home/alice/.ssh/authorized_keys"), Mode::S_IRWXU).unwrap();
        symlink("/proc/self/environ", host.path("home/alice/.ssh/authorized_keys2")).unwrap();
        fs::create_dir_all(host.path("home/alice/.config/systemd")).unwrap();
        symlink("user", host.path("home/alice/.config/systemd/user")).unwrap();
        host.write("etc/cron.d/x", "");
        symlink("/dev/zero", host.path("etc/cron.d/zero")).unwrap();
        let huge = fs::File::create(host.path("etc/cron.daily-is-no-place")).unwrap();
        huge.set_len(1 << 40).unwrap();
        fs::rename(host.path("etc/cron.daily-is-no-place"), host.path("etc/crontab")).unwrap();
        (0..MOST_FILES).for_each(|number| host.write(&format!("etc/pam.d/{number}"), ""));
        let begun = Instant::now();
        let after = host.look();
        assert!(begun.elapsed() < Duration::from_secs(5));
        let said = difference(&before, &after);
        let says = |begin: &str| assert!(said.iter().any(|it| it.starts_with(begin)), "{begin} is not in {said:#?}");
        says("added authorized_keys /home/alice/.ssh/authorized_keys (no regular file mode 700");
        says("added authorized_keys /home/alice/.ssh/authorized_keys2 (link to /proc/self/environ)");
        says("could not look at authorized_keys /home/alice/.ssh/authorized_keys2 (it is on no local filesystem)");
        says("added user unit /home/alice/.config/systemd/user (link to user)");
        says("added crontab /etc/cron.d/zero (link to /dev/zero)");
        says("added crontab /etc/crontab");
        says("could not look at access file /etc/pam.d (more than 2000 files");
    }

    #[test]
    fn without_time_everything_is_noted_as_not_looked_at() {
        let host = Small::new();
        let before = host.look();
        let after = host.look_for(Duration::ZERO);
        assert!(after.is_empty());
        let said = difference(&before, &after);
        let honest = |it: &String| it.starts_with("could not look at ") || it == NOT_LOOKED_AT;
        assert!(!said.is_empty() && said.iter().all(honest), "{said:#?}");
    }
}
