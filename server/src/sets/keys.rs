//! The keys that sign sets: private halves in a folder of PEM files, public halves and states in the database.
//!
//! Servers that share a database all need the files. One that lacks the active key's goes on with another one that hosts pin, and says so.

use crate::store::{KeyRow, KeyState, Store, StoreError};
use curfew_protocol::jws::{KeyError, PublicKey, SigningKey};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// A file is no key.
    #[error("{path}: {source}")]
    Key { path: PathBuf, source: KeyError },
    /// Others can read it.
    #[error("{path}: its mode is {mode:o}, so others can read this private key; chmod 600 {path}")]
    Open { path: PathBuf, mode: u32 },
    /// None of the keys that hosts pin has a file.
    #[error(
        "{folder}: no private key of {kids}; copy it from the server that has it, or make the first with curfew-server init"
    )]
    Missing { folder: PathBuf, kids: String },
    /// The database does not say which.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The keys at one moment.
#[derive(Debug)]
pub(crate) struct Ring {
    /// How often they had changed by then, at least.
    changed: i64,
    /// Signs sets.
    pub signing: SigningKey,
    /// What hosts pin: the active key first.
    pub pinned: Vec<PublicKey>,
}

/// The keys, as they are now.
#[derive(Debug)]
pub(crate) struct Keys {
    folder: PathBuf,
    ring: RwLock<Arc<Ring>>,
    /// One reads them anew for all who need it.
    reading: tokio::sync::Mutex<()>,
}

impl Keys {
    /// Reads them.
    pub(crate) async fn load(folder: &Path, store: &Store) -> Result<Self, KeysError> {
        let ring = Ring::load(folder, store).await?;
        Ok(Self { folder: folder.into(), ring: RwLock::new(Arc::new(ring)), reading: tokio::sync::Mutex::default() })
    }

    /// Reads them again.
    pub(crate) async fn reload(&self, store: &Store) -> Result<Arc<Ring>, KeysError> {
        let ring = Arc::new(Ring::load(&self.folder, store).await?);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring.clone();
        Ok(ring)
    }

    /// The keys as they are after so many changes, or later: a set whose version says that a key was announced has to name it.
    pub(crate) async fn after(&self, changes: i64, store: &Store) -> Result<Arc<Ring>, KeysError> {
        let ring = self.ring();
        if ring.changed >= changes {
            return Ok(ring);
        }
        let _turn = self.reading.lock().await;
        let ring = self.ring();
        if ring.changed >= changes { Ok(ring) } else { self.reload(store).await }
    }

    /// The keys at this moment.
    pub(crate) fn ring(&self) -> Arc<Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this server has the private half.
    pub(crate) fn has(&self, key: &PublicKey) -> bool {
        matches!(read(&self.folder, &key.kid()), Ok(Some(_)))
    }

    /// Makes a new private key in the folder.
    pub(crate) fn make(&self) -> Result<PublicKey, KeysError> {
        make(&self.folder)
    }

    /// The public half of a private key that was put into the folder.
    pub(crate) fn find(&self, kid: &str) -> Result<Option<PublicKey>, KeysError> {
        Ok(read(&self.folder, kid)?.map(|key| key.public()))
    }
}

impl Ring {
    async fn load(folder: &Path, store: &Store) -> Result<Self, KeysError> {
        // The count first: the keys are at least as new.
        let changed = store.keys_changed().await?;
        Ok(Self { changed, ..Self::read(folder, &store.signing_keys().await?)? })
    }

    fn read(folder: &Path, rows: &[KeyRow]) -> Result<Self, KeysError> {
        let mut rows: Vec<_> = rows.iter().filter(|row| row.state != KeyState::Retired).collect();
        rows.sort_by_key(|row| row.state != KeyState::Active);
        for row in &rows {
            let Some(signing) = read(folder, &row.key.kid())? else { continue };
            if row.state != KeyState::Active {
                let kid = row.key.kid();
                tracing::error!(folder = %folder.display(), kid, "the active key is not here; signing with another one. Copy its file");
            }
            return Ok(Self { changed: 0, signing, pinned: rows.iter().map(|row| row.key.clone()).collect() });
        }
        let kids: Vec<_> = rows.iter().map(|row| row.key.kid()).collect();
        let kids = if kids.is_empty() { "any name".into() } else { kids.join(" or ") };
        Err(KeysError::Missing { folder: folder.into(), kids })
    }
}

/// Makes a new private key in a folder.
pub(crate) fn make(folder: &Path) -> Result<PublicKey, KeysError> {
    let failed = |source| KeysError::Key { path: folder.into(), source };
    let key = SigningKey::generate().map_err(failed)?;
    let pem = key.to_pem().map_err(failed)?;
    let path = folder.join(format!("{}.pem", key.public().kid()));
    write_private(&path, pem.as_bytes()).map_err(|source| KeysError::File { path, source })?;
    Ok(key.public())
}

/// Writes a file that its owner alone can read, and that was not there.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The private key with this name, where there is one.
fn read(folder: &Path, kid: &str) -> Result<Option<SigningKey>, KeysError> {
    // A name from an administrator is a file name only if it is a thumbprint.
    if kid.len() > 64 || !kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Ok(None);
    }
    let path = folder.join(format!("{kid}.pem"));
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KeysError::File { path, source }),
    };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Open { path, mode });
    }
    let pem = fs::read_to_string(&path).map_err(|source| KeysError::File { path: path.clone(), source })?;
    let key = SigningKey::from_pem(&pem).map_err(|source| KeysError::Key { path, source })?;
    Ok((key.public().kid() == kid).then_some(key))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn row(key: &PublicKey, state: KeyState) -> KeyRow {
        KeyRow { key: key.clone(), state, announced_at: Timestamp::UNIX_EPOCH, used_at: None, retired_at: None }
    }

    #[test]
    fn the_active_key_signs_and_one_that_is_not_here_leaves_it_to_another() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = [(); 2].map(|()| make(folder.path()).unwrap());
        let rows = [row(&old, KeyState::Announced), row(&new, KeyState::Active)];
        let ring = Ring::read(folder.path(), &rows).unwrap();
        assert_eq!(ring.signing.public(), new);
        assert_eq!(ring.pinned, [new.clone(), old.clone()]);
        fs::remove_file(folder.path().join(format!("{}.pem", new.kid()))).unwrap();
        assert_eq!(Ring::read(folder.path(), &rows).unwrap().signing.public(), old);
        let rows = [row(&old, KeyState::Retired), row(&new, KeyState::Active)];
        assert!(matches!(Ring::read(folder.path(), &rows), Err(KeysError::Missing { .. })));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let key = make(folder.path()).unwrap();
        let path = folder.path().join(format!("{}.pem", key.kid()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Ring::read(folder.path(), &[row(&key, KeyState::Active)]).unwrap_err().to_string();
        assert!(error.contains("640") && error.contains("chmod 600"), "{error}");
        assert!(read(folder.path(), "../x").unwrap().is_none());
    }
}
