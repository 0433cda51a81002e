//! One look at the host: where people who are root leave things for later.

use super::file::{Files, Found, Links, Type, sha256};
use super::lines;
use super::setuid;
use super::snapshot::{Fingerprint, Kind, Snapshot, printable};
use crate::wiring::{SUDOERS_INCLUDE, SUDOERS_LINE};
use nix::unistd::User;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one look may take. What is not looked at by then is noted.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most files below one place, units and the like.
const MOST_FILES: usize = 2_000;

/// How deep they may be.
const DEEPEST: usize = 6;

/// The longest file that is compared by its content; a longer one is by its size and times.
const HASHED: u64 = 1024 * 1024;

/// The same for what somebody may have many of: hashing a full home must not use up the time of the others.
const HASHED_IN_HOMES: u64 = 64 * 1024;

/// The longest list of keys, accounts or groups that is read.
const LONGEST_LIST: u64 = 8 * 1024 * 1024;

/// The longest list of keys that is read.
const LONGEST_KEYS: u64 = 1024 * 1024;

const FILES: [(Kind, &[&str]); 6] = [
    (Kind::Sudoers, &["/etc/sudoers", "/etc/sudoers.d", "/etc/sudoers-rs"]),
    (
        Kind::Crontab,
        &[
            "/etc/crontab",
            "/etc/anacrontab",
            "/etc/cron.d",
            "/etc/cron.hourly",
            "/etc/cron.daily",
            "/etc/cron.weekly",
            "/etc/cron.monthly",
            "/var/spool/cron",
        ],
    ),
    (Kind::AtJob, &["/var/spool/cron/atjobs", "/var/spool/at"]),
    (Kind::SystemUnit, &["/etc/systemd/system", "/usr/local/lib/systemd"]),
    (Kind::Linger, &["/var/lib/systemd/linger"]),
    (Kind::AccessFile, &["/etc/pam.d", "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d", "/etc/ld.so.preload"]),
];

/// Looks at the host. Blocks, for about [`PATIENCE`] at most; a server or device that hangs can hold it up longer.
///
/// `people` are those whose homes count although /etc/passwd may not have them.
pub fn take(people: &BTreeSet<String>) -> Snapshot {
    let homes = people.iter().filter_map(|name| User::from_name(name).ok()?).map(|user| user.dir);
    look(&Files::below(Path::new("/"), PATIENCE), homes.collect())
}

fn look(files: &Files, homes_of_people: BTreeSet<PathBuf>) -> Snapshot {
    let mut look = Look { files, snapshot: Snapshot::default() };
    for (kind, places) in FILES {
        places.iter().for_each(|place| look.tree(kind, Path::new(place), HASHED));
    }
    look.tree(Kind::UserUnit, Path::new("/etc/systemd/user"), HASHED);
    look.transient_units();
    let homes = look.lists(homes_of_people);
    for home in &homes {
        for name in [".ssh/authorized_keys", ".ssh/authorized_keys2"] {
            let path = home.join(name);
            let shown = printed(&path);
            look.list(Kind::AuthorizedKeys, &path, LONGEST_KEYS, |snapshot, text| lines::keys(snapshot, &shown, text));
        }
        look.tree(Kind::UserUnit, &home.join(".config/systemd/user"), HASHED_IN_HOMES);
    }
    setuid::look(files, &mut look.snapshot);
    look.snapshot
}

struct Look<'a> {
    files: &'a Files,
    snapshot: Snapshot,
}

impl Look<'_> {
    /// The accounts and groups, and the homes of all accounts.
    fn lists(&mut self, homes_of_people: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let mut homes = BTreeSet::from(["/root".into()]);
        self.list(Kind::Account, Path::new("/etc/passwd"), LONGEST_LIST, |snapshot, text| {
            lines::accounts(snapshot, text);
            homes.extend(lines::homes(text).map(|home| PathBuf::from(OsStr::from_bytes(home))));
        });
        self.list(Kind::Account, Path::new("/etc/shadow"), LONGEST_LIST, lines::passwords);
        self.list(Kind::Group, Path::new("/etc/group"), LONGEST_LIST, lines::groups);
        for path in ["/etc/passwd", "/etc/shadow", "/etc/group"] {
            // Whoever may write it needs no line of their own.
            let kind = if path == "/etc/group" { Kind::Group } else { Kind::Account };
            if let Ok(Some(found)) = self.files.find(Path::new(path), Links::Follow) {
                let fingerprint = Fingerprint { shown: found.meta.rights(), compared: String::new() };
                self.snapshot.add(kind, format!("{path} itself"), fingerprint);
            }
        }
        for home in homes_of_people.difference(&homes) {
            self.snapshot.homes.insert(printed(home));
        }
        homes.extend(homes_of_people);
        homes
    }

    /// The units of systemd-run(1). logind's scopes come and go with sessions, and our own are ours.
    fn transient_units(&mut self) {
        let mut places = vec![PathBuf::from("/run/systemd/transient")];
        match self.files.find(Path::new("/run/user"), Links::Stay).and_then(|found| names(found.as_ref())) {
            Ok(names) => {
                let folders = names.iter().map(|name| Path::new("/run/user").join(name).join("systemd/transient"));
                places.extend(folders);
            }
            Err(why) => self.snapshot.not_looked_at(Kind::TransientUnit, "/run/user", &why),
        }
        places.iter().for_each(|place| self.tree(Kind::TransientUnit, place, HASHED_IN_HOMES));
    }

    /// A file of lines, each of which is an item; and that it is a link or no file at all, where it is.
    fn list(&mut self, kind: Kind, path: &Path, longest: u64, add: impl FnOnce(&mut Snapshot, &[u8])) {
        let text = self.files.find(path, Links::Stay).and_then(|found| {
            let Some(found) = found else { return Ok(None) };
            if found.meta.kind() != Type::Regular {
                self.snapshot.add(kind, printed(path), self.fingerprint(path, &found, 0)?);
            }
            match self.files.find(path, Links::Follow)? {
                Some(found) if found.meta.kind() == Type::Regular => {
                    found.read(longest)?.map(Some).ok_or_else(|| format!("longer than {longest} bytes"))
                }
                _ => Ok(None),
            }
        });
        match text {
            Ok(Some(text)) => add(&mut self.snapshot, &text),
            Ok(None) => {}
            Err(why) => self.snapshot.not_looked_at(kind, &printed(path), &why),
        }
    }

    /// A file, or all files below a folder.
    fn tree(&mut self, kind: Kind, place: &Path, hashed: u64) {
        let mut left = MOST_FILES;
        let mut waiting = vec![(place.to_owned(), 0)];
        while let Some((path, depth)) = waiting.pop() {
            if is_left_out(kind, &path) {
                continue;
            }
            let looked = match left.checked_sub(1) {
                Some(less) => {
                    left = less;
                    self.file(kind, &path, depth, hashed)
                }
                None => Err(format!("more than {MOST_FILES} files in {}", printed(place))),
            };
            match looked {
                Ok(names) if depth < DEEPEST || names.is_empty() => {
                    waiting.extend(names.iter().rev().map(|name| (path.join(name), depth + 1)));
                }
                Ok(_) => self.snapshot.not_looked_at(kind, &printed(&path), "too deep"),
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

    /// Adds one file, and returns what is in it if it is a folder.
    fn file(&mut self, kind: Kind, path: &Path, depth: usize, hashed: u64) -> Result<Vec<PathBuf>, String> {
        let Some(found) = self.files.find(path, Links::Stay)? else { return Ok(Vec::new()) };
        let folder = found.meta.kind() == Type::Folder;
        let in_home = !kind_is_roots(kind, path);
        // A folder is of interest where others than its owner, who is root outside of homes, may put something.
        let open_folder = folder && (found.meta.mode() & 0o022 != 0 || (!in_home && found.meta.uid() != 0));
        if (open_folder || !folder) && !is_ours(path, &found) {
            let fingerprint = self.fingerprint(path, &found, hashed)?;
            self.snapshot.add(kind, printed(path), fingerprint);
        }
        let listed = match found.meta.kind() {
            Type::Folder => Some(found),
            // Where a whole place is a link, it is read through it.
            Type::Link if depth == 0 => {
                self.files.find(path, Links::Follow)?.filter(|target| target.meta.kind() == Type::Folder)
            }
            _ => None,
        };
        names(listed.as_ref())
    }

    fn fingerprint(&self, path: &Path, found: &Found, hashed: u64) -> Result<Fingerprint, String> {
        let rights = found.meta.rights();
        Ok(match found.meta.kind() {
            Type::Regular => {
                Fingerprint { shown: String::new(), compared: format!("{rights} {}", content(found, hashed)?) }
            }
            Type::Folder => Fingerprint { shown: format!("folder {rights}"), compared: String::new() },
            Type::Link => {
                // What a link leads to counts where it is a file; that it can't be read changes nothing of the link.
                let target = self.files.find(path, Links::Follow).ok().flatten();
                let target = target.filter(|target| target.meta.kind() == Type::Regular);
                let compared = target
                    .and_then(|target| Some(format!("{} {}", target.meta.rights(), content(&target, hashed).ok()?)));
                let shown = format!("link to {}", found.target().unwrap_or_default());
                Fingerprint { shown, compared: compared.unwrap_or_default() }
            }
            Type::Other => Fingerprint { shown: format!("no regular file {rights}"), compared: String::new() },
        })
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

fn kind_is_roots(kind: Kind, path: &Path) -> bool {
    match kind {
        Kind::UserUnit => path.starts_with("/etc"),
        Kind::TransientUnit => path.starts_with("/run/systemd"),
        _ => true,
    }
}

fn is_left_out(kind: Kind, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    match kind {
        // at(1) has its folders in cron's, and they are a kind of their own.
        Kind::Crontab => ["/var/spool/cron/atjobs", "/var/spool/cron/atspool"].iter().any(|it| path == Path::new(it)),
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
    use super::super::difference::difference;
    use super::*;
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
            look(&Files::below(self.0.path(), PATIENCE), BTreeSet::new())
        }
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
                "added access file /etc/pam.d/sshd",
                "added at job /var/spool/cron/atjobs/a0001",
                "added authorized_keys /home/alice/.ssh/authorized_keys: ssh-ed25519 SHA256:YVmL3EJPPtwD eve",
                "added crontab /etc/cron.d/later",
                "added linger /var/lib/systemd/linger/alice",
                "added transient unit /run/systemd/transient/run-u1.service",
                "added transient unit /run/user/1001/systemd/transient/run-u2.timer",
                "added user unit /home/alice/.config/systemd/user/default.target.wants/x.service",
                "changed account password of root",
                "changed group sudo (gid 27 members ops alice; before: gid 27 members ops)",
                "changed sudoers /etc/sudoers.d/dave",
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
        let after = look(&Files::below(host.0.path(), Duration::ZERO), BTreeSet::new());
        assert!(after.is_empty());
        let said = difference(&before, &after);
        assert!(!said.is_empty() && said.iter().all(|it| it.starts_with("could not look at ")), "{said:#?}");
    }
}
