//! A service's file in [`PAM_FOLDER`], with our lines and without, and all of them.

use super::kind::Kind;
use super::replace_file::{WiringError, remove, remove_if_there, remove_leftovers, replace};
use super::{PAM_FOLDER, SUDOERS_INCLUDE, VENDOR_FOLDER, marks, stack, vendor_copy};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A service file, as it matters for what becomes of it.
struct ServiceFile {
    /// What it holds, if it is there.
    text: Option<Vec<u8>>,
    /// What the distribution's own holds, if this one is an untouched copy of it, or not there.
    vendors: Option<Vec<u8>>,
}

impl ServiceFile {
    fn read(path: &Path) -> Result<Self, WiringError> {
        let text = match fs::read(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(WiringError::at(path)(error)),
        };
        let theirs = path.is_symlink() || text.as_ref().is_some_and(|text| !vendor_copy::is_untouched(text));
        let vendors = vendor_file(path).filter(|_| !theirs).map(fs::read).transpose().map_err(WiringError::at(path))?;
        Ok(Self { text, vendors })
    }
}

/// The service file `path` with our lines in it.
///
/// # Errors
///
/// [`WiringError`]: it can't be read.
pub fn wired(path: &Path, kind: Kind) -> Result<Vec<u8>, WiringError> {
    match ServiceFile::read(path)? {
        ServiceFile { vendors: Some(vendors), .. } => Ok(vendor_copy::of(&vendors, kind)),
        ServiceFile { text: Some(text), .. } => Ok(marks::wired(&text, kind)),
        ServiceFile { .. } => Err(WiringError::at(path)(io::ErrorKind::NotFound.into())),
    }
}

/// Takes our lines out of the service file `path`; `false` if it has none.
///
/// # Errors
///
/// [`WiringError`]; the file is as it was then.
pub fn unwire(path: &Path) -> Result<bool, WiringError> {
    let ServiceFile { text: Some(text), vendors } = ServiceFile::read(path)? else { return Ok(false) };
    let plain = marks::unwired(&text);
    if vendors.is_some() {
        remove(path)
    } else if plain == text {
        return Ok(false);
    } else {
        replace(path, &plain, None)
    }
    .map_err(WiringError::at(path))?;
    Ok(true)
}

/// Whether the service file `path` is a copy that nobody has changed, of a file that the distribution has changed since.
pub fn is_outdated(path: &Path) -> bool {
    ServiceFile::read(path).is_ok_and(
        |file| matches!(file, ServiceFile { text: Some(text), vendors: Some(vendors) } if marks::unwired(&text) != vendors),
    )
}

/// The distribution's own file of the service whose file is `path`, where it has one.
fn vendor_file(path: &Path) -> Option<PathBuf> {
    let vendor = Path::new(VENDOR_FOLDER).join(path.strip_prefix(PAM_FOLDER).ok()?);
    vendor.is_file().then_some(vendor)
}

/// The file in which `service` is wired, if this host has that service.
pub fn service_file(service: &str) -> Option<PathBuf> {
    let path = Path::new(PAM_FOLDER).join(service);
    (path.exists() || vendor_file(&path).is_some()).then_some(path)
}

/// Every file that may have our lines; links last, when what they lead to has had its turn.
///
/// # Errors
///
/// That the folder can't be listed.
pub fn service_files() -> Result<Vec<PathBuf>, WiringError> {
    let folder = Path::new(PAM_FOLDER);
    let entries = fs::read_dir(folder).map_err(|source| WiringError { path: folder.into(), source })?;
    let mut paths: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect();
    paths.sort_by_cached_key(|path| (path.is_symlink(), path.clone()));
    Ok(paths)
}

/// Whether the text of a service file is that of an untouched copy of the distribution's.
pub fn is_copy(text: &[u8]) -> bool {
    vendor_copy::is_untouched(text)
}

/// Whether the service file of `service` in `folder` has an account rule of ours.
///
/// # Errors
///
/// That the file is there and can't be read, which says nothing.
pub fn is_wired(folder: &Path, service: &str) -> io::Result<bool> {
    match fs::read(folder.join(service)) {
        Ok(text) => Ok(stack::has_account_rule(&String::from_utf8_lossy(&text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Rules with our module that `curfew enable` did not write, as sentences: they are their author's to take out.
///
/// # Errors
///
/// That the folder can't be listed.
pub fn unmarked_rules() -> Result<Vec<String>, WiringError> {
    let rule = |path: PathBuf| {
        let line = marks::rule_of_ours(&marks::unwired(&fs::read(&path).ok()?))?;
        let path = path.display();
        Some(format!(
            "{path}, line {line}: a rule with pam_curfew.so without our marks is not ours to take out; do it by hand"
        ))
    };
    Ok(service_files()?.into_iter().filter_map(rule).collect())
}

/// Takes everything of ours out of PAM and sudo. Returns the files that changed, and what could not be done; everything else is, all the
/// same.
pub fn unwire_everything() -> (Vec<PathBuf>, Vec<String>) {
    let (mut changed, mut problems) = (Vec::new(), Vec::new());
    problems.extend(remove_leftovers().err().map(|error| error.to_string()));
    let files = service_files().unwrap_or_else(|error| {
        problems.push(error.to_string());
        Vec::new()
    });
    let include = Path::new(SUDOERS_INCLUDE);
    let unwired = files.into_iter().map(|path| (unwire(&path), path)).collect::<Vec<_>>();
    let excluded = (remove_if_there(include), include.to_owned());
    for (done, path) in unwired.into_iter().chain([excluded]) {
        match done {
            Ok(true) => changed.push(path),
            Ok(false) => {}
            Err(error) => problems.push(error.to_string()),
        }
    }
    (changed, problems)
}

/// Whether the text of a service file has a line of ours that denies before anybody is asked for a password.
pub fn denies_before_password(text: &[u8]) -> bool {
    let line = marks::DENIES.as_bytes();
    text.windows(line.len()).any(|it| it == line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    const SSHD: &[u8] = b"# PAM for sshd\naccount required pam_nologin.so\n@include common-account\n";

    #[test]
    fn wiring_keeps_mode_and_owner_and_follows_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sshd");
        fs::write(&path, SSHD).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("sshd", &link).unwrap();
        replace(&link, &wired(&link, Kind::Login).unwrap(), None).unwrap();
        assert!(is_wired(folder.path(), "sshd").unwrap());
        assert!(!is_wired(folder.path(), "sudo").unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert!(unwire(&path).unwrap() && !unwire(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), SSHD);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
