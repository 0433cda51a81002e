//! What people read: tables, times in their zone; and JSON for programs.

use super::{CliError, Global};
use crate::labels::Labels;
use curfew_protocol::display;
pub(super) use curfew_protocol::display::printable;
pub(super) use curfew_protocol::human_time::{local as time, localized};
use jiff::Timestamp;
use serde::Serialize;
use std::io::Write as _;

/// Prints a value as JSON, or as the text made of it.
pub(super) fn print<T: Serialize>(global: &Global, value: &T, say: impl FnOnce(&T) -> String) -> Result<(), CliError> {
    text(&if global.json { encoded(value)? + "\n" } else { say(value) })
}

/// A value as JSON on one line. Nothing in it can drive the terminal.
pub(super) fn encoded(value: &impl Serialize) -> Result<String, CliError> {
    let json = serde_json::to_string(value).map_err(|error| CliError::Failed(error.to_string()))?;
    Ok(display::json(&json))
}

/// Prints a text. Nothing in it can drive the terminal.
pub(super) fn text(text: &str) -> Result<(), CliError> {
    let text = display::printable_lines(text);
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// A time, or a dash.
pub(super) fn maybe_time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".into(), time)
}

/// Labels, or a dash.
pub(super) fn labels(labels: &Labels) -> String {
    if labels.is_empty() { "-".into() } else { labels.to_string() }
}

/// Columns as wide as their widest cell. Nothing in a cell can drive the terminal.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    display::table(&head, rows)
}
