//! journald(8), by its native datagram protocol.
//!
//! A sender that waits for journald would hang with it, and one that swallows errors would lose records: this one never
//! waits, and says when a message did not get through.

use curfew_protocol::display::printable_lines;
use std::io;
use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/run/systemd/journal/socket";

/// A connection to journald.
#[derive(Debug)]
pub struct Journal(UnixDatagram);

impl Journal {
    /// Connects, without waiting.
    ///
    /// # Errors
    ///
    /// What socket(2) or connect(2) says: journald is not there.
    pub fn connect() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(SOCKET)?;
        Ok(Self(socket))
    }

    /// Sends one message.
    ///
    /// # Errors
    ///
    /// What send(2) says; journald does not have the message then.
    pub fn send(&self, message: &Message) -> io::Result<()> {
        self.0.send(&message.0).map(drop)
    }
}

/// The fields of one message (systemd.journal-fields(7)).
#[derive(Debug)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message with the fields that every one has; the text drives no terminal of those who read it.
    pub fn new(identifier: &str, priority: &str, text: &str) -> Self {
        let mut message = Self(Vec::with_capacity(1024));
        message.put("MESSAGE", &printable_lines(text));
        message.put("PRIORITY", priority);
        message.put("SYSLOG_IDENTIFIER", identifier);
        message
    }

    /// What goes over the socket.
    #[cfg(test)]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a field. A value with a line break goes with its length before it, so that it can't become a field of its own.
    pub fn put(&mut self, name: &str, value: &str) {
        self.0.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            self.0.push(b'\n');
            self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_drives_no_terminal() {
        let message = Message::new("curfewd", "6", "\u{202e}ecila\u{200b} \u{1b}[2J");
        assert!(String::from_utf8_lossy(&message.0).starts_with("MESSAGE=?ecila? ?[2J\n"));
    }

    #[test]
    fn a_line_break_in_a_value_makes_no_field() {
        let mut message = Message::new("curfewd", "6", "text");
        message.put("CURFEW_USER", "alice");
        message.put("CURFEW_COMMAND", "id\nCURFEW_EVENT=login.permitted");
        let text = String::from_utf8_lossy(&message.0);
        assert!(text.contains("CURFEW_USER=alice\n"));
        assert!(text.contains("CURFEW_COMMAND\n\x1f\0\0\0\0\0\0\0id\nCURFEW_EVENT"));
    }
}
