//! PID 1, asked by its own programs, which speak to it also where there is no message bus.

use super::program::{self, Said};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

/// systemctl(1).
pub const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// systemd-run(1).
pub const SYSTEMD_RUN: &str = "/usr/bin/systemd-run";

/// Where a unit is masked, with a link to /dev/null.
const MASKS: [&str; 2] = ["/etc/systemd/system", "/run/systemd/system"];

/// Clears the mark of failure that a killed unit leaves.
///
/// # Errors
///
/// What systemctl(1) says.
pub async fn reset_failed(unit: &str) -> Result<(), String> {
    ask(SYSTEMCTL, &["reset-failed", unit]).await.map(drop)
}

/// Runs one of systemd's programs.
///
/// # Errors
///
/// What it says, and its name.
pub async fn ask(path: &str, arguments: &[&str]) -> Result<String, String> {
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    let said = program::run(Path::new(path), path, &arguments).await.and_then(Said::output);
    said.map_err(|problem| format!("{path}: {problem}"))
}

/// Whether a unit is masked: nothing starts it.
pub fn is_masked(unit: &str) -> bool {
    MASKS.iter().any(|folder| fs::read_link(Path::new(folder).join(unit)).is_ok_and(|to| to == Path::new("/dev/null")))
}
