//! What a grant gives, in the words of a record's sentence.

use super::super::{Entry, Field, as_text};
use super::shortened;
use serde_json::Value;

/// How many entries of a list the sentence names: the field has them all.
const SHOWN: usize = 3;

/// `login from 10.0.0.0/8, and sudo for any command as root`. Records that older agents wrote don't say it.
pub(super) fn given(entry: &Entry) -> String {
    let given: Vec<String> = login(entry).into_iter().chain(sudo(entry)).collect();
    if given.is_empty() { "access".into() } else { given.join(", and ") }
}

fn login(entry: &Entry) -> Option<String> {
    let (services, from) = (list(entry, Field::LoginServices)?, list(entry, Field::LoginFrom).unwrap_or_default());
    let narrowed = |word: &str, list: &[String], whole: &str| match list {
        [only] if only == whole => String::new(),
        [] => String::new(),
        list => format!(" {word} {}", shown(list)),
    };
    Some(format!("login{}{}", narrowed("over", &services, "any"), narrowed("from", &from, "anywhere")))
}

fn sudo(entry: &Entry) -> Option<String> {
    let commands = list(entry, Field::SudoCommands)?;
    let commands = match commands.iter().any(|command| command == "ALL") {
        true => "any command".to_owned(),
        false => shown(&commands.iter().map(|command| format!("`{}`", shortened(command))).collect::<Vec<_>>()),
    };
    let run_as = list(entry, Field::SudoRunAs).unwrap_or_default();
    Some(format!("sudo for {commands} as {}", shown(&run_as)))
}

fn list(entry: &Entry, field: Field) -> Option<Vec<String>> {
    match entry.fields.get(&field)? {
        Value::Array(list) => Some(list.iter().map(as_text).collect()),
        other => Some(vec![as_text(other)]),
    }
}

fn shown(list: &[String]) -> String {
    let first = list.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match list.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::Event;
    use super::*;
    use jiff::Timestamp;

    fn granted(event: Event) -> Entry {
        let entry = Entry::new(event).with(Field::User, "carol").with(Field::ApprovedBy, vec!["root"]);
        entry.with(Field::Grant, "G").with(Field::NotAfter, "2026-11-21T20:30:00Z").with(Field::Reason, "INC-1")
    }

    fn says(entry: Entry) -> String {
        entry.into_record(1, Timestamp::UNIX_EPOCH).message
    }

    #[test]
    fn the_sentence_of_a_grant_says_what_it_gives() {
        let login =
            |entry: Entry| entry.with(Field::LoginServices, vec!["any"]).with(Field::LoginFrom, vec!["anywhere"]);
        let sudo = |entry: Entry, commands: Vec<&str>| {
            entry.with(Field::SudoCommands, commands).with(Field::SudoRunAs, vec!["root"])
        };
        assert_eq!(
            says(sudo(login(granted(Event::LocalGranted)), vec!["/usr/bin/id"])),
            "root granted carol login, and sudo for `/usr/bin/id` as root until 2026-11-21T20:30:00Z: INC-1."
        );
        assert_eq!(
            says(sudo(granted(Event::GrantStarted), vec!["ALL"])),
            "Grant G for carol began: it gives sudo for any command as root until 2026-11-21T20:30:00Z, approved by root: INC-1."
        );
        let narrow = granted(Event::GrantReceived).with(Field::LoginServices, vec!["sshd"]);
        assert_eq!(
            says(narrow.with(Field::LoginFrom, vec!["10.0.0.0/8", "192.0.2.7"])),
            "Grant G for carol was received: it gives login over sshd from 10.0.0.0/8, 192.0.2.7 \
             until 2026-11-21T20:30:00Z, approved by root: INC-1."
        );
        assert!(says(login(granted(Event::LocalGranted))).starts_with("root granted carol login until"));
        assert!(says(granted(Event::LocalGranted)).starts_with("root granted carol access until"));
    }

    #[test]
    fn a_long_list_stands_in_the_sentence_by_its_beginning_and_its_length() {
        let long = format!("/usr/bin/x {}", "a".repeat(500));
        let entry = granted(Event::LocalGranted).with(Field::SudoCommands, vec![long.as_str(); 64]);
        let said = says(entry.with(Field::SudoRunAs, vec!["root"; 64]));
        assert!(said.len() < 500 && said.contains("…` and 61 more as root, root, root and 61 more until"), "{said}");
    }
}
