//! Connections taken from a listening socket, as many in a row as leave everything else its turn.

use crate::descriptors;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// How many connections are taken before anything else has its turn.
const MOST_IN_A_ROW: usize = 16;

/// How long no connection is taken after one could not be.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening socket.
pub struct Listener {
    listener: UnixListener,
    /// The same socket, for the event loop to wait on.
    ready: AsyncFd<OwnedFd>,
}

impl Listener {
    /// Takes over a socket that systemd passed.
    ///
    /// # Errors
    ///
    /// What the event loop says.
    pub fn new(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let ready = descriptors::wait_on(listener.as_fd().try_clone_to_owned()?)?;
        Ok(Self { listener, ready })
    }

    /// Hands each connection to `take`, for good.
    pub async fn serve(self, mut take: impl FnMut(UnixStream)) {
        loop {
            match self.take_some(&mut take).await {
                Ok(Crowd::Gone) => {}
                // Everything else has its turn before those who still wait.
                Ok(Crowd::Waits) => tokio::task::yield_now().await,
                Err(error) => {
                    // Out of descriptors, most likely: let some connections end first.
                    tracing::warn!("a connection could not be taken: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn take_some(&self, take: &mut impl FnMut(UnixStream)) -> io::Result<Crowd> {
        let mut ready = self.ready.readable().await?;
        for _ in 0..MOST_IN_A_ROW {
            match self.listener.accept() {
                Ok((stream, _)) => take(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    return Ok(Crowd::Gone);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Crowd::Waits)
    }
}

/// Whether somebody may still wait to be taken.
enum Crowd {
    Gone,
    Waits,
}
