//! The files of the endpoint's store. What is loaded is verified again: the files alone prove nothing.

use super::Trust;
use super::merge::NewSet;
use crate::durable;
use crate::grant::local::SetAside;
use curfew_protocol::grant_set::{GrantSet, LONGEST_SET, Mark};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the store's files are.
#[derive(Clone, Debug)]
pub struct StorePaths {
    /// The newest set, as it was received.
    pub set: PathBuf,
    /// How far the endpoint's history is known, should the set be lost.
    pub mark: PathBuf,
    /// What became of grants that a set had no more, and which of them root revoked here.
    pub withdrawn: PathBuf,
    /// A set that the disk did not take: memory, which is gone only when every session is, too.
    pub spare_set: PathBuf,
    /// The same for what became of grants.
    pub spare_withdrawn: PathBuf,
}

impl StorePaths {
    /// The files in the folder of the state, and in the one in memory.
    pub fn within(state: &Path, memory: &Path) -> Self {
        Self {
            set: state.join("grants.jws"),
            mark: state.join("mark.json"),
            withdrawn: state.join("withdrawn.json"),
            spare_set: memory.join("grants.jws"),
            spare_withdrawn: memory.join("withdrawn.json"),
        }
    }
}

impl Default for StorePaths {
    fn default() -> Self {
        Self::within(Path::new("/var/lib/curfew"), Path::new("/run/curfew"))
    }
}

/// Makes a set durable, and where it stands, for when the set is lost.
///
/// # Errors
///
/// What the disk says; the set before it is still there then.
pub fn store(places: &StorePaths, text: &str, mark: Option<Mark>) -> io::Result<()> {
    durable::write(&places.set, text.as_bytes())?;
    if let Some(mark) = mark {
        durable::write(&places.mark, &serde_json::to_vec(&mark)?)?;
    }
    match fs::remove_file(&places.spare_set) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Keeps a set where no disk is needed.
///
/// # Errors
///
/// What the system says.
pub fn store_spare(places: &StorePaths, text: &str) -> io::Result<()> {
    durable::write_unsynced(&places.spare_set, text.as_bytes())
}

/// Removes what is kept of the endpoint's sets, the set first.
///
/// # Errors
///
/// What the disk says.
pub fn forget(places: &StorePaths) -> io::Result<()> {
    for path in [&places.set, &places.spare_set, &places.mark] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn load(path: &Path, trust: &Trust) -> Result<Option<NewSet>, String> {
    let length = match fs::metadata(path) {
        Ok(file) => file.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if usize::try_from(length).map_or(true, |length| length > LONGEST_SET) {
        return Err(format!("{length} bytes, and {LONGEST_SET} is the most"));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let set = GrantSet::verify_stored(&text, &trust.keys, &trust.host).map_err(|error| error.to_string())?;
    Ok(Some(NewSet::of(set)))
}

/// Renames a set that can't be used; one that can't even be renamed is named as it is.
pub(super) fn put_aside(path: &Path, problem: String) -> SetAside {
    let aside = (1_u32..).map(|number| path.with_extension(format!("jws.set-aside-{number}"))).find(|it| !it.exists());
    match aside {
        Some(aside) if fs::rename(path, &aside).is_ok() => SetAside { path: aside, problem },
        _ => SetAside { path: path.into(), problem },
    }
}
