//! What `curfew enable` replaces, file by file, and the way back. A file is replaced only while it is as it was looked at, and goes back to that,
//! to the byte.

use super::marks::{rule_of_ours, unwired};
use super::replace_file::{WiringError, remove, remove_leftovers, replace};
use super::service_file::unwire;
use super::{PAM_FOLDER, SUDOERS_INCLUDE};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file, and what it is replaced by.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Replacement {
    path: PathBuf,
    /// What it held; none where it was not there.
    old: Option<Vec<u8>>,
    /// What was written, or is to be, one change on top of another.
    new: Vec<Vec<u8>>,
}

impl Replacement {
    /// What has `path` hold `new`; none where it does so already.
    ///
    /// # Errors
    ///
    /// [`WiringError`]: it can't be read.
    pub fn plan(path: &Path, new: Vec<u8>) -> Result<Option<Self>, WiringError> {
        let old = content(path)?;
        Ok((old.as_ref() != Some(&new)).then(|| Self { path: path.into(), old, new: vec![new] }))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it will hold.
    pub fn will_hold(&self) -> &[u8] {
        self.new.last().map(Vec::as_slice).unwrap_or_default()
    }

    /// Replaces it.
    ///
    /// # Errors
    ///
    /// [`WiringError`]: it can't be written, or somebody else has written it meanwhile; it is as it was then.
    pub fn make(&self) -> Result<(), WiringError> {
        let error = WiringError::at(&self.path);
        if content(&self.path)? != self.old {
            return Err(error(io::Error::other("somebody has changed it meanwhile; try again")));
        }
        // sudo wants its files unwritable.
        let mode = (self.path == Path::new(SUDOERS_INCLUDE)).then_some(0o440);
        replace(&self.path, self.will_hold(), mode).map_err(error)
    }

    /// Brings back what it held; `false` if it holds that already, or what somebody else has written meanwhile. Of that, our rules go if there were
    /// none before.
    fn undo(&self) -> Result<bool, WiringError> {
        let Some(now) = content(&self.path)?.filter(|now| self.old.as_ref() != Some(now)) else { return Ok(false) };
        if !self.new.contains(&now) && self.path != Path::new(SUDOERS_INCLUDE) {
            return if self.wires() { unwire(&self.path) } else { Ok(false) };
        }
        match &self.old {
            Some(old) => replace(&self.path, old, None),
            None => remove(&self.path),
        }
        .map_err(WiringError::at(&self.path))?;
        Ok(true)
    }

    /// Whether it puts our rules into a service file that had none.
    fn wires(&self) -> bool {
        self.path.starts_with(PAM_FOLDER) && self.old.as_ref().is_none_or(|old| rule_of_ours(old).is_none())
    }

    /// Takes in what is replaced on top of it.
    fn follow(&mut self, later: &Self) {
        // What somebody else wrote in between comes back, without what this put there.
        if let Some(theirs) = later.old.as_ref().filter(|old| self.old.as_ref() != Some(old) && !self.new.contains(old))
        {
            self.old = Some(if self.wires() { unwired(theirs) } else { theirs.clone() });
        }
        self.new.extend(later.new.iter().cloned());
    }
}

/// Undoes replacements, the last one first. Returns the files that changed, and what could not be brought back; everything else is, all the
/// same.
pub fn undo(replacements: &[Replacement]) -> (Vec<PathBuf>, Vec<String>) {
    let (mut changed, mut problems) = (Vec::new(), Vec::new());
    problems.extend(remove_leftovers().err().map(|error| error.to_string()));
    for replacement in replacements.iter().rev() {
        match replacement.undo() {
            Ok(true) => changed.push(replacement.path.clone()),
            Ok(false) => {}
            Err(error) => problems.push(error.to_string()),
        }
    }
    (changed, problems)
}

/// A second change on top of one that could still be undone: the way back leads to before the first.
pub fn on_top_of(earlier: Vec<Replacement>, later: &[Replacement]) -> Vec<Replacement> {
    let mut all = earlier;
    for replacement in later {
        match all.iter_mut().find(|earlier| earlier.path == replacement.path) {
            Some(earlier) => earlier.follow(replacement),
            None => all.push(replacement.clone()),
        }
    }
    all
}

fn content(path: &Path) -> Result<Option<Vec<u8>>, WiringError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(WiringError::at(path)(error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_replaced_comes_back_unless_somebody_else_has_written_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let alone = Replacement::plan(&at("new"), "new".into()).unwrap().unwrap();
        alone.make().unwrap();
        assert!(alone.undo().unwrap() && !alone.undo().unwrap() && !at("new").exists());
        fs::write(at("a"), "old").unwrap();
        fs::write(at("theirs"), "old").unwrap();
        let plan = |name: &str, new: &str| Replacement::plan(&at(name), new.into()).unwrap().unwrap();
        let first: Vec<_> = ["a", "theirs", "none"].into_iter().map(|name| plan(name, "new")).collect();
        assert!(Replacement::plan(&at("a"), "old".into()).unwrap().is_none());
        first.iter().for_each(|it| it.make().unwrap());
        let second = plan("a", "newer");
        second.make().unwrap();
        assert!(second.make().unwrap_err().to_string().contains("meanwhile"));
        fs::write(at("theirs"), "theirs").unwrap();
        fs::write(at("none"), "theirs, too").unwrap();
        let third = plan("none", "newest");
        third.make().unwrap();

        let (changed, problems) = undo(&on_top_of(first, &[second, third]));
        assert_eq!((changed, problems), (vec![at("none"), at("a")], Vec::new()));
        assert_eq!(fs::read_to_string(at("a")).unwrap(), "old");
        assert_eq!(fs::read_to_string(at("theirs")).unwrap(), "theirs");
        assert_eq!(fs::read_to_string(at("none")).unwrap(), "theirs, too");
    }
}
