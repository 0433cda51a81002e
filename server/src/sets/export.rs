//! Every host's set as a file, for a web server that knows nothing of Curfew.

use crate::config::{self, Config};
use crate::duration;
use crate::owner::Folder;
use crate::sets::keys::{Keys, KeysError};
use crate::sets::signed::{self, SetError};
use crate::store::{HostFilter, Store, StoreError};
use curfew_protocol::grant_set::HostId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many hosts are read at a time.
const PAGE: i64 = 1000;

/// For how long sets in files may be fresh: as long as others.
pub(crate) fn lifetime(text: &str) -> Result<Duration, String> {
    config::set_lifetime(duration::parse(text)?)
}

/// Why the files were not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// There is nobody to sign for.
    #[error("origins is empty in the configuration; sets carry the first one as their issuer")]
    NoOrigin,
    /// A file can't be written.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// There is no key.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// There is no set.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The database does not say.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was written.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    pub folder: PathBuf,
    pub hosts: Vec<HostId>,
}

/// A file to write.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Signed {
    /// The set of a host. One that was removed is told so where it looks, and nowhere else.
    Set { host: HostId, removed: bool, text: String },
    /// The keys that sign: a JWK Set (RFC 7517).
    Keys { text: String },
}

/// The folder that files are written to.
pub(crate) struct Files {
    path: PathBuf,
    folder: Folder,
    hosts: Vec<HostId>,
}

impl Files {
    /// The folder at `path`, or a new one.
    pub(crate) fn open(path: &Path) -> Result<Self, ExportError> {
        let folder = Folder::open(path).map_err(|source| ExportError::File { path: path.into(), source })?;
        Ok(Self { path: path.into(), folder, hosts: Vec::new() })
    }

    /// Writes a file, in the place of the one before.
    pub(crate) fn put(&mut self, signed: Signed) -> Result<(), ExportError> {
        let (name, text) = match &signed {
            Signed::Keys { text } => ("keys.json".into(), text),
            Signed::Set { host, text, .. } => (format!("{host}.jws"), text),
        };
        if matches!(signed, Signed::Set { removed: true, .. }) && !self.folder.has(&name) {
            return Ok(());
        }
        let put = self.folder.replace(&name, text.as_bytes());
        put.map_err(|source| ExportError::File { path: self.path.join(&name), source })?;
        if let Signed::Set { host, .. } = signed {
            self.hosts.push(host);
        }
        Ok(())
    }

    /// What was written.
    pub(crate) fn written(self) -> Written {
        Written { folder: self.path, hosts: self.hosts }
    }
}

/// Signs the sets of all hosts, fresh for `lifetime`, and gives each to `put`.
pub(crate) async fn run(
    store: &Store,
    config: &Config,
    lifetime: Duration,
    mut put: impl FnMut(Signed) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    if config.issuer().is_empty() {
        return Err(ExportError::NoOrigin);
    }
    let keys = Keys::load(&config.key_folder, store).await?;
    for removed in [false, true] {
        let mut after = None;
        loop {
            let filter = HostFilter { removed, after, limit: PAGE, ..HostFilter::default() };
            let page = store.hosts(&filter).await?;
            after = page.last().map(|host| host.id.to_string());
            for host in page {
                let standing = store.standing(&host.id).await?.ok_or_else(|| SetError::NoSuchHost(host.id.clone()))?;
                let set = signed::signed(store, &keys, config, standing, lifetime, Timestamp::now()).await?;
                put(Signed::Set { host: host.id, removed, text: set.text })?;
            }
            if after.is_none() {
                break;
            }
        }
    }
    put(Signed::Keys { text: json!({"keys": keys.ring().pinned}).to_string() + "\n" })
}
