//! An audit record as a message to journald(8), field by field.

use crate::journal::Message;
use curfew_protocol::audit::{Event, Record, SYSLOG_IDENTIFIER};

/// The record as a message.
pub fn message(record: &Record) -> Message {
    let event = record.entry.event;
    let mut message = Message::new(SYSLOG_IDENTIFIER, priority(event), &record.message);
    message.put("MESSAGE_ID", event.message_id());
    message.put("CURFEW_EVENT", event.name());
    message.put("CURFEW_SEQ", &record.seq.to_string());
    for &field in record.entry.fields.keys() {
        message.put(field.journal_name(), &record.entry.text(field).unwrap_or_default());
    }
    message
}

/// syslog(3)'s severity, as text.
fn priority(event: Event) -> &'static str {
    match event {
        Event::SetRefused | Event::GrantRefused => "3",
        Event::LoginDenied | Event::SudoDenied | Event::ExemptUsed | Event::AuditDropped => "4",
        Event::SessionTerminated
        | Event::SudoTerminated
        | Event::LocalGranted
        | Event::LocalRevoked
        | Event::ResidueFound => "5",
        _ => "6",
    }
}
