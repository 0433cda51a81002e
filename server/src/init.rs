//! `curfew-server init`: what a new endpoint needs. It refuses to overwrite anything, and takes back what it made where it does not come to a good end.
//!
//! Root works in nobody else's folder here: see [`owner`](crate::owner).

mod second;
mod undo;

pub(crate) use self::second::{refuse_second, start};

use self::second::existing;
use self::undo::Undo;

use crate::actor::Act;
use crate::config::{self, Config, ConfigError};
use crate::owner::{self, Owner, Way, WayError};
use crate::secret::{NoRandomness, Secret};
use crate::sets::keys::{self, KeysError, write_private};
use crate::store::{ChangeError, OpenError, Store, StoreError};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The name of the first administrator's token.
const FIRST_ADMIN: &str = "first";

/// What this machine is called by itself.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// For how long the certificate for trying it out is good, in years.
const YEARS: i32 = 10;

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

/// As root, for the user who will serve: the configuration at `file`, which names `origins` then. Returns what it was, to be put back.
pub(crate) fn configure(
    file: &Path,
    data: &Path,
    origins: &[String],
    owner: Owner,
) -> Result<Option<Option<String>>, InitError> {
    check(origins)?;
    let before = match fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(InitError::File { path: file.into(), source }),
    };
    let (_, text) = configuration(&absolute(data)?, origins.to_vec(), file)?;
    let Some(text) = text else { return Ok(None) };
    put_configuration(file, &text)?;
    if before.is_none() {
        // For the server alone to read: a database's password may be in it.
        let failed = |source| InitError::File { path: file.into(), source };
        std::os::unix::fs::lchown(file, None, Some(owner.gid().as_raw())).map_err(failed)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o640)).map_err(failed)?;
    }
    Ok(Some(before))
}

/// Has a configuration as it was.
pub(crate) fn restore(file: &Path, before: Option<String>) -> Result<(), InitError> {
    match before {
        Some(text) => put_configuration(file, &text),
        None => fs::remove_file(file).map_err(|source| InitError::File { path: file.into(), source }),
    }
}

fn check(origins: &[String]) -> Result<(), InitError> {
    origins.iter().try_for_each(|origin| config::check_origin(origin)).map_err(InitError::Origin)
}

fn absolute(path: &Path) -> Result<PathBuf, InitError> {
    std::path::absolute(path).map_err(|source| InitError::File { path: path.into(), source })
}

/// The configuration that is there, or a new one; and its text, where it has to be written.
fn configuration(data: &Path, origins: Vec<String>, file: &Path) -> Result<(Config, Option<String>), InitError> {
    if file.exists() {
        let config = Config::load(file)?;
        if config.origins.is_empty() && !origins.is_empty() {
            let text = fs::read_to_string(file).map_err(|source| InitError::File { path: file.into(), source })?;
            let text = with_origins(&text, &origins);
            return Ok((Config::parse(file, &text)?, Some(text)));
        }
        if config.origins.is_empty() {
            return Err(InitError::NoOrigin(file.into()));
        }
        if !(origins.is_empty() || origins == config.origins) {
            return Err(InitError::OtherOrigin(file.into()));
        }
        return Ok((config, None));
    }
    let config = Config {
        origins,
        database: config::database_in(data),
        certificate: config::certificate_in(data),
        certificate_key: config::certificate_key_in(data),
        ca: config::ca_in(data),
        key_folder: config::key_folder_in(data),
        socket: config::socket_in(data),
        ..Config::default()
    };
    let quoted = |path: &Path| toml_string(&path.display().to_string());
    let text = format!(
        "# Made by curfew-server init. Every other key, with its default: /etc/curfew/server.toml\n\
         origins = {}\nlisten = {}\ndatabase = {}\ncertificate = {}\ncertificate_key = {}\nca = {}\nkey_folder = {}\nsocket = {}\n",
        toml_list(&config.origins),
        toml_string(&listen(&config).to_string()),
        toml_string(&config.database),
        quoted(&config.certificate),
        quoted(&config.certificate_key),
        quoted(&config.ca),
        quoted(&config.key_folder),
        quoted(&config.socket)
    );
    let config = Config::parse(file, &text)?;
    Ok((config, Some(text)))
}

/// A configuration with its origins named: in the place of the line that shows the default, or at its end.
fn with_origins(text: &str, origins: &[String]) -> String {
    let line = format!("origins = {}", toml_list(origins));
    let is_it =
        |line: &str| line.trim_start_matches(['#', ' ']).split('=').next().is_some_and(|key| key.trim() == "origins");
    let mut done = false;
    let mut lines: Vec<&str> = Vec::new();
    for before in text.lines() {
        let taken = !done && is_it(before);
        done |= taken;
        lines.push(if taken { &line } else { before });
    }
    if !done {
        lines.push(&line);
    }
    lines.join("\n") + "\n"
}

/// Writes a configuration, to be taken back; what was there before is returned.
fn write_configuration(file: &Path, text: &str, undo: &mut Undo) -> Result<Option<String>, InitError> {
    let before = fs::read_to_string(file).ok();
    if before.is_none() {
        undo.made(file.into());
    }
    put_configuration(file, text)?;
    Ok(before)
}

/// Writes a configuration as a whole, with the owner and the mode of the one that it replaces.
fn put_configuration(file: &Path, text: &str) -> Result<(), InitError> {
    let failed = |source| InitError::File { path: file.into(), source };
    let Ok(before) = fs::symlink_metadata(file) else {
        return write_private(file, text.as_bytes()).map_err(failed);
    };
    let new = file.with_extension("toml.new");
    let _ = fs::remove_file(&new);
    write_private(&new, text.as_bytes()).map_err(failed)?;
    // Whoever is not root keeps what is theirs.
    let _ = std::os::unix::fs::lchown(&new, Some(before.uid()), Some(before.gid()));
    fs::set_permissions(&new, before.permissions()).map_err(failed)?;
    fs::rename(&new, file).map_err(failed)
}

/// All addresses, and the port of the first origin.
fn listen(config: &Config) -> std::net::SocketAddr {
    let mut listen = config.listen;
    let name = config.issuer().strip_prefix("https://").unwrap_or_default();
    let port = name.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    listen.set_port(port.unwrap_or(443));
    listen
}

/// Strings as TOML has them.
fn toml_list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| toml_string(text)).collect::<Vec<_>>().join(", "))
}

/// A string as TOML has it: JSON's is one.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A certificate for the origins' names and for this machine itself, and the CA that signed it; unless there is a certificate.
fn make_certificate(config: &Config, undo: &mut Undo) -> Result<bool, InitError> {
    if config.certificate.exists() {
        return Ok(false);
    }
    let year = Timestamp::now().to_zoned(TimeZone::UTC).year();
    let (begin, end) = (date_time_ymd(i32::from(year) - 1, 1, 1), date_time_ymd(i32::from(year) + YEARS, 1, 1));
    let mut names: Vec<String> = config.origins.iter().map(|origin| name_of(origin)).collect();
    names.extend(LOCAL.map(str::to_owned).into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(DnType::CommonName, "Curfew endpoint's own CA");
    (ca.not_before, ca.not_after) = (begin, end);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_key = KeyPair::generate()?;
    let ca_pem = ca_key.serialize_pem();
    let ca = CertifiedIssuer::self_signed(ca, ca_key)?;
    let mut server = CertificateParams::new(names.clone())?;
    server.distinguished_name.push(DnType::CommonName, names.first().map_or("curfew-server", String::as_str));
    (server.not_before, server.not_after) = (begin, end);
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let server_key = KeyPair::generate()?;
    let server = server.signed_by(&server_key, &ca)?;
    let (certificate, key) = (server.pem(), server_key.serialize_pem());
    for (path, text) in [
        (config.ca.clone(), ca.pem()),
        (config.ca.with_extension("key"), ca_pem),
        (config.certificate.clone(), certificate),
        (config.certificate_key.clone(), key),
    ] {
        make_folder(path.parent().unwrap_or(Path::new("/")), undo)?;
        make_file(&path, text.as_bytes(), undo)?;
    }
    Ok(true)
}

/// `https://NAME:PORT` without the scheme and the port.
fn name_of(origin: &str) -> String {
    let name = origin.strip_prefix("https://").unwrap_or(origin);
    let name = match name.strip_prefix('[').and_then(|name| name.split_once(']')) {
        Some((address, _)) => address,
        None => name.split_once(':').map_or(name, |(name, _)| name),
    };
    name.to_owned()
}

/// A folder that its owner alone can read, and those above it.
fn make_folder(path: &Path, undo: &mut Undo) -> Result<(), InitError> {
    let missing = path.ancestors().take_while(|it| it.symlink_metadata().is_err()).map(PathBuf::from);
    let missing: Vec<_> = missing.collect();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| InitError::File { path: path.into(), source })?;
    missing.into_iter().rev().for_each(|path| undo.made(path));
    Ok(())
}

/// A file that its owner alone can read, and that was not there.
fn make_file(path: &Path, bytes: &[u8], undo: &mut Undo) -> Result<(), InitError> {
    write_private(path, bytes).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => InitError::There(path.into()),
        _ => InitError::File { path: path.into(), source },
    })?;
    undo.made(path.into());
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_the_name_of_an_origin() {
        for (origin, name) in [
            ("https://curfew.example.org:8443", "curfew.example.org"),
            ("https://127.0.0.1:8443", "127.0.0.1"),
            ("https://[::1]:8443", "::1"),
            ("https://curfew", "curfew"),
        ] {
            assert_eq!(name_of(origin), name);
        }
    }

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
        // One that names none gets the one that is asked for, and stays as it is otherwise.
        for (text, new) in [
            (
                "# a\n#origins = []\n\nlongest_wait = \"1m\"\n",
                "# a\norigins = [\"https://a:1\"]\n\nlongest_wait = \"1m\"\n",
            ),
            ("longest_wait = \"1m\"", "longest_wait = \"1m\"\norigins = [\"https://a:1\"]\n"),
        ] {
            assert_eq!(with_origins(text, &["https://a:1".into()]), new);
        }
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
