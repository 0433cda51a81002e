//! The text of a PAM service file, with our lines and without them: rules between marks, which say whose they are.
//!
//! Unwiring knows no error. Where somebody has damaged our blocks, what is ours goes all the same, line by line, and every other line stays.

use super::kind::Kind;
use super::lines::{END, begins, ends, joined, logical, names_us};

const BEGIN: &str = "# curfew begin: written by `curfew enable`, removed by `curfew disable`\n";

const BEGIN_NO_NEWLINE: &str = "# curfew begin: the line above had no line break; `curfew disable` restores that\n";

/// How our auth line is obeyed: it may deny before anybody is asked for a password, and can let nobody in. A module that is not there, or says anything
/// else, changes nothing: the account line is the lock.
pub(super) const DENIES: &str = "[perm_denied=die cred_insufficient=die default=ignore]";

/// The text of a service file with our lines in it, whatever of ours it had before.
pub fn wired(text: &[u8], kind: Kind) -> Vec<u8> {
    wired_below(BEGIN.as_bytes(), text, kind)
}

/// The same, with another first mark.
pub(super) fn wired_below(begin: &[u8], text: &[u8], kind: Kind) -> Vec<u8> {
    let plain = unwired(text);
    let argument = kind.argument();
    let mut wired = [begin, format!("account    requisite    pam_curfew.so {argument}\n{END}").as_bytes()].concat();
    if kind == Kind::Elevation {
        // In a block of its own: whatever takes out one block takes out several.
        wired.extend_from_slice(format!("{BEGIN}auth       {DENIES}    pam_curfew.so {argument}\n{END}").as_bytes());
    }
    let whole = plain.is_empty() || plain.ends_with(b"\n");
    wired.extend_from_slice(&plain);
    let (separator, begin) = if whole { ("", BEGIN) } else { ("\n", BEGIN_NO_NEWLINE) };
    let session = format!("{separator}{begin}session    required     pam_curfew.so {argument}\n{END}");
    wired.extend_from_slice(session.as_bytes());
    wired
}

/// The text of a service file without our lines. Other people's bytes are kept, whatever they are, also where they stand between our marks.
pub fn unwired(text: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = logical(text).collect();
    let mut plain = Vec::with_capacity(text.len());
    let mut begun = false;
    // What is left when the line break goes that we put before our last lines; it stays where something was added behind them.
    let mut without_our_break = None;
    for (line, next) in lines.iter().zip(lines.iter().skip(1).map(Some).chain([None])) {
        if begins(line) {
            begun = true;
            if *line == BEGIN_NO_NEWLINE.as_bytes() && plain.ends_with(b"\n") {
                without_our_break = Some(plain.len() - 1);
            }
        } else if ends(line) {
            begun = false;
        } else if !(names_us(&joined(line)) && (begun || next.is_some_and(|next| ends(next)))) {
            plain.extend_from_slice(line);
            without_our_break = None;
        }
    }
    plain.truncate(without_our_break.unwrap_or(plain.len()));
    plain
}

/// The first rule that names our module, from 1.
pub(super) fn rule_of_ours(text: &[u8]) -> Option<usize> {
    let mut number = 1;
    logical(text).find_map(|line| {
        let here = names_us(&joined(line)).then_some(number);
        number += line.iter().filter(|&&byte| byte == b'\n').count();
        here
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SSHD: &[u8] =
        b"# PAM for sshd\n@include common-auth\naccount required pam_nologin.so\n@include common-account\n";

    #[test]
    fn our_account_line_is_the_first_and_our_session_line_the_last() {
        let wired = String::from_utf8(wired(SSHD, Kind::Login)).unwrap();
        let rules: Vec<_> = wired.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(rules.first().unwrap().starts_with("account    requisite    pam_curfew.so login"));
        assert!(rules.last().unwrap().starts_with("session    required     pam_curfew.so login"));
    }

    #[test]
    fn an_elevation_is_denied_before_anything_asks_for_a_password_and_a_login_is_not() {
        let rules = |kind| {
            let wired = String::from_utf8(wired(SSHD, kind)).unwrap();
            wired.lines().filter(|line| line.contains("pam_curfew.so")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(rules(Kind::Login).len(), 2);
        let [account, auth, session] = rules(Kind::Elevation).try_into().unwrap();
        assert!(account.starts_with("account ") && session.starts_with("session "));
        assert_eq!(auth, format!("auth       {DENIES}    pam_curfew.so elevation"));
    }

    #[test]
    fn whatever_line_of_a_block_is_lost_the_rest_of_it_goes_and_nothing_else() {
        let whole = wired(SSHD, Kind::Elevation);
        let lines = |text: &[u8]| text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
        for lost in 0..lines(&whole).len() {
            let mut damaged = lines(&whole);
            damaged.remove(lost);
            let kept = lines(SSHD).into_iter().filter(|line| damaged.contains(line)).collect::<Vec<_>>().concat();
            let damaged = damaged.concat();
            assert_eq!(
                String::from_utf8(unwired(&damaged)).unwrap(),
                String::from_utf8(kept).unwrap(),
                "without line {lost}"
            );
        }
    }

    #[test]
    fn what_was_added_stays() {
        let mut text = wired(b"auth required a.so", Kind::Login);
        assert_eq!(unwired(&text), b"auth required a.so");
        text.extend_from_slice(b"session required b.so\n");
        assert_eq!(unwired(&text), b"auth required a.so\nsession required b.so\n");

        let between = format!("{BEGIN}# a word\naccount requisite pam_curfew.so login\naccount required b.so\n{END}");
        assert_eq!(unwired(between.as_bytes()), b"# a word\naccount required b.so\n");
        // A rule with our module that has no marks is its author's.
        let theirs = b"account requisite pam_curfew.so login\naccount required b.so\n";
        assert_eq!(unwired(theirs), theirs);
        assert_eq!(rule_of_ours(theirs), Some(1));
    }

    #[test]
    fn a_rule_of_ours_goes_with_the_lines_that_it_goes_on_in() {
        for rule in ["account requisite pam_curfew.so \\\n    login\n", "account requisite \\\n pam_curfew.so login\n"]
        {
            let text = format!("{BEGIN}{rule}{END}auth required a.so\n");
            assert_eq!(String::from_utf8(unwired(text.as_bytes())).unwrap(), "auth required a.so\n");
            assert_eq!(rule_of_ours(format!("# a\n\n{rule}").as_bytes()), Some(3));
        }
    }

    proptest! {
        #[test]
        fn unwiring_restores_every_byte(text in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..80)) {
            let once = wired(&text, Kind::Elevation);
            prop_assert_eq!(&wired(&once, Kind::Elevation), &once);
            prop_assert_eq!(unwired(&once), text);
        }
    }
}
