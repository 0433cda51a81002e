//! A model of Curfew, for a throwaway host in which no agent runs: whatever people, operators, clocks and crashes do, in
//! any order, what the [`reference`] says is what the agent's own code does on the host.
//!
//! `transition` makes sequences of what can happen, and `inner` has many of them come to what chance hardly brings about; `host` does it with the agent
//! `in_process` and real `processes`, `seen` is what came of it, and `invariants` says what always holds.
//! `tests/tests/hosts/model.rs` runs it. The variables of proptest (`PROPTEST_CASES`, `PROPTEST_RNG_SEED`, …) are heeded.

mod clock;
mod host;
mod in_process;
mod inner;
mod invariants;
mod passwd;
mod people;
mod processes;
mod records;
mod reference;
mod seen;
mod tally;
mod time;
mod transition;
mod tree;

use host::Host;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use reference::Reference;
use std::cell::Cell;
use std::ops::RangeInclusive;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tally::TALLY;

/// How many sequences, and how many transitions one has.
const CASES: u32 = 64;
const TRANSITIONS: RangeInclusive<usize> = 20..=30;

/// How long a sequence that fails is made shorter, and how often.
const SHRUNK_FOR: Duration = Duration::from_secs(60);
const SHRUNK_TIMES: u32 = 400;

/// Where the last sequence failed.
static PLACE: Mutex<String> = Mutex::new(String::new());

fn main() -> ExitCode {
    let config = config();
    let seed = config.rng_seed;
    let begun = Instant::now();
    // What a sequence fails by is printed once, when it is as short as it gets.
    std::panic::set_hook(Box::new(|panic| *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place_of(panic)));
    let (runs, transitions) = (Cell::new(0), Cell::new(0));
    let failed_in = Cell::new(None);
    let strategy = Reference::sequential_strategy(TRANSITIONS);
    let result = TestRunner::new(config.clone()).run(&strategy, |(reference, sequence, counter)| {
        runs.set(runs.get() + 1);
        transitions.set(transitions.get() + sequence.len());
        let before = failed_in.get();
        failed_in.set(before.or(Some(runs.get())));
        Host::test_sequential(config.clone(), reference, sequence, counter);
        failed_in.set(before);
        Ok(())
    });
    let figures = format!("{seed:?}, {} transitions in {:.1} s", transitions.get(), begun.elapsed().as_secs_f64());
    match result {
        Ok(()) => {
            println!("{} sequences hold: {figures}", runs.get());
            TALLY.with_borrow(|tally| println!("{tally:?}"));
            ExitCode::SUCCESS
        }
        Err(TestError::Fail(reason, (_, sequence, _))) => {
            let case = failed_in.get().unwrap_or_default();
            println!("sequence {case} failed, and was made shorter in {} runs: {figures}", runs.get() - case);
            println!("{reason} ({})", PLACE.lock().unwrap_or_else(PoisonError::into_inner));
            sequence.iter().enumerate().for_each(|(number, transition)| println!("{:2}. {transition:?}", number + 1));
            ExitCode::FAILURE
        }
        Err(TestError::Abort(reason)) => {
            println!("no sequences could be made: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn place_of(panic: &PanicHookInfo<'_>) -> String {
    panic.location().map(ToString::to_string).unwrap_or_default()
}

/// proptest's own, but for what the environment leaves open.
fn config() -> Config {
    let config = Config::default();
    let open = |name: &str| std::env::var_os(name).is_none();
    Config {
        cases: if open("PROPTEST_CASES") { CASES } else { config.cases },
        max_shrink_iters: if open("PROPTEST_MAX_SHRINK_ITERS") { SHRUNK_TIMES } else { config.max_shrink_iters },
        max_shrink_time: u32::try_from(SHRUNK_FOR.as_millis()).unwrap_or(u32::MAX),
        rng_seed: match config.rng_seed {
            RngSeed::Random => RngSeed::Fixed(seed()),
            fixed => fixed,
        },
        failure_persistence: None,
        ..config
    }
}

/// Another one each time.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    let random = std::fs::File::open("/dev/urandom");
    random.and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes)).expect("there is randomness");
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::strategy::{Strategy, ValueTree};

    const SEQUENCES: usize = 400;

    /// One of so many sequences is enough to find what fails only then.
    const OF: usize = 10;

    #[test]
    fn what_an_inner_run_was_typed_in_ends_before_it_in_many_sequences() {
        let outlived = ends().filter(|end| end.outlived > 0).count();
        assert!(outlived * OF >= SEQUENCES, "{outlived} of {SEQUENCES}");
    }

    #[test]
    fn what_is_told_by_its_rights_alone_ends_in_many_sequences() {
        let told = ends().filter(|end| end.told_by_rights > 0).count();
        assert!(told * 2 * OF >= SEQUENCES, "{told} of {SEQUENCES}");
    }

    /// What the sequences end with.
    fn ends() -> impl Iterator<Item = Reference> {
        let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(1), ..Config::default() });
        let strategy = Reference::sequential_strategy(TRANSITIONS);
        (0..SEQUENCES).map(move |_| {
            let (state, transitions, _) = strategy.new_tree(&mut runner).expect("a sequence can be made").current();
            let apply = |state, transition| <Reference as ReferenceStateMachine>::apply(state, transition);
            transitions.iter().fold(state, apply)
        })
    }
}
