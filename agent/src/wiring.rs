//! The wiring: marked lines in PAM's service files and in sudoers, which `curfew enable` puts in and `curfew disable` takes out.
//!
//! Our account line stands first in the file, so that nothing before it can let somebody in. A file that is unwired is, to the
//! byte, what it was. Installing the package wires nothing. A service whose file the distribution keeps in [`VENDOR_FOLDER`] alone gets a
//! copy with our lines in [`PAM_FOLDER`], which goes with them.
//!
//! | part | what |
//! |---|---|
//! | `stack` | reads a service's rules: is our line the first to be asked? |
//! | `transaction`, `rehearsal` | real PAM transactions against what is wired |
//! | `before` | what was there before a change, and the way back |
//! | `turn` | one change at a time |
//! | `unconfirmed` | the way back that PID 1 takes, unless a new login confirms |

pub mod before;
pub mod rehearsal;
pub mod stack;
pub mod transaction;
pub mod turn;
pub mod unconfirmed;

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

/// How the names of files begin that are not yet in place. sudo skips names with a dot.
const NEW_BEGINS: &str = ".curfew-";

/// How they end.
const NEW_ENDS: &str = ".new";

const BEGIN: &str = "# curfew begin: written by `curfew enable`, removed by `curfew disable`\n";
const BEGIN_NO_NEWLINE: &str = "# curfew begin: the line above had no line break; `curfew disable` restores that\n";
const BEGIN_COPY: &str = "# curfew begin: a copy of the file in /usr/lib/pam.d; `curfew disable` removes it\n";
const END: &str = "# curfew end\n";

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
pub enum WiringError {
    /// It can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A begin mark without an end mark, or the other way around.
    #[error("{path}, line {line}: a Curfew mark without its counterpart; remove our lines by hand")]
    Marks {
        /// The file.
        path: PathBuf,
        /// The line of the mark, from 1.
        line: usize,
    },
}

/// Whether the service file of `service` in `folder` has our account line.
///
/// # Errors
///
/// That the file is there and can't be read, which says nothing.
pub fn is_wired(folder: &Path, service: &str) -> io::Result<bool> {
    match fs::read(folder.join(service)) {
        Ok(text) => Ok(text.split(|&byte| byte == b'\n').any(is_account_line)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a text has a mark of ours.
fn has_marks(text: &[u8]) -> bool {
    let marks = [BEGIN, BEGIN_NO_NEWLINE, BEGIN_COPY];
    text.split_inclusive(|&byte| byte == b'\n').any(|line| marks.iter().any(|mark| line == mark.as_bytes()))
}

fn is_account_line(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    words.next() == Some("account") && words.any(|word| word == "pam_curfew.so" || word.ends_with("/pam_curfew.so"))
}

/// The text of a service file with our lines in it, whatever of ours it had before.
///
/// # Errors
///
/// The line of a mark without its counterpart.
pub fn wired(text: &[u8], kind: Kind) -> Result<Vec<u8>, usize> {
    let plain = unwired(text)?;
    let argument = kind.argument();
    let begin = if text.starts_with(BEGIN_COPY.as_bytes()) { BEGIN_COPY } else { BEGIN };
    let mut wired = format!("{begin}account    requisite    pam_curfew.so {argument}\n{END}").into_bytes();
    let whole = plain.is_empty() || plain.ends_with(b"\n");
    wired.extend_from_slice(&plain);
    let (separator, begin) = if whole { ("", BEGIN) } else { ("\n", BEGIN_NO_NEWLINE) };
    let session = format!("{separator}{begin}session    required     pam_curfew.so {argument}\n{END}");
    wired.extend_from_slice(session.as_bytes());
    Ok(wired)
}

/// The text of a service file without our lines. Other people's bytes are kept, whatever they are.
///
/// # Errors
///
/// The line of a mark without its counterpart.
pub fn unwired(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut plain = Vec::with_capacity(text.len());
    let mut begun = None;
    // What is left when the line break goes that we put before our last lines; it stays where something was added behind them.
    let mut without_our_break = None;
    for (number, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if [BEGIN, BEGIN_NO_NEWLINE, BEGIN_COPY].iter().any(|mark| line == mark.as_bytes()) {
            if let Some(begun) = begun {
                return Err(begun);
            }
            begun = Some(number + 1);
            if line == BEGIN_NO_NEWLINE.as_bytes() && plain.ends_with(b"\n") {
                without_our_break = Some(plain.len() - 1);
            }
        } else if line.trim_ascii_end() == END.trim_ascii_end().as_bytes() {
            begun.take().ok_or(number + 1)?;
        } else if begun.is_none() {
            plain.extend_from_slice(line);
            without_our_break = None;
        }
    }
    plain.truncate(without_our_break.unwrap_or(plain.len()));
    match begun {
        Some(line) => Err(line),
        None => Ok(plain),
    }
}

/// What would become of the service file `path`: the text, if it would change.
///
/// # Errors
///
/// [`WiringError`]: it can't be read, or has a mark without its counterpart.
pub fn rewired(path: &Path, kind: Option<Kind>) -> Result<Option<Vec<u8>>, WiringError> {
    let file = |source| WiringError::File { path: path.into(), source };
    let text = match (fs::read(path), vendor_file(path)) {
        (Ok(text), _) => text,
        (Err(error), Some(vendor)) if error.kind() == io::ErrorKind::NotFound && kind.is_some() => {
            [BEGIN_COPY, END].concat().into_bytes().into_iter().chain(fs::read(vendor).map_err(file)?).collect()
        }
        (Err(error), _) => return Err(file(error)),
    };
    let changed = match kind {
        Some(kind) => wired(&text, kind),
        None => unwired(&text),
    };
    let changed = changed.map_err(|line| WiringError::Marks { path: path.into(), line })?;
    Ok(Some(changed).filter(|changed| *changed != text || !path.exists()))
}

/// Wires (`Some`) or unwires (`None`) the service file `path`; `false` if it was so already.
///
/// # Errors
///
/// [`WiringError`]; the file is as it was then.
pub fn rewire(path: &Path, kind: Option<Kind>) -> Result<bool, WiringError> {
    let file = |source| WiringError::File { path: path.into(), source };
    let Some(changed) = rewired(path, kind)? else { return Ok(false) };
    let ours = fs::read(path).is_ok_and(|text| text.starts_with(BEGIN_COPY.as_bytes()));
    let vendors = vendor_file(path).and_then(|vendor| fs::read(vendor).ok());
    if kind.is_none() && ours && vendors.is_some_and(|vendors| vendors == changed) {
        remove(path).map_err(file)?;
    } else {
        replace(path, &changed, None).map_err(file)?;
    }
    Ok(true)
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

/// Every file that may have our lines.
///
/// # Errors
///
/// That the folder can't be listed.
pub fn service_files() -> Result<Vec<PathBuf>, WiringError> {
    let folder = Path::new(PAM_FOLDER);
    let entries = fs::read_dir(folder).map_err(|source| WiringError::File { path: folder.into(), source })?;
    let mut paths: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect();
    paths.sort();
    Ok(paths)
}

/// Whether sudoers has our include.
pub fn is_included() -> bool {
    Path::new(SUDOERS_INCLUDE).exists()
}

/// Puts the include into sudoers, or takes it out; `false` if it was so already.
///
/// # Errors
///
/// [`WiringError`]; the file is as it was then.
pub fn include_in_sudoers(include: bool) -> Result<bool, WiringError> {
    let path = Path::new(SUDOERS_INCLUDE);
    let file = |source| WiringError::File { path: path.into(), source };
    match (include, fs::read_to_string(path)) {
        (true, Ok(text)) if text == SUDOERS_LINE => Ok(false),
        (true, _) => replace(path, SUDOERS_LINE.as_bytes(), Some(0o440)).map(|()| true).map_err(file),
        (false, Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        (false, _) => remove(path).map(|()| true).map_err(file),
    }
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
                fs::remove_file(&path).map_err(|source| WiringError::File { path, source })?;
            }
        }
    }
    Ok(())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SSHD: &[u8] =
        b"# PAM for sshd\n@include common-auth\naccount required pam_nologin.so\n@include common-account\n";

    #[test]
    fn our_account_line_is_the_first_and_our_session_line_the_last() {
        let wired = String::from_utf8(wired(SSHD, Kind::Login).unwrap()).unwrap();
        let rules: Vec<_> = wired.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(rules.first().unwrap().starts_with("account    requisite    pam_curfew.so login"));
        assert!(rules.last().unwrap().starts_with("session    required     pam_curfew.so login"));
    }

    #[test]
    fn a_lone_mark_is_an_error_and_names_its_line() {
        assert_eq!(unwired(format!("a\n{BEGIN}b\n").as_bytes()), Err(2));
        assert_eq!(unwired(format!("a\nb\n{END}").as_bytes()), Err(3));
        assert_eq!(unwired(format!("{BEGIN}{BEGIN}{END}").as_bytes()), Err(1));
    }

    #[test]
    fn what_was_added_behind_our_lines_stays_on_a_line_of_its_own() {
        let mut text = wired(b"auth required a.so", Kind::Login).unwrap();
        assert_eq!(unwired(&text).unwrap(), b"auth required a.so");
        text.extend_from_slice(b"session required b.so\n");
        assert_eq!(unwired(&text).unwrap(), b"auth required a.so\nsession required b.so\n");
    }

    #[test]
    fn a_copy_stays_known_as_one() {
        let copy = [BEGIN_COPY.as_bytes(), END.as_bytes(), SSHD].concat();
        let once = wired(&copy, Kind::Login).unwrap();
        assert!(once.starts_with(BEGIN_COPY.as_bytes()));
        assert_eq!(wired(&once, Kind::Login).unwrap(), once);
        assert_eq!(unwired(&once).unwrap(), SSHD);
    }

    #[test]
    fn a_commented_line_does_not_wire() {
        assert!(is_account_line(b"account requisite pam_curfew.so login"));
        assert!(is_account_line(b"account [default=die] /lib/security/pam_curfew.so"));
        assert!(!is_account_line(b"# account requisite pam_curfew.so"));
        assert!(!is_account_line(b"session required pam_curfew.so"));
    }

    #[test]
    fn wiring_keeps_mode_and_owner_and_follows_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sshd");
        fs::write(&path, SSHD).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("sshd", &link).unwrap();
        assert!(rewire(&link, Some(Kind::Login)).unwrap());
        assert!(!rewire(&link, Some(Kind::Login)).unwrap());
        assert!(is_wired(folder.path(), "sshd").unwrap());
        assert!(!is_wired(folder.path(), "sudo").unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert!(rewire(&path, None).unwrap());
        assert_eq!(fs::read(&path).unwrap(), SSHD);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    proptest! {
        #[test]
        fn unwiring_restores_every_byte(text in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..80)) {
            let once = wired(&text, Kind::Elevation).unwrap();
            prop_assert_eq!(&wired(&once, Kind::Elevation).unwrap(), &once);
            prop_assert_eq!(unwired(&once).unwrap(), text);
        }
    }
}
