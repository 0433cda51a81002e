//! What happened in one plain sentence, `MESSAGE`.

mod access;
mod ending;

pub use ending::IN_GRACE;

use super::{Entry, Event, Field, as_text};
use access::given;
use serde_json::Value;

/// How much of a command the sentence shows, in bytes: the field has it whole.
const COMMAND_IN_SENTENCE: usize = 80;

/// How many of the things that changed the sentence of [`Event::ResidueFound`] names.
const RESIDUE_IN_SENTENCE: usize = 10;

/// The first of what changed: the sentence stays readable, and the field has the rest.
fn residue(entry: &Entry) -> String {
    let Some(Value::Array(all)) = entry.fields.get(&Field::Residue) else { return "see the agent's log".into() };
    let mut shown: Vec<String> = all.iter().take(RESIDUE_IN_SENTENCE).map(as_text).collect();
    match all.len().saturating_sub(RESIDUE_IN_SENTENCE) {
        0 => {}
        more => {
            let grant = entry.text(Field::Grant).map_or(String::new(), |id| format!(" --grant {id}"));
            shown.push(format!("and {more} more: curfew audit{grant} --json"));
        }
    }
    shown.join(", ")
}

/// The plain English sentence, `MESSAGE`, with how often it happened where the record stands for many.
pub(super) fn message(entry: &Entry) -> String {
    let said = sentence(entry);
    let Some(count) = entry.text(Field::Count).filter(|_| entry.event != Event::AuditDropped) else { return said };
    let times = if count == "1" { "once more".into() } else { format!("{count} more times") };
    let when = |field| entry.text(field).unwrap_or_else(|| "an unknown time".into());
    let see = if entry.fields.contains_key(&Field::Counted) { ", see CURFEW_COUNTED" } else { "" };
    let (said, first, last) = (said.trim_end_matches('.'), when(Field::First), when(Field::Last));
    format!("{said}: {times} from {first} to {last}{see}.")
}

/// The beginning of a command, or all of it where it is short.
fn shortened(command: &str) -> String {
    let ends = command.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| *end <= COMMAND_IN_SENTENCE).last().unwrap_or(0);
    let shown = command.get(..end).unwrap_or_default();
    if shown.len() < command.len() { format!("{shown}…") } else { command.to_owned() }
}

/// The command that was run, shortened where it is long; the program is named then, which its beginning may hide.
fn ran(entry: &Entry) -> Option<String> {
    let command = entry.text(Field::Command)?;
    let shown = shortened(&command);
    let program = entry.text(Field::Program).filter(|_| shown != command);
    let program = program.map_or(String::new(), |program| format!(" (the program `{}`)", shortened(&program)));
    Some(format!("`{shown}`{program}"))
}

/// Why something was refused: the code, which is fixed from outside, behind words where it has none of its own.
fn because(entry: &Entry) -> String {
    let Some(code) = entry.text(Field::ReasonCode) else { return String::new() };
    let words = match (entry.event, code.as_str()) {
        (Event::LoginDenied | Event::SudoDenied, _) if entry.fields.contains_key(&Field::Reason) => {
            entry.text(Field::Reason).unwrap_or_default()
        }
        (Event::SudoDenied, "wrong_service" | "wrong_source") => "no live grant covers it".into(),
        (_, "wrong_service") => "no live grant is for this service".into(),
        (_, "wrong_source") => "no live grant is for this source".into(),
        _ => return format!(" ({code})"),
    };
    format!(" ({words}: {code})")
}

/// Which records are gone, and whether they are anywhere else.
fn dropped(entry: &Entry) -> String {
    let text = |field| entry.text(field);
    let count = text(Field::Count).unwrap_or_else(|| "Some".into());
    let range = match (text(Field::From), text(Field::To)) {
        (Some(from), Some(to)) => format!(", of the numbers {from} to {to}"),
        _ => String::new(),
    };
    let reason = text(Field::Reason).map_or(String::new(), |reason| format!(" ({reason})"));
    let shipped = match text(Field::Shipped).as_deref() {
        Some("yes") => "; the endpoint has them",
        Some("no") => "; the endpoint does not have them",
        Some(_) => "; it is not known whether the endpoint has them",
        None => "",
    };
    format!("Audit records were dropped: {count}{range}{reason}{shipped}.")
}

/// What happened, in words.
fn sentence(entry: &Entry) -> String {
    let text = |field| entry.text(field);
    let says =
        |before: &str, field, after: &str| text(field).map_or(String::new(), |it| format!("{before}{it}{after}"));
    let user = text(Field::User).unwrap_or_else(|| "somebody".into());
    let grant = says(" under grant ", Field::Grant, "");
    let service = says(" over ", Field::Service, "");
    let from = says(" from ", Field::Rhost, "");
    let because = because(entry);
    let approved = says(", approved by ", Field::ApprovedBy, "");
    let reason = says(": ", Field::Reason, "");
    let until = says(" until ", Field::NotAfter, "");
    let killed = says(", killing ", Field::Killed, "");
    let command = ran(entry).map_or(String::new(), |it| format!(" to run {it}"));
    let would = if text(Field::Outcome).as_deref() == Some("would_deny") { "would have been" } else { "was" };
    let done = says(" (", Field::Outcome, &format!("{}{reason})", says(" by ", Field::Actor, "")));
    let login = says(" (logged in as ", Field::Actor, ")");
    let id = text(Field::Grant).unwrap_or_else(|| "without an id".into());
    match entry.event {
        Event::AgentStarted => format!("The agent started{}.", says(" in mode ", Field::Mode, "")),
        Event::AgentStopped => "The agent stopped.".into(),
        Event::WiringChanged => match text(Field::Service) {
            Some(services) => format!("PAM asks Curfew in {services}{}{done}.", says(", in mode ", Field::Mode, "")),
            None => format!("PAM does not ask Curfew any more: nobody is refused{done}."),
        },
        Event::WiringRehearsed => format!(
            "The wiring was tried{}{}{reason}.",
            says(" in ", Field::Service, ""),
            says(" and ", Field::Outcome, "")
        ),
        Event::GrantReceived => {
            let source = says(" from the source ", Field::Source, "");
            format!("Grant {id} for {user} was received{source}: it gives {}{until}{approved}{reason}.", given(entry))
        }
        Event::GrantRefused => format!("Grant {id} was refused{reason}."),
        Event::GrantStarted => {
            format!("Grant {id} for {user} began: it gives {}{until}{approved}{reason}.", given(entry))
        }
        Event::AccountChanged => format!("Grant {id} for {user} was looked at, since the account changed{reason}."),
        Event::GrantEnded => format!("Grant {id} for {user} ended{}.", says(": ", Field::End, "")),
        Event::LoginPermitted => format!("{user} was permitted to log in{service}{from}{grant}{approved}."),
        Event::LoginDenied => format!("{user} {would} refused to log in{service}{from}{because}."),
        Event::SessionOpened => format!("A session of {user} opened{service}{from}{grant}{until}."),
        Event::SessionClosed => format!("A session of {user} closed{service}{grant}."),
        Event::SessionTerminated => {
            format!(
                "{} was ended{}{killed}{}.",
                ending::login(entry, &user),
                ending::since(entry),
                ending::live_on(entry)
            )
        }
        // By no grant that is known: nobody's approval is behind it, and sudo has still to decide.
        Event::SudoPermitted if text(Field::Grant).is_none() && text(Field::Reason).is_some() => {
            format!("{user}{login} was let through to sudo{command}{reason}.")
        }
        Event::SudoPermitted => format!("{user}{login} was permitted{command}{grant}{approved}."),
        Event::SudoDenied => format!("{user}{login} {would} refused{command}{because}."),
        Event::SudoTerminated => {
            let run = ran(entry).map_or(String::new(), |it| format!(", of {it},"));
            let (since, left) = (ending::since(entry), ending::live_on(entry));
            format!("Elevated processes of {user}{login}{run} were ended{since}{killed}{left}.")
        }
        Event::SudoersWritten => format!("sudo rules for {user} were written{grant}{until}."),
        Event::SudoersRemoved => format!("sudo rules{} were removed.", says(" of grant ", Field::Grant, "")),
        Event::ExemptUsed => format!("{user}, who is exempt, passed{service}{from}."),
        Event::SetApplied => {
            format!("The endpoint's grants are in force{}.", says(" as of version ", Field::SetVersion, ""))
        }
        Event::SetRefused => format!("A set of grants was refused{reason}."),
        Event::LocalGranted => {
            format!(
                "{} granted {user} {}{until}{reason}{}.",
                text(Field::ApprovedBy).unwrap_or_else(|| "root".into()),
                given(entry),
                says(", with unchecked commands (", Field::Unchecked, ")")
            )
        }
        Event::LocalRevoked => match text(Field::Actor) {
            Some(actor) => format!("{actor} revoked grant {id} for {user}{reason}."),
            None => format!("Grant {id} for {user} was revoked{reason}."),
        },
        Event::SyncFailed => format!("The endpoint can't be followed{reason}."),
        Event::SyncRecovered => "The endpoint can be followed again.".into(),
        Event::ClockStepped => format!("The clock changed{reason}."),
        Event::ResidueFound => format!("While grant {id} of {user} gave sudo, these changed: {}.", residue(entry)),
        Event::AuditDropped => dropped(entry),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn the_sentence_names_the_first_of_what_changed_and_how_much_more_there_is() {
        let record = |count: usize| {
            let list: Vec<_> = (0..count).map(|number| format!("added linger {number}")).collect();
            let entry = Entry::new(Event::ResidueFound).with(Field::Grant, "g1").with(Field::User, "alice");
            entry.with(Field::Residue, list).into_record(1, Timestamp::UNIX_EPOCH)
        };
        let says = "While grant g1 of alice gave sudo, these changed: added linger 0, added linger 1.";
        assert_eq!(record(2).message, says);
        let many = record(60);
        assert!(
            many.message.ends_with("added linger 9, and 50 more: curfew audit --grant g1 --json."),
            "{}",
            many.message
        );
        assert!(many.entry.text(Field::Residue).unwrap().ends_with("added linger 59"));
    }

    #[test]
    fn a_long_command_stands_in_a_record_once() {
        for command in ["sudo -n /usr/bin/id ".to_owned() + &"a".repeat(1000), "sudo ".to_owned() + &"ä€".repeat(300)]
        {
            let entry = Entry::new(Event::SudoPermitted).with(Field::User, "alice");
            let record = entry.with(Field::Command, command.as_str()).into_record(1, Timestamp::UNIX_EPOCH);
            assert!(record.message.len() < 140, "{}", record.message);
            assert!(record.message.ends_with("…`."), "{}", record.message);
            assert_eq!(record.entry.text(Field::Command).unwrap(), command);
        }
    }

    #[test]
    fn the_program_is_named_where_the_beginning_of_the_command_hides_it() {
        let says = |command: String| {
            let entry = Entry::new(Event::SudoPermitted).with(Field::User, "alice").with(Field::Program, "rm");
            entry.with(Field::Command, command).into_record(1, Timestamp::UNIX_EPOCH).message
        };
        assert!(says(format!("sudo -p {} rm x", "a".repeat(100))).ends_with("…` (the program `rm`)."));
        assert_eq!(says("sudo rm x".into()), "alice was permitted to run `sudo rm x`.");
    }

    #[test]
    fn what_no_grant_covers_does_not_read_as_if_somebody_had_approved_it() {
        let entry = Entry::new(Event::SudoPermitted).with(Field::User, "dave").with(Field::Command, "sudo id");
        let entry = entry.with(Field::Outcome, "permit").with(Field::Reason, "no live grant covers this command");
        assert_eq!(
            entry.into_record(1, Timestamp::UNIX_EPOCH).message,
            "dave was let through to sudo to run `sudo id`: no live grant covers this command."
        );
    }

    #[test]
    fn a_refusal_says_why_in_words_where_the_code_has_others() {
        let says = |event, code: &str| {
            let entry = Entry::new(event).with(Field::User, "alice").with(Field::ReasonCode, code);
            entry.into_record(1, Timestamp::UNIX_EPOCH).message
        };
        let sudo = |code| says(Event::SudoDenied, code);
        assert_eq!(sudo("wrong_service"), "alice was refused (no live grant covers it: wrong_service).");
        assert_eq!(sudo("no_grant"), "alice was refused (no_grant).");
        let login = says(Event::LoginDenied, "wrong_source");
        assert_eq!(login, "alice was refused to log in (no live grant is for this source: wrong_source).");
    }

    #[test]
    fn the_sentence_of_a_revocation_names_who_revoked_and_not_who_approved() {
        let entry = Entry::new(Event::LocalRevoked).with(Field::Grant, "G").with(Field::User, "alice");
        let entry = entry.with(Field::ApprovedBy, vec!["bob"]).with(Field::Actor, "carol");
        let says = |entry: &Entry| entry.clone().into_record(1, Timestamp::UNIX_EPOCH).message;
        assert_eq!(says(&entry), "carol revoked grant G for alice.");
        assert_eq!(
            says(&entry.with(Field::Reason, "no longer needed")),
            "carol revoked grant G for alice: no longer needed."
        );
    }

    #[test]
    fn the_sentence_of_sudo_names_who_logged_in_where_that_is_another_person() {
        let says = |entry: Entry| entry.with(Field::User, "bob").into_record(1, Timestamp::UNIX_EPOCH).message;
        let permitted = Entry::new(Event::SudoPermitted).with(Field::Command, "sudo id");
        assert_eq!(says(permitted.clone()), "bob was permitted to run `sudo id`.");
        assert_eq!(
            says(permitted.with(Field::Actor, "alice")),
            "bob (logged in as alice) was permitted to run `sudo id`."
        );
    }

    #[test]
    fn the_sentence_of_the_wiring_says_who_changed_it_and_why() {
        let wired = Entry::new(Event::WiringChanged).with(Field::Service, "sshd sudo").with(Field::Mode, "enforce");
        let says = |entry: Entry| entry.into_record(1, Timestamp::UNIX_EPOCH).message;
        assert_eq!(says(wired.clone()), "PAM asks Curfew in sshd sudo, in mode enforce.");
        let enabled = wired.with(Field::Outcome, "enabled").with(Field::Actor, "carol");
        assert_eq!(says(enabled), "PAM asks Curfew in sshd sudo, in mode enforce (enabled by carol).");
        let undone = Entry::new(Event::WiringChanged).with(Field::Outcome, "undone");
        assert_eq!(
            says(undone.with(Field::Reason, "nobody confirmed it in time")),
            "PAM does not ask Curfew any more: nobody is refused (undone: nobody confirmed it in time)."
        );
    }

    #[test]
    fn the_sentence_of_many_says_how_many_and_when() {
        let entry = Entry::new(Event::LoginDenied).with(Field::User, "alice").with(Field::Service, "sshd");
        let entry = entry.with(Field::Rhost, "10.1.2.3").with(Field::ReasonCode, "no_grant");
        let entry = entry.with(Field::First, "2026-11-21T20:00:00Z").with(Field::Last, "2026-11-21T20:00:59Z");
        let said = |entry: Entry| entry.into_record(1, Timestamp::UNIX_EPOCH).message;
        let times = "from 2026-11-21T20:00:00Z to 2026-11-21T20:00:59Z";
        let who = "alice was refused to log in over sshd from 10.1.2.3 (no_grant)";
        assert_eq!(said(entry.clone().with(Field::Count, 431)), format!("{who}: 431 more times {times}."));
        assert_eq!(said(entry.clone().with(Field::Count, 1)), format!("{who}: once more {times}."));
        let many = entry.with(Field::Count, 2).with(Field::Counted, vec!["2 × sshd"]);
        assert_eq!(said(many), format!("{who}: 2 more times {times}, see CURFEW_COUNTED."));
    }

    #[test]
    fn the_sentence_of_what_is_gone_says_which_and_where_else_it_is() {
        let entry = Entry::new(Event::AuditDropped).with(Field::Count, 90).with(Field::From, 1).with(Field::To, 100);
        let entry = entry.with(Field::Reason, "the spool is full").with(Field::Shipped, "no");
        let says = "Audit records were dropped: 90, of the numbers 1 to 100 (the spool is full); the endpoint does not have them.";
        assert_eq!(entry.into_record(101, Timestamp::UNIX_EPOCH).message, says);
    }
}
