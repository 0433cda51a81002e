//! Every host's set as a file, for a web server that knows nothing of Curfew.

use crate::config::Config;
use crate::keys::{Keys, KeysError};
use crate::sets::{self, SetError};
use crate::store::{HostFilter, Store, StoreError};
use curfew_protocol::grant_set::HostId;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many hosts are read at a time.
const PAGE: i64 = 1000;

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

/// Writes the sets of all hosts to `folder`, fresh for `lifetime`.
pub(crate) async fn run(
    store: &Store,
    config: &Config,
    folder: &Path,
    lifetime: Duration,
) -> Result<Written, ExportError> {
    if config.issuer().is_empty() {
        return Err(ExportError::NoOrigin);
    }
    let keys = Keys::load(&config.key_folder, store).await?;
    fs::create_dir_all(folder).map_err(|source| ExportError::File { path: folder.into(), source })?;
    let mut written = Written { folder: folder.into(), hosts: Vec::new() };
    for removed in [false, true] {
        let mut after = None;
        loop {
            let filter = HostFilter { removed, after, limit: PAGE, ..HostFilter::default() };
            let page = store.hosts(&filter).await?;
            after = page.last().map(|host| host.id.to_string());
            for host in page {
                let path = folder.join(format!("{}.jws", host.id));
                // A host that was removed is told so where it looks, and nowhere else.
                if removed && !path.exists() {
                    continue;
                }
                let set = sets::signed(store, &keys, config, &host.id, lifetime, Timestamp::now()).await?;
                replace(&path, set.text.as_bytes())?;
                written.hosts.push(host.id);
            }
            if after.is_none() {
                break;
            }
        }
    }
    // A JWK Set (RFC 7517).
    replace(&folder.join("keys.json"), (json!({"keys": keys.ring().pinned}).to_string() + "\n").as_bytes())?;
    Ok(written)
}

/// Replaces a file as a whole, readable for the web server.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    let failed = |source| ExportError::File { path: path.into(), source };
    let new = path.with_extension("new");
    let mut file = File::create(&new).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}
