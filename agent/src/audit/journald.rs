//! Records as native fields in journald(8), by its datagram protocol.
//!
//! A sender that waits for journald would hang with it, and one that swallows errors would lose records: this one never
//! waits, and says when a record did not get through.

use curfew_protocol::audit::{Event, Record, SYSLOG_IDENTIFIER};
use std::io;
use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/run/systemd/journal/socket";

/// A connection to journald.
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

    /// Sends one record.
    ///
    /// # Errors
    ///
    /// What send(2) says; journald does not have the record then.
    pub fn send(&self, record: &Record) -> io::Result<()> {
        self.0.send(&datagram(record)).map(drop)
    }
}

/// The record as journald's native protocol writes it.
fn datagram(record: &Record) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let event = record.entry.event;
    put(&mut out, "MESSAGE", &record.message);
    put(&mut out, "MESSAGE_ID", event.message_id());
    put(&mut out, "PRIORITY", priority(event));
    put(&mut out, "SYSLOG_IDENTIFIER", SYSLOG_IDENTIFIER);
    put(&mut out, "CURFEW_EVENT", event.name());
    put(&mut out, "CURFEW_SEQ", &record.seq.to_string());
    for &field in record.entry.fields.keys() {
        put(&mut out, field.journal_name(), &record.entry.text(field).unwrap_or_default());
    }
    out
}

/// A value with a line break goes with its length before it, so that it can't become a field of its own.
fn put(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// syslog(3)'s severity, as text.
fn priority(event: Event) -> &'static str {
    match event {
        Event::SetRefused | Event::GrantRefused => "3",
        Event::LoginDenied | Event::SudoDenied | Event::ExemptUsed => "4",
        Event::SessionTerminated | Event::SudoTerminated | Event::LocalGranted | Event::LocalRevoked => "5",
        _ => "6",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use curfew_protocol::audit::{Entry, Field};

    #[test]
    fn a_line_break_in_a_value_makes_no_field() {
        let record = Entry::new(Event::SudoDenied)
            .with(Field::Command, "id\nCURFEW_EVENT=login.permitted")
            .with(Field::User, "alice")
            .into_record(1, "2026-11-21T20:00:00Z".parse().unwrap());
        let bytes = datagram(&record);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("CURFEW_USER=alice\n"));
        assert!(text.contains("CURFEW_COMMAND\n\x1f\0\0\0\0\0\0\0id\nCURFEW_EVENT"));
    }
}
