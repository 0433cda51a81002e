//! `curfew`: the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    curfew::cli::run()
}
