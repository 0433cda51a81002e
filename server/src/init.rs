//! `curfew-server init`: what a new endpoint needs. It refuses to overwrite anything.

use crate::config::{self, Config, ConfigError};
use crate::keys::{self, KeysError, write_private};
use crate::secret::{NoRandomness, Secret};
use crate::store::{Act, ChangeError, OpenError, Store};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The name of the first administrator's token.
const FIRST_ADMIN: &str = "first";

/// For how long the certificate for trying it out is good, in years.
const YEARS: i32 = 10;

/// Why there is no new endpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    /// Something is there.
    #[error(
        "{0} is there already; nothing is overwritten. Take another --data, or remove it if nothing needs it any more"
    )]
    There(PathBuf),
    /// A file or folder can't be made.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// The origin is none.
    #[error("--origin: {0}")]
    Origin(String),
    /// The configuration that is there names no origin, or another one.
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
    for origin in &origins {
        config::check_origin(origin).map_err(InitError::Origin)?;
    }
    let absolute =
        |path: &Path| std::path::absolute(path).map_err(|source| InitError::File { path: path.into(), source });
    let data = &absolute(data)?;
    make_folder(data)?;
    let config_file = config_file.unwrap_or_else(|| data.join("server.toml"));
    let config = configuration(data, origins, &config_file)?;
    let database = config.database.strip_prefix("sqlite://").map(PathBuf::from);
    let files = [Some(config.key_folder.clone()), database.clone()];
    if let Some(there) = files.into_iter().flatten().find(|path| path.exists()) {
        return Err(InitError::There(there));
    }
    make_folder(&config.key_folder)?;
    let key = keys::make(&config.key_folder)?;
    let certificate = make_certificate(&config)?;
    if let Some(path) = &database {
        write_private(path, b"").map_err(|source| InitError::File { path: path.clone(), source })?;
    }
    let (store, _changes) = Store::open(&config.database, config.database_connections).await?;
    let token = Secret::generate("curfew_admin")?;
    let act = Act { admin: "", now: Timestamp::now() };
    store.announce_key(&key, act).await?;
    store.add_admin(FIRST_ADMIN, &token.hash(), act).await?;
    store.close().await;
    hand_over(data)?;
    Ok(Made { config_file, config, token, kid: key.kid(), certificate })
}

/// The configuration that is there, or a new one.
fn configuration(data: &Path, origins: Vec<String>, file: &Path) -> Result<Config, InitError> {
    if file.exists() {
        let config = Config::load(file)?;
        if config.origins.is_empty() || !(origins.is_empty() || origins == config.origins) {
            return Err(InitError::OtherOrigin(file.into()));
        }
        return Ok(config);
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
    let origins: Vec<_> = config.origins.iter().map(|origin| toml_string(origin)).collect();
    let text = format!(
        "# Made by curfew-server init. Every other key, with its default: /etc/curfew/server.toml\n\
         origins = [{}]\nlisten = {}\ndatabase = {}\ncertificate = {}\ncertificate_key = {}\nca = {}\nkey_folder = {}\nsocket = {}\n",
        origins.join(", "),
        toml_string(&listen(&config).to_string()),
        toml_string(&config.database),
        quoted(&config.certificate),
        quoted(&config.certificate_key),
        quoted(&config.ca),
        quoted(&config.key_folder),
        quoted(&config.socket)
    );
    let config = Config::parse(file, &text)?;
    write_private(file, text.as_bytes()).map_err(|source| InitError::File { path: file.into(), source })?;
    Ok(config)
}

/// All addresses, and the port of the first origin.
fn listen(config: &Config) -> std::net::SocketAddr {
    let mut listen = config.listen;
    let name = config.issuer().strip_prefix("https://").unwrap_or_default();
    let port = name.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    listen.set_port(port.unwrap_or(443));
    listen
}

/// A string as TOML has it: JSON's is one.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A certificate for the origins' names, and the CA that signed it; unless there is a certificate.
fn make_certificate(config: &Config) -> Result<bool, InitError> {
    if config.certificate.exists() {
        return Ok(false);
    }
    let year = Timestamp::now().to_zoned(TimeZone::UTC).year();
    let (begin, end) = (date_time_ymd(i32::from(year) - 1, 1, 1), date_time_ymd(i32::from(year) + YEARS, 1, 1));
    let names: Vec<String> = config.origins.iter().map(|origin| name_of(origin)).collect();
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
        make_folder(path.parent().unwrap_or(Path::new("/")))?;
        write_private(&path, text.as_bytes()).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => InitError::There(path.clone()),
            _ => InitError::File { path: path.clone(), source },
        })?;
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
fn make_folder(path: &Path) -> Result<(), InitError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| InitError::File { path: path.into(), source })
}

/// Gives everything in `data` to whoever owns the folder: root may make what another user will serve.
fn hand_over(data: &Path) -> Result<(), InitError> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InitError::File { path, source }
    };
    let owner = fs::metadata(data).map_err(failed(data))?;
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
            let path = entry.map_err(failed(&folder))?.path();
            let metadata = fs::symlink_metadata(&path).map_err(failed(&path))?;
            std::os::unix::fs::lchown(&path, Some(owner.uid()), Some(owner.gid())).map_err(failed(&path))?;
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
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
        for (text, asked) in [("", "https://a"), ("", ""), ("origins = [\"https://b\"]", "https://a")] {
            fs::write(&file, text).unwrap();
            let origins = if asked.is_empty() { vec![] } else { vec![asked.to_owned()] };
            let refused = run(&data, origins, Some(file.clone())).await;
            assert!(matches!(refused, Err(InitError::OtherOrigin(_))), "{text} {asked}: {refused:?}");
        }
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
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
        assert!(matches!(run(&data, vec![], None).await, Err(InitError::There(_))));
    }
}
