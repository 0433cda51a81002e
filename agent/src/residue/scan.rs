//! One look at the host: where people who are root leave things for later (`places`). First the lists, which are short; then set-user-ID files and
//! what else everything is walked for (`setuid`).

use super::kind::Kind;
use super::lines;
use super::open_path;
use super::places::{BY_ENDS_OF_NAMES, LISTS_OF_KEYS, OF_A_HOME, OF_A_RUNTIME_FOLDER, OF_THE_HOST};
use super::setuid;
use super::snapshot::{Fingerprint, Snapshot};
use crate::digest::sha256;
use crate::host::files::printable;
use crate::host::files::{Files, Found, Links, Type};
use crate::wiring::{SUDOERS_INCLUDE, SUDOERS_LINE};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// How long the lists may take. What is not looked at by then is noted.
const LISTS_TAKE: Duration = Duration::from_secs(10);

/// How long the walk may take; likewise.
const WALK_TAKES: Duration = Duration::from_secs(240);

/// The most files below one place, units and the like.
const MOST_FILES: usize = 2_000;

/// The most names in a folder of which few are looked at: dpkg has several files for each package.
const MOST_NAMES: usize = 50_000;

/// How deep they may be.
const DEEPEST: usize = 6;

/// The longest file that is compared by its content; a longer one is by its size and times.
const HASHED: u64 = 1024 * 1024;

/// The same for what somebody may have many of: hashing a full home must not use up the time of the others.
const HASHED_IN_HOMES: u64 = 64 * 1024;

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

    /// Finds a place, in a folder that is open where one is.
    fn find(&self, within: Option<(&Found, &Path)>, path: &Path, links: Links) -> Result<Option<Found>, String> {
        match within {
            Some((folder, rest)) => self.files.find_in(folder, rest, links),
            None => self.files.find(path, links),
        }
    }

    /// A file of lines, each of which is an item; and that it is a link or no file at all, where it is.
    fn list(
        &mut self,
        kind: Kind,
        within: Option<(&Found, &Path)>,
        path: &Path,
        longest: u64,
        add: impl FnOnce(&mut Snapshot, i64, &[u8]),
    ) {
        let text = self.find(within, path, Links::Stay).and_then(|found| {
            let Some(found) = found else { return Ok(None) };
            if found.meta.kind() != Type::Regular {
                self.snapshot.add(kind, printed(path), self.fingerprint(path, &found, 0)?);
            }
            match self.find(within, path, Links::Follow)? {
                Some(found) if found.meta.kind() == Type::Regular => {
                    let text = found.read(longest)?.ok_or_else(|| format!("longer than {longest} bytes"))?;
                    Ok(Some((found.meta.changed(), text)))
                }
                _ => Ok(None),
            }
        });
        match text {
            Ok(Some((changed, text))) => add(&mut self.snapshot, changed, &text),
            Ok(None) => {}
            Err(why) => self.snapshot.not_looked_at(kind, &printed(path), &why),
        }
    }

    /// A file, or all files below a folder.
    fn tree(&mut self, kind: Kind, within: Option<(&Found, &Path)>, place: &Path, hashed: u64) {
        let mut left = MOST_FILES;
        let mut waiting: Vec<(Option<Rc<Found>>, PathBuf, usize)> = vec![(None, place.to_owned(), 0)];
        while let Some((folder, path, depth)) = waiting.pop() {
            if is_left_out(kind, &path) {
                continue;
            }
            let looked = match left.checked_sub(1) {
                Some(less) => {
                    left = less;
                    let name = path.file_name().map(Path::new);
                    let within = folder.as_deref().zip(name).or(within.filter(|_| depth == 0));
                    self.file(kind, within, &path, depth, hashed)
                }
                None => Err(format!("more than {MOST_FILES} files in {}", printed(place))),
            };
            match looked {
                Ok(Some((open, names))) if depth < DEEPEST || names.is_empty() => {
                    let open = Rc::new(open);
                    let inside = names.iter().rev().map(|name| (Some(Rc::clone(&open)), path.join(name), depth + 1));
                    waiting.extend(inside);
                }
                Ok(Some(_)) => self.snapshot.not_looked_at(kind, &printed(&path), "too deep"),
                Ok(None) => {}
                Err(why) => {
                    let area = if left == 0 { place } else { &path };
                    self.snapshot.not_looked_at(kind, &printed(area), &why);
                    if left == 0 {
                        return;
                    }
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

    /// Adds one file, and returns it and what is in it if it is a folder.
    fn file(
        &mut self,
        kind: Kind,
        within: Option<(&Found, &Path)>,
        path: &Path,
        depth: usize,
        hashed: u64,
    ) -> Result<Option<(Found, Vec<PathBuf>)>, String> {
        let Some(found) = self.find(within, path, Links::Stay)? else { return Ok(None) };
        let folder = found.meta.kind() == Type::Folder;
        // A folder is of interest where others than its owner, who is root outside of homes, may put something.
        let of_a_person = hashed == HASHED_IN_HOMES;
        let open_folder = folder && (found.meta.mode() & 0o022 != 0 || (!of_a_person && found.meta.uid() != 0));
        if (open_folder || !folder) && !is_ours(path, &found) {
            let fingerprint = self.fingerprint(path, &found, hashed)?;
            self.snapshot.add(kind, printed(path), fingerprint);
        }
        let listed = match found.meta.kind() {
            Type::Folder => Some(found),
            // Where a whole place is a link, it is read through it.
            Type::Link if depth == 0 => {
                self.find(within, path, Links::Follow)?.filter(|target| target.meta.kind() == Type::Folder)
            }
            _ => None,
        };
        let Some(listed) = listed else { return Ok(None) };
        if depth == 0 && !self.seen.insert(listed.meta.identity()) {
            return Ok(None);
        }
        let names = names(Some(&listed))?;
        Ok(Some((listed, names)))
    }

    fn fingerprint(&self, path: &Path, found: &Found, hashed: u64) -> Result<Fingerprint, String> {
        let rights = found.meta.rights();
        let mut changed = found.meta.changed();
        let (shown, compared) = match found.meta.kind() {
            Type::Regular => (String::new(), format!("{rights} {}", content(found, hashed)?)),
            Type::Folder => {
                // Whatever comes into a folder changes it: that is what the rest of the look is for.
                changed = 0;
                (format!("folder {rights}"), String::new())
            }
            Type::Link => {
                // What a link leads to counts where it is a file; that it can't be read changes nothing of the link.
                let target = self.files.find(path, Links::Follow).ok().flatten();
                let target = target.filter(|target| target.meta.kind() == Type::Regular);
                changed = changed.max(target.as_ref().map_or(0, |target| target.meta.changed()));
                let compared = target
                    .and_then(|target| Some(format!("{} {}", target.meta.rights(), content(&target, hashed).ok()?)));
                (format!("link to {}", found.target().unwrap_or_default()), compared.unwrap_or_default())
            }
            Type::Other => (format!("no regular file {rights}"), String::new()),
        };
        Ok(Fingerprint { shown, compared, changed })
    }
}

fn content(found: &Found, hashed: u64) -> Result<String, String> {
    Ok(found.read(hashed)?.map_or_else(|| found.meta.times(), |bytes| sha256(&bytes)))
}

fn names(folder: Option<&Found>) -> Result<Vec<PathBuf>, String> {
    let Some(folder) = folder else { return Ok(Vec::new()) };
    match folder.names(MOST_FILES)? {
        (names, true) => Ok(names.into_iter().map(PathBuf::from).collect()),
        (_, false) => Err(format!("more than {MOST_FILES} files in it")),
    }
}

fn is_left_out(kind: Kind, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    match kind {
        // at(1) has its folders in cron's, and they are a kind of their own.
        Kind::Crontab => ["/var/spool/cron/atjobs", "/var/spool/cron/atspool"].iter().any(|it| path == Path::new(it)),
        // logind's scopes come and go with sessions, and our own units are ours.
        Kind::TransientUnit => name.starts_with(b"curfew") || is_session_scope(name),
        _ => false,
    }
}

/// `session-12.scope`, `session-c3.scope`, and the folders with their properties.
fn is_session_scope(name: &[u8]) -> bool {
    let name = name.strip_suffix(b".d").unwrap_or(name);
    let id = name.strip_prefix(b"session-").and_then(|rest| rest.strip_suffix(b".scope"));
    let digits = id.map(|id| id.strip_prefix(b"c").unwrap_or(id));
    digits.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

/// Our own line in sudoers, where it is what we write.
fn is_ours(path: &Path, found: &Found) -> bool {
    path == Path::new(SUDOERS_INCLUDE)
        && found.meta.rights() == "mode 440 owner 0:0"
        && found.read(HASHED).is_ok_and(|text| text.as_deref() == Some(SUDOERS_LINE.as_bytes()))
}

fn printed(path: &Path) -> String {
    printable(path.as_os_str().as_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
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
