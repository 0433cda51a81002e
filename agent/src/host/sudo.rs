//! Which sudo the host runs: the classic one or sudo-rs. They accept different rules, and print what they don't accept at everybody's
//! sudo.
//!
//! `/usr/bin/sudo` is followed through links, diversions and alternatives to a file, and told by what stands in it; the answer is remembered
//! for as long as it is the same file. It is not run: as root, a classic `sudo --version` opens sudoers, and mails root when it can't. The
//! visudo(8) that checks our rules is found in the same way, and has to be of the same flavour.

use std::cell::RefCell;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where people's sudo is.
pub const SUDO: &str = "/usr/bin/sudo";

/// Where visudo may be, beside the folder that sudo itself is in.
const VISUDO_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/bin"];

/// What visudo may be called: by itself, and where both are installed.
const VISUDO_NAMES: [&str; 3] = ["visudo", "visudo-rs", "visudo.ws"];

/// What stands in the classic programs alone: what sudo and visudo say of their versions.
const MARKS_OF_CLASSIC: [&[u8]; 2] = [b"Sudo version %s", b"%s grammar version %d"];

/// What stands in the programs of sudo-rs.
const MARK_OF_RS: &[u8] = b"sudo-rs";

/// The longest program that is looked through, in bytes.
const LONGEST_PROGRAM: u64 = 32 * 1024 * 1024;

/// How long there may be no sudo, or half a one, before that counts: a package manager or an administrator takes one away to put another there.
const EXCHANGED_WITHIN: Duration = Duration::from_millis(500);

/// How many files are remembered.
const REMEMBERED: usize = 16;

/// A sudo, by the rules that it accepts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flavour {
    /// Todd Miller's.
    Classic,
    /// The one in Rust.
    Rs,
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classic => "classic sudo",
            Self::Rs => "sudo-rs",
        })
    }
}

/// A file, as far as that it is still the same one can be told without reading it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
    changed: (i64, i64),
    size: u64,
}

impl Identity {
    /// The file behind `path`, links followed.
    ///
    /// # Errors
    ///
    /// That there is none, or that somebody else than root could have written it: it would be run as root.
    fn of(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let about = fs::metadata(&path)?;
        if !about.is_file() || about.uid() != 0 || about.mode() & 0o022 != 0 {
            return Err(io::Error::other("it is no file that root alone can write"));
        }
        let changed = (about.mtime(), about.mtime_nsec());
        Ok(Self { path, device: about.dev(), inode: about.ino(), changed, size: about.size() })
    }
}

/// The host's sudo, and what is known of the files that were.
#[derive(Debug, Default)]
pub struct HostSudo {
    known: RefCell<Vec<(Identity, Result<Flavour, String>)>>,
}

impl HostSudo {
    /// The file that people's sudo is now.
    pub fn identity(&self) -> Option<Identity> {
        Identity::of(Path::new(SUDO)).ok()
    }

    /// Which one it is now.
    ///
    /// # Errors
    ///
    /// Why that can't be told.
    pub fn flavour(&self) -> Result<Flavour, String> {
        self.flavour_of(Identity::of(Path::new(SUDO)).map_err(|error| format!("{SUDO}: {error}"))?)
    }

    /// Waits a moment where there is none, or none that is known: another may be on its way, or half written.
    pub async fn settled(&self) {
        let missed = Instant::now();
        while self.flavour().is_err() && missed.elapsed() < EXCHANGED_WITHIN {
            tokio::time::sleep(EXCHANGED_WITHIN / 50).await;
        }
    }

    fn flavour_of(&self, file: Identity) -> Result<Flavour, String> {
        let known = self.known.borrow().iter().find(|(known, _)| *known == file).map(|(_, flavour)| flavour.clone());
        if let Some(flavour) = known {
            return flavour;
        }
        let flavour = match read_program(&file.path) {
            Ok(program) => {
                told_by(&program).ok_or_else(|| format!("{} is neither sudo nor sudo-rs", file.path.display()))
            }
            // It may be readable at the next look.
            Err(error) => return Err(format!("{}: {error}", file.path.display())),
        };
        let mut known = self.known.borrow_mut();
        let surplus = (known.len() + 1).saturating_sub(REMEMBERED);
        known.drain(..surplus);
        known.push((file, flavour.clone()));
        flavour
    }

    /// The visudo that checks rules for `flavour`.
    ///
    /// # Errors
    ///
    /// That the host has none.
    pub fn visudo(&self, flavour: Flavour) -> Result<PathBuf, String> {
        let beside = self.identity().and_then(|sudo| sudo.path.parent().map(Path::to_owned));
        let folders: Vec<PathBuf> = VISUDO_FOLDERS.iter().map(PathBuf::from).chain(beside).collect();
        for path in folders.iter().flat_map(|folder| VISUDO_NAMES.map(|name| folder.join(name))) {
            let Ok(file) = Identity::of(&path) else { continue };
            let path = file.path.clone();
            if self.flavour_of(file) == Ok(flavour) {
                return Ok(path);
            }
        }
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        Err(format!("no visudo of {flavour} is in {}; install it", folders.join(", ")))
    }
}

fn read_program(path: &Path) -> io::Result<Vec<u8>> {
    let mut program = Vec::new();
    File::open(path)?.take(LONGEST_PROGRAM).read_to_end(&mut program)?;
    Ok(program)
}

/// The flavour of a sudo or a visudo, by what stands in it.
fn told_by(program: &[u8]) -> Option<Flavour> {
    let has = |mark: &[u8]| program.windows(mark.len()).any(|part| part == mark);
    if MARKS_OF_CLASSIC.iter().any(|mark| has(mark)) {
        Some(Flavour::Classic)
    } else {
        has(MARK_OF_RS).then_some(Flavour::Rs)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_program_is_told_by_what_stands_in_it() {
        for (program, flavour) in [
            ("\x7fELF\0Sudo version %s\n\0", Some(Flavour::Classic)),
            ("\x7fELF\0%s grammar version %d\n\0 like sudo-rs", Some(Flavour::Classic)),
            ("\x7fELF\0sudo-rs 0.2.5\n", Some(Flavour::Rs)),
            ("#!/bin/sh\nexec doas \"$@\"\n", None),
            ("", None),
        ] {
            assert_eq!(told_by(program.as_bytes()), flavour, "{program:?}");
        }
    }

    #[test]
    fn what_others_can_write_is_no_sudo() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sudo");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o775)).unwrap();
        assert!(Identity::of(&path).is_err());
        assert!(Identity::of(folder.path()).is_err());
        assert!(Identity::of(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_file_is_looked_through_once_for_as_long_as_it_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sudo");
        let write = |text: &str| {
            let new = path.with_extension("new");
            fs::write(&new, text).unwrap();
            fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
            fs::rename(&new, &path).unwrap();
            Identity::of(&path).unwrap()
        };
        let sudo = HostSudo::default();
        let first = write("sudo-rs");
        assert_eq!(sudo.flavour_of(first.clone()), Ok(Flavour::Rs));
        let second = write("Sudo version %s");
        assert_eq!(sudo.flavour_of(second), Ok(Flavour::Classic));
        assert_eq!(sudo.flavour_of(first), Ok(Flavour::Rs));
        for number in 0..100 {
            assert!(sudo.flavour_of(write(&format!("{number}"))).is_err());
        }
        assert_eq!(sudo.known.borrow().len(), REMEMBERED);
    }
}
