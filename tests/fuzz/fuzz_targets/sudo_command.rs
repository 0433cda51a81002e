//! The arguments of a run of sudo, which any user writes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use curfew::enforce::sudo_command::SudoCommand;

fuzz_target!(|arguments: Vec<String>| {
    let _ = SudoCommand::parse(&arguments);
});
