//! The local store: the grants that root made on this host, in one file.
//!
//! Every change is written whole to a new file, synced and renamed over the old one before it is in force. A file that can't be
//! read is set aside; an entry that can't be read is kept as it is, and nobody gets in by it.

use super::{HeldGrant, Revocation, State};
use crate::durable;
use curfew_protocol::grant::{Grant, GrantId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the store is.
pub const PATH: &str = "/var/lib/curfew/local.json";

/// Where revocations go that the store's disk does not take: memory, which is gone only when every session is, too.
pub const SPARE: &str = "/run/curfew/revocations.json";

/// How long an ended grant is still shown, and still explains a refusal.
const KEPT_AFTER_END: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The most grants that the store takes.
pub const MOST_GRANTS: usize = 10_000;

/// The local grants.
#[derive(Debug)]
pub struct LocalGrants {
    path: PathBuf,
    /// Sorted by user: a decision about one person looks at their grants alone.
    held: Vec<HeldGrant>,
    refused: Vec<Refused>,
    /// Where a store that could not be read was set aside, and why.
    set_aside: Option<SetAside>,
    /// Why what is in memory could not be stored.
    unstored: Option<String>,
    /// Where revocations are kept meanwhile.
    spare: PathBuf,
}

/// An entry of the store that is no grant.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The entry as it stands in the file.
    pub entry: Value,
    /// The place and the value.
    pub problem: String,
}

/// A store that could not be read.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SetAside {
    /// Where it is now.
    pub path: PathBuf,
    /// Why it could not be read.
    pub problem: String,
}

/// Why the store did not take a change.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be written; nothing changed.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What writing it said.
        source: io::Error,
    },
    /// Too many grants.
    #[error("this host holds {MOST_GRANTS} local grants already; revoke what is not needed")]
    Full,
    /// The id is taken.
    #[error("there is a grant {0} already")]
    Taken(GrantId),
    /// No such grant.
    #[error("there is no local grant {0}; `curfew status` lists them")]
    Unknown(String),
    /// It is over.
    #[error("grant {id} has ended already, {how} at {at}")]
    Over {
        /// The grant.
        id: GrantId,
        /// `expired` or `revoked`.
        how: &'static str,
        /// When.
        at: Timestamp,
    },
}

/// The file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    grants: Vec<Value>,
}

impl LocalGrants {
    /// Reads the store at `path`, and the revocations at `spare` that it did not take. A missing file is an empty store; one that can't
    /// be read is set aside.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the file can be neither read nor set aside.
    pub fn open(path: &Path, spare: &Path) -> Result<Self, StoreError> {
        let mut store = Self::read(path, spare)?;
        let spared: BTreeMap<String, Revocation> =
            fs::read(spare).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        for held in &mut store.held {
            if let Some(revocation) = spared.get(held.grant.id.as_str()).filter(|_| held.revoked.is_none()) {
                held.revoked = Some(revocation.clone());
                store.unstored = Some(String::new());
            }
        }
        store.store_again();
        Ok(store)
    }

    fn read(path: &Path, spare: &Path) -> Result<Self, StoreError> {
        let empty = Self {
            path: path.into(),
            held: Vec::new(),
            refused: Vec::new(),
            set_aside: None,
            unstored: None,
            spare: spare.into(),
        };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty),
            Err(source) => return Err(StoreError::Write { path: path.into(), source }),
        };
        match parse(&bytes) {
            Ok((mut held, refused)) => {
                sort(&mut held);
                Ok(Self { held, refused, ..empty })
            }
            Err(problem) => {
                let aside = set_aside(path)?;
                Ok(Self { set_aside: Some(SetAside { path: aside, problem }), ..empty })
            }
        }
    }

    /// The grants, sorted by user, those of one user in the order in which they came.
    pub fn held(&self) -> &[HeldGrant] {
        &self.held
    }

    /// The grants of one user.
    pub fn of(&self, user: &str) -> &[HeldGrant] {
        let begin = self.held.partition_point(|held| held.grant.user.as_str() < user);
        let end = self.held.partition_point(|held| held.grant.user.as_str() <= user);
        self.held.get(begin..end).unwrap_or_default()
    }

    /// The grants, to note how far they have come. Nothing of this is stored.
    pub fn held_mut(&mut self) -> &mut [HeldGrant] {
        &mut self.held
    }

    /// The entries that are no grants.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// The store that could not be read when this one was opened.
    pub fn set_aside(&self) -> Option<&SetAside> {
        self.set_aside.as_ref()
    }

    /// The grant with this id.
    pub fn find(&self, id: &str) -> Option<&HeldGrant> {
        self.held.iter().find(|held| held.grant.id.as_str() == id)
    }

    /// Adds a grant, and forgets those that ended long before `now`.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing changed then.
    pub fn add(&mut self, grant: Grant, now: Timestamp) -> Result<(), StoreError> {
        if self.find(grant.id.as_str()).is_some() {
            return Err(StoreError::Taken(grant.id));
        }
        let mut held = self.held.clone();
        held.retain(|held| now.duration_since(held.end()) < KEPT_AFTER_END);
        if held.len() >= MOST_GRANTS {
            return Err(StoreError::Full);
        }
        held.push(HeldGrant { grant, revoked: None, reached: None });
        sort(&mut held);
        self.replace(held)
    }

    /// Revokes the grant with this id. That holds at once, also where the disk takes nothing: then it is stored as soon as
    /// [`store_again`](Self::store_again) succeeds.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where there is no such grant, or it is over.
    pub fn revoke(&mut self, id: &str, revocation: Revocation) -> Result<HeldGrant, StoreError> {
        let Some(found) = self.held.iter_mut().find(|held| held.grant.id.as_str() == id) else {
            return Err(StoreError::Unknown(id.to_owned()));
        };
        if found.state(revocation.at) == State::Ended {
            return Err(StoreError::Over { id: found.grant.id.clone(), how: found.end_word(), at: found.end() });
        }
        found.revoked = Some(revocation);
        let revoked = found.clone();
        self.unstored = Some(String::new());
        self.store_again();
        Ok(revoked)
    }

    /// Stores what the disk did not take before.
    pub fn store_again(&mut self) {
        if self.unstored.is_none() {
            return;
        }
        match self.replace(self.held.clone()) {
            Ok(()) => {
                self.unstored = None;
                let _was_there_or_not = fs::remove_file(&self.spare);
            }
            Err(error) => {
                self.unstored = Some(self.spare_revocations().map_or_else(
                    |spare| {
                        format!("{error}; {}: {spare}; a restart of the agent would forget it", self.spare.display())
                    },
                    |()| format!("{error}; it is kept in {}, and a reboot would forget it", self.spare.display()),
                ))
            }
        }
    }

    /// Keeps the revocations where no disk is needed.
    fn spare_revocations(&self) -> io::Result<()> {
        let revoked = self.held.iter().filter_map(|held| Some((held.grant.id.as_str(), held.revoked.as_ref()?)));
        let revoked: BTreeMap<&str, &Revocation> = revoked.collect();
        durable::write_unsynced(&self.spare, &serde_json::to_vec(&revoked)?)
    }

    /// Why a revocation that holds could not be stored, and what would forget it.
    pub fn unstored(&self) -> Option<&str> {
        self.unstored.as_deref()
    }

    fn replace(&mut self, held: Vec<HeldGrant>) -> Result<(), StoreError> {
        let write = |source| StoreError::Write { path: self.path.clone(), source };
        let entries = held.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
        let mut grants = entries.map_err(|error| write(error.into()))?;
        grants.extend(self.refused.iter().map(|refused| refused.entry.clone()));
        let bytes = serde_json::to_vec(&Document { version: 1, grants }).map_err(|error| write(error.into()))?;
        durable::write(&self.path, &bytes).map_err(write)?;
        self.held = held;
        Ok(())
    }
}

fn sort(held: &mut [HeldGrant]) {
    held.sort_by(|a, b| a.grant.user.cmp(&b.grant.user));
}

/// Parses a store. Public for the fuzzer.
///
/// # Errors
///
/// Why the whole can't be read; what is wrong with one entry refuses that entry alone.
pub fn parse(bytes: &[u8]) -> Result<(Vec<HeldGrant>, Vec<Refused>), String> {
    // serde would also take a list of the fields' values for the fields.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err("it is no JSON object".into());
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if document.version != 1 {
        return Err(format!("version {} is not known; this agent reads version 1", document.version));
    }
    let mut held: Vec<HeldGrant> = Vec::with_capacity(document.grants.len());
    let mut refused = Vec::new();
    for entry in document.grants {
        let parsed: Result<HeldGrant, _> = serde_path_to_error::deserialize(&entry);
        let problem = match parsed {
            Ok(grant) if held.iter().all(|other| other.grant.id != grant.grant.id) => {
                held.push(grant);
                continue;
            }
            Ok(grant) => format!("grant {} is there twice", grant.grant.id),
            Err(error) => match entry.get("grant").map(Grant::from_value) {
                // The grant's own check names the place inside it.
                Some(Err(inner)) => inner.to_string(),
                _ => format!("`{}`: {}", error.path(), error.inner()),
            },
        };
        refused.push(Refused { entry, problem });
    }
    Ok((held, refused))
}

fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    for number in 1_u32.. {
        let aside = path.with_extension(format!("json.set-aside-{number}"));
        if !aside.exists() {
            fs::rename(path, &aside).map_err(|source| StoreError::Write { path: path.into(), source })?;
            return Ok(aside);
        }
    }
    Err(StoreError::Full)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use serde_json::json;

    fn grant(id: &str) -> Grant {
        Grant::from_value(&json!({
            "id": id, "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "login": {}, "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
        }))
        .unwrap()
    }

    fn open(path: &Path) -> Result<LocalGrants, StoreError> {
        LocalGrants::open(path, &path.with_extension("spare"))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn grants_and_revocations_are_back_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.json");
        let now = at("2026-11-21T20:10:00Z");
        let mut store = open(&path).unwrap();
        store.add(grant("a"), now).unwrap();
        store.add(grant("b"), now).unwrap();
        assert!(matches!(store.add(grant("a"), now), Err(StoreError::Taken(_))));
        store.revoke("a", Revocation { at: now, reason: Some("done".parse().unwrap()) }).unwrap();
        let store = open(&path).unwrap();
        assert_eq!(store.find("a").unwrap().state(now), State::Ended);
        assert_eq!(store.find("b").unwrap().state(now), State::Live);
    }

    #[test]
    fn the_grants_of_one_user_are_found_among_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.json");
        let now = at("2026-11-21T20:10:00Z");
        let mut store = open(&path).unwrap();
        for (id, user) in [("1", "carol"), ("2", "alice"), ("3", "bob"), ("4", "alice"), ("5", "alicia")] {
            store.add(Grant { user: user.parse().unwrap(), ..grant(id) }, now).unwrap();
        }
        for store in [store, open(&path).unwrap()] {
            let ids = |user| store.of(user).iter().map(|held| held.grant.id.to_string()).collect::<Vec<_>>();
            assert_eq!(ids("alice"), ["2", "4"]);
            assert_eq!(ids("bob"), ["3"]);
            assert!(ids("ali").is_empty() && ids("").is_empty() && ids("zoe").is_empty());
        }
    }

    #[test]
    fn a_revoked_grant_does_not_come_back_when_the_clock_goes_back() {
        let revoked = HeldGrant {
            grant: grant("a"),
            revoked: Some(Revocation { at: at("2026-11-21T20:10:00Z"), reason: None }),
            reached: None,
        };
        assert_eq!(revoked.state(at("2026-11-21T20:05:00Z")), State::Ended);
    }

    #[test]
    fn revoking_twice_or_nothing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let now = at("2026-11-21T20:10:00Z");
        let mut store = open(&folder.path().join("local.json")).unwrap();
        store.add(grant("a"), now).unwrap();
        let revocation = Revocation { at: now, reason: None };
        assert!(matches!(store.revoke("b", revocation.clone()), Err(StoreError::Unknown(_))));
        store.revoke("a", revocation.clone()).unwrap();
        assert!(matches!(store.revoke("a", revocation), Err(StoreError::Over { how: "revoked", .. })));
    }

    #[test]
    fn a_bad_entry_is_refused_alone_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.json");
        let mut bad = serde_json::to_value(grant("bad")).unwrap();
        *bad.pointer_mut("/user").unwrap() = json!("alice ALL=(ALL) ALL");
        let good = serde_json::to_value(grant("good")).unwrap();
        let text = json!({"version": 1, "grants": [{"grant": bad}, {"grant": good}, {"grant": good}, 7]}).to_string();
        fs::write(&path, &text).unwrap();
        let mut store = open(&path).unwrap();
        assert_eq!(store.held().len(), 1);
        let problems: Vec<_> = store.refused().iter().map(|refused| refused.problem.as_str()).collect();
        assert!(problems.iter().any(|it| it.contains("`user`") && it.contains("alice ALL=(ALL) ALL")), "{problems:?}");
        assert!(problems.iter().any(|it| it.contains("twice")), "{problems:?}");
        store.add(grant("new"), at("2026-11-21T20:00:00Z")).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("alice ALL=(ALL) ALL"));
        assert_eq!(open(&path).unwrap().refused().len(), 3);
    }

    #[test]
    fn a_corrupt_store_is_set_aside_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.json");
        for (number, garbage) in
            ["", "{\"version\":1,\"grants\":[", "{\"version\":2,\"grants\":[]}", "[1,[]]"].iter().enumerate()
        {
            fs::write(&path, garbage).unwrap();
            let store = open(&path).unwrap();
            assert!(store.held().is_empty());
            let aside = store.set_aside().unwrap();
            assert!(aside.path.ends_with(format!("local.json.set-aside-{}", number + 1)), "{}", aside.path.display());
            assert_eq!(fs::read_to_string(&aside.path).unwrap(), *garbage);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_store_that_can_not_be_written_keeps_what_it_had() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.json");
        let now = at("2026-11-21T20:00:00Z");
        let mut store = open(&path).unwrap();
        store.add(grant("a"), now).unwrap();
        store.path = folder.path().join("gone/local.json");
        assert!(matches!(store.add(grant("b"), now), Err(StoreError::Write { .. })));
        assert!(store.find("b").is_none());
        // A revocation does not wait for the disk.
        store.revoke("a", Revocation { at: now, reason: None }).unwrap();
        assert_eq!(store.find("a").unwrap().state(now), State::Ended);
        assert!(store.unstored().is_some_and(|problem| problem.contains("a reboot would forget it")));
        // Nor does it wait for the agent to live on.
        assert_eq!(LocalGrants::open(&path, &store.spare).unwrap().find("a").unwrap().state(now), State::Ended);
        fs::remove_file(&path).unwrap();
        store.path = path.clone();
        store.store_again();
        assert!(store.unstored().is_none() && !store.spare.exists());
        assert_eq!(open(&path).unwrap().find("a").unwrap().state(now), State::Ended);
    }

    #[test]
    fn grants_that_ended_long_ago_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder.path().join("local.json")).unwrap();
        store.add(grant("a"), at("2026-11-21T20:00:00Z")).unwrap();
        store.add(grant("b"), at("2026-11-28T20:29:59Z")).unwrap();
        assert!(store.find("a").is_some());
        store.add(grant("c"), at("2026-11-28T20:30:00Z")).unwrap();
        assert!(store.find("a").is_none());
    }
}
