//! Whether PAM reaches our session line: a rule above it may end the session rules, or jump over it, and then nobody
//! tells us that a session began (pam.conf(5)).
//!
//! Includes are followed. What a module answers is not known, so everything that it may answer is taken to happen; of
//! pam_permit and pam_deny alone is it plain, and every Debian host has a pam_deny above our line that is always jumped
//! over.

use super::kind::Kind;
use super::lines::{joined, logical, names_us};
use std::collections::BTreeSet;

/// Includes deeper than this are a circle.
const DEEPEST: usize = 8;

/// What keeps PAM from our session line in the file `name`, as a sentence. `read` gives the text of the files that it
/// includes.
pub fn hindrance(name: &str, read: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut rules = Vec::new();
    follow(name, read, 0, &mut rules);
    let ours = rules.iter().position(|rule| rule.ours)?;
    let mut reached = BTreeSet::from([0]);
    let mut place = 0;
    // No jump leads back.
    while place < ours {
        if let Some(rule) = rules.get(place).filter(|_| reached.contains(&place)) {
            for &outcome in rule.outcomes() {
                match rule.action(outcome) {
                    Action::GoOn => drop(reached.insert(place + 1)),
                    Action::Jump(over) if place + over < ours => drop(reached.insert(place + 1 + over)),
                    Action::Jump(_) => return Some(format!("{} jumps over our session line", rule.place)),
                    Action::End => return Some(format!("{} can end the session rules above our line", rule.place)),
                }
            }
        }
        place += 1;
    }
    None
}

/// What a rule has PAM do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Action {
    GoOn,
    Jump(usize),
    End,
}

/// What a module may answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Success,
    /// This, of the values that a control in brackets has words for, or any that it has none for.
    Other,
}

/// A session rule.
struct Rule {
    /// Where it is, and what it says.
    place: String,
    control: String,
    module: String,
    ours: bool,
}

impl Rule {
    fn outcomes(&self) -> &'static [Outcome] {
        match self.module.rsplit('/').next() {
            Some("pam_permit.so") => &[Outcome::Success],
            Some("pam_deny.so") => &[Outcome::Other],
            _ => &[Outcome::Success, Outcome::Other],
        }
    }

    /// The one of the actions for this outcome that leads furthest from the next rule.
    fn action(&self, outcome: Outcome) -> Action {
        let Some(words) = self.control.strip_prefix('[') else {
            return match (self.control.as_str(), outcome) {
                ("sufficient", Outcome::Success) | ("requisite", Outcome::Other) => Action::End,
                _ => Action::GoOn,
            };
        };
        let words = words.trim_end_matches(']').split_ascii_whitespace().filter_map(|word| word.split_once('='));
        let words: Vec<(&str, &str)> = words.collect();
        let of = |name: &str| words.iter().find(|(it, _)| *it == name).map(|(_, action)| *action);
        let actions: Vec<&str> = match outcome {
            Outcome::Success => of("success").or(of("default")).into_iter().collect(),
            Outcome::Other => words.iter().filter(|(it, _)| *it != "success").map(|(_, action)| *action).collect(),
        };
        let parsed = actions.into_iter().map(|action| match action {
            "done" | "die" => Action::End,
            number => number.parse().ok().filter(|&over| over > 0).map_or(Action::GoOn, Action::Jump),
        });
        parsed
            .max_by_key(|action| match action {
                Action::GoOn => 0,
                Action::Jump(over) => *over,
                Action::End => usize::MAX,
            })
            // Where nothing is said, it is a failure that is remembered.
            .unwrap_or(Action::GoOn)
    }
}

fn follow(name: &str, read: &impl Fn(&str) -> Option<String>, depth: usize, rules: &mut Vec<Rule>) {
    let Some(text) = read(name).filter(|_| depth < DEEPEST) else { return };
    let mut number = 1;
    for line in logical(text.as_bytes()) {
        let here = number;
        number += line.iter().filter(|&&byte| byte == b'\n').count();
        let line = joined(line);
        let line = line.trim();
        match parse(line) {
            Some(Line::Include(file)) => follow(file, read, depth + 1, rules),
            Some(Line::Rule(control, module)) => rules.push(Rule {
                place: format!("{name}, line {here} ({})", line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")),
                control: control.to_ascii_lowercase(),
                module: module.to_owned(),
                ours: names_us(line),
            }),
            None => {}
        }
    }
}

/// A line that is about sessions.
enum Line<'a> {
    Include(&'a str),
    Rule(&'a str, &'a str),
}

fn parse(line: &str) -> Option<Line<'_>> {
    let (kind, rest) = line.split_once(|c: char| c.is_ascii_whitespace())?;
    let rest = rest.trim_start();
    if kind == "@include" {
        return rest.split_ascii_whitespace().next().map(Line::Include);
    }
    if !kind.trim_start_matches('-').eq_ignore_ascii_case("session") {
        return None;
    }
    let (control, rest) = match rest.strip_prefix('[') {
        Some(inner) => rest.split_at(inner.find(']')? + 2),
        None => rest.split_once(|c: char| c.is_ascii_whitespace())?,
    };
    let module = rest.split_ascii_whitespace().next()?;
    match control {
        "include" => Some(Line::Include(module)),
        // What ends or jumps in there does so in there alone.
        "substack" => None,
        _ => Some(Line::Rule(control, module)),
    }
}

/// What is wrong with our own session line, as a sentence: one that can be overruled opens what ended meanwhile.
pub fn weakness(text: &str, kind: Kind) -> Option<String> {
    let lines: Vec<String> = logical(text.as_bytes()).map(joined).collect();
    let ours = lines.iter().map(|line| line.trim()).filter(|line| names_us(line)).find_map(|line| match parse(line) {
        Some(Line::Rule(control, _)) => Some((control, line)),
        _ => None,
    });
    let (control, line) = ours?;
    if !matches!(control, "required" | "requisite") {
        return Some(format!("our session line is {control:?}, so others can overrule it"));
    }
    let says_it = line.split_ascii_whitespace().any(|word| word == kind.argument());
    (!says_it).then(|| format!("our session line does not say {:?}", kind.argument()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "session required pam_curfew.so elevation\n";

    /// As Debian has it.
    const COMMON: &str = "session [default=1] pam_permit.so\nsession requisite pam_deny.so\nsession required pam_permit.so\n\
                          session required pam_unix.so\n";

    fn of(text: &str) -> Option<String> {
        let file = format!("account requisite pam_curfew.so elevation\n{text}{OURS}session sufficient pam_permit.so\n");
        hindrance("sudo", &|name| match name {
            "sudo" => Some(file.clone()),
            "common-session" => Some(COMMON.to_owned()),
            "circle" => Some("@include circle\nsession sufficient pam_permit.so\n".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn what_distributions_have_keeps_nobody_from_our_line() {
        for text in [
            "",
            "session required pam_limits.so\n@include common-session\n",
            "session include common-session\n",
            "auth sufficient pam_permit.so\naccount [success=done] pam_localuser.so\n",
            "session [success=1 default=ignore] pam_succeed_if.so service in crond quiet use_uid\nsession required pam_unix.so\n",
            "session [success=ok ignore=ignore module_unknown=ignore default=bad] pam_selinux.so close\n",
            "-session optional pam_systemd.so\nsession substack postlogin\n",
            "session sufficient pam_deny.so\nsession requisite pam_permit.so\n",
            "# session sufficient pam_permit.so\n",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn whatever_ends_the_rules_or_jumps_over_ours_is_found() {
        for (text, says) in [
            ("session sufficient pam_permit.so\n", "sudo, line 2 (session sufficient pam_permit.so) can end"),
            (
                "session  required a.so\n-SESSION requisite pam_deny.so\n",
                "sudo, line 3 (-SESSION requisite pam_deny.so)",
            ),
            ("session requisite pam_limits.so\n", "can end"),
            ("session [success=done default=ignore] pam_x.so\n", "can end"),
            ("session [success=ok default=die] pam_x.so\n", "can end"),
            ("session [success=1 default=ignore] pam_x.so\n", "jumps over"),
            ("session \\\n  [default=5]  pam_x.so\n@include common-session\n", "jumps over"),
            ("session [success=2 default=1] x.so\nsession required a.so\nsession sufficient b.so\n", "sudo, line 4"),
            ("@include circle\n", "circle, line 2"),
        ] {
            let found = of(text);
            assert!(found.as_deref().is_some_and(|found| found.contains(says)), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_session_line_of_ours_that_is_weakened_is_told() {
        let of = |text: &str| weakness(text, Kind::Elevation);
        assert_eq!(of(OURS), None);
        assert!(of("session optional pam_curfew.so elevation\n").is_some_and(|it| it.contains("overrule")));
        assert!(of("session [default=ignore] pam_curfew.so elevation\n").is_some());
        assert!(of("session required pam_curfew.so login\n").is_some_and(|it| it.contains("does not say")));
    }
}
