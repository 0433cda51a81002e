//! The arguments of a run of sudo, and the folder where it was typed: any user writes both.
#![no_main]

use libfuzzer_sys::fuzz_target;
use curfew::grant::sudo_command::{Place, SudoCommand};

fuzz_target!(|input: (Vec<String>, Option<String>)| {
    let (arguments, folder) = input;
    let place = Place { folder: folder.as_deref(), granted: Vec::new() };
    let _ = SudoCommand::parse(&arguments).command(&place);
});
