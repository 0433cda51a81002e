//! What opened since Curfew was enabled: `curfew enable` writes down what it told; the agent looks from time to time whether there is more.
//!
//! A look costs a read of the tables of sockets and some dozens of stat(2), once a minute at most, on a thread of its own that is no more urgent than
//! anybody's. Only where a socket that listens, or a file that the last survey depended on, is another does the whole survey follow. What people do
//! on the host, logins among it, adds nothing to that.

use super::listening;
use super::{AccessPath, Survey, survey};
use crate::config::Config;
use crate::durable;
use crate::host::apart;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What was known when Curfew was enabled.
pub const PATH: &str = "/var/lib/curfew/access-paths.json";

/// How often there is a look at most, and how long after the start the first one is.
const PAUSE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// At most so many are told.
const MOST_TOLD: usize = 20;

/// The nice value of the thread that looks: the agent's own is lower.
const NICE: i32 = 10;

/// The access paths that somebody was told of.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Told {
    open: BTreeSet<String>,
}

/// Writes down that these access paths are known: what is open among them opened before Curfew was enabled.
///
/// # Errors
///
/// What the disk says.
pub fn write_down(path: &Path, paths: &[AccessPath]) -> io::Result<()> {
    let open = paths.iter().filter(|path| path.is_open()).map(|path| path.key.clone()).collect();
    durable::write(path, &serde_json::to_vec(&Told { open })?)
}

/// Forgets what was known: what the next look finds counts as known.
///
/// # Errors
///
/// What the disk says.
pub fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// What was written down, if anything was that can be read.
fn written_down(path: &Path) -> Option<BTreeSet<String>> {
    serde_json::from_slice::<Told>(&fs::read(path).ok()?).ok().map(|told| told.open)
}

/// What the last survey depended on, as it was.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Seen {
    config: Config,
    sockets: BTreeSet<u64>,
    files: Vec<(PathBuf, Option<FileState>)>,
}

/// Device, inode, and the time of the last change, in seconds and nanoseconds: another file, or another content, differs (inode(7)).
type FileState = (u64, u64, i64, i64);

impl Seen {
    fn now(config: &Config, files: impl Iterator<Item = PathBuf>) -> Self {
        let stat = |path: &Path| {
            let about = fs::metadata(path).ok()?;
            Some((about.dev(), about.ino(), about.ctime(), about.ctime_nsec()))
        };
        let files = files.map(|path| (path.clone(), stat(&path))).collect();
        Self { config: config.clone(), sockets: listening::sockets().into_keys().collect(), files }
    }

    fn is_still(&self) -> bool {
        *self == Self::now(&self.config, self.files.iter().map(|(path, _)| path.clone()))
    }
}

/// What the agent knows of it.
#[derive(Debug)]
pub struct Opened {
    started: Instant,
    looked: Cell<Option<Instant>>,
    looking: Cell<bool>,
    seen: RefCell<Option<Seen>>,
    problems: RefCell<Vec<String>>,
}

impl Default for Opened {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            looked: Cell::default(),
            looking: Cell::default(),
            seen: RefCell::default(),
            problems: RefCell::default(),
        }
    }
}

impl Opened {
    /// What opened, as sentences.
    pub fn problems(&self) -> Vec<String> {
        self.problems.borrow().clone()
    }

    /// Whether it is time to look.
    pub fn is_due(&self, now: Instant) -> bool {
        let rested = match self.looked.get() {
            Some(looked) => now.saturating_duration_since(looked) >= PAUSE,
            None => now.saturating_duration_since(self.started) >= FIRST_PAUSE,
        };
        rested && !self.looking.get()
    }

    /// Has the next look be due at once: the configuration is another.
    pub fn look_soon(&self) {
        self.looked.set(None);
    }

    /// Looks, and logs what is new. What was there at the first look of all counts as known.
    pub async fn look(&self, config: Config) {
        self.looked.set(Some(Instant::now()));
        self.looking.set(true);
        let seen = self.seen.borrow().clone();
        let found = apart::run(move || look(config, seen.as_ref(), Path::new(PATH))).await;
        self.looking.set(false);
        match found {
            Ok(None) => {}
            Ok(Some((seen, problems))) => {
                let before = self.problems.replace(problems.clone());
                *self.seen.borrow_mut() = Some(seen);
                problems.iter().filter(|it| !before.contains(it)).for_each(|problem| tracing::error!("{problem}"));
            }
            Err(error) => tracing::error!("whether more ways to log in opened could not be looked at: {error}"),
        }
    }
}

/// Looks at what is new, unless all is as it was `seen`.
fn look(config: Config, seen: Option<&Seen>, known: &Path) -> Option<(Seen, Vec<String>)> {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!("the look at what opened is as urgent as the agent: {error}");
    }
    if seen.is_some_and(|seen| seen.config == config && seen.is_still()) {
        return None;
    }
    let Survey { paths, read } = survey(&config);
    // A file that changed since is another at the next look.
    let seen = Seen::now(&config, read.into_iter().chain([known.to_owned()]));
    let Some(told) = written_down(known) else {
        if let Err(error) = write_down(known, &paths) {
            tracing::error!(path = %known.display(), "which ways to log in there are could not be written down: {error}");
        }
        return Some((seen, Vec::new()));
    };
    let new = paths.iter().filter(|path| path.is_open() && !told.contains(&path.key));
    let mut problems: Vec<String> = new.map(problem).collect();
    problems.truncate(MOST_TOLD);
    Some((seen, problems))
}

fn problem(path: &AccessPath) -> String {
    format!("open since Curfew was enabled: {}; fix: {}", path.detail, path.fix)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wiring::access_paths::{Kind, Standing};

    fn path(key: &str, standing: Standing) -> AccessPath {
        AccessPath { kind: Kind::SshServers, key: key.into(), standing, detail: format!("{key} is"), fix: "x".into() }
    }

    #[test]
    fn what_is_written_down_is_what_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("paths.json");
        assert_eq!(written_down(&file), None);
        let paths = [path("a", Standing::OpenToTheNetwork), path("b", Standing::Covered), path("c", Standing::Unknown)];
        write_down(&file, &paths).unwrap();
        assert_eq!(written_down(&file), Some(BTreeSet::from(["a".to_owned()])));
        fs::write(&file, "nonsense").unwrap();
        assert_eq!(written_down(&file), None);
    }

    #[test]
    fn a_look_is_due_once_a_minute_and_after_a_new_configuration() {
        let opened = Opened::default();
        let begun = opened.started;
        assert!(!opened.is_due(begun) && opened.is_due(begun + FIRST_PAUSE));
        opened.looked.set(Some(begun));
        assert!(!opened.is_due(begun + PAUSE / 2) && opened.is_due(begun + PAUSE));
        opened.look_soon();
        assert!(opened.is_due(begun + FIRST_PAUSE));
        opened.looking.set(true);
        assert!(!opened.is_due(begun + PAUSE * 2));
    }

    #[test]
    fn a_file_that_changes_and_a_socket_that_listens_are_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let seen = Seen::now(&Config::default(), [file.path().to_owned(), "/nowhere".into()].into_iter());
        fs::write(file.path(), "x").unwrap();
        assert!(!seen.is_still());
        let seen = Seen::now(&Config::default(), std::iter::empty());
        let _socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!seen.is_still());
    }
}
