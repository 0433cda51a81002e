//! What was ended and why, in the words of a record's sentence. The reason codes are fixed from outside, and none of them says that a grant expired.

use super::super::{Entry, Field};

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

/// How what obeyed HUP and TERM ended, where that was before its grant did.
pub const IN_GRACE: &str = "in the grace before its grant's end";

/// `, since the grant expired`; with more of it, as far as the record says how the grant ended.
pub(super) fn since(entry: &Entry) -> String {
    let how = entry.text(Field::End);
    let how = match how.as_deref() {
        Some(how) if how.starts_with(IN_GRACE) => return format!(" {how}"),
        Some(how) if how.starts_with("revoked") || how.starts_with("superseded") => {
            return format!(", since the grant was {how}");
        }
        Some(how) => format!(" ({how})"),
        None => String::new(),
    };
    let why = match entry.text(Field::ReasonCode).as_deref() {
        None => return how,
        Some("ended") => "the grant expired",
        Some("revoked") => "the grant was revoked",
        Some("account_changed") => "the grant is not for the account that has this name now",
        Some("wrong_service" | "wrong_source") => "no grant covers it any more",
        Some("no_grant" | "not_yet" | "stale" | "clock_unproven") => "there is no grant for it any more",
        Some(other) => return format!(" ({other}){how}"),
    };
    format!(", since {why}{how}")
}

/// `; 2 live on: bash (waits in the kernel):2`. Nothing where nothing is left.
pub(super) fn live_on(entry: &Entry) -> String {
    let Some(left) = entry.text(Field::Survivors).filter(|left| left != "0") else { return String::new() };
    match left.split_once(": ") {
        Some(("unknown", why)) => format!("; it is not known what lives on: {why}"),
        Some(("1", which)) => format!("; 1 lives on: {which}"),
        Some((count, which)) => format!("; {count} live on: {which}"),
        None => format!("; {left} live on"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Event;
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
        let sudo = sudo.with(Field::Command, "sudo sleep 9");
        assert_eq!(says(sudo.clone()), named);
        // The reason for the grant is none for its end.
        let sudo = sudo.with(Field::Reason, "INC-1");
        assert_eq!(says(sudo.clone()), named);
        for (end, since) in [
            ("revoked by carol: no longer needed", ", since the grant was revoked by carol: no longer needed,"),
            (IN_GRACE, " in the grace before its grant's end,"),
            ("it is within a run of sudo by bob", ", since the grant was revoked (it is within a run of sudo by bob),"),
        ] {
            let said = says(sudo.clone().with(Field::End, end));
            assert_eq!(said, named.replace(", since the grant was revoked,", since));
        }
    }

    #[test]
    fn the_sentence_of_an_end_says_what_lives_on() {
        let session = Entry::new(Event::SessionTerminated).with(Field::User, "alice").with(Field::ReasonCode, "ended");
        let sudo = Entry::new(Event::SudoTerminated).with(Field::User, "alice").with(Field::ReasonCode, "ended");
        for (survivors, end) in [
            ("0", "killing bash:1."),
            ("1: bash (waits in the kernel):1", "killing bash:1; 1 lives on: bash (waits in the kernel):1."),
            (
                "3: bash (waits in the kernel):2 dd (has not died yet):1",
                "killing bash:1; 3 live on: bash (waits in the kernel):2 dd (has not died yet):1.",
            ),
            (
                "unknown: the processes can't be listed",
                "killing bash:1; it is not known what lives on: the processes can't be listed.",
            ),
        ] {
            for entry in [&session, &sudo] {
                let said = says(entry.clone().with(Field::Survivors, survivors));
                assert!(said.ends_with(&format!(", since the grant expired, {end}")), "{said}");
            }
        }
    }
}
