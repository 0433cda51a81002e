//! Descriptors: taken over from systemd, and waited on by the event loop. One of the three files with unsafe code.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Takes a descriptor that systemd passed (sd_listen_fds(3)); call it once for each.
#[allow(unsafe_code)]
pub fn adopt(descriptor: RawFd) -> OwnedFd {
    // SAFETY: sd_notify::listen_fds() gave out this number after it had checked that systemd meant it for this process.
    // It is open then, and nothing else in the process knows of it: this runs first, before any file is opened.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Has the event loop wait for a descriptor to become readable.
///
/// # Errors
///
/// What epoll_ctl(2) says.
#[allow(unsafe_code)]
pub fn wait_on(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays open, and names the same descriptor, until it is dropped, and the AsyncFd owns it until then.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.map_err(Into::into)
}
