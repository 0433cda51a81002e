//! What changed between two looks, in short sentences.

use super::kind::Kind;
use super::places::{NOT_LOOKED_AT, TABLE};
use super::snapshot::{Fingerprint, Snapshot, beginning};

/// The most sentences about what changed of each kind. What is beyond is counted.
const MOST: usize = 1_000;

/// The most sentences in one record.
const MOST_IN_RECORD: usize = 100;

/// The longest sentence, in bytes.
const LONGEST: usize = 250;

/// How many places that were looked at neither time are shown of each kind.
const SHOWN_UNSEEN: usize = 5;

/// A sentence, and how grave it is within its kind: the least number is the gravest.
type Change = (u8, String);

/// What changed, the gravest first. Nothing where nothing changed, even where something could be seen neither time.
pub fn difference(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut said = Vec::new();
    let mut rest = Vec::new();
    for kind in Kind::ALL {
        let changes = changes(kind, before, after);
        if let more @ 1.. = changes.len().saturating_sub(MOST) {
            rest.push(format!("and {more} more of kind {kind} that are not named"));
        }
        said.extend(changes.into_iter().take(MOST).map(|(_, sentence)| sentence));
    }
    if said.is_empty() {
        return said;
    }
    said.append(&mut rest);
    said.extend(Kind::ALL.iter().filter_map(|&kind| never_seen(kind, before, after)));
    said.extend(doubts(before).map(str::to_owned));
    said.push(NOT_LOOKED_AT.into());
    said.into_iter().map(clip).collect()
}

/// The sentences of each record: a flood makes more of them, and each says which of how many it is.
pub fn parts(said: Vec<String>) -> Vec<Vec<String>> {
    let count = said.len().div_ceil(MOST_IN_RECORD);
    if count < 2 {
        return vec![said];
    }
    let parts = said.chunks(MOST_IN_RECORD).zip(1..);
    parts.map(|(part, number)| [&[format!("part {number} of {count}")], part].concat()).collect()
}

/// What the first look could not know.
fn doubts(before: &Snapshot) -> impl Iterator<Item = &'static str> {
    let doubts = [
        (
            before.late,
            "the first look came only when sudo was open already: what was removed before it is not here, and what was \
             added only where its change time tells",
        ),
        (
            before.clock_was_set,
            "the clock was set while sudo was open and the first look went on: what was added meanwhile may not be here",
        ),
        (
            before.table != TABLE,
            "the first look was taken by another version of Curfew: what it did not look at is told by change times alone",
        ),
    ];
    doubts.into_iter().filter(|(holds, _)| *holds).map(|(_, doubt)| doubt)
}

/// What changed of a kind, the gravest first.
fn changes(kind: Kind, before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let (old, new) = (before.of(kind), after.of(kind));
    let elsewhere: Vec<String> = before
        .homes
        .symmetric_difference(&after.homes)
        .map(|home| format!("{}/", home.trim_end_matches('/')))
        .collect();
    let in_both_looks = |name: &str| !elsewhere.iter().any(|home| name.starts_with(home.as_str()));
    let mut changes = Vec::new();
    for (name, now) in new.iter().filter(|(name, _)| in_both_looks(name)) {
        let shown = || in_brackets(&now.shown);
        let sentence = match old.get(name) {
            Some(was) if was.is_same(now) && before.may_be_new(was) => {
                format!("added or changed {kind} {name}{} right after sudo opened", shown())
            }
            Some(was) if was.is_same(now) => continue,
            Some(was) => changed(kind, name, was, now),
            None if before.may_hide(kind, name) && before.is_old(now) => continue,
            None if before.may_hide(kind, name) => {
                format!("found {kind} {name} where nobody looked before{}", shown())
            }
            None => format!("added {kind} {name}{}", shown()),
        };
        changes.push((gravity(kind, now), sentence));
    }
    let unseen = after.unseen(kind).iter().filter(|(area, _)| !before.unseen(kind).contains_key(*area));
    changes.extend(unseen.map(|(area, why)| (UNSEEN, format!("could not look at {kind} {area}{}", in_brackets(why)))));
    let gone = old.keys().filter(|name| !new.contains_key(*name) && in_both_looks(name));
    let gone = gone.filter(|name| !after.may_hide(kind, name));
    changes.extend(gone.map(|name| (GONE, format!("removed {kind} {name}"))));
    changes.sort();
    changes
}

/// How grave it is that something could not be looked at, and that something is gone.
const UNSEEN: u8 = 2;
const GONE: u8 = 3;

/// How grave something is within its kind: what makes anybody root at once before what does less.
fn gravity(kind: Kind, now: &Fingerprint) -> u8 {
    let mode = now.shown.strip_prefix("mode ").and_then(|rest| u16::from_str_radix(rest.split(' ').next()?, 8).ok());
    let gives_root = mode.is_some_and(|mode| mode & 0o4000 != 0) && now.shown.contains(" owner 0:");
    let is_less = kind == Kind::SetuidFile && !gives_root && !now.shown.contains(" capabilities ");
    u8::from(is_less)
}

fn changed(kind: Kind, name: &str, was: &Fingerprint, now: &Fingerprint) -> String {
    match (was.shown == now.shown, now.shown.as_str()) {
        (true, _) => format!("changed {kind} {name}"),
        (false, shown) => format!("changed {kind} {name} ({shown}; before: {})", was.shown),
    }
}

/// What was looked at neither time belongs to a report that there is, and makes none.
fn never_seen(kind: Kind, before: &Snapshot, after: &Snapshot) -> Option<String> {
    let areas = after.unseen(kind).iter().filter(|(area, _)| before.unseen(kind).contains_key(*area));
    let areas: Vec<String> = areas.map(|(area, why)| format!("{area}{}", in_brackets(why))).collect();
    let shown = areas.iter().take(SHOWN_UNSEEN).map(String::as_str).collect::<Vec<_>>().join("; ");
    let more = match areas.len().saturating_sub(SHOWN_UNSEEN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    (!areas.is_empty()).then(|| format!("not looked at, before and after: {kind} {shown}{more}"))
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

fn clip(text: String) -> String {
    if text.len() > LONGEST { format!("{}…", beginning(&text, LONGEST)) } else { text }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn snapshot(items: &[(Kind, &str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::new();
        for &(kind, name, shown) in items {
            snapshot.add(kind, name.into(), Fingerprint { shown: shown.into(), ..Fingerprint::default() });
        }
        snapshot
    }

    #[test]
    fn what_was_added_changed_and_removed_is_named() {
        let before = snapshot(&[
            (Kind::Crontab, "/etc/cron.d/old", ""),
            (Kind::Group, "sudo", "members ops"),
            (Kind::Linger, "same", ""),
        ]);
        let after = snapshot(&[
            (Kind::SetuidFile, "/usr/local/bin/x", "mode 4755"),
            (Kind::Group, "sudo", "members ops alice"),
            (Kind::Linger, "same", ""),
        ]);
        assert_eq!(
            difference(&before, &after),
            [
                "added setuid file /usr/local/bin/x (mode 4755)",
                "changed group sudo (members ops alice; before: members ops)",
                "removed crontab /etc/cron.d/old",
                NOT_LOOKED_AT,
            ]
        );
        assert!(difference(&after, &after).is_empty());
    }

    #[test]
    fn the_gravest_comes_first_whatever_its_name() {
        let after = snapshot(&[
            (Kind::Profile, "/etc/profile", ""),
            (Kind::Crontab, "/etc/cron.d/a", ""),
            (Kind::SystemUnit, "/etc/systemd/system/a.service", ""),
            (Kind::Account, "eve", ""),
            (Kind::SetuidFile, "/usr/local/bin/x", ""),
            (Kind::Group, "sudo", ""),
            (Kind::Sudoers, "/etc/sudoers.d/z", ""),
        ]);
        let said = difference(&snapshot(&[]), &after);
        let kinds = ["sudoers", "setuid file", "account", "group", "crontab", "system unit", "profile"];
        assert!(said.len() == kinds.len() + 1, "{said:?}");
        for (said, kind) in said.iter().zip(kinds) {
            assert!(said.starts_with(&format!("added {kind} ")), "{kind}: {said}");
        }
    }

    #[test]
    fn every_kind_has_its_place() {
        let kinds: std::collections::HashSet<Kind> = Kind::ALL.into_iter().collect();
        assert_eq!(kinds.len(), Kind::ALL.len());
    }

    #[test]
    fn what_could_not_be_looked_at_is_neither_gone_nor_silently_missing() {
        let mut before = snapshot(&[(Kind::SetuidFile, "/srv/x", ""), (Kind::SetuidFile, "/opt/y", "")]);
        let mut after = snapshot(&[(Kind::SetuidFile, "/opt/y", "")]);
        after.not_looked_at(Kind::SetuidFile, "/srv", "too much");
        assert_eq!(difference(&before, &after), ["could not look at setuid file /srv (too much)", NOT_LOOKED_AT]);
        assert_eq!(
            difference(&after, &before),
            ["found setuid file /srv/x where nobody looked before", NOT_LOOKED_AT],
            "the other way around"
        );
        before.not_looked_at(Kind::SetuidFile, "/srv", "too much");
        assert!(difference(&before, &after).is_empty());
        after.add(Kind::Linger, "alice".into(), Fingerprint::default());
        assert_eq!(
            difference(&before, &after),
            ["added linger alice", "not looked at, before and after: setuid file /srv (too much)", NOT_LOOKED_AT]
        );
    }

    #[test]
    fn a_home_that_was_looked_at_once_only_makes_no_difference() {
        let mut before = snapshot(&[]);
        before.homes.insert("/home/far".into());
        before.add(Kind::AuthorizedKeys, "/home/far/.ssh/authorized_keys: key".into(), Fingerprint::default());
        assert!(difference(&before, &snapshot(&[])).is_empty());
    }

    #[test]
    fn a_late_first_look_is_said() {
        let mut before = snapshot(&[]);
        before.late = true;
        let said = difference(&before, &snapshot(&[(Kind::Linger, "alice", "")]));
        assert!(said.iter().any(|it| it.contains("only when sudo was open already")), "{said:?}");
    }

    fn changed_at(kind: Kind, name: &str, changed: i64) -> (Kind, String, Fingerprint) {
        (kind, name.into(), Fingerprint { changed, ..Fingerprint::default() })
    }

    #[test]
    fn what_the_first_look_found_and_may_have_come_after_the_opening_is_named() {
        let found = |changed| {
            let mut found = snapshot(&[]);
            let (kind, name, fingerprint) = changed_at(Kind::SetuidFile, "/etc/rootsh", changed);
            found.add(kind, name, fingerprint);
            found.finished = 50;
            found
        };
        let named = ["added or changed setuid file /etc/rootsh right after sudo opened", NOT_LOOKED_AT];
        for (opened, changed, expected) in [
            (Some(20), 20, &named[..]),
            (Some(20), 50, &named),
            (Some(20), 19, &[]),
            // It comes from a clock that stood wrong before all of this.
            (Some(20), 51, &[]),
            // Sudo opened after the look.
            (None, 30, &[]),
        ] {
            let mut before = found(changed);
            before.opened = opened;
            assert_eq!(difference(&before, &found(changed)), expected, "{opened:?} {changed}");
        }
    }

    #[test]
    fn what_nobody_looked_at_before_is_told_by_its_change_time() {
        let mut before = snapshot(&[]);
        (before.begun, before.opened, before.finished) = (10, Some(20), 50);
        before.not_looked_at(Kind::SetuidFile, "", "the agent ended");
        let mut after = snapshot(&[]);
        for (name, changed) in [("/usr/bin/sudo", 19), ("/etc/rootsh", 20), ("/etc/unknown", 0)] {
            let (kind, name, fingerprint) = changed_at(Kind::SetuidFile, name, changed);
            after.add(kind, name, fingerprint);
        }
        let found = |name: &str| format!("found setuid file {name} where nobody looked before");
        assert_eq!(difference(&before, &after), [&found("/etc/rootsh"), &found("/etc/unknown"), NOT_LOOKED_AT]);
        before.clock_was_set = true;
        let said = difference(&before, &after);
        assert!(said.contains(&found("/usr/bin/sudo")) && said.iter().any(|it| it.starts_with("the clock was set")));
    }

    #[test]
    fn a_snapshot_of_another_version_names_only_what_is_new_by_its_change_time() {
        let mut before = snapshot(&[(Kind::Linger, "alice", "")]);
        before.table = 0;
        before.begun = 10;
        let mut after = snapshot(&[]);
        for (name, changed) in [("/etc/profile", 9), ("/etc/profile.d/x.sh", 11)] {
            let (kind, name, fingerprint) = changed_at(Kind::Profile, name, changed);
            after.add(kind, name, fingerprint);
        }
        let said = difference(&before, &after);
        assert!(said.iter().any(|it| it == "found profile /etc/profile.d/x.sh where nobody looked before"), "{said:?}");
        assert!(!said.iter().any(|it| it.contains("/etc/profile ")), "{said:?}");
        assert!(said.iter().any(|it| it.contains("another version")), "{said:?}");
    }

    #[test]
    fn what_makes_anybody_root_is_said_first_whatever_its_name() {
        let mut items = vec![(Kind::SetuidFile, "/usr/local/bin/zz-rootshell", "mode 4755 owner 0:0")];
        items.push((Kind::Sudoers, "/etc/sudoers.d/zz", ""));
        let copies: Vec<String> = (0..1_200).map(|number| format!("/opt/{number}")).collect();
        items.extend(copies.iter().map(|name| (Kind::SetuidFile, name.as_str(), "mode 2755 owner 0:0")));
        let jobs: Vec<String> = (0..300).map(|number| format!("/etc/cron.d/{number}")).collect();
        items.extend(jobs.iter().map(|name| (Kind::Crontab, name.as_str(), "")));
        items.push((Kind::Crontab, "/etc/cron.d/zz-backdoor", ""));
        let said = difference(&snapshot(&[]), &snapshot(&items));
        let first =
            ["added sudoers /etc/sudoers.d/zz", "added setuid file /usr/local/bin/zz-rootshell (mode 4755 owner 0:0)"];
        assert_eq!(said.get(..2).unwrap(), first);
        assert!(said.iter().any(|it| it == "added crontab /etc/cron.d/zz-backdoor"));
        assert!(said.iter().any(|it| it == "and 201 more of kind setuid file that are not named"));
        let records = parts(said.clone());
        assert_eq!(records.len(), said.len().div_ceil(MOST_IN_RECORD));
        assert_eq!(records.first().unwrap().get(..2).unwrap(), ["part 1 of 14", first[0]]);
        let all: Vec<&String> = records.iter().flat_map(|record| record.iter().skip(1)).collect();
        assert!(records.iter().all(|it| it.len() <= MOST_IN_RECORD + 1) && all == said.iter().collect::<Vec<_>>());
        assert_eq!(parts(vec!["one".into()]), [["one"]]);
    }

    proptest! {
        #[test]
        fn a_flood_of_one_kind_hides_no_other(count in 0_usize..3000, length in 1_usize..2000) {
            let mut after = snapshot(&[(Kind::SetuidFile, "/usr/local/bin/x", ""), (Kind::Linger, "alice", "")]);
            for number in 0..count {
                let name = format!("/root/{}{number}", "ä".repeat(length));
                after.add(Kind::AuthorizedKeys, name, Fingerprint::default());
            }
            let said = difference(&snapshot(&[]), &after);
            prop_assert!(said.len() <= MOST + 2 + Kind::ALL.len());
            prop_assert!(said.iter().all(|sentence| sentence.len() <= LONGEST + 3));
            prop_assert!(said.iter().any(|sentence| sentence == "added setuid file /usr/local/bin/x"));
            prop_assert!(said.iter().any(|sentence| sentence == "added linger alice"));
            prop_assert_eq!(said.iter().any(|sentence| sentence.starts_with("and ")), count > MOST);
        }
    }
}
