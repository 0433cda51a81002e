use super::known::{ASKED_AGAIN_AFTER, CONFIRMED_AFTER};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;

/// A directory whose /etc/passwd is a file of the test's.
struct Host {
    directory: Directory,
    passwd: PathBuf,
    now: Instant,
    _folder: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let passwd = folder.path().join("passwd");
        let directory = Directory {
            file: LocalFile::at(passwd.clone()),
            path: folder.path().join("accounts.json"),
            ..Directory::default()
        };
        Self { directory, passwd, now: Instant::now(), _folder: folder }
    }

    /// Replaces the file, as useradd(8) does.
    fn has(&mut self, accounts: &[(&str, u32)]) {
        let lines: String = accounts.iter().map(|(name, uid)| format!("{name}:x:{uid}:{uid}::/:/bin/sh\n")).collect();
        let new = self.passwd.with_extension("+");
        fs::write(&new, lines).unwrap();
        fs::rename(new, &self.passwd).unwrap();
        self.directory.look_at_file();
    }

    fn said(&mut self, name: &str, account: Option<(u32, &str, &str)>, heir: Option<&str>) {
        let account = account.map(|(uid, name, owner)| Account { uid, name: name.into(), owner: owner.into() });
        self.directory.learn(name, Ok(Answer { account, heir: heir.map(Into::into) }), self.now);
    }

    /// What the user database says where it has the file alone.
    fn ask(&mut self, name: &str) {
        let lines = fs::read_to_string(&self.passwd).unwrap();
        let lines: Vec<(&str, u32)> = lines
            .lines()
            .map(|line| (line.split(':').next().unwrap(), line.split(':').nth(2).unwrap().parse().unwrap()))
            .collect();
        let owner = |uid| lines.iter().find(|line| line.1 == uid).map(|line| line.0.to_owned());
        let account = lines.iter().find(|line| line.0 == name).map(|line| Account {
            uid: line.1,
            name: name.into(),
            owner: owner(line.1).unwrap(),
        });
        let heir = self.directory.before(name).0.filter(|_| account.is_none()).and_then(owner);
        self.directory.learn(name, Ok(Answer { account, heir }), self.now);
    }

    /// Stores it, and reads it again, as another agent does.
    fn restart(&mut self) {
        self.directory.wanted.extend(self.directory.kept.names.keys().cloned());
        self.directory.unstored = true;
        let (path, bytes) = self.directory.take_unstored(self.now).unwrap();
        store(&path, &bytes).unwrap();
        self.directory = Directory::with(&path, LocalFile::at(self.passwd.clone()));
    }
}

fn is(holder: &Holder, uid: u32) -> bool {
    matches!(holder, Holder::Is(account) if account.uid == uid)
}

#[test]
fn a_grant_is_for_the_account_that_its_name_stood_for_first() {
    let mut host = Host::new();
    host.has(&[("alice", 1000)]);
    assert_eq!(host.directory.holder("g1", "alice"), Holder::Unknown);
    host.ask("alice");
    assert!(is(&host.directory.holder("g1", "alice"), 1000));
    // Deleted and made anew: before anybody is asked, nothing opens.
    host.has(&[("alice", 2000)]);
    assert!(matches!(host.directory.holder("g1", "alice"), Holder::InDoubt { why: Doubt::Outdated, .. }));
    host.ask("alice");
    for _ in 0..2 {
        assert!(matches!(host.directory.holder("g1", "alice"), Holder::Gone { now: Some(2000), .. }));
        assert!(is(&host.directory.holder("g2", "alice"), 2000), "a new grant is for the new account");
        // Also for the next agent.
        host.restart();
    }
    host.has(&[("alice", 1000)]);
    host.ask("alice");
    assert!(is(&host.directory.holder("g1", "alice"), 1000), "it is that account again");
}

#[test]
fn what_changed_while_no_agent_was_there_is_seen_before_anybody_is_asked() {
    let mut host = Host::new();
    host.has(&[("alice", 1000)]);
    host.ask("alice");
    drop(host.directory.holder("g1", "alice"));
    host.restart();
    assert!(is(&host.directory.holder("g1", "alice"), 1000));
    let path = host.passwd.clone();
    fs::write(path, "carol:x:1000:1000::/:/bin/sh\n").unwrap();
    host.restart();
    assert!(!host.directory.holder("g1", "alice").may_open());
    host.ask("alice");
    assert!(host.directory.holder("g1", "alice").is_gone());
}

#[test]
fn a_name_that_is_missing_for_a_moment_ends_nobody() {
    let mut host = Host::new();
    host.has(&[("alice", 1000), ("bob", 1001)]);
    host.ask("alice");
    drop(host.directory.holder("g1", "alice"));
    host.has(&[("bob", 1001)]);
    for _ in 0..3 {
        host.ask("alice");
        assert!(matches!(host.directory.holder("g1", "alice"), Holder::InDoubt { why: Doubt::NotFound, .. }));
    }
    host.now += CONFIRMED_AFTER;
    host.ask("alice");
    assert!(host.directory.holder("g1", "alice").is_gone(), "it is missing still");
    host.has(&[("alice", 1000), ("bob", 1001)]);
    host.ask("alice");
    assert!(is(&host.directory.holder("g1", "alice"), 1000));
    // A directory that is away says of its people that they are not there.
    host.said("zoe", Some((70_000, "zoe", "zoe")), None);
    drop(host.directory.holder("g2", "zoe"));
    for _ in 0..3 {
        host.now += ASKED_AGAIN_AFTER;
        host.said("zoe", None, None);
        assert!(matches!(host.directory.holder("g2", "zoe"), Holder::InDoubt { why: Doubt::NotFound, .. }));
    }
    // The account is the host's own, and its name in the directory is away.
    host.said("bob@corp.example", Some((1001, "bob", "bob")), None);
    drop(host.directory.holder("g3", "bob@corp.example"));
    for _ in 0..3 {
        host.now += ASKED_AGAIN_AFTER;
        host.said("bob@corp.example", None, Some("bob"));
        assert!(matches!(
            host.directory.holder("g3", "bob@corp.example"),
            Holder::InDoubt { why: Doubt::NotFound, .. }
        ));
    }
    // That somebody else has the user id is no accident.
    host.said("zoe", None, Some("yan"));
    assert!(host.directory.holder("g2", "zoe").is_gone());
}

#[test]
fn a_lookup_that_fails_changes_nothing() {
    let mut host = Host::new();
    host.has(&[("alice", 1000)]);
    host.ask("alice");
    drop(host.directory.holder("g1", "alice"));
    host.directory.learn("alice", Err("it hangs".into()), host.now);
    assert!(is(&host.directory.holder("g1", "alice"), 1000));
    host.directory.learn("new", Err("it hangs".into()), host.now);
    assert_eq!(host.directory.holder("g2", "new"), Holder::Unknown);
    assert_eq!(host.directory.problem("new").as_deref(), Some("it hangs"));
}

#[test]
fn a_cache_that_has_not_heard_of_a_change_brings_no_rule_back() {
    let mut host = Host::new();
    host.has(&[("alice", 1000)]);
    host.ask("alice");
    drop(host.directory.holder("g1", "alice"));
    host.has(&[("carol", 1000)]);
    host.said("alice", Some((1000, "alice", "alice")), None);
    assert!(matches!(host.directory.holder("g1", "alice"), Holder::InDoubt { why: Doubt::Outdated, .. }));
    assert!(host.directory.due(host.now + TRIED_AGAIN_AFTER).0.is_empty(), "nobody wants it");
    host.directory.want(["alice".to_owned()].into(), None);
    assert_eq!(host.directory.due(host.now + TRIED_AGAIN_AFTER).0, ["alice"]);
}

#[test]
fn who_shares_the_user_id_of_an_exempt_user_gets_nothing_and_the_exempt_user_is_not_concerned() {
    let mut host = Host::new();
    host.has(&[("root", 0), ("ops", 1000), ("backup", 1000), ("toor", 0), ("alice", 1001)]);
    let exempt = vec!["root".to_owned(), "OPS".to_owned()];
    host.directory.want(["backup", "toor", "alice", "ops"].map(str::to_owned).into(), Some(exempt));
    for name in ["root", "backup", "toor", "alice", "ops"] {
        host.ask(name);
    }
    host.said("OPS", Some((1000, "ops", "ops")), None);
    for (name, shared) in [("backup", Some("OPS")), ("toor", Some("root")), ("alice", None), ("ops", None)] {
        let holder = host.directory.holder(name, name);
        match (&holder, shared) {
            (Holder::InDoubt { why: Doubt::Shared(with), .. }, Some(shared)) => assert_eq!(with, shared),
            (Holder::Is(_), None) => {}
            _ => panic!("{name}: {holder:?}"),
        }
    }
    for (name, exempt) in [("ops", Some("OPS")), ("OPS", None), ("root", None), ("backup", None), ("toor", None)] {
        assert_eq!(host.directory.exempt_name_of(name), exempt, "{name}");
    }
}

#[test]
fn the_audit_hears_of_a_change_once() {
    let mut host = Host::new();
    host.has(&[("alice", 1000)]);
    host.ask("alice");
    drop(host.directory.holder("g1", "alice"));
    assert!(!host.directory.is_news("g1", None));
    assert!(host.directory.is_news("g1", Some("gone")) && !host.directory.is_news("g1", Some("gone")));
    host.restart();
    assert!(!host.directory.is_news("g1", Some("gone")) && host.directory.is_news("g1", None));
}

#[test]
fn the_hosts_own_accounts_are_not_asked_for_again_and_again() {
    let mut host = Host::new();
    host.has(&[("alice", 1000)]);
    host.directory.want(["aaron", "alice"].map(str::to_owned).into(), None);
    assert_eq!(host.directory.due(host.now), (vec!["alice".to_owned(), "aaron".to_owned()], None));
    host.ask("alice");
    host.said("aaron", Some((70_000, "aaron", "aaron")), None);
    assert_eq!(host.directory.due(host.now), (Vec::new(), Some(host.now + ASKED_AGAIN_AFTER)));
    assert_eq!(host.directory.due(host.now + ASKED_AGAIN_AFTER).0, ["aaron"]);
    host.has(&[("alice", 1001)]);
    assert_eq!(host.directory.due(host.now).0, ["alice"]);
}

/// What can happen to a host's accounts.
#[derive(Clone, Debug)]
enum Step {
    Passwd(Vec<(usize, u32)>),
    Ask(usize),
    Fail(usize),
    Hold(usize),
    Restart,
    Wait,
}

const NAMES: [&str; 3] = ["alice", "bob", "carol"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec((0..NAMES.len(), 1000..1003u32), 0..4).prop_map(Step::Passwd),
        (0..NAMES.len()).prop_map(Step::Ask),
        (0..NAMES.len()).prop_map(Step::Fail),
        (0..NAMES.len()).prop_map(Step::Hold),
        Just(Step::Restart),
        Just(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens in whatever order: a grant opens something for the user id alone that its name had first, and only while the name has it.
    #[test]
    fn a_grant_gives_nothing_to_whoever_comes_to_its_name_or_its_user_id(steps in prop::collection::vec(step(), 1..60)) {
        let mut host = Host::new();
        host.has(&[]);
        let mut passwd: Vec<(&str, u32)> = Vec::new();
        let mut first: BTreeMap<&str, u32> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Passwd(lines) => {
                    passwd = lines.into_iter().map(|(name, uid)| (NAMES[name], uid)).collect();
                    host.has(&passwd);
                }
                Step::Ask(name) => host.ask(NAMES[name]),
                Step::Fail(name) => host.directory.learn(NAMES[name], Err("it hangs".into()), host.now),
                Step::Hold(name) => drop(host.directory.holder(NAMES[name], NAMES[name])),
                Step::Restart => host.restart(),
                Step::Wait => host.now += CONFIRMED_AFTER,
            }
            for name in NAMES {
                let now = passwd.iter().find(|line| line.0 == name).map(|line| line.1);
                if let Holder::Is(account) = host.directory.holder(name, name) {
                    prop_assert_eq!(Some(account.uid), now);
                    prop_assert_eq!(account.uid, *first.entry(name).or_insert(account.uid));
                }
            }
        }
    }
}
