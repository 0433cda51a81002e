//! The rules of one PAM service, as far as it matters who is asked first (pam.conf(5)): a line of ours that comes after one that can let somebody
//! in is no lock.

use super::kind::Kind;
use super::lines::{joined, logical, names_us};
use super::marks::DENIES;

/// What is wrong with how a service is wired, as a sentence.
///
/// # Errors
///
/// The sentence.
pub fn check(text: &str, kind: Kind) -> Result<(), String> {
    let lines = numbered(text);
    let rules: Vec<Rule<'_>> = lines.iter().filter_map(|(number, line)| Rule::parse(*number, line)).collect();
    let ours = |rule: &&Rule<'_>| rule.is_ours();
    let account: Vec<&Rule<'_>> = rules.iter().filter(|rule| rule.is_account()).collect();
    let Some(our_account) = account.iter().copied().find(ours) else {
        return Err("our account line is missing".into());
    };
    if !matches!(our_account.control, "requisite" | "required") {
        let Rule { number, control, .. } = our_account;
        return Err(format!("line {number}: our account line is {control:?}, so others can overrule it"));
    }
    if let Some(first) = account.first().filter(|first| !first.is_ours()) {
        let Rule { number, line, .. } = first;
        return Err(format!("line {number} ({}) comes before our account line, and can let people in", line.trim()));
    }
    if !our_account.line.split_ascii_whitespace().any(|word| word == kind.argument()) {
        return Err(format!("line {}: our account line does not say {:?}", our_account.number, kind.argument()));
    }
    if !rules.iter().any(|rule| rule.kind == "session" && rule.is_ours()) {
        return Err("our session line is missing".into());
    }
    Ok(())
}

/// Why people whose elevation is denied are asked for a password first, as a sentence; none where they are not.
pub fn asks_for_a_password_first(text: &str, kind: Kind) -> Option<String> {
    if kind == Kind::Login {
        return None;
    }
    let lines = numbered(text);
    let rules = lines.iter().filter_map(|(number, line)| Rule::parse(*number, line));
    let auth: Vec<Rule<'_>> = rules.filter(|rule| rule.is_auth()).collect();
    let Some(ours) = auth.iter().find(|rule| rule.is_ours()) else {
        return Some("our auth line is missing".into());
    };
    if let Some(first) = auth.first().filter(|first| !first.is_ours()) {
        return Some(format!("line {} ({}) comes before our auth line", first.number, first.line.trim()));
    }
    let is_whole = ours.line.split_once('[').is_some_and(|(_, rest)| {
        format!("[{rest}").starts_with(DENIES) && rest.split_ascii_whitespace().any(|word| word == kind.argument())
    });
    (!is_whole).then(|| format!("line {}: our auth line is not as it was written", ours.number))
}

/// A rule, or an include.
struct Rule<'a> {
    number: usize,
    line: &'a str,
    /// `account`, `session` …; empty for `@include`, which may have rules of every kind.
    kind: &'a str,
    control: &'a str,
}

impl<'a> Rule<'a> {
    fn parse(number: usize, line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let first = words.next()?;
        let kind = if first == "@include" { "" } else { first.trim_start_matches('-') };
        // A control in brackets may have blanks inside; ours never has.
        Some(Self { number, line, kind, control: words.next().unwrap_or_default() })
    }

    fn is_account(&self) -> bool {
        // Debian's includes are named for the kind of rules that they have.
        let of_another_kind = ["common-auth", "common-session", "common-session-noninteractive", "common-password"];
        self.kind.eq_ignore_ascii_case("account") || (self.kind.is_empty() && !of_another_kind.contains(&self.control))
    }

    fn is_auth(&self) -> bool {
        let of_another_kind = ["common-account", "common-session", "common-session-noninteractive", "common-password"];
        self.kind.eq_ignore_ascii_case("auth") || (self.kind.is_empty() && !of_another_kind.contains(&self.control))
    }

    fn is_ours(&self) -> bool {
        names_us(self.line)
    }
}

/// Whether a text has an account rule of ours, as PAM reads it, wherever it stands.
pub fn has_account_rule(text: &str) -> bool {
    let ours = |rule: Rule<'_>| rule.kind.eq_ignore_ascii_case("account") && rule.is_ours();
    numbered(text).iter().any(|(number, line)| Rule::parse(*number, line).is_some_and(ours))
}

/// The logical lines, with their numbers from 1.
fn numbered(text: &str) -> Vec<(usize, String)> {
    let mut number = 1;
    let line = |line: &[u8]| {
        let here = (number, joined(line));
        number += line.iter().filter(|&&byte| byte == b'\n').count();
        here
    };
    logical(text.as_bytes()).map(line).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::marks::wired;
    use super::*;

    const SSHD: &str = "# sshd\n@include common-auth\naccount required pam_nologin.so\n@include common-account\n@include common-session\n";

    fn after_wiring(change: impl Fn(String) -> String) -> Result<(), String> {
        let text = String::from_utf8(wired(SSHD.as_bytes(), Kind::Login)).unwrap();
        check(&change(text), Kind::Login)
    }

    #[test]
    fn what_enable_writes_is_right() {
        assert_eq!(after_wiring(|text| text), Ok(()));
        assert_eq!(after_wiring(|text| format!("@include common-auth\nauth required x.so\n{text}")), Ok(()));
    }

    #[test]
    fn whatever_comes_first_can_let_people_in() {
        for first in [
            "account sufficient pam_permit.so\n",
            "-account [success=done] pam_localuser.so\n",
            "@include common-account\n",
            "@include mine\n",
            "ACCOUNT \\\nsufficient pam_permit.so\n",
        ] {
            let problem = after_wiring(|text| format!("{first}{text}")).unwrap_err();
            assert!(problem.starts_with("line 1 ") && problem.contains("before our account line"), "{problem}");
        }
    }

    #[test]
    fn an_auth_line_that_is_missing_late_or_changed_is_told() {
        let of = |change: &dyn Fn(String) -> String| {
            let text = String::from_utf8(wired(SSHD.as_bytes(), Kind::Elevation)).unwrap();
            asks_for_a_password_first(&change(text), Kind::Elevation)
        };
        assert_eq!(of(&|text| text), None);
        assert_eq!(of(&|text| format!("@include common-account\nsession required a.so\n{text}")), None);
        let before = String::from_utf8(wired(SSHD.as_bytes(), Kind::Login)).unwrap();
        assert_eq!(asks_for_a_password_first(&before, Kind::Login), None);
        // As an agent before this one wired it.
        assert!(of(&|_| before.replace("login", "elevation")).is_some_and(|it| it.contains("is missing")));
        assert!(of(&|text| format!("@include common-auth\n{text}")).is_some_and(|it| it.contains("line 1 (")));
        assert!(of(&|text| text.replace("cred_insufficient=die ", "")).is_some_and(|it| it.contains("not as it was")));
    }

    #[test]
    fn a_rule_is_ours_however_it_is_written() {
        for ours in [
            "account requisite pam_curfew.so login",
            "-ACCOUNT [default=die] /lib/security/pam_curfew.so",
            "account requisite \\\npam_curfew.so",
        ] {
            assert!(has_account_rule(ours), "{ours}");
        }
        for none in [
            "# account requisite pam_curfew.so",
            "account required a.so # pam_curfew.so",
            "session required pam_curfew.so",
        ] {
            assert!(!has_account_rule(none), "{none}");
        }
    }

    #[test]
    fn a_line_that_is_weakened_or_gone_is_told() {
        for (from, to, says) in [
            ("account    requisite", "account    optional", "overrule"),
            ("account    requisite    pam_curfew.so login", "# none", "our account line is missing"),
            ("session    required     pam_curfew.so login", "", "our session line is missing"),
            ("pam_curfew.so login", "pam_curfew.so elevation", "does not say \"login\""),
        ] {
            let problem = after_wiring(|text| text.replacen(from, to, 1)).unwrap_err();
            assert!(problem.contains(says), "{problem}");
        }
    }
}
