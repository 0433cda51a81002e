//! `curfew-server serve`: everything running, until SIGTERM.

use crate::config::{Config, ConfigError};
use crate::http::listener::ConnectionSlots;
use crate::http::state::AppState;
use crate::http::tls::{self, Certificate, TlsError};
use crate::http::{listener, router};
use crate::identity;
use crate::maintenance::Maintenance;
use crate::sets::keys::{Keys, KeysError};
use crate::store::{Changes, Lock, OpenError, Store};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nobody could address it.
    #[error(
        "{0}: origins is empty; name the URL by which hosts reach this endpoint, like origins = [\"https://curfew.example.org:8443\"]"
    )]
    NoOrigin(PathBuf),
    /// Connections are open files, and there may not be so many.
    #[error(
        "{path}: max_connections is {connections}, and this process may have {files} files open (RLIMIT_NOFILE); take less, or raise LimitNOFILE= of the service"
    )]
    OpenFiles { path: PathBuf, connections: usize, files: u64 },
    /// The database can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no key to sign with.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// There is no certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address can't be had.
    #[error("listen = \"{address}\": {source}")]
    Listen { address: SocketAddr, source: io::Error },
    /// The system does not tell of signals.
    #[error("signals: {0}")]
    Signals(io::Error),
}

/// Runs the server with the configuration at `path` until it is told to stop.
pub(crate) async fn run(path: &Path) -> Result<(), ServeError> {
    let config = Config::load(path)?;
    if config.origins.is_empty() {
        return Err(ServeError::NoOrigin(path.into()));
    }
    if let Some(files) = raise_open_files().filter(|files| config.max_connections as u64 > *files) {
        return Err(ServeError::OpenFiles { path: path.into(), connections: config.max_connections, files });
    }
    let lock = Lock::take(&config.database)?;
    let (store, changes) = Store::open(&config.database, config.database_connections).await?;
    let keys = Keys::load(&config.key_folder, &store).await?;
    let certificate = Certificate::load(&config.certificate, &config.certificate_key)?;
    let tls = TlsAcceptor::from(tls::server(certificate.clone())?);
    let local = local_socket(&config);
    let address = config.listen;
    let listen = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let mut signals = Signals::new().map_err(ServeError::Signals)?;

    let app = AppState::new(config, store, keys);
    spawn_maintenance(&app, changes);
    let (stop, stopped) = watch::channel(false);
    let router = router::router(app.clone());
    if let Some(local) = local {
        tokio::spawn(listener::local::serve(local, router.clone(), stopped.clone()));
    }
    let slots = ConnectionSlots::new(app.config.max_connections, app.config.max_unknown_per_address);
    let serving = tokio::spawn(listener::serve(listener, tls, router, slots, stopped));
    tracing::info!(%address, kid = app.keys.ring().signing.public().kid(), "serving");
    notify(&[NotifyState::Ready]);

    signals.until_stop(&certificate).await;
    tracing::info!("stopping");
    notify(&[NotifyState::Stopping]);
    // Nobody new, an answer for everybody who waits, and the end.
    let _ = stop.send(true);
    app.parked.close();
    if let Err(error) = serving.await {
        tracing::error!(%error, "the listener failed");
    }
    app.last_seen.write(&app.store).await;
    if !app.disk.is_low() {
        app.sign_ins.write(&app.store, jiff::Timestamp::now()).await;
    }
    app.store.close().await;
    drop(lock);
    Ok(())
}

/// Has what calls share looked after, as long as the process lives.
fn spawn_maintenance(app: &Arc<AppState>, changes: Changes) {
    let maintenance = Maintenance {
        store: app.store.clone(),
        keys: app.keys.clone(),
        parked: app.parked.clone(),
        last_seen: app.last_seen.clone(),
        health: app.health.clone(),
        disk: app.disk.clone(),
        audit_keep: app.config.audit_keep,
    };
    let app = app.clone();
    tokio::spawn(async move {
        let identity = identity::maintain(&app.replay, &app.sign_ins, &app.store, &app.disk);
        tokio::join!(maintenance.run(changes), identity)
    });
}

/// The socket for administrators on this machine. Hosts are served without it, too.
fn local_socket(config: &Config) -> Option<UnixListener> {
    if config.socket.as_os_str().is_empty() {
        return None;
    }
    let made = listener::local::bind(&config.socket);
    let failed = |error| tracing::warn!(%error, path = %config.socket.display(), "there is no local socket: administrators on this machine need a token");
    made.map_err(failed).ok()
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT; SIGHUP reads the certificate again.
    async fn until_stop(&mut self, certificate: &Arc<Certificate>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.reload.recv() => match certificate.reload() {
                    Ok(()) => tracing::info!("the certificate was read again"),
                    Err(error) => tracing::error!(%error, "the certificate can't be used; the one before goes on"),
                },
            }
        }
    }
}

fn notify(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd was not told");
    }
}

/// A connection is an open file: takes as many as the system gives, and says how many those are.
fn raise_open_files() -> Option<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}
