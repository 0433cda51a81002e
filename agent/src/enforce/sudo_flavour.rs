//! Which sudo the host runs: the classic one or sudo-rs. They accept different rules, and print what they don't accept at everybody's
//! sudo.
//!
//! `/usr/bin/sudo` is followed through links, diversions and alternatives to a file, and that file is asked for its `--version`. The
//! answer is remembered for as long as it is the same file; nothing is run at a look. [`look`] begins the asking, and the answer
//! wakes the enforcing loop. The visudo(8) that checks our rules is found in the same way, and has to be of the same flavour.

use crate::agent::Agent;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Where people's sudo is.
pub const SUDO: &str = "/usr/bin/sudo";

/// Where visudo may be, beside the folder that sudo itself is in.
const VISUDO_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/bin"];

/// What visudo may be called: by itself, and where both are installed.
const VISUDO_NAMES: [&str; 3] = ["visudo", "visudo-rs", "visudo.ws"];

/// How long a program may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of what a program says is read from each of its streams.
const LONGEST_ANSWER: u64 = 16 * 1024;

/// How long there may be no sudo before that counts: a package manager or an administrator takes one away to put another there.
const EXCHANGED_WITHIN: Duration = Duration::from_millis(500);

/// How long after a failure a program is asked again.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How many answers are remembered.
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

/// What the host's sudo is at a look.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It is this one.
    Known(Flavour),
    /// It is being asked. `again` where another one was known before.
    Asked {
        /// Whether it changed while this agent ran.
        again: bool,
    },
    /// It can't be told, for this reason.
    Unknown(String),
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

/// What was told of the host's programs, and what is there now.
#[derive(Debug, Default)]
pub struct HostSudo {
    told: RefCell<Vec<Answer>>,
    asking: Cell<bool>,
    known_once: Cell<bool>,
}

#[derive(Debug)]
struct Answer {
    /// None: there was no such file.
    file: Option<Identity>,
    flavour: Result<Flavour, String>,
    at: Instant,
}

impl HostSudo {
    /// The file that people's sudo is now.
    pub fn identity(&self) -> Option<Identity> {
        Identity::of(Path::new(SUDO)).ok()
    }

    /// What it is, as far as that is known.
    pub fn standing(&self) -> Standing {
        match self.told(self.identity().as_ref()) {
            Some(Ok(flavour)) => Standing::Known(flavour),
            Some(Err(problem)) => Standing::Unknown(problem),
            None => Standing::Asked { again: self.known_once.get() },
        }
    }

    /// Whether it has not told yet what it is.
    pub fn is_asked(&self) -> bool {
        matches!(self.standing(), Standing::Asked { .. })
    }

    fn told(&self, file: Option<&Identity>) -> Option<Result<Flavour, String>> {
        let told = self.told.borrow();
        let answer = told.iter().find(|answer| answer.file.as_ref() == file)?;
        let holds = answer.flavour.is_ok() || answer.at.elapsed() < ASKED_AGAIN_AFTER;
        holds.then(|| answer.flavour.clone())
    }

    fn remember(&self, file: Option<Identity>, flavour: Result<Flavour, String>) {
        let mut told = self.told.borrow_mut();
        // That there was none says nothing about the next time.
        told.retain(|answer| answer.file.is_some() && answer.file != file);
        let surplus = (told.len() + 1).saturating_sub(REMEMBERED);
        told.drain(..surplus);
        told.push(Answer { file, flavour, at: Instant::now() });
    }

    /// Asks what is there now, and remembers the answer.
    async fn ask(&self) {
        let missed = Instant::now();
        while self.identity().is_none() && missed.elapsed() < EXCHANGED_WITHIN {
            tokio::time::sleep(EXCHANGED_WITHIN / 50).await;
        }
        match Identity::of(Path::new(SUDO)) {
            Ok(file) => {
                let flavour = self.flavour_of(&file, "sudo").await;
                self.known_once.set(self.known_once.get() || flavour.is_ok());
            }
            Err(error) => self.remember(None, Err(format!("{SUDO}: {error}"))),
        }
    }

    /// What `file` is by its own word, asked where it is not known.
    async fn flavour_of(&self, file: &Identity, name: &str) -> Result<Flavour, String> {
        if let Some(told) = self.told(Some(file)) {
            return told;
        }
        let flavour = match run(&file.path, name, &["--version".as_ref()]).await {
            Ok(said) => told_by(&said.text).ok_or_else(|| {
                let line = said.text.lines().next().unwrap_or_default().chars().take(80).collect::<String>();
                format!("{} --version says neither sudo nor sudo-rs: {line:?}", file.path.display())
            }),
            Err(problem) => Err(format!("{} --version: {problem}", file.path.display())),
        };
        self.remember(Some(file.clone()), flavour.clone());
        flavour
    }

    /// The visudo that checks rules for `flavour`.
    ///
    /// # Errors
    ///
    /// That the host has none.
    pub async fn visudo(&self, flavour: Flavour) -> Result<PathBuf, String> {
        let beside = self.identity().and_then(|sudo| sudo.path.parent().map(Path::to_owned));
        let folders: Vec<PathBuf> = VISUDO_FOLDERS.iter().map(PathBuf::from).chain(beside).collect();
        for path in folders.iter().flat_map(|folder| VISUDO_NAMES.map(|name| folder.join(name))) {
            let Ok(file) = Identity::of(&path) else { continue };
            if self.flavour_of(&file, "visudo").await == Ok(flavour) {
                return Ok(file.path);
            }
        }
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        Err(format!("no visudo of {flavour} is in {}; install it", folders.join(", ")))
    }
}

/// Has the host's sudo asked where it is not known what it is; the answer wakes the enforcing loop.
pub fn look(agent: &Rc<Agent>) -> Standing {
    let standing = agent.sudo.standing();
    if matches!(standing, Standing::Asked { .. }) && !agent.sudo.asking.replace(true) {
        let agent = Rc::clone(agent);
        tokio::task::spawn_local(async move {
            agent.sudo.ask().await;
            agent.sudo.asking.set(false);
            agent.changed.notify_one();
        });
    }
    standing
}

/// The flavour that the `--version` of a sudo or a visudo tells.
fn told_by(version: &str) -> Option<Flavour> {
    let line = |begin: &str| version.lines().any(|line| line.starts_with(begin));
    // Classic visudo has a second line; the visudo of sudo-rs has taken over the first.
    if line("Sudo version ") || line("visudo grammar version ") {
        Some(Flavour::Classic)
    } else if line("sudo-rs ") || line("visudo-rs ") || line("visudo version 0.") {
        Some(Flavour::Rs)
    } else {
        None
    }
}

/// What a program said.
#[derive(Debug)]
pub struct Said {
    /// Whether it ended with 0.
    pub success: bool,
    /// What it wrote to standard error, then to standard output.
    pub text: String,
}

/// Runs `program` under the name `name`, with nothing to read and no environment, and takes what it says.
///
/// # Errors
///
/// That it can't be run, or takes too long.
pub async fn run(program: &Path, name: &str, arguments: &[&std::ffi::OsStr]) -> Result<Said, String> {
    let mut command = tokio::process::Command::new(program);
    command.arg0(name).args(arguments).env_clear().current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let answer = async {
        let mut child = command.spawn()?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let (output, errors) = tokio::join!(read(output), read(errors));
        let success = child.wait().await?.success();
        let text = [errors?, output?].concat();
        io::Result::Ok(Said { success, text: String::from_utf8_lossy(&text).into_owned() })
    };
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(said) => said.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it took longer than {PATIENCE:?}")),
    }
}

/// What a stream has, up to a bound. What writes more finds it closed.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(LONGEST_ANSWER).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_sudo_and_each_visudo_is_told_by_its_version() {
        for (version, flavour) in [
            ("Sudo version 1.9.16p2\nConfigure options: --with-all-insults\n", Some(Flavour::Classic)),
            ("sudo: unable to resolve host x\nSudo version 1.9.13p3\n", Some(Flavour::Classic)),
            ("visudo version 1.9.16p2\nvisudo grammar version 50\n", Some(Flavour::Classic)),
            ("sudo-rs 0.2.5\n", Some(Flavour::Rs)),
            ("visudo version 0.2.5\n", Some(Flavour::Rs)),
            ("visudo-rs 0.2.8\n", Some(Flavour::Rs)),
            ("doas 6.8\n", None),
            ("", None),
        ] {
            assert_eq!(told_by(version), flavour, "{version:?}");
        }
    }

    #[test]
    fn what_others_can_write_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sudo");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o775)).unwrap();
        assert!(Identity::of(&path).is_err());
        assert!(Identity::of(folder.path()).is_err());
        assert!(Identity::of(&folder.path().join("none")).is_err());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_program_that_says_too_much_is_cut_short() {
        let yes = run(Path::new("/usr/bin/yes"), "yes", &[]).await.unwrap();
        assert!(!yes.success);
        assert_eq!(yes.text.len() as u64, LONGEST_ANSWER);
    }

    #[test]
    fn an_answer_holds_for_its_file_and_a_missing_file_is_asked_for_anew() {
        let sudo = HostSudo::default();
        let file = |inode| Identity { path: SUDO.into(), device: 1, inode, changed: (0, 0), size: 1 };
        sudo.remember(Some(file(1)), Ok(Flavour::Classic));
        sudo.remember(Some(file(2)), Ok(Flavour::Rs));
        assert_eq!(sudo.told(Some(&file(1))), Some(Ok(Flavour::Classic)));
        assert_eq!(sudo.told(Some(&file(2))), Some(Ok(Flavour::Rs)));
        assert_eq!(sudo.told(Some(&file(3))), None);
        sudo.remember(None, Err("none".into()));
        assert!(sudo.told(None).is_some());
        sudo.remember(Some(file(4)), Ok(Flavour::Rs));
        assert_eq!(sudo.told(None), None);
        for inode in 5..100 {
            sudo.remember(Some(file(inode)), Ok(Flavour::Rs));
        }
        assert_eq!(sudo.told.borrow().len(), REMEMBERED);
    }
}
