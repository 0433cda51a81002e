//! The texts that journalctl(1) shows with each event, systemd/curfew.catalog: which fields they name.

use curfew_protocol::audit::{Event, Field};
use std::sync::OnceLock;

const TEXTS: &str = include_str!("../../../systemd/curfew.catalog");

/// The fields of the audit that the text of `event` names.
pub fn fields(event: Event) -> impl Iterator<Item = &'static str> {
    static NAMED: OnceLock<Vec<(&str, &str)>> = OnceLock::new();
    let named = NAMED.get_or_init(|| TEXTS.split("\n-- ").flat_map(of_text).collect());
    named.iter().filter(move |(id, _)| *id == event.message_id()).map(|(_, name)| *name)
}

fn of_text(text: &'static str) -> Vec<(&'static str, &'static str)> {
    let id = text.lines().next().unwrap_or_default();
    let names = Field::ALL.iter().map(|field| field.journal_name());
    names.filter(|name| text.contains(&format!("@{name}@"))).map(|name| (id, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::journald;
    use curfew_protocol::audit::Entry;
    use jiff::Timestamp;

    #[test]
    fn each_event_has_every_field_that_its_text_shows() {
        for &event in Event::ALL {
            let sent = journald::message(&Entry::new(event).into_record(1, Timestamp::UNIX_EPOCH));
            let sent = String::from_utf8_lossy(sent.as_bytes()).into_owned();
            let text = TEXTS.split("\n-- ").find(|text| text.starts_with(event.message_id()));
            let parts = text.unwrap_or_default().split('@').filter(|part| part.starts_with("CURFEW_"));
            for name in parts {
                assert!(sent.contains(&format!("\n{name}=")), "{name} of {}: {sent}", event.name());
            }
            assert!(text.is_some(), "{} has no text", event.name());
        }
    }
}
