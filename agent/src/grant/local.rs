//! The local store: the file with the grants that root made on this host.
//!
//! Every change is written whole to a new file, synced and renamed over the old one before it is in force. A file that can't be
//! read is set aside; an entry that can't be read is kept as it is, and nobody gets in by it.

use super::{HeldGrant, Revocation, Source};
use crate::durable;
use curfew_protocol::grant::{Grant, GrantId};
use jiff::Timestamp;
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

/// The most grants that the store takes.
pub const MOST_GRANTS: usize = 10_000;

/// The file, and what in it or about it is not right.
#[derive(Debug)]
pub struct LocalStore {
    pub(super) path: PathBuf,
    refused: Vec<Refused>,
    /// Where a store that could not be read was set aside, and why.
    set_aside: Option<SetAside>,
    /// Why what is in memory could not be stored.
    unstored: Option<String>,
    /// Where revocations are kept meanwhile.
    pub(super) spare: PathBuf,
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
    #[error("there is no grant {0} on this host; `curfew status` lists them")]
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

impl LocalStore {
    /// Reads the store at `path`, and the revocations of it that had to be kept elsewhere, at `spare`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`] where the file can be neither read nor set aside.
    pub fn open(path: &Path, spare: &Path) -> Result<(Self, Vec<HeldGrant>), StoreError> {
        let (mut store, mut held) = Self::read(path, spare)?;
        let spared: BTreeMap<String, Revocation> =
            fs::read(spare).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        for held in &mut held {
            if let Some(revocation) = spared.get(held.grant.id.as_str()).filter(|_| held.revoked.is_none()) {
                held.revoked = Some(revocation.clone());
                store.unstored = Some(String::new());
            }
        }
        store.store_again(&held);
        Ok((store, held))
    }

    fn read(path: &Path, spare: &Path) -> Result<(Self, Vec<HeldGrant>), StoreError> {
        let empty =
            Self { path: path.into(), refused: Vec::new(), set_aside: None, unstored: None, spare: spare.into() };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((empty, Vec::new())),
            Err(source) => return Err(StoreError::Write { path: path.into(), source }),
        };
        match parse(&bytes) {
            Ok((held, refused)) => Ok((Self { refused, ..empty }, held)),
            Err(problem) => {
                let aside = set_aside(path)?;
                Ok((Self { set_aside: Some(SetAside { path: aside, problem }), ..empty }, Vec::new()))
            }
        }
    }

    /// The entries that are no grants.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// The store that could not be read when this one was opened.
    pub fn set_aside(&self) -> Option<&SetAside> {
        self.set_aside.as_ref()
    }

    /// Notes that something holds that is not stored yet.
    pub(super) fn note_unstored(&mut self) {
        self.unstored = Some(String::new());
    }

    /// Stores what the disk did not take before.
    pub(super) fn store_again(&mut self, held: &[HeldGrant]) {
        if self.unstored.is_none() {
            return;
        }
        match self.write(held) {
            Ok(()) => {
                self.unstored = None;
                let _was_there_or_not = fs::remove_file(&self.spare);
            }
            Err(error) => {
                self.unstored = Some(self.spare_revocations(held).map_or_else(
                    |spare| {
                        format!("{error}; {}: {spare}; a restart of the agent would forget it", self.spare.display())
                    },
                    |()| format!("{error}; it is kept in {}, and a reboot would forget it", self.spare.display()),
                ))
            }
        }
    }

    /// Keeps the revocations where no disk is needed.
    fn spare_revocations(&self, held: &[HeldGrant]) -> io::Result<()> {
        let revoked = local(held).filter_map(|held| Some((held.grant.id.as_str(), held.revoked.as_ref()?)));
        let revoked: BTreeMap<&str, &Revocation> = revoked.collect();
        durable::write_unsynced(&self.spare, &serde_json::to_vec(&revoked)?)
    }

    /// Why a revocation that holds could not be stored, and what would forget it.
    pub fn unstored(&self) -> Option<&str> {
        self.unstored.as_deref()
    }

    /// Writes the local ones of these grants, and what could not be read before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]; the file is as it was then.
    pub(super) fn write(&self, held: &[HeldGrant]) -> Result<(), StoreError> {
        let write = |source| StoreError::Write { path: self.path.clone(), source };
        let entries = local(held).map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
        let mut grants = entries.map_err(|error| write(error.into()))?;
        grants.extend(self.refused.iter().map(|refused| refused.entry.clone()));
        let bytes = serde_json::to_vec(&Document { version: 1, grants }).map_err(|error| write(error.into()))?;
        durable::write(&self.path, &bytes).map_err(write)
    }
}

fn local(held: &[HeldGrant]) -> impl Iterator<Item = &HeldGrant> {
    held.iter().filter(|held| held.source == Source::Local)
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
