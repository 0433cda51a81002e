//! One place of a look: a list of lines, a file, or all that is below a folder.

use super::Look;
use crate::digest::sha256;
use crate::host::files::meta::Type;
use crate::host::files::{Found, Links, printable};
use crate::residue::kind::Kind;
use crate::residue::snapshot::{Fingerprint, Snapshot};
use crate::wiring::{SUDOERS_INCLUDE, SUDOERS_LINE};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The most files below one place, units and the like.
pub(super) const MOST_FILES: usize = 2_000;

/// How deep they may be.
const DEEPEST: usize = 6;

/// The longest file that is compared by its content; a longer one is by its size and times.
pub(super) const HASHED: u64 = 1024 * 1024;

/// The same for what somebody may have many of: hashing a full home must not use up the time of the others.
pub(super) const HASHED_IN_HOMES: u64 = 64 * 1024;

impl Look<'_> {
    /// Finds a place, in a folder that is open where one is.
    pub(super) fn find(
        &self,
        within: Option<(&Found, &Path)>,
        path: &Path,
        links: Links,
    ) -> Result<Option<Found>, String> {
        match within {
            Some((folder, rest)) => self.files.find_in(folder, rest, links),
            None => self.files.find(path, links),
        }
    }

    /// A file of lines, each of which is an item; and that it is a link or no file at all, where it is.
    pub(super) fn list(
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
    pub(super) fn tree(&mut self, kind: Kind, within: Option<(&Found, &Path)>, place: &Path, hashed: u64) {
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

    /// Adds one file, and returns it and what is in it if it is a folder.
    pub(super) fn file(
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

    pub(super) fn fingerprint(&self, path: &Path, found: &Found, hashed: u64) -> Result<Fingerprint, String> {
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

pub(super) fn names(folder: Option<&Found>) -> Result<Vec<PathBuf>, String> {
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

pub(super) fn printed(path: &Path) -> String {
    printable(path.as_os_str().as_bytes())
}
