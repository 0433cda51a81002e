//! What a grant gives, as fields of the audit. No entry of a list is left out; each is short, whatever the grant says.

use curfew_protocol::audit::{Entry, Field};
use curfew_protocol::grant::{Command, Grant};

/// The most of one command, in bytes. The grant itself has it whole.
const LONGEST: usize = 100;

/// The entry, with what `grant` gives.
pub(super) fn with(entry: Entry, grant: &Grant) -> Entry {
    let login = grant.login.as_ref();
    let services = login.map(|login| texts(&login.services, "any")).unwrap_or_default();
    let from = login.map(|login| texts(&login.from, "anywhere")).unwrap_or_default();
    let (commands, run_as) = match &grant.sudo {
        // What stands beside it says nothing more.
        Some(sudo) if sudo.commands.contains(&Command::All) => (vec!["ALL".into()], texts(&sudo.run_as, "root")),
        Some(sudo) => (texts(&sudo.commands, "none"), texts(&sudo.run_as, "root")),
        None => (Vec::new(), Vec::new()),
    };
    entry
        .with(Field::LoginServices, services)
        .with(Field::LoginFrom, from)
        .with(Field::SudoCommands, commands)
        .with(Field::SudoRunAs, run_as)
}

/// Each in short, or `whole` where the list does not narrow.
fn texts<T: ToString>(list: &[T], whole: &str) -> Vec<String> {
    if list.is_empty() { vec![whole.to_owned()] } else { list.iter().map(|it| short(it.to_string())).collect() }
}

fn short(mut text: String) -> String {
    if text.len() > LONGEST {
        let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
        let end = ends.take_while(|end| *end <= LONGEST).last().unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{HeldGrant, Source};
    use super::*;
    use curfew_protocol::audit::Event;
    use serde_json::{Value, json};

    fn held(login: Value, sudo: Value) -> HeldGrant {
        let mut grant = json!({
            "id": "a", "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
        });
        let fields = grant.as_object_mut().unwrap();
        fields
            .extend([("login".to_owned(), login), ("sudo".to_owned(), sudo)].into_iter().filter(|it| !it.1.is_null()));
        HeldGrant::new(Grant::from_value(&grant).unwrap(), Source::Local)
    }

    fn given(entry: &Entry) -> [Option<String>; 4] {
        [Field::LoginServices, Field::LoginFrom, Field::SudoCommands, Field::SudoRunAs].map(|field| entry.text(field))
    }

    #[test]
    fn what_is_granted_is_in_the_record_and_all_of_root_looks_like_no_login() {
        let text = |text: &str| Some(text.to_owned());
        let login = held(json!({}), Value::Null).entry(Event::LocalGranted);
        assert_eq!(given(&login), [text("any"), text("anywhere"), None, None]);
        let all = held(Value::Null, json!({"commands": ["/usr/bin/id", "ALL"]})).entry(Event::GrantStarted);
        assert_eq!(given(&all), [None, None, text("ALL"), text("root")]);
        let both = held(
            json!({"services": ["sshd"], "from": ["10.0.0.0/8"]}),
            json!({"commands": ["/usr/bin/id"], "run_as": ["www-data"]}),
        );
        let narrow = [text("sshd"), text("10.0.0.0/8"), text("/usr/bin/id"), text("www-data")];
        assert_eq!(given(&both.entry(Event::GrantReceived)), narrow);
        // What happens under a grant is not what it would let happen.
        assert_eq!(given(&both.entry(Event::SudoPermitted)), [None, None, None, None]);
    }

    #[test]
    fn a_record_is_short_and_counts_every_command() {
        let commands: Vec<String> = (0..64).map(|n| format!("/usr/bin/x {n} {}", "a".repeat(400))).collect();
        let entry = held(Value::Null, json!({"commands": commands})).entry(Event::LocalGranted);
        assert_eq!(entry.fields.get(&Field::SudoCommands).unwrap().as_array().unwrap().len(), 64);
        assert!(entry.text(Field::SudoCommands).unwrap().len() < 64 * 110);
    }
}
