//! What the names of people stand for, as it was last answered, and the account that each grant is for. No question is asked here and no clock is
//! read: answers come in, and [`Holder`]s go out.

pub mod known;

use self::known::{Bound, Kept, Known, Resolution, TRIED_AGAIN_AFTER};
use super::local_file::LocalFile;
use super::{Account, Answer, Doubt, Holder};
use crate::durable;
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the names are gone through that are to be known.
const REGULAR: Duration = Duration::from_secs(20);

/// How long the name of somebody without a grant is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What is known of names.
#[derive(Debug, Default)]
pub struct Directory {
    path: PathBuf,
    file: LocalFile,
    kept: Kept,
    /// The names whose answers are kept up: those of grants, and the exempt list's.
    wanted: BTreeSet<String>,
    exempt: BTreeSet<String>,
    /// Something changed since the holders were told.
    unsettled: bool,
    unstored: bool,
    /// When it could not be stored.
    failed: Option<Instant>,
    /// Until when nothing is to be asked, unless something changes before.
    idle_until: Option<Instant>,
}

impl Directory {
    /// What was kept at `path`. What can't be read is asked for anew.
    pub fn open(path: &Path) -> Self {
        Self::with(path, LocalFile::default())
    }

    fn with(path: &Path, file: LocalFile) -> Self {
        let kept = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(path = %path.display(), "which account each grant is for could not be read back: {error}");
                Kept::default()
            }),
            Err(_) => Kept::default(),
        };
        let mut directory = Self { path: path.into(), file, kept, unsettled: true, ..Self::default() };
        directory.look_at_file();
        directory
    }

    /// Compares /etc/passwd with what it said when the answers came. Costs a stat(2) where nothing changed.
    pub fn look_at_file(&mut self) {
        let Some(lines) = self.file.changed() else { return };
        let index = lines.index();
        for (name, known) in &mut self.kept.names {
            let uid = known.account.as_ref().map(|account| account.uid);
            if !known.outdated && index.trace(name, uid) != known.trace {
                known.outdated = true;
                // It is asked for at once.
                (known.tried, known.problem) = (None, None);
                (self.unsettled, self.idle_until) = (true, None);
            }
        }
    }

    /// What `name` stands for.
    pub fn resolve(&self, name: &str) -> Resolution<'_> {
        self.kept.names.get(name).map_or(Resolution::Unasked, Known::resolution)
    }

    /// Why nothing is known of `name`, where it was asked for.
    pub fn problem(&self, name: &str) -> Option<String> {
        let known = self.kept.names.get(name)?;
        match known.resolution() {
            Resolution::Missing { .. } => Some("no such user on this host".into()),
            _ => known.problem.clone(),
        }
    }

    /// The user id that `name` stood for last, and whether /etc/passwd has the name: what a question begins with.
    pub fn before(&self, name: &str) -> (Option<u32>, bool) {
        let known = self.kept.names.get(name);
        let uid = known.and_then(|known| known.account.as_ref()).map(|account| account.uid);
        (uid, self.file.read().is_ok_and(|lines| lines.index().trace(name, None).uid.is_some()))
    }

    /// Takes the names that are to be known: those of grants and those of the exempt list, where that can be believed.
    pub fn want(&mut self, people: BTreeSet<String>, exempt: Option<Vec<String>>) {
        if let Some(exempt) = exempt {
            let exempt: BTreeSet<String> = exempt.into_iter().collect();
            self.unsettled |= exempt != self.exempt;
            self.exempt = exempt;
        }
        self.wanted = people;
        self.wanted.extend(self.exempt.iter().cloned());
        for name in &self.wanted {
            if !self.kept.names.contains_key(name) {
                self.kept.names.insert(name.clone(), Known::default());
            }
        }
    }

    /// Forgets the others after a while.
    pub fn forget(&mut self, now: Instant) {
        let young = |known: &Known| known.tried.is_some_and(|tried| now.duration_since(tried) < REMEMBERED);
        self.kept.names.retain(|name, known| self.wanted.contains(name) || young(known));
    }

    /// For how long from `now` on nothing is due, unless something changes before; none where something may be due: what has many names is not gone
    /// through at each sudo.
    pub fn idle_for(&self, now: Instant) -> Option<Duration> {
        self.idle_until.map(|until| until.saturating_duration_since(now)).filter(|rest| !rest.is_zero())
    }

    /// The wanted names that are to be asked for at `now`, the host's own first, and when there is something to ask next.
    pub fn due(&mut self, now: Instant) -> (Vec<String>, Option<Instant>) {
        let (mut due, mut next): (Vec<&String>, Option<Instant>) = (Vec::new(), None);
        for (name, known) in self.wanted.iter().filter_map(|name| self.kept.names.get_key_value(name)) {
            match known.due() {
                _ if known.is_told_by_the_file() => {}
                Some(at) if at > now => next = Some(next.map_or(at, |next| next.min(at))),
                _ => due.push(name),
            }
        }
        let regular = now + REGULAR;
        self.idle_until = Some(next.map_or(regular, |next| next.min(regular)));
        if let Some(lines) = Some(()).filter(|()| due.len() > 1).and_then(|()| self.file.read().ok()) {
            let index = lines.index();
            due.sort_by_key(|name| index.trace(name, None).uid.is_none());
        }
        (due.into_iter().cloned().collect(), next)
    }

    /// Takes note that `name` is being asked for. Until the answer comes, the one before it holds.
    pub fn note_asked(&mut self, name: &str, now: Instant) {
        self.kept.names.entry(name.to_owned()).or_default().tried = Some(now);
        self.idle_until = None;
    }

    /// Takes the answer for `name`, or why there is none.
    pub fn learn(&mut self, name: &str, said: Result<Answer, String>, now: Instant) {
        self.look_at_file();
        self.idle_until = None;
        let known = self.kept.names.entry(name.to_owned()).or_default();
        known.tried = Some(now);
        let before = known.clone();
        match said {
            Ok(answer) => {
                let uid = answer.account.as_ref().or(known.account.as_ref()).map(|account| account.uid);
                let trace = self.file.read().map(|lines| lines.index().trace(name, uid)).unwrap_or_default();
                known.take(answer, trace, now);
            }
            Err(problem) => known.problem = Some(problem),
        }
        self.unsettled |= !known.says_the_same_as(&before);
        self.unstored |= known.account != before.account || known.trace != before.trace;
    }

    /// Whether the holders have to be told anew.
    pub fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// The holders of all grants were told. Of grants that are no more, nothing is kept.
    pub fn note_settled(&mut self, keys: &HashSet<String>) {
        (self.unsettled, self.idle_until) = (false, None);
        let before = self.kept.grants.len();
        self.kept.grants.retain(|key, _| keys.contains(key));
        self.unstored |= before != self.kept.grants.len();
    }

    /// Whose the grant with this revision key is, which names `user`. It is for the account that the name stands for
    /// when that is first known.
    pub fn holder(&mut self, key: &str, user: &str) -> Holder {
        let resolution = self.kept.names.get(user).map_or(Resolution::Unasked, Known::resolution);
        let Some(bound) = self.kept.grants.get(key) else {
            let Resolution::Is(account) = resolution else { return Holder::Unknown };
            let account = account.clone();
            self.kept.grants.insert(key.to_owned(), Bound { account: account.clone(), told: None });
            self.unstored = true;
            return self.unless_shared(user, account);
        };
        let account = bound.account.clone();
        match resolution {
            Resolution::Unasked => self.unless_shared(user, account),
            Resolution::Is(now) if now.uid == account.uid => {
                let now = now.clone();
                self.unless_shared(user, now)
            }
            Resolution::Is(now) => Holder::Gone { account, now: Some(now.uid) },
            Resolution::Outdated => Holder::InDoubt { account, why: Doubt::Outdated },
            Resolution::Missing { settled: false } => Holder::InDoubt { account, why: Doubt::NotFound },
            Resolution::Missing { settled: true } => Holder::Gone { account, now: None },
        }
    }

    /// Whether the audit has not heard yet that the grant opens nothing for this reason, or that it does again.
    pub fn is_news(&mut self, key: &str, problem: Option<&str>) -> bool {
        let Some(bound) = self.kept.grants.get_mut(key) else { return false };
        let is_news = bound.told.as_deref() != problem;
        if is_news {
            bound.told = problem.map(str::to_owned);
            self.unstored = true;
        }
        is_news
    }

    /// An exempt user's user id is nobody else's: under it sudo asks as the exempt user, and no end could be kept.
    fn unless_shared(&self, user: &str, account: Account) -> Holder {
        let exempt = self.exempt_with(account.uid);
        let own = |name: &str| name == user || name == account.name || self.is_name_of(name, &account);
        let is_exempt = exempt.iter().any(|&name| own(name));
        match exempt.first().filter(|_| !is_exempt) {
            Some(name) => {
                let why = Doubt::Shared((*name).to_owned());
                Holder::InDoubt { account, why }
            }
            None => Holder::Is(account),
        }
    }

    /// The exempt users with this user id. Root is one, listed or not: its sudo is never asked about.
    pub fn exempt_with(&self, uid: u32) -> Vec<&str> {
        let listed = self.exempt.iter().map(String::as_str);
        let same = |name: &&str| matches!(self.resolve(name), Resolution::Is(account) if account.uid == uid);
        let root = (uid == 0).then_some("root");
        listed.filter(same).chain(root).collect()
    }

    /// Whether the user database gives the name of its account for the user id that `name` stands for.
    pub fn is_owner(&self, name: &str) -> bool {
        let known = self.kept.names.values().filter_map(|known| match known.resolution() {
            Resolution::Is(account) => Some(account),
            Resolution::Unasked | Resolution::Outdated | Resolution::Missing { .. } => None,
        });
        known.into_iter().any(|account| account.name == name && account.owner == name)
    }

    /// The other name under which the exempt list has the account that `name` stands for, as the list was read last.
    pub fn exempt_name_of(&self, name: &str) -> Option<&str> {
        let Resolution::Is(account) = self.resolve(name) else { return None };
        let same = |exempt: &&String| **exempt == account.name || self.is_name_of(exempt, account);
        self.exempt.iter().filter(|exempt| *exempt != name).find(same).map(String::as_str)
    }

    fn is_name_of(&self, name: &str, account: &Account) -> bool {
        matches!(self.resolve(name), Resolution::Is(known) if known.name == account.name)
    }

    /// What is to be stored now, where something changed, and where.
    pub fn take_unstored(&mut self, now: Instant) -> Option<(PathBuf, Vec<u8>)> {
        if self.failed.is_some_and(|failed| now.duration_since(failed) < TRIED_AGAIN_AFTER) {
            return None;
        }
        if !std::mem::take(&mut self.unstored) || self.path.as_os_str().is_empty() {
            return None;
        }
        let mut kept = self.kept.clone();
        kept.names.retain(|name, known| self.wanted.contains(name) && known.account.is_some());
        let bytes = serde_json::to_vec(&kept).ok()?;
        Some((self.path.clone(), bytes))
    }

    /// It was stored, or could not be: then it is tried again after a while.
    pub fn note_stored(&mut self, stored: bool, now: Instant) {
        self.unstored |= !stored;
        self.failed = (!stored).then_some(now);
    }
}

/// Makes it durable.
///
/// # Errors
///
/// What the disk says.
pub fn store(path: &Path, bytes: &[u8]) -> io::Result<()> {
    durable::write(path, bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
