//! What was ended and why, in the words of a record's sentence. The reason codes are fixed from outside, and none of them says that a grant expired.

use super::{Entry, Field};

/// The service that stands for what a person has outside of their logins: their service manager (user@.service(5)).
const MANAGER: &str = "user@";

/// `A session of alice over sshd from 192.0.2.7`.
pub(super) fn login(entry: &Entry, user: &str) -> String {
    let part = |word: &str, field| entry.text(field).map_or(String::new(), |it| format!(" {word} {it}"));
    match entry.text(Field::Service) {
        Some(manager) if manager.starts_with(MANAGER) => format!("What {user} had outside of their logins ({manager})"),
        _ => format!("A session of {user}{}{}", part("over", Field::Service), part("from", Field::Rhost)),
    }
}

/// `, since the grant expired`.
pub(super) fn since(entry: &Entry) -> String {
    let why = match entry.text(Field::ReasonCode).as_deref() {
        None => return String::new(),
        Some("ended") => "the grant expired",
        Some("revoked") => "the grant was revoked",
        Some("account_changed") => "the grant is not for the account that has this name now",
        Some("wrong_service" | "wrong_source") => "no grant covers it any more",
        Some("no_grant" | "not_yet" | "stale" | "clock_unproven") => "there is no grant for it any more",
        Some(other) => return format!(" ({other})"),
    };
    format!(", since {why}")
}

#[cfg(test)]
mod tests {
    use super::super::Event;
    use super::*;
    use jiff::Timestamp;

    fn says(entry: Entry) -> String {
        entry.with(Field::Killed, "bash:1").into_record(1, Timestamp::UNIX_EPOCH).message
    }

    #[test]
    fn the_sentence_of_an_end_says_what_ended_and_why() {
        let session = Entry::new(Event::SessionTerminated).with(Field::User, "alice").with(Field::Service, "sshd");
        let expired = session.clone().with(Field::Rhost, "192.0.2.7").with(Field::ReasonCode, "ended");
        assert_eq!(
            says(expired),
            "A session of alice over sshd from 192.0.2.7 was ended, since the grant expired, killing bash:1."
        );
        let revoked = session.clone().with(Field::ReasonCode, "revoked");
        assert_eq!(
            says(revoked),
            "A session of alice over sshd was ended, since the grant was revoked, killing bash:1."
        );
        let left = session.with(Field::Service, "user@1001.service").with(Field::ReasonCode, "ended");
        assert_eq!(
            says(left),
            "What alice had outside of their logins (user@1001.service) was ended, since the grant expired, killing bash:1."
        );
    }

    #[test]
    fn the_sentence_of_an_end_of_sudo_names_the_command() {
        let sudo = Entry::new(Event::SudoTerminated).with(Field::User, "alice").with(Field::ReasonCode, "revoked");
        let plain = "Elevated processes of alice were ended, since the grant was revoked, killing bash:1.";
        assert_eq!(says(sudo.clone()), plain);
        let named =
            "Elevated processes of alice, of `sudo sleep 9`, were ended, since the grant was revoked, killing bash:1.";
        assert_eq!(says(sudo.with(Field::Command, "sudo sleep 9")), named);
    }
}
