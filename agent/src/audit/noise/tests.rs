use super::*;
use jiff::Timestamp;
use proptest::prelude::*;
use source::SINGLE;
use std::collections::HashSet;

const LAST: u64 = 10_000;

fn at(millis: u64) -> Reading {
    let millis_wall = i64::try_from(millis).unwrap();
    Reading { wall: Timestamp::from_millisecond(millis_wall).unwrap(), boot: Duration::from_millis(millis) }
}

fn sudo(user: &str, command: &str) -> Entry {
    let entry = Entry::new(Event::SudoPermitted).with(Field::User, user).with(Field::Grant, format!("of-{user}"));
    let program = command.split(' ').find_map(|word| word.strip_prefix('/')?.rsplit('/').next());
    entry.with(Field::Command, command).with(Field::Program, program)
}

fn denied(user: &str) -> Entry {
    Entry::new(Event::LoginDenied).with(Field::User, user).with(Field::Service, "sshd")
}

fn count_of(entry: &Entry) -> u64 {
    entry.fields.get(&Field::Count).map_or(1, |count| count.as_u64().unwrap())
}

/// All that is written when these are heard, with a look for what is due every second.
fn written(events: impl IntoIterator<Item = (u64, Entry)>) -> Vec<(u64, Entry)> {
    let (mut noise, mut written, mut looked) = (Noise::default(), Vec::new(), 0);
    for (millis, entry) in events {
        while looked + 1000 <= millis {
            looked += 1000;
            written.extend(noise.due(at(looked)).into_iter().map(|entry| (looked, entry)));
        }
        written.extend(noise.told_before(&entry).into_iter().map(|entry| (millis, entry)));
        written.extend(noise.hear(entry, at(millis)).map(|entry| (millis, entry)));
    }
    written.extend(noise.all().into_iter().map(|entry| (LAST, entry)));
    assert!(!noise.is_pending() && noise.pending().next().is_none());
    written
}

#[test]
fn the_same_is_written_twenty_times_and_then_once_a_minute_with_its_count() {
    // Ten minutes, ten times a second, each from another process.
    let events = (0..6000).map(|n| (n * 100, sudo("alice", "sudo id").with(Field::Pid, n)));
    let written = written(events);
    let (single, counted): (Vec<_>, Vec<_>) =
        written.iter().partition(|(_, entry)| !entry.fields.contains_key(&Field::Count));
    assert_eq!((single.len(), counted.len()), (SINGLE as usize, 10));
    assert_eq!(written.iter().map(|(_, entry)| count_of(entry)).sum::<u64>(), 6000);
    let (told_at, first) = counted.first().unwrap();
    assert_eq!((*told_at, count_of(first)), (60_000, 580));
    assert_eq!(first.text(Field::First).as_deref(), Some("1970-01-01T00:00:02Z"));
    assert_eq!(first.text(Field::Last).as_deref(), Some("1970-01-01T00:00:59.9Z"));
    assert_eq!((first.text(Field::Command).as_deref(), first.text(Field::Pid)), (Some("sudo id"), None));
}

#[test]
fn other_arguments_each_time_are_bounded_and_what_is_new_is_seen() {
    let long = "a".repeat(1000);
    let noise = (0..30_000_u64).map(|n| (n * 20, sudo("alice", &format!("sudo -p {n} /usr/bin/id {long}"))));
    let shell = sudo("alice", "sudo /bin/sh");
    let written = written(noise.chain([(600_000, shell.clone())]));
    assert!(written.contains(&(600_000, shell)), "the one run that matters is a count");
    let bytes: usize = written.iter().map(|(_, entry)| serde_json::to_string(entry).unwrap().len()).sum();
    assert!(bytes < 1024 * 1024, "{bytes} bytes in ten minutes");
    assert_eq!(written.iter().map(|(_, entry)| count_of(entry)).sum::<u64>(), 30_001);
    let rest = written.iter().find(|(_, entry)| entry.fields.contains_key(&Field::Counted)).unwrap();
    assert!(rest.1.text(Field::Counted).unwrap().contains("× alice id"), "{rest:?}");
    assert_eq!(rest.1.text(Field::Grant).as_deref(), Some("of-alice"));
}

#[test]
fn names_that_nobody_has_share_one_budget() {
    let tries = (0..30_000_u64).map(|n| (n * 20, denied(&format!("made-up-{n}"))));
    let mine = sudo("bob", "sudo id");
    let written = written(tries.chain([(600_000, mine.clone())]));
    assert!(written.contains(&(600_000, mine)));
    assert!(written.len() < 2000, "{} records in ten minutes", written.len());
    assert_eq!(written.iter().map(|(_, entry)| count_of(entry)).sum::<u64>(), 30_001);
}

#[test]
fn one_name_leaves_room_for_the_others() {
    let noise = (0..5000_u64).map(|n| (n * 10, denied("mallory").with(Field::Rhost, format!("10.0.{}.1", n % 200))));
    let written = written(noise.chain([(50_001, denied("bob"))]));
    assert!(written.contains(&(50_001, denied("bob"))));
}

#[test]
fn what_was_counted_under_a_grant_is_told_before_its_end() {
    let events = (0..50).map(|n| (n, sudo("alice", "sudo id"))).chain((0..50).map(|n| (n, sudo("bob", "sudo id"))));
    let end = Entry::new(Event::GrantEnded).with(Field::User, "alice").with(Field::Grant, "of-alice");
    let written = written(events.chain([(100, end.clone())]));
    let place = |wanted: &dyn Fn(&Entry) -> bool| written.iter().position(|(_, entry)| wanted(entry)).unwrap();
    let count_of = |user: &str| place(&|it| it.text(Field::User).unwrap() == user && it.text(Field::Count).is_some());
    let end = place(&|entry| *entry == end);
    assert!(count_of("alice") < end && end < count_of("bob"));
}

#[test]
fn an_agent_that_stops_has_told_all() {
    let mut noise = Noise::default();
    (0..50).for_each(|n| drop(noise.hear(sudo("alice", "sudo id"), at(n))));
    assert_eq!(noise.pending().count(), 1);
    assert_eq!(noise.told_before(&Entry::new(Event::AgentStopped)).iter().map(count_of).sum::<u64>(), 30);
    assert!(!noise.is_pending());
}

#[test]
fn what_nobody_makes_at_will_is_never_counted() {
    for &event in Event::ALL.iter().filter(|event| !is_at_will(**event)) {
        let entry = Entry::new(event).with(Field::User, "alice");
        let written = written((0..1000).map(|n| (n, entry.clone())));
        assert!(written.iter().map(|(_, entry)| entry).eq(std::iter::repeat_n(&entry, 1000)), "{event:?}");
    }
}

#[test]
fn nothing_is_remembered_for_ever() {
    let mut noise = Noise::default();
    for n in 0..20_000 {
        let _ = noise.hear(denied(&format!("made-up-{n}")), at(n));
        assert!(noise.sources.len() <= MOST_NAMES);
    }
    let _ = noise.due(at(1_000_000));
    let _ = noise.due(at(2_000_000));
    assert!(noise.sources.is_empty() && noise.pools.is_empty());
}

/// What somebody does: who, what, and how long after the one before.
fn deeds() -> impl Strategy<Value = Vec<(u64, Entry)>> {
    let deed = (0..4_usize, 0..30_u32, 0..8_u32, prop_oneof![8 => 0..30_u64, 1 => 0..20_000_u64]);
    prop::collection::vec(deed, 1..600).prop_map(|deeds| {
        let mut now = 0;
        let event = |(who, what, how, pause): (usize, u32, u32, u64)| {
            now += pause;
            let entry = match who {
                0 => sudo("alice", &format!("sudo id {}", what * what)),
                1 => sudo("carol", "sudo id").with(Field::Pid, what),
                2 => denied(&format!("made-up-{}", what * how)),
                _ if how == 0 => Entry::new(Event::SessionTerminated).with(Field::User, "alice"),
                _ => denied("mallory"),
            };
            (now, entry)
        };
        deeds.into_iter().map(event).collect()
    })
}

proptest! {
    #[test]
    fn every_event_is_in_one_record_or_one_count(deeds in deeds()) {
        let offered = deeds.len() as u64;
        let written = written(deeds);
        prop_assert_eq!(written.iter().map(|(_, entry)| count_of(entry)).sum::<u64>(), offered);
    }

    #[test]
    fn the_first_of_each_is_written_at_once_while_there_is_a_budget(deeds in deeds()) {
        let mut seen = HashSet::new();
        let noise = |entry: &Entry| entry.text(Field::Grant).as_deref() == Some("of-alice");
        // Fewer things than the budget of one who does them all at once.
        let deeds: Vec<_> = deeds.into_iter().filter(|(_, entry)| noise(entry)).collect();
        let firsts: Vec<_> = deeds.iter().filter(|(_, entry)| seen.insert(entry.text(Field::Command))).cloned().collect();
        let written = written(deeds);
        for first in firsts {
            prop_assert!(written.contains(&first), "{:?} is not written", first);
        }
    }

    #[test]
    fn whoever_is_quiet_is_never_counted(deeds in deeds(), every in 1000..9000_u64) {
        let end = deeds.last().map_or(0, |(at, _)| *at);
        let mut all: Vec<_> = (0..end / every).map(|n| (n * every, sudo("bob", &format!("sudo tail {n}")))).collect();
        let bobs = all.clone();
        all.extend(deeds);
        all.sort_by_key(|(at, _)| *at);
        let written: Vec<_> = written(all).into_iter().filter(|(_, it)| it.text(Field::User).as_deref() == Some("bob")).collect();
        prop_assert_eq!(written, bobs);
    }
}
