//! `curfew-server`: the central endpoint of Curfew, and the command line that administers it.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    curfew_server::run()
}
