use super::super::query::{self, Query};
use super::super::reader::SpoolReader;
use super::super::spool::Spool;
use super::*;
use proptest::prelude::*;

/// The least that is kept: files of 128 KiB.
const KEEP: u64 = 1024 * 1024;

fn noise(user: &str, n: u64) -> Entry {
    let command = format!("sudo /usr/bin/id {n} {}", "a".repeat(900));
    let entry = Entry::new(Event::SudoPermitted).with(Field::User, user).with(Field::Grant, format!("of-{user}"));
    entry.with(Field::Command, command)
}

fn rare(n: u64) -> Entry {
    Entry::new(Event::SudoTerminated).with(Field::User, "alice").with(Field::Grant, format!("g{n}"))
}

/// A spool, and what went of it, as the audit would have said.
struct Scene {
    folder: tempfile::TempDir,
    spool: Spool,
    said: Vec<Entry>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), KEEP);
        Self { folder, spool, said: Vec::new() }
    }

    fn write(&mut self, entry: Entry, shipping: Shipping) {
        self.spool.append(entry, Timestamp::UNIX_EPOCH).unwrap();
        if self.spool.has_turned() {
            self.drop_what_is_too_much(shipping);
        }
    }

    fn drop_what_is_too_much(&mut self, shipping: Shipping) {
        while let Next::Goes(dropped) = next(self.folder.path(), KEEP, shipping).unwrap() {
            self.said.extend(dropped.entry());
            dropped.remove().unwrap();
        }
    }

    fn lines(&self) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for path in segments(self.folder.path()).unwrap() {
            let text = fs::read(path).unwrap();
            lines.extend(text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec));
        }
        lines
    }

    fn records(&self) -> Vec<Record> {
        query::run(self.folder.path(), &Query::default(), usize::MAX).unwrap()
    }

    fn length(&self) -> u64 {
        self.lines().iter().map(|line| line.len() as u64).sum()
    }

    fn gone(&self) -> u64 {
        self.said.iter().map(|said| said.fields[&Field::Count].as_u64().unwrap()).sum()
    }
}

#[test]
fn one_persons_noise_goes_and_everything_else_stays_to_the_byte() {
    let mut scene = Scene::new();
    let mut wanted = Vec::new();
    for n in 0..8000 {
        scene.write(noise("alice", n), Shipping::Nowhere);
        if n % 50 == 0 {
            for entry in [rare(n), Entry::new(Event::SudoPermitted).with(Field::User, "bob").with(Field::Grant, "b")] {
                scene.write(entry, Shipping::Nowhere);
                wanted.push(scene.lines().pop().unwrap());
            }
        }
    }
    let lines = scene.lines();
    assert!(wanted.iter().all(|line| lines.contains(line)), "what is rare, or another's, went");
    assert!(scene.length() < KEEP + 2 * 128 * 1024, "{} bytes are kept", scene.length());
    let written = 8000 + wanted.len() as u64;
    assert_eq!(scene.records().len() as u64 + scene.gone(), written);
    let (first, last) = (&scene.said[0], scene.said.last().unwrap());
    assert_eq!(first.fields[&Field::From], 1);
    assert!(scene.said.windows(2).all(|two| two[0].fields[&Field::To].as_u64() < two[1].fields[&Field::From].as_u64()));
    assert!(last.fields[&Field::To].as_u64().unwrap() < written);
    assert_eq!(first.text(Field::Shipped), None);

    // Whoever reads in order goes over the gaps, from anywhere.
    let numbers: Vec<u64> = scene.records().iter().map(|record| record.seq).collect();
    for behind in [0, 1, 77, 4000, written - 1] {
        let (mut reader, mut read) = (SpoolReader::behind(scene.folder.path(), behind), Vec::new());
        loop {
            let lines = reader.peek(64).unwrap();
            if lines.is_empty() {
                break;
            }
            for line in &lines {
                read.push(line.record.as_ref().unwrap().seq);
                reader.pass(line);
            }
        }
        assert!(read.iter().eq(numbers.iter().filter(|seq| **seq > behind)), "behind {behind}");
    }
}

#[test]
fn what_the_endpoint_does_not_have_stays_four_times_as_long() {
    let mut scene = Scene::new();
    for n in 0..3000 {
        scene.write(noise("alice", n), Shipping::To(Some(0)));
    }
    assert_eq!((scene.gone(), scene.records().len()), (0, 3000));
    let Next::WaitsFor(last) = next(scene.folder.path(), KEEP, Shipping::To(None)).unwrap() else { panic!() };
    assert!(last > 1 && Shipping::To(Some(last - 1)).lacks(last) && !Shipping::To(Some(last)).lacks(last));
    scene.drop_what_is_too_much(Shipping::To(Some(last)));
    assert_eq!(scene.said.len(), 1);
    assert_eq!(scene.said[0].text(Field::Shipped).as_deref(), Some("yes"));
    assert_eq!(scene.said[0].fields[&Field::To], last);
    for n in 0..3000 {
        scene.write(noise("alice", n), Shipping::To(Some(last)));
    }
    assert!(scene.length() < 4 * KEEP + 2 * 128 * 1024, "{} bytes are kept", scene.length());
    assert_eq!(scene.said.last().unwrap().text(Field::Shipped).as_deref(), Some("no"));
    assert_eq!(scene.records().len() as u64 + scene.gone(), 6000);
}

#[test]
fn names_that_nobody_has_keep_nobody_from_being_kept() {
    let mut scene = Scene::new();
    scene.write(noise("bob", 0), Shipping::Nowhere);
    for n in 0..8000 {
        let made_up = Entry::new(Event::LoginDenied).with(Field::User, format!("made-up-{n}"));
        scene.write(made_up.with(Field::Reason, "a".repeat(300)), Shipping::Nowhere);
    }
    let of = |user: &str| scene.records().iter().any(|record| record.entry.text(Field::User).as_deref() == Some(user));
    assert!(of("bob") && !of("made-up-1"));
}

#[test]
fn what_is_rare_does_not_grow_without_end() {
    let mut scene = Scene::new();
    for n in 0..12_000 {
        scene.write(rare(n).with(Field::Killed, "a".repeat(300)), Shipping::Nowhere);
    }
    assert!(scene.length() < KEEP + 2 * 128 * 1024, "{} bytes are kept", scene.length());
    assert_eq!(scene.records().len() as u64 + scene.gone(), 12_000);
    assert!(scene.records().iter().map(|record| record.seq).eq(scene.gone() + 1..=12_000));
}

#[test]
fn a_crash_before_the_file_is_gone_costs_nothing_and_doubles_nothing() {
    let mut scene = Scene::new();
    for n in 0..3000 {
        scene.spool.append(if n % 9 == 0 { rare(n) } else { noise("alice", n) }, Timestamp::UNIX_EPOCH).unwrap();
    }
    let before = scene.records();
    assert!(matches!(next(scene.folder.path(), KEEP, Shipping::Nowhere).unwrap(), Next::Goes(_)));
    let kept = segments(scene.folder.path()).unwrap().into_iter().find(|path| is_kept(path)).unwrap();
    let whole = fs::read(&kept).unwrap();
    for cut in [whole.len(), whole.len() - 1, whole.len() / 2, 0] {
        fs::write(&kept, &whole[..cut]).unwrap();
        assert_eq!(scene.records(), before, "cut at {cut}");
        assert!(matches!(next(scene.folder.path(), KEEP, Shipping::Nowhere).unwrap(), Next::Goes(_)));
        assert_eq!(fs::read(&kept).unwrap(), whole, "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn every_record_is_there_or_said_to_be_gone(whose in prop::collection::vec((0..5_usize, 1..400_u64), 1..30)) {
        let mut scene = Scene::new();
        let mut written = 0;
        for (who, count) in whose {
            for n in 0..count {
                let entry = if who == 4 { rare(n) } else { noise(["alice", "bob", "carol", "dave"][who], n) };
                scene.write(entry, Shipping::Nowhere);
                written += 1;
            }
        }
        prop_assert_eq!(scene.records().len() as u64 + scene.gone(), written);
        prop_assert!(scene.length() < KEEP + 2 * 128 * 1024);
        let lines = scene.lines();
        prop_assert!(lines.iter().all(|line| serde_json::from_slice::<Record>(line).is_ok()));
        prop_assert!(lines.iter().map(|line| serde_json::from_slice::<Record>(line).unwrap().seq).is_sorted());
    }
}
