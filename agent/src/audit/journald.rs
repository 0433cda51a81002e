//! An audit record as a message to journald(8), field by field.

use super::catalog;
use crate::journal::Message;
use curfew_protocol::audit::{Event, Record, SYSLOG_IDENTIFIER};

/// What the catalog's texts show for a field that a record does not have: journalctl(1) would print the field's name.
const NOTHING: &str = "(none)";

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
    for name in catalog::fields(event) {
        if !record.entry.fields.keys().any(|field| field.journal_name() == name) {
            message.put(name, NOTHING);
        }
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
