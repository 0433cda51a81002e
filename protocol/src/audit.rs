//! The audit record: its events, its fields, and the one sentence that it says.
//!
//! A record is a line of JSON in the spool and a set of native fields in journald(8). Both come from the two tables here:
//! [`Event`] and [`Field`].

mod access;
mod ending;

use crate::display;
use access::given;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `SYSLOG_IDENTIFIER` of every record.
pub const SYSLOG_IDENTIFIER: &str = "curfewd";

/// How much of a command the sentence shows, in bytes: the field has it whole.
const COMMAND_IN_SENTENCE: usize = 80;

/// How many of the things that changed the sentence of [`Event::ResidueFound`] names.
const RESIDUE_IN_SENTENCE: usize = 10;

macro_rules! events {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $id:literal)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
        pub enum Event {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Event {
            /// Every event.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name, `CURFEW_EVENT`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its `MESSAGE_ID` (systemd.journal-fields(7)), the key into the catalog.
            pub fn message_id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }
        }
    };
}

events! {
    /// The agent began to enforce grants.
    AgentStarted "agent.started" "8eaec81f91cd4a6b85ebeef6354450ed"
    /// The agent stopped in an orderly way.
    AgentStopped "agent.stopped" "45837b67696642369bb594a124c94ca9"
    /// Which services PAM asks Curfew in changed, or what it does there.
    WiringChanged "wiring.changed" "a3c4f0b7d6a84f4f9c52a2ed6f1f0e83"
    /// `curfew enable` tried the wiring; the fields say with whom, and what was wrong.
    WiringRehearsed "wiring.rehearsed" "5c1f0a7be3d94d1c8f27b8a4d2c6e915"
    /// A grant of the endpoint reached this host.
    GrantReceived "grant.received" "b27d220610d64d02b719ef61e99d4f94"
    /// A grant was malformed and is not held.
    GrantRefused "grant.refused" "9781e3ca187647dd9b9ba33f4be11581"
    /// A grant's window opened.
    GrantStarted "grant.started" "6e78c08362974158841efdac38fb9756"
    /// Whose a grant is changed: its user's name stands for another account, or for none.
    AccountChanged "account.changed" "732f74168dd240bc87eccca8beeb24a4"
    /// A grant no longer holds; `CURFEW_END` says why.
    GrantEnded "grant.ended" "de0beaedc1794c11885c4123eb17c6a1"
    /// A login was permitted.
    LoginPermitted "login.permitted" "e6070e848bbd45f5bfe0696394864fcd"
    /// A login was refused, or would have been.
    LoginDenied "login.denied" "ce95be23213a4237ae06c239ad03e1d7"
    /// A session opened under a grant.
    SessionOpened "session.opened" "165b4860db244f69928034c8644a320b"
    /// A session under a grant ended by itself.
    SessionClosed "session.closed" "b9cda4990ee3430b9bc51e74283108c3"
    /// A session was ended because no grant covers it any more.
    SessionTerminated "session.terminated" "052290eb1b924dc09004944b52af9e80"
    /// An elevation was permitted.
    SudoPermitted "sudo.permitted" "3da4650c27a24c90bacfe91cfa4916ac"
    /// An elevation was refused, or would have been.
    SudoDenied "sudo.denied" "f3efbfc0e1be4f6e99b674a6c9dc781d"
    /// Elevated processes were ended because no grant covers them any more.
    SudoTerminated "sudo.terminated" "c1333c77163d42fa98c05caaf3cdaa4d"
    /// A drop-in for sudo was put in place.
    SudoersWritten "sudoers.written" "2dddd63bb13047b0bbcdae037dd120b1"
    /// A drop-in for sudo was removed.
    SudoersRemoved "sudoers.removed" "64f5e080cef448a2b0913b53fc3d733d"
    /// Somebody on the exempt list logged in or elevated.
    ExemptUsed "exempt.used" "287e7e345ab64c1e9a52114d4844d98f"
    /// A set of grants from the endpoint was verified, stored and put in force.
    SetApplied "set.applied" "66f59d811e6046b7af624853992f4d15"
    /// A store or set of grants could not be used and was set aside.
    SetRefused "set.refused" "1351d16460de4500b6d531add19f4b49"
    /// Root made a local grant.
    LocalGranted "local.granted" "4aabcdd79f0f4ba6b51305fd228ee2f1"
    /// Root revoked a local grant.
    LocalRevoked "local.revoked" "c87bbe0b1928468da5413d59eb0ad989"
    /// The endpoint could not be followed; the last good set stays in force.
    SyncFailed "sync.failed" "4d0a2cc7e5ef4ccca5fa01fadf10ac9d"
    /// The endpoint can be followed again.
    SyncRecovered "sync.recovered" "0f0167358f44487084fd854403ecad40"
    /// The wall clock was set, or what was believed of it changed.
    ClockStepped "clock.stepped" "f2c4fe47a7b54712b0169360df8c1fca"
    /// The host was not as before when sudo by a grant ended.
    ResidueFound "residue.found" "33b5e0c5aaf1f3bda004aa70e527797e"
    /// Records of this audit are gone; the fields say which, how many and why.
    AuditDropped "audit.dropped" "b21ce25c87004069b91267db348279cb"
}

macro_rules! fields {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $journal:literal)*) => {
        /// What a record says beside its event.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
        pub enum Field {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Field {
            /// Every field, in the order of a CSV's columns.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its key in JSON.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its name in the journal.
            pub fn journal_name(self) -> &'static str {
                match self { $(Self::$variant => $journal,)* }
            }
        }
    };
}

fields! {
    /// Why a grant ended: expired, revoked or superseded.
    End "end" "CURFEW_END"
    /// Who acts.
    User "user" "CURFEW_USER"
    /// Whom an elevation turns into.
    RunAs "run_as" "CURFEW_RUN_AS"
    /// The PAM service.
    Service "service" "CURFEW_SERVICE"
    /// Where a login comes from.
    Rhost "rhost" "CURFEW_RHOST"
    /// The terminal.
    Tty "tty" "CURFEW_TTY"
    /// The asking process.
    Pid "pid" "CURFEW_PID"
    /// The logind session.
    Session "session" "CURFEW_SESSION"
    /// The command as it was typed.
    Command "command" "CURFEW_COMMAND"
    /// The file name of the program that sudo runs, without the path and the options that anybody may vary.
    Program "program" "CURFEW_PROGRAM"
    /// The grant behind it.
    Grant "grant" "CURFEW_GRANT"
    /// The request behind the grant.
    Request "request" "CURFEW_REQUEST"
    /// When the access ends.
    NotAfter "not_after" "CURFEW_NOT_AFTER"
    /// permit, deny or would_deny.
    Outcome "outcome" "CURFEW_OUTCOME"
    /// Why, in one word.
    ReasonCode "reason_code" "CURFEW_REASON_CODE"
    /// Why, in the words of whoever asked, or what was wrong.
    Reason "reason" "CURFEW_REASON"
    /// The ticket behind the grant.
    Ticket "ticket" "CURFEW_TICKET"
    /// Who asked for the grant.
    RequestedBy "requested_by" "CURFEW_REQUESTED_BY"
    /// Who approved the grant.
    ApprovedBy "approved_by" "CURFEW_APPROVED_BY"
    /// Where the grant or set came from: endpoint or local.
    Source "source" "CURFEW_SOURCE"
    /// The version of the endpoint's set.
    SetVersion "set_version" "CURFEW_SET_VERSION"
    /// enforce or observe.
    Mode "mode" "CURFEW_MODE"
    /// What was killed: names and counts.
    Killed "killed" "CURFEW_KILLED"
    /// How many processes could not be killed.
    Survivors "survivors" "CURFEW_SURVIVORS"
    /// From the end of the grant to the last process's death, in milliseconds.
    LatencyMs "latency_ms" "CURFEW_LATENCY_MS"
    /// What changed on the host while sudo by a grant was live: one short text each.
    Residue "residue" "CURFEW_RESIDUE"
    /// How many events this record stands for, where it is not one; how many records were dropped.
    Count "count" "CURFEW_COUNT"
    /// When the first of those happened.
    First "first" "CURFEW_FIRST"
    /// When the last of those happened.
    Last "last" "CURFEW_LAST"
    /// What was counted, where it was not all the same: one short text each.
    Counted "counted" "CURFEW_COUNTED"
    /// The number of the first record that was dropped.
    From "from" "CURFEW_FROM"
    /// The number of the last record that was dropped.
    To "to" "CURFEW_TO"
    /// What the check of a local grant's commands found, where root had them taken all the same: one sentence each.
    Unchecked "unchecked" "CURFEW_UNCHECKED"
    /// Whether the endpoint has what was dropped: yes, no or unknown.
    Shipped "shipped" "CURFEW_SHIPPED"
    /// The login services that a grant opens, each, or `any`; none where it opens no login.
    LoginServices "login_services" "CURFEW_LOGIN_SERVICES"
    /// The networks that a grant lets people log in from, or `anywhere`.
    LoginFrom "login_from" "CURFEW_LOGIN_FROM"
    /// The commands that a grant lets sudo run, each shortened where it is long, or `ALL`; none where it gives no sudo.
    SudoCommands "sudo_commands" "CURFEW_SUDO_COMMANDS"
    /// The users that a grant lets sudo run them as.
    SudoRunAs "sudo_run_as" "CURFEW_SUDO_RUN_AS"
    /// Who did it: the person behind root's shell, or behind sudo of another person's, by the name of their login.
    Actor "actor" "CURFEW_ACTOR"
}

/// One line of the audit.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Record {
    /// Its number: gapless on a host, from 1.
    pub seq: u64,
    /// When it happened, by the wall clock.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
    /// The same in one plain sentence.
    pub message: String,
}

/// What happened, before it has a number and a time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// To whom, why, by whose leave.
    #[serde(flatten)]
    pub fields: BTreeMap<Field, Value>,
}

impl Entry {
    /// An entry without fields.
    pub fn new(event: Event) -> Self {
        Self { event, fields: BTreeMap::new() }
    }

    /// The entry with one more field. An empty value adds none.
    #[must_use]
    pub fn with(mut self, field: Field, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            Value::Array(list) if list.is_empty() => {}
            value => {
                self.fields.insert(field, value);
            }
        }
        self
    }

    /// A field as text; a list with commas between.
    pub fn text(&self, field: Field) -> Option<String> {
        self.fields.get(&field).map(as_text)
    }

    /// The record with the number `seq`, at `time`. Its sentence is printable, whatever its fields hold.
    pub fn into_record(self, seq: u64, time: Timestamp) -> Record {
        Record { seq, time, message: display::printable(&message(&self)), entry: self }
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(as_text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

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
fn message(entry: &Entry) -> String {
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
    let because = says(" (", Field::ReasonCode, ")");
    let approved = says(", approved by ", Field::ApprovedBy, "");
    let reason = says(": ", Field::Reason, "");
    let until = says(" until ", Field::NotAfter, "");
    let killed = says(", killing ", Field::Killed, "");
    let command = text(Field::Command).map_or(String::new(), |it| format!(" to run `{}`", shortened(&it)));
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
        Event::SudoPermitted => format!("{user}{login} was permitted{command}{grant}{approved}."),
        Event::SudoDenied => format!("{user}{login} {would} refused{command}{because}."),
        Event::SudoTerminated => {
            let run = text(Field::Command).map_or(String::new(), |it| format!(", of `{}`,", shortened(&it)));
            let around = says(" (", Field::Reason, ")");
            let (since, left) = (ending::since(entry), ending::live_on(entry));
            format!("Elevated processes of {user}{login}{run} were ended{since}{around}{killed}{left}.")
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
    use std::collections::HashSet;

    fn denial() -> Record {
        Entry::new(Event::LoginDenied)
            .with(Field::User, "alice")
            .with(Field::Service, "sshd")
            .with(Field::Rhost, "10.1.2.3")
            .with(Field::ReasonCode, "no_grant")
            .with(Field::Tty, "")
            .with(Field::Pid, 4711)
            .into_record(7, "2026-11-21T20:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_record_is_one_line_of_json_and_comes_back() {
        let line = serde_json::to_string(&denial()).unwrap();
        assert_eq!(
            line,
            r#"{"seq":7,"time":"2026-11-21T20:00:00Z","event":"login.denied","user":"alice","service":"sshd","rhost":"10.1.2.3","pid":4711,"reason_code":"no_grant","message":"alice was refused to log in over sshd from 10.1.2.3 (no_grant)."}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), denial());
    }

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
        let entry = denial().entry.with(Field::First, "2026-11-21T20:00:00Z").with(Field::Last, "2026-11-21T20:00:59Z");
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

    #[test]
    fn message_ids_are_unique_and_128_bits_of_hex() {
        let ids: HashSet<_> = Event::ALL.iter().map(|event| event.message_id()).collect();
        assert_eq!(ids.len(), Event::ALL.len());
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn fields_have_the_same_name_in_json_and_in_the_journal() {
        for field in Field::ALL {
            assert_eq!(field.journal_name(), format!("CURFEW_{}", field.name().to_uppercase()));
        }
    }

    #[test]
    fn the_catalog_explains_every_event() {
        let catalog = include_str!("../../systemd/curfew.catalog");
        for event in Event::ALL {
            assert!(catalog.contains(&format!("-- {}\n", event.message_id())), "{} is not in it", event.name());
        }
        assert_eq!(catalog.matches("\n-- ").count(), Event::ALL.len());
    }
}
