//! The wiring: marked lines in PAM's service files and in sudoers, which `curfew enable` puts in and `curfew disable` takes out.
//!
//! Our account line stands first in the file, so that nothing before it can let somebody in. A file that is unwired is, to the
//! byte, what it was. Installing the package wires nothing. A service whose file the distribution keeps in [`VENDOR_FOLDER`] alone gets a
//! copy with our lines in [`PAM_FOLDER`], which goes with them.
//!
//! | part | what |
//! |---|---|
//! | `lines` | a service file's lines, as PAM takes them |
//! | `marks` | a service file's text, with our lines and without |
//! | `vendor_copy` | copies of files that the distribution keeps elsewhere |
//! | `cause` | whose a change is, for the audit |
//! | `unwired` | services in which PAM does not ask us |
//! | `stack` | reads a service's rules: is our line the first to be asked? |
//! | `session_order` | reads its session rules: is our line reached? |
//! | `transaction`, `rehearsal` | real PAM transactions against what is wired |
//! | `replacement` | what a change writes, file by file, and the way back |
//! | `lock` | one change at a time |
//! | `unconfirmed` | the way back that PID 1 takes, unless a new login confirms |
//! | `access_paths` | what lets people in beside what is wired |

pub mod access_paths;
pub mod cause;
mod lines;
pub mod lock;
pub mod marks;
pub mod rehearsal;
pub mod replacement;
pub mod session_order;
pub mod stack;
pub mod transaction;
pub mod unconfirmed;
pub mod unwired;
mod vendor_copy;

use crate::config::Config;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where PAM's service files are.
pub const PAM_FOLDER: &str = "/etc/pam.d";

/// Where some distributions keep the files that nobody has changed.
pub const VENDOR_FOLDER: &str = "/usr/lib/pam.d";

/// The file that makes sudo read our drop-ins.
pub const SUDOERS_INCLUDE: &str = "/etc/sudoers.d/curfew";

/// What it holds.
pub const SUDOERS_LINE: &str = "@includedir /run/curfew/sudoers.d\n";

/// Where the drop-ins are.
pub const DROP_IN_FOLDER: &str = "/run/curfew/sudoers.d";

/// How the names of files begin that are not yet in place. sudo skips names with a dot.
const NEW_BEGINS: &str = ".curfew-";

/// How they end.
const NEW_ENDS: &str = ".new";

/// Who is judged in a service: `PAM_USER` or `PAM_RUSER`. The module's argument says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Kind {
    /// The user who logs in.
    Login,
    /// The user who invokes it.
    Elevation,
}

impl Kind {
    /// The module's argument.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Elevation => "elevation",
        }
    }
}

/// Why a file was not wired or unwired; it is as it was.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct WiringError {
    /// The file.
    path: PathBuf,
    /// What the system says.
    source: io::Error,
}

impl WiringError {
    fn at(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self { path: path.into(), source }
    }
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

/// Whether the text of a service file is that of an untouched copy of the distribution's.
pub fn is_copy(text: &[u8]) -> bool {
    vendor_copy::is_untouched(text)
}

/// Whether the text of a service file has a line of ours that denies before anybody is asked for a password.
pub fn denies_before_password(text: &[u8]) -> bool {
    let line = marks::DENIES.as_bytes();
    text.windows(line.len()).any(|it| it == line)
}

/// Whether the service file `path` is a copy that nobody has changed, of a file that the distribution has changed since.
pub fn is_outdated(path: &Path) -> bool {
    ServiceFile::read(path).is_ok_and(
        |file| matches!(file, ServiceFile { text: Some(text), vendors: Some(vendors) } if marks::unwired(&text) != vendors),
    )
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

/// The distribution's own file of the service whose file is `path`, where it has one.
fn vendor_file(path: &Path) -> Option<PathBuf> {
    let vendor = Path::new(VENDOR_FOLDER).join(path.strip_prefix(PAM_FOLDER).ok()?);
    vendor.is_file().then_some(vendor)
}

/// The services of the configuration, with who is judged in each.
pub fn services(config: &Config) -> impl Iterator<Item = (String, Kind)> {
    let of =
        |services: &[String], kind| services.iter().map(move |service| (service.clone(), kind)).collect::<Vec<_>>();
    let logins = of(&config.login_services, Kind::Login);
    let elevations = of(&config.elevation_services, Kind::Elevation);
    let background = of(&config.background_services, Kind::Login);
    logins.into_iter().chain(elevations).chain(background)
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

/// Whether sudoers has our include.
pub fn is_included() -> bool {
    Path::new(SUDOERS_INCLUDE).exists()
}

/// Removes what an `enable` or `disable` that was killed left half written.
///
/// # Errors
///
/// [`WiringError`] names the file that is still there.
pub fn remove_leftovers() -> Result<(), WiringError> {
    for folder in [Path::new(PAM_FOLDER), Path::new("/etc/sudoers.d")] {
        // A folder that is not there holds nothing.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(NEW_BEGINS) && name.ends_with(NEW_ENDS) {
                let path = entry.path();
                fs::remove_file(&path).map_err(|source| WiringError { path, source })?;
            }
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<bool, WiringError> {
    match remove(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(WiringError::at(path)(error)),
    }
}

/// Removes a file durably: a power loss does not bring it back.
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    File::open(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?.sync_all()
}

/// Replaces a file at once and durably, with its owner and mode kept, or `mode` where it is new.
///
/// # Errors
///
/// What the disk says; the file is as it was then.
pub fn replace(path: &Path, bytes: &[u8], mode: Option<u32>) -> io::Result<()> {
    // A link stays a link: what it points to is replaced.
    let path = if path.exists() { path.canonicalize()? } else { path.to_owned() };
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut new = tempfile::Builder::new().prefix(NEW_BEGINS).suffix(NEW_ENDS).tempfile_in(folder)?;
    new.write_all(bytes)?;
    match fs::metadata(&path) {
        Ok(old) => {
            std::os::unix::fs::fchown(new.as_file(), Some(old.uid()), Some(old.gid()))?;
            new.as_file().set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
        }
        Err(_) => new.as_file().set_permissions(fs::Permissions::from_mode(mode.unwrap_or(0o644)))?,
    }
    new.as_file().sync_all()?;
    new.persist(&path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Makes the drop-ins' folder where it is gone: without it, sudo-rs complains at everybody's sudo.
///
/// # Errors
///
/// What mkdir(2) says.
pub fn make_drop_in_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir(folder)?;
    // Whatever the umask says.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o750))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
