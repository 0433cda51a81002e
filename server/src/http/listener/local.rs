//! The local socket: administrators on the machine itself, who are known by what the kernel says of them and need no token.
//!
//! Root and the server's own user may do anything with the database anyway. However full the network's places are, these are their own.

use super::{http, stopped};
use axum::Router;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The connections at a time.
const MOST: usize = 64;

/// An administrator on the machine itself, by the name that the log has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LocalAdministrator(pub Arc<str>);

/// The socket at `path`, in the place of one that a server before left there.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until `stop` says so.
pub(crate) async fn serve(listener: UnixListener, app: Router, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(MOST));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (slot, accepted) = accepted => match (slot, accepted) {
                (Ok(slot), Ok((stream, _))) => {
                    let Some(who) = who(&stream) else { continue };
                    let (app, stop) = (app.clone(), stop.clone());
                    connections.spawn(async move {
                        let _slot = slot;
                        http(stream, app, who, stop).await;
                    });
                }
                (_, Err(error)) => {
                    tracing::warn!(%error, "a connection to the local socket could not be taken");
                    tokio::time::sleep(super::PAUSE).await;
                }
                (Err(_), _) => break,
            }
        }
    }
    let _ = tokio::time::timeout(super::DRAIN, async { while connections.join_next().await.is_some() {} }).await;
}

/// Who is at the other end (SO_PEERCRED, unix(7)): root, or whoever the server runs as.
fn who(stream: &UnixStream) -> Option<LocalAdministrator> {
    let uid = stream.peer_cred().ok()?.uid();
    if uid != 0 && uid != nix::unistd::geteuid().as_raw() {
        tracing::warn!(
            uid,
            "a user on this machine who is neither root nor the server's own called, and is not answered"
        );
        return None;
    }
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
    let name = user.map_or_else(|| format!("uid {uid}"), |user| user.name);
    Some(LocalAdministrator(crate::actor::name_on_the_server(&name).into()))
}
