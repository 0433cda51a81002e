//! `curfew-server init`: what a new endpoint needs. It refuses to overwrite anything, and takes back what it made where it does not come to a good end.
//!
//! Root works in nobody else's folder here: see [`owner`](crate::owner).

mod certificate;
mod configuration;
mod files;
mod second;
mod undo;

pub(crate) use self::configuration::{configure, restore};
pub(crate) use self::second::{refuse_second, start};

use self::certificate::make_certificate;
use self::configuration::{configuration, put_configuration, write_configuration};
use self::files::{make_file, make_folder};
use self::second::existing;
use self::undo::Undo;

use crate::actor::Act;
use crate::config::{self, Config, ConfigError};
use crate::owner::{self, Owner, Way, WayError};
use crate::secret::{NoRandomness, Secret};
use crate::sets::keys::{self, KeysError};
use crate::store::{ChangeError, OpenError, Store, StoreError};
use jiff::Timestamp;
use std::io;
use std::path::{Path, PathBuf};

/// The name of the first administrator's token.
const FIRST_ADMIN: &str = "first";

/// Why there is no new endpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    /// Something is there.
    #[error("{0} is there already; nothing is overwritten, and nothing was changed. Take another --data")]
    There(PathBuf),
    /// There is an endpoint.
    #[error(
        "there is an endpoint already: {place} is there. All of it is as it was; nothing was changed. To go on with it: {next}. For another one beside it, take another --data and --config"
    )]
    Endpoint { place: PathBuf, next: String },
    /// The configuration that is there names no origin, and nobody else does.
    #[error(
        "--origin is missing: the URL by which hosts will reach this endpoint, like --origin https://curfew.example.org:8443; {0} has no origins yet"
    )]
    NoOrigin(PathBuf),
    /// A file or folder can't be made.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// There is an endpoint in the database.
    #[error(
        "database {database}: there is an endpoint in it already, whose keys are {kids}; nothing was made. For another server of that endpoint, copy the first one's server.toml, its key folder and its certificate with the key, name this server's address in listen, and start it: curfew-server serve"
    )]
    InUse { database: String, kids: String },
    /// The origin is none.
    #[error("--origin: {0}")]
    Origin(String),
    /// The configuration that is there names another origin.
    #[error(
        "{0} is there, and its origins are not what is asked for; write the URL by which hosts reach it there, like origins = [\"https://curfew.example.org:8443\"], and leave --origin out"
    )]
    OtherOrigin(PathBuf),
    /// The configuration that is there can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No certificate can be made.
    #[error("no certificate can be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// No key can be made.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// No token can be made.
    #[error(transparent)]
    Secret(#[from] NoRandomness),
    /// The database can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database does not take it.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The database does not say what is in it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Root does not go there.
    #[error("--data {0}")]
    Way(#[from] WayError),
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub config_file: PathBuf,
    pub config: Config,
    /// The first administrator's token.
    pub token: Secret,
    /// The name of the key that signs sets.
    pub kid: String,
    /// Whether a certificate was made, or was there.
    pub certificate: bool,
}

/// Makes an endpoint with its data in `data`, reached at `origins`; its configuration is the file `config_file`, which is written unless it is there.
pub(crate) async fn run(data: &Path, origins: Vec<String>, config_file: Option<PathBuf>) -> Result<Made, InitError> {
    check(&origins)?;
    let mut undo = Undo::default();
    let data = &absolute(data)?;
    make_folder(data, &mut undo)?;
    let config_file = config_file.unwrap_or_else(|| data.join("server.toml"));
    let (config, text) = configuration(data, origins, &config_file)?;
    let database = config::sqlite_file(&config.database).map(PathBuf::from);
    let files = [Some(config.key_folder.clone()), database.clone()];
    if let Some(there) = files.into_iter().flatten().find(|path| path.symlink_metadata().is_ok()) {
        return Err(existing(&config_file, &config, true).unwrap_or(InitError::There(there)));
    }
    if let Some(path) = &database {
        make_file(path, b"", &mut undo)?;
        undo.database(path);
    }
    // The database first: where it is away, or another's, nothing is made.
    let (store, _changes) = Store::open(&config.database, config.database_connections).await?;
    let before = match text {
        Some(text) => write_configuration(&config_file, &text, &mut undo)?,
        None => None,
    };
    // The last thing that it does is in the database, where it is all or nothing.
    let founded = found(&config, &store, &mut undo).await;
    store.close().await;
    if let (Err(_), Some(before)) = (&founded, before) {
        put_configuration(&config_file, &before)?;
    }
    let (token, kid, certificate) = founded?;
    undo.keep();
    Ok(Made { config_file, config, token, kid, certificate })
}

/// Makes the key, the certificate and the first administrator: the token, the key's name, and whether a certificate was made.
async fn found(config: &Config, store: &Store, undo: &mut Undo) -> Result<(Secret, String, bool), InitError> {
    let keys = store.signing_keys().await?;
    if !keys.is_empty() {
        let kids: Vec<_> = keys.iter().map(|row| row.key.kid()).collect();
        return Err(InitError::InUse { database: config::shown(&config.database), kids: kids.join(", ") });
    }
    make_folder(&config.key_folder, undo)?;
    let key = keys::make(&config.key_folder)?;
    undo.made(config.key_folder.join(format!("{}.pem", key.kid())));
    let certificate = make_certificate(config, undo)?;
    let token = Secret::generate("curfew_admin")?;
    let act = Act { admin: "", now: Timestamp::now() };
    store.found(&key, (FIRST_ADMIN, &token.hash()), act).await?;
    Ok((token, key.kid(), certificate))
}

/// Whose folder the data is in.
#[derive(Debug)]
pub(crate) enum Whose {
    /// Somebody else's, and this is root.
    Theirs(Owner),
    /// One's own; so many folders were made for it.
    Own(usize),
}

/// Whose folder `data` is in; where it is root's own, it is made.
pub(crate) fn whose(data: &Path) -> Result<Whose, InitError> {
    if !owner::is_root() {
        return Ok(Whose::Own(0));
    }
    Ok(match owner::way(data)? {
        Way::Foreign(owner) => Whose::Theirs(owner),
        Way::Own { last, rest } => Whose::Own(owner::make(data, last, &rest)?),
    })
}

fn check(origins: &[String]) -> Result<(), InitError> {
    origins.iter().try_for_each(|origin| config::check_origin(origin)).map_err(InitError::Origin)
}

fn absolute(path: &Path) -> Result<PathBuf, InitError> {
    std::path::absolute(path).map_err(|source| InitError::File { path: path.into(), source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    #[tokio::test]
    async fn a_configuration_that_is_there_says_the_origin() {
        let folder = tempfile::tempdir().unwrap();
        let (data, file) = (folder.path().join("data"), folder.path().join("server.toml"));
        for (text, asked) in [("", ""), ("origins = [\"https://b\"]", "https://a")] {
            fs::write(&file, text).unwrap();
            let origins = if asked.is_empty() { vec![] } else { vec![asked.to_owned()] };
            let refused = run(&data, origins, Some(file.clone())).await;
            let expected = match asked {
                "" => matches!(refused, Err(InitError::NoOrigin(_))),
                _ => matches!(refused, Err(InitError::OtherOrigin(_))),
            };
            assert!(expected, "{text} {asked}: {refused:?}");
        }
        assert!(!data.exists(), "it is as if nothing had been tried");
    }

    #[tokio::test]
    async fn what_does_not_come_to_a_good_end_leaves_nothing_and_can_be_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let (data, file) = (folder.path().join("a/data %20 ü"), folder.path().join("server.toml"));
        let origins = || vec!["https://a".to_owned()];
        for scheme in ["postgres", "postgresql"] {
            fs::write(&file, format!("database = \"{scheme}://nobody@127.0.0.1:1/curfew\"\n")).unwrap();
            let refused = run(&data, origins(), Some(file.clone())).await.unwrap_err().to_string();
            assert!(refused.contains("refused") && refused.contains("127.0.0.1:1"), "{refused}");
            assert!(!folder.path().join("a").exists());
        }
        fs::remove_file(&file).unwrap();
        // Something is in the way at the very end.
        fs::create_dir_all(data.join("tls")).unwrap();
        fs::write(data.join("tls/server.key"), "").unwrap();
        assert!(
            matches!(run(&data, origins(), None).await, Err(InitError::There(path)) if path.ends_with("server.key"))
        );
        assert!(!file.exists());
        let left: Vec<_> = fs::read_dir(&data).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(left, ["tls"]);
        fs::remove_dir_all(folder.path().join("a")).unwrap();
        let made = run(&data, origins(), None).await.unwrap();
        assert!(data.join("curfew.db").exists() && made.certificate);
    }

    #[tokio::test]
    async fn a_database_that_has_an_endpoint_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let one = folder.path().join("one");
        let first = run(&one, vec!["https://a".into()], None).await.unwrap();
        let store = Store::open(&first.config.database, 1).await.unwrap().0;
        let act = Act { admin: "", now: Timestamp::now() };
        let key = keys::make(&one).unwrap();
        let second = store.found(&key, ("other", &first.token.hash()), act).await;
        assert!(matches!(second, Err(ChangeError::Conflict(_))));
        let mut undo = Undo::default();
        let refused = found(&first.config, &store, &mut undo).await.unwrap_err();
        assert!(matches!(&refused, InitError::InUse { kids, .. } if *kids == first.kid), "{refused}");
        assert_eq!(store.signing_keys().await.unwrap().len(), 1);
        assert_eq!(store.admins().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_new_endpoint_has_all_it_needs_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let made = run(&data, vec!["https://127.0.0.1:9443".into()], None).await.unwrap();
        assert_eq!(made.config.listen.port(), 9443);
        assert!(made.config.certificate.exists() && made.config.ca.exists());
        let key = made.config.key_folder.join(format!("{}.pem", made.kid));
        assert_eq!(fs::metadata(key).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Config::load(&made.config_file).unwrap(), made.config);
        assert!(matches!(run(&data, vec![], None).await, Err(InitError::Endpoint { .. })));
    }
}
