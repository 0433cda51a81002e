//! `curfew`: the command line. See curfew(1).

use std::process::ExitCode;

fn main() -> ExitCode {
    curfew::cli::run()
}
