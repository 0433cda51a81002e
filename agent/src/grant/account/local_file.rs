//! What /etc/passwd says of an account (passwd(5)): not the answer, which the user database gives, but the sign that an answer has become old.
//!
//! It is looked at before every decision, so it has to cost a stat(2) where nothing changed.

use super::Answer;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Where the host's own accounts are.
pub const PATH: &str = "/etc/passwd";

/// What the file says of a name and of the user id that it stands for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Trace {
    /// The user id in the line of that name.
    pub uid: Option<u32>,
    /// The first name with the user id of the account.
    pub owner: Option<String>,
}

impl Trace {
    /// Whether the file and the user database say the same. A cache in between may not have heard of a change yet.
    pub fn agrees_with(&self, answer: &Answer) -> bool {
        match &answer.account {
            Some(account) => {
                self.uid.is_none_or(|uid| uid == account.uid)
                    && self.owner.as_ref().is_none_or(|owner| *owner == account.owner)
            }
            None => self.uid.is_none(),
        }
    }
}

/// The file, as it was when it was last read.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    stamp: Option<Stamp>,
}

/// Tells one content of a file from another: any way to change it changes one of these.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Default for LocalFile {
    fn default() -> Self {
        Self { path: PATH.into(), stamp: None }
    }
}

impl LocalFile {
    /// The file at `path`.
    #[cfg(test)]
    pub fn at(path: PathBuf) -> Self {
        Self { path, stamp: None }
    }

    /// Reads it, where it changed since it was last read. One that can't be read says nothing.
    pub fn changed(&mut self) -> Option<Lines> {
        let stamp = fs::metadata(&self.path).ok().map(|about| Stamp {
            file: (about.dev(), about.ino()),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        });
        if stamp.is_none() || stamp == self.stamp {
            return None;
        }
        let lines = self.read().ok()?;
        self.stamp = stamp;
        Some(lines)
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn read(&self) -> io::Result<Lines> {
        Ok(Lines(String::from_utf8_lossy(&fs::read(&self.path)?).into_owned()))
    }
}

/// The lines of the file.
pub struct Lines(String);

impl Lines {
    /// What they say, for many names.
    pub fn index(&self) -> Index<'_> {
        let mut index = Index::default();
        for line in self.0.lines() {
            let mut fields = line.split(':');
            let (Some(name), Some(uid)) = (fields.next(), fields.nth(1)) else { continue };
            // The lines of nss_compat are none.
            let Some(uid) = uid.parse().ok().filter(|_| !name.starts_with(['+', '-'])) else { continue };
            index.uids.entry(name).or_insert(uid);
            index.owners.entry(uid).or_insert(name);
        }
        index
    }
}

/// The lines by name and by user id. The first of several counts.
#[derive(Default)]
pub struct Index<'l> {
    uids: HashMap<&'l str, u32>,
    owners: HashMap<u32, &'l str>,
}

impl Index<'_> {
    /// What they say of `name`, which stands for the user id `uid`.
    pub fn trace(&self, name: &str, uid: Option<u32>) -> Trace {
        let owner = uid.and_then(|uid| self.owners.get(&uid)).map(|&owner| owner.to_owned());
        Trace { uid: self.uids.get(name).copied(), owner }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::grant::account::Account;

    const FILE: &str =
        "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nally:x:1000:1000::/:/bin/sh\n+::::::\nbad\n:x:y:\n";

    #[test]
    fn the_first_line_of_a_user_id_is_its_owner() {
        let lines = Lines(FILE.into());
        let index = lines.index();
        let trace = |uid, owner: Option<&str>| Trace { uid, owner: owner.map(Into::into) };
        assert_eq!(index.trace("ally", Some(1000)), trace(Some(1000), Some("alice")));
        assert_eq!(index.trace("alice@corp.example", Some(1000)), trace(None, Some("alice")));
        assert_eq!(index.trace("carol", Some(7)), trace(None, None));
    }

    #[test]
    fn an_answer_from_a_cache_that_has_not_heard_of_a_change_is_seen() {
        let answer = |name: &str, uid| Answer {
            account: Some(Account { uid, name: name.into(), owner: name.into() }),
            heir: None,
        };
        let lines = Lines("carol:x:1000:1000::/:\nbob:x:1001:1001::/:\n".into());
        let index = lines.index();
        // alice was deleted, and carol has her user id.
        assert!(!index.trace("alice", Some(1000)).agrees_with(&answer("alice", 1000)));
        assert!(index.trace("alice", None).agrees_with(&Answer::default()));
        assert!(!index.trace("bob", Some(1002)).agrees_with(&answer("bob", 1002)));
        assert!(!index.trace("bob", None).agrees_with(&Answer::default()));
        // Of a directory's account the file says nothing.
        assert!(index.trace("zoe", Some(70_000)).agrees_with(&answer("zoe", 70_000)));
    }

    #[test]
    fn the_file_is_read_once_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwd");
        let mut file = LocalFile::at(path.clone());
        assert!(file.changed().is_none());
        fs::write(&path, FILE).unwrap();
        assert!(file.changed().is_some() && file.changed().is_none());
        let new = folder.path().join("passwd+");
        fs::write(&new, FILE).unwrap();
        fs::rename(new, &path).unwrap();
        assert!(file.changed().is_some() && file.changed().is_none());
        fs::remove_file(&path).unwrap();
        assert!(file.changed().is_none(), "what can't be read says nothing");
    }
}
