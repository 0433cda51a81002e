//! Connections: a bounded number of them, each with TLS, HTTP/1.1 and a time for everything that a peer could draw out.
//!
//! | what | bound |
//! |---|---|
//! | connections | `max_connections`; further ones wait in the kernel's queue |
//! | the TLS handshake | 10 s |
//! | a request's head, and the pause before it | 15 s, 16 KiB, 64 headers |
//! | a request's body | the call's own, see [`body`](crate::body) |
//! | an answer that nobody reads | 30 s without a byte |

mod patient;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use patient::Patient;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// The TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A request's head, with the pause before it.
const HEAD: Duration = Duration::from_secs(15);

/// A request's head, in bytes; and what is read ahead of its body.
const BUFFER: usize = 16 * 1024;

/// The headers of a request.
const HEADERS: usize = 64;

/// What is left to do when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How long to wait when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `stop` says so, and finishes the requests that are there then.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    app: Router,
    most: usize,
    mut stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(most));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            // Before the accept: what can't be served is not taken.
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (slot, accepted) = accepted => match (slot, accepted) {
                (Ok(slot), Ok((stream, _))) => {
                    connections.spawn(connection(stream, tls.clone(), app.clone(), slot, stop.clone()));
                }
                (_, Err(error)) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(PAUSE).await;
                }
                (Err(_), _) => break,
            }
        }
    }
    drop(listener);
    let drained = timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(connections = connections.len(), "connections that did not end are cut");
    }
}

/// Returns when it is time to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Without anybody to say so any more, it is time, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// One connection, from its handshake to its end.
async fn connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    app: Router,
    slot: OwnedSemaphorePermit,
    mut stop: watch::Receiver<bool>,
) {
    let _slot = slot;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection went before it was served");
        return;
    }
    let handshake = timeout(HANDSHAKE, Box::pin(tls.accept(Patient::new(stream)))).await;
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER).max_headers(HEADERS);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut served = Box::pin(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stopped(&mut stop) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
