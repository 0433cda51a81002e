//! Who this host is at its endpoint: `endpoint.json`, and `host.key`, which is made here and never leaves.
//!
//! A new key is stored under a name of its own before anybody hears of it. `endpoint.json` says which key is this host's: the file that has it gets
//! the place of the old one after that, now or at the next start, so that no crash leaves a host without the key that its endpoint knows.

use crate::durable;
use crate::grant::signed_set::Trust;
use curfew_protocol::grant_set::HostId;
use curfew_protocol::jws::{KeyError, PublicKey, SigningKey};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file of the endpoint.
const IDENTITY: &str = "endpoint.json";

/// The host's key.
const KEY: &str = "host.key";

/// The version of the file that this agent reads.
const VERSION: u32 = 1;

/// A key that is not the host's yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coming {
    /// For an endpoint that has not answered yet.
    Enrolment,
    /// For the same endpoint, in the place of the present one.
    Rotation,
}

impl Coming {
    const ALL: [Self; 2] = [Self::Enrolment, Self::Rotation];

    fn file(self) -> &'static str {
        match self {
            Self::Enrolment => "host.key.enrolling",
            Self::Rotation => "host.key.next",
        }
    }
}

/// The endpoint, and this host's place at it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    version: u32,
    /// Where the endpoint is, without a slash at its end.
    pub url: String,
    /// Its origin: whom tokens are for.
    pub origin: String,
    /// This host's name there.
    pub host: HostId,
    /// The name of this host's key; none where a web server only hands out files.
    pub key: Option<String>,
    /// The keys that sign sets.
    pub keys: Vec<PublicKey>,
    /// The ones before them: the set on the disk may be signed by one.
    pub keys_before: Vec<PublicKey>,
    /// The authorities that alone may vouch for the endpoint, in PEM; none for the system's.
    pub ca: Option<String>,
}

/// Why the host's state can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// What the disk says.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the disk says.
        source: io::Error,
    },
    /// It is not what this agent writes.
    #[error("{path}: {problem}; enrol again with `curfew enroll --replace`")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No key can be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Identity {
    /// A host that has just joined.
    pub fn new(place: &Place, host: HostId, key: Option<&PublicKey>, keys: Vec<PublicKey>) -> Self {
        Self {
            version: VERSION,
            url: place.url.clone(),
            origin: place.origin.clone(),
            host,
            key: key.map(PublicKey::kid),
            keys,
            keys_before: Vec::new(),
            ca: place.ca.clone(),
        }
    }

    /// Whether a web server only hands out files: nothing is sent there, not even a token.
    pub fn is_static(&self) -> bool {
        self.key.is_none()
    }

    /// Whether the other one is this host at the same endpoint, with the same key, whichever keys sign its sets.
    pub fn is_same_line(&self, other: &Self) -> bool {
        (&self.url, &self.host, &self.key, &self.ca) == (&other.url, &other.host, &other.key, &other.ca)
    }

    /// Where the endpoint is.
    pub fn place(&self) -> Place {
        Place { url: self.url.clone(), origin: self.origin.clone(), ca: self.ca.clone() }
    }

    /// Whose sets are believed when they are read from the disk.
    pub fn trust(&self) -> Trust {
        let keys = self.keys.iter().chain(&self.keys_before).cloned().collect();
        Trust { host: self.host.clone(), keys }
    }

    /// The same host with another key.
    #[must_use]
    pub fn with_key(&self, key: &PublicKey) -> Self {
        Self { key: Some(key.kid()), ..self.clone() }
    }

    /// The same host that pins `keys` from now on; none where it does already.
    pub fn pinning(&self, keys: &[PublicKey]) -> Option<Self> {
        let new = !keys.is_empty() && self.keys != keys;
        new.then(|| Self { keys: keys.to_vec(), keys_before: self.keys.clone(), ..self.clone() })
    }

    /// Reads what is stored; none where the host has no endpoint.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] names the file.
    pub fn load(folder: &Path) -> Result<Option<Self>, IdentityError> {
        let path = folder.join(IDENTITY);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IdentityError::File { path, source }),
        };
        let content = |problem: String| IdentityError::Content { path: path.clone(), problem };
        let identity: Self = serde_json::from_slice(&bytes).map_err(|error| content(error.to_string()))?;
        match identity.version {
            VERSION => Ok(Some(identity)),
            other => Err(content(format!("version {other} is not known; this agent reads version {VERSION}"))),
        }
    }

    /// Makes it durable.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]; what was there before is still there.
    pub fn store(&self, folder: &Path) -> Result<(), IdentityError> {
        let path = folder.join(IDENTITY);
        let bytes = serde_json::to_vec_pretty(self).map_err(io::Error::from);
        bytes.and_then(|bytes| durable::write(&path, &bytes)).map_err(|source| IdentityError::File { path, source })
    }

    /// The host's key. One that a crash kept from its place gets there now.
    ///
    /// # Errors
    ///
    /// That no file has it.
    pub fn signing_key(&self, folder: &Path) -> Result<SigningKey, IdentityError> {
        let path = folder.join(KEY);
        let own = |key: &SigningKey| self.key == Some(key.public().kid());
        if let Some(key) = read_key(&path)?.filter(own) {
            return Ok(key);
        }
        for coming in Coming::ALL {
            if let Some(key) = coming.load(folder)?.filter(own) {
                coming.arrive(folder)?;
                return Ok(key);
            }
        }
        Err(IdentityError::Content { path, problem: "it is not the key that the endpoint knows".into() })
    }

    /// Removes all that makes this host one of an endpoint's, the key first.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] names the file that stays.
    pub fn forget(folder: &Path) -> Result<(), IdentityError> {
        Self::forget_key(folder)?;
        remove(&folder.join(IDENTITY))?;
        sync_folder(folder)
    }

    /// Removes every key.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] names the file that stays.
    pub fn forget_key(folder: &Path) -> Result<(), IdentityError> {
        let names = [KEY, Coming::Rotation.file(), Coming::Enrolment.file()];
        names.into_iter().try_for_each(|name| remove(&folder.join(name)))?;
        sync_folder(folder)
    }
}

impl Coming {
    /// The key, where there is one. What a crash left half written was never used.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn load(self, folder: &Path) -> Result<Option<SigningKey>, IdentityError> {
        let path = folder.join(self.file());
        match read_key(&path) {
            Err(IdentityError::Content { .. }) => remove(&path).map(|()| None),
            read => read,
        }
    }

    /// The key that is there, or a new one, stored before anybody hears of it.
    ///
    /// # Errors
    ///
    /// What the disk says, or that there is no randomness.
    pub fn load_or_make(self, folder: &Path) -> Result<SigningKey, IdentityError> {
        if let Some(key) = self.load(folder)? {
            return Ok(key);
        }
        let path = folder.join(self.file());
        let key = SigningKey::generate()?;
        let pem = key.to_pem()?;
        let made = File::options().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut file| {
            file.write_all(pem.as_bytes())?;
            file.sync_all()
        });
        made.map_err(|source| IdentityError::File { path, source })?;
        sync_folder(folder)?;
        Ok(key)
    }

    /// Puts the key in the place of the host's.
    ///
    /// # Errors
    ///
    /// What the disk says; the key is found all the same.
    pub fn arrive(self, folder: &Path) -> Result<(), IdentityError> {
        let path = folder.join(self.file());
        fs::rename(&path, folder.join(KEY)).map_err(|source| IdentityError::File { path, source })?;
        sync_folder(folder)
    }
}

/// Where an endpoint is, and who vouches for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Its address, without a slash at its end.
    pub url: String,
    /// Its origin (RFC 6454).
    pub origin: String,
    /// The authorities that alone may vouch for it, in PEM; none for the system's.
    pub ca: Option<String>,
}

impl Place {
    /// Reads an address as people write it.
    ///
    /// # Errors
    ///
    /// Why it can't be an endpoint's, with the value.
    pub fn parse(text: &str, ca: Option<String>) -> Result<Self, String> {
        let bad = |why: &str| format!("{text:?} {why}; write it like https://curfew.example.org:8443");
        let url = reqwest::Url::parse(text).map_err(|error| bad(&format!("is no address: {error}")))?;
        if url.scheme() != "https" {
            return Err(bad("is not https: over anything else nobody can be believed"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("has a name or a password in it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("has more than an address and a path"));
        }
        let origin = url.origin().ascii_serialization();
        Ok(Self { url: url.as_str().trim_end_matches('/').to_owned(), origin, ca })
    }
}

fn read_key(path: &Path) -> Result<Option<SigningKey>, IdentityError> {
    match fs::read_to_string(path) {
        Ok(pem) => SigningKey::from_pem(&pem)
            .map(Some)
            .map_err(|error| IdentityError::Content { path: path.into(), problem: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::File { path: path.into(), source }),
    }
}

fn remove(path: &Path) -> Result<(), IdentityError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(IdentityError::File { path: path.into(), source })
        }
        _ => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> Result<(), IdentityError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| IdentityError::File { path: folder.into(), source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn identity(key: &SigningKey) -> Identity {
        let place = Place::parse("https://curfew.example:8443/", None).unwrap();
        Identity::new(&place, "web-1".parse().unwrap(), Some(&key.public()), vec![key.public()])
    }

    #[test]
    fn an_address_is_https_and_nothing_more() {
        let place = Place::parse("https://Curfew.example/under/", None).unwrap();
        assert_eq!(
            (place.url.as_str(), place.origin.as_str()),
            ("https://curfew.example/under", "https://curfew.example")
        );
        assert_eq!(Place::parse("https://[::1]:8443", None).unwrap().origin, "https://[::1]:8443");
        for (text, says) in [
            ("http://curfew.example", "not https"),
            ("curfew.example", "no address"),
            ("https://bob:secret@curfew.example", "a name or a password"),
            ("https://curfew.example/?a=b", "more than"),
        ] {
            let error = Place::parse(text, None).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_key_is_stored_before_it_is_used_and_is_the_same_at_the_next_try() {
        let folder = tempfile::tempdir().unwrap();
        let key = Coming::Enrolment.load_or_make(folder.path()).unwrap();
        assert_eq!(Coming::Enrolment.load_or_make(folder.path()).unwrap().public(), key.public());
        let path = folder.path().join("host.key.enrolling");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // Half a key was never sent.
        fs::write(&path, "-----BEGIN").unwrap();
        assert_ne!(Coming::Enrolment.load_or_make(folder.path()).unwrap().public(), key.public());
    }

    #[test]
    fn the_key_that_the_endpoint_knows_is_found_wherever_a_crash_left_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let first = Coming::Enrolment.load_or_make(folder).unwrap();
        identity(&first).store(folder).unwrap();
        // Killed before the key got to its place.
        let known = Identity::load(folder).unwrap().unwrap();
        assert_eq!(known.signing_key(folder).unwrap().public(), first.public());
        assert!(folder.join("host.key").exists());
        // A rotation of which the endpoint has not heard.
        let second = Coming::Rotation.load_or_make(folder).unwrap();
        assert_eq!(known.signing_key(folder).unwrap().public(), first.public());
        identity(&second).store(folder).unwrap();
        let known = Identity::load(folder).unwrap().unwrap();
        assert_eq!(known.signing_key(folder).unwrap().public(), second.public());
        assert!(!folder.join("host.key.next").exists());
        Identity::forget(folder).unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
        assert!(known.signing_key(folder).is_err());
        assert_eq!(Identity::load(folder).unwrap(), None);
    }

    #[test]
    fn new_keys_are_pinned_and_the_ones_before_still_open_what_is_stored() {
        let [a, b] = [(); 2].map(|()| SigningKey::generate().unwrap());
        let identity = identity(&a);
        assert_eq!(identity.pinning(&[]), None);
        assert_eq!(identity.pinning(&[a.public()]), None);
        let pinned = identity.pinning(&[b.public()]).unwrap();
        assert_eq!(pinned.keys, [b.public()]);
        assert_eq!(pinned.trust().keys, [b.public(), a.public()]);
    }

    #[test]
    fn a_file_that_means_nothing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("endpoint.json"), "{}").unwrap();
        assert!(Identity::load(folder.path()).unwrap_err().to_string().contains("endpoint.json: missing field"));
    }
}
