//! Connections: a bounded number of them, each with TLS, HTTP/1.1 and a time for everything that a peer could draw out. Administrators on the machine
//! itself have a [local socket](local).
//!
//! | what | bound |
//! |---|---|
//! | connections | `max_connections`, most of them for those that have shown a credential: see [`slots`] |
//! | the TLS handshake | 10 s |
//! | a request's head, and the pause before it | 15 s, 16 KiB, 64 headers |
//! | a request's body | the call's own, see [`body`](crate::http::body) |
//! | an answer that nobody reads | 30 s without a byte |

pub(crate) mod local;
mod slots;
mod write_timeout;

pub(crate) use local::LocalAdministrator;
pub(crate) use slots::{ConnectionSlot, ConnectionSlots, Who};

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use write_timeout::WriteTimeout;

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
    slots: Arc<ConnectionSlots>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    // Without a slot it is closed at once: somebody else waits behind it.
                    let Some(slot) = slots.take(from.ip()) else { continue };
                    connections.spawn(connection(stream, tls.clone(), app.clone(), slot, stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(PAUSE).await;
                }
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
    slot: Arc<ConnectionSlot>,
    stop: watch::Receiver<bool>,
) {
    let sent_away = slot.clone();
    let served = async {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection went before it was served");
            return;
        }
        let stream = WriteTimeout::new(Attentive { inner: stream, slot: slot.clone() });
        match timeout(HANDSHAKE, Box::pin(tls.accept(stream))).await {
            Ok(Ok(stream)) => {
                slot.shook_hands();
                http(stream, app, slot, stop).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    };
    tokio::select! {
        () = served => {}
        () = sent_away.sent_away() => tracing::debug!("a connection without a credential made room for another one"),
    }
}

/// The requests on a connection; each is told `who` is at the other end.
async fn http<S, W>(stream: S, app: Router, who: W, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    W: Clone + Send + Sync + 'static,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER).max_headers(HEADERS);
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(who.clone());
        app.call(request)
    });
    let mut served = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
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

/// A stream that notes when its peer says something.
struct Attentive {
    inner: TcpStream,
    slot: Arc<ConnectionSlot>,
}

impl AsyncRead for Attentive {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.slot.heard();
        }
        read
    }
}

impl AsyncWrite for Attentive {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
