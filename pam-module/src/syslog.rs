//! A line to syslog's `authpriv` facility (syslog(3), RFC 3164), for when the agent can't take it.
//!
//! Not through the C library: its connection and identity belong to sshd and sudo, and it may wait for a full socket.

use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/dev/log";
const LOG_AUTHPRIV: u8 = 10 << 3;

/// How bad it is, by syslog(3)'s numbers.
#[derive(Clone, Copy)]
pub enum Severity {
    /// Somebody was refused for want of an answer.
    Error = 3,
    /// Worth knowing.
    Notice = 5,
}

/// Sends `line`, or drops it where nobody takes it at once: a login does not wait for its log.
pub fn log(severity: Severity, line: &str) {
    let message = format!("<{}>pam_curfew[{}]: {line}", LOG_AUTHPRIV | severity as u8, std::process::id());
    if let Ok(socket) = UnixDatagram::unbound() {
        let _ = socket.set_nonblocking(true);
        let _ = socket.send_to(message.as_bytes(), SOCKET);
    }
}
