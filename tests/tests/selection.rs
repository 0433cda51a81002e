//! Which whole-host tests `tests/run` picks: `tests/selection.sh` by itself.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// At most this many sentences run on each release: what every one of them costs, a landing costs.
const MOST_ON_EACH: usize = 40;

/// What `script` prints, line by line, with the functions of `tests/selection.sh` at hand.
fn lines(script: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = format!("set -euo pipefail; . ./selection.sh; {script}");
    let output = Command::new("bash").args(["-c", &script]).current_dir(folder).output().expect("bash runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

const LIST: &str = "hosts::sudo::rules::bookworm
hosts::sudo::rules::trixie
hosts::sudo::rules::trixie_sudo_rs
hosts::end::dies::bookworm
hosts::end::dies::trixie
hosts::end::dies::trixie_sudo_rs
hosts::clock::steps::bookworm
hosts::clock::steps::trixie
hosts::central::opens::trixie
hosts::vm::boots::trixie
hosts::vm::sleeps::bookworm
hosts::vm::sleeps::trixie
hosts::flood::one::trixie
hosts::flood::two::trixie
hosts::flood::three::bookworm
hosts::flood::three::trixie
";

/// Those of them that take a virtual machine.
const MACHINES: &str = r"$'hosts::vm::boots\nhosts::vm::sleeps'";

/// Those that take long.
const LONG: &str = r"$'hosts::flood::one\nhosts::flood::two\nhosts::flood::three'";

/// What is chosen of [`LIST`], where `hosts::sudo::rules` is about the release.
fn choose(turn: u32, rest: &str) -> Vec<String> {
    lines(&format!(
        "choose {turn} $'hosts::sudo::other\\nhosts::sudo::rules' {MACHINES} {LONG} {rest} <<<'{}'",
        LIST.trim_end()
    ))
}

fn of<'a>(sentence: &str, chosen: &'a [String]) -> Vec<&'a str> {
    chosen.iter().filter_map(|name| name.strip_prefix(sentence)?.strip_prefix("::")).collect()
}

#[test]
fn three_turns_in_a_row_have_every_sentence_on_every_release() {
    for first in [0, 1, 99] {
        let turns: Vec<Vec<String>> = (first..first + 3).map(|turn| choose(turn, "")).collect();
        for chosen in &turns {
            assert_eq!(of("hosts::sudo::rules", chosen), ["bookworm", "trixie", "trixie_sudo_rs"]);
            for sentence in ["hosts::end::dies", "hosts::clock::steps", "hosts::central::opens"] {
                assert_eq!(of(sentence, chosen).len(), 1, "{sentence} in {chosen:?}");
            }
        }
        let all: BTreeSet<&str> = turns.iter().flatten().map(String::as_str).collect();
        let in_turn = |name: &&str| !name.contains("::vm::") && !name.contains("::three::");
        assert!(LIST.lines().filter(in_turn).all(|name| all.contains(name)), "{all:?}");
    }
}

#[test]
fn of_those_that_take_long_a_third_runs_in_turn() {
    let turns: Vec<Vec<String>> = (0..6).map(|turn| choose(turn, "")).collect();
    for chosen in &turns {
        assert_eq!(chosen.iter().filter(|name| name.contains("::flood::")).count(), 1, "{chosen:?}");
    }
    let all: BTreeSet<&str> = turns.iter().flatten().map(String::as_str).collect();
    assert_eq!(all, LIST.lines().collect());
    assert_eq!(choose(0, "'' '' flood::").len(), 3, "by their names, they all do");
}

#[test]
fn what_runs_alone_is_told_from_the_others() {
    let alone = lines(&format!("of_sentences {MACHINES} <<<'{}'", LIST.trim_end()));
    assert_eq!(alone, ["hosts::vm::boots::trixie", "hosts::vm::sleeps::bookworm", "hosts::vm::sleeps::trixie"]);
    let others = lines(&format!("of_sentences {MACHINES} not <<<'{}'", LIST.trim_end()));
    assert_eq!(alone.len() + others.len(), LIST.lines().count());
    let sentences = lines("runs_alone tests/hosts/*.rs");
    assert!(sentences.iter().any(|name| name.starts_with("hosts::flood::")), "{sentences:?}");
}

#[test]
fn of_those_in_virtual_machines_one_runs_in_turn() {
    let turns: Vec<Vec<String>> = (0..6).map(|turn| choose(turn, "")).collect();
    for chosen in &turns {
        assert_eq!(chosen.iter().filter(|name| name.contains("::vm::")).count(), 1, "{chosen:?}");
    }
    let all: BTreeSet<&str> = turns.iter().flatten().map(String::as_str).collect();
    assert_eq!(all, LIST.lines().collect());
    assert_eq!(choose(0, "'' '' vm::").len(), 2, "by their names, they all do");
}

#[test]
fn what_is_asked_for_is_chosen() {
    assert_eq!(choose(0, "all").len(), LIST.lines().count());
    assert_eq!(of("hosts::end::dies", &choose(0, "'' trixie_sudo_rs")), ["trixie_sudo_rs"]);
    assert_eq!(choose(0, "'' trixie").len(), 6);
    assert_eq!(choose(0, "'' '' end::").len(), 1);
    assert_eq!(choose(0, "all '' end::").len(), 3);
    assert_eq!(choose(0, "'' '' dies::trixie"), ["hosts::end::dies::trixie", "hosts::end::dies::trixie_sudo_rs"]);
    assert!(choose(0, "'' '' nothing").is_empty());
}

#[test]
fn what_is_about_a_release_is_read_from_the_tests_and_is_not_much() {
    let sentences = lines("each_release tests/hosts/*.rs");
    let unique: BTreeSet<&String> = sentences.iter().collect();
    assert_eq!(unique.len(), sentences.len(), "{sentences:#?}");
    assert!((1..=MOST_ON_EACH).contains(&sentences.len()), "{} sentences", sentences.len());
    for sentence in &sentences {
        let mut names = sentence.split("::").skip(1);
        let (module, test) = (names.next().expect("a module"), names.next().expect("a test"));
        let text = std::fs::read_to_string(format!("{}/tests/hosts/{module}.rs", env!("CARGO_MANIFEST_DIR")));
        assert!(text.expect("its file").contains(&format!("fn {test}(")), "{sentence} is no test");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("odd.rs");
    std::fs::write(
        &file,
        "on_every_release! {\n    a,\n}\n\non_each_release! { b, c, }\non_both_releases! {\n    d,\n}\nfn e() {}\n",
    )
    .expect("it can be written");
    assert_eq!(lines(&format!("each_release {}", file.display())), ["hosts::odd::b", "hosts::odd::c", "hosts::odd::d"]);
    std::fs::write(
        &file,
        "in_virtual_machines! {\n    a: bookworm Bookworm, trixie Trixie;\n    b: trixie Trixie;\n}\n",
    )
    .expect("it can be written");
    assert_eq!(lines(&format!("in_virtual_machines {}", file.display())), ["hosts::odd::a", "hosts::odd::b"]);
    let machines = lines("in_virtual_machines tests/hosts/*.rs");
    assert!(machines.iter().any(|name| name.starts_with("hosts::selinux::")), "{machines:?}");
}
