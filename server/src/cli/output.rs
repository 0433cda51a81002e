//! What people read: tables, times in their zone; and JSON for programs.

use super::{CliError, Global};
use crate::labels::Labels;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::io::Write as _;

/// Prints a value as JSON, or as the text made of it.
pub(super) fn print<T: Serialize>(global: &Global, value: &T, say: impl FnOnce(&T) -> String) -> Result<(), CliError> {
    if !global.json {
        return text(&say(value));
    }
    let mut json = serde_json::to_string(value).map_err(|error| CliError::Failed(error.to_string()))?;
    json.push('\n');
    text(&json)
}

/// Prints a text.
pub(super) fn text(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// A time in the local zone, with its offset.
pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// A time, or a dash.
pub(super) fn maybe_time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".into(), time)
}

/// Labels, or a dash.
pub(super) fn labels(labels: &Labels) -> String {
    if labels.is_empty() { "-".into() } else { labels.to_string() }
}

/// The widest column. A longer cell pushes the others of its own row alone.
const WIDEST: usize = 80;

/// Columns as wide as their widest cell. Nothing in a cell can drive the terminal.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut cells = vec![head.map(str::to_owned)];
    cells.extend(rows.into_iter().map(|row| row.map(|cell| printable(&cell))));
    let mut widths = [0; N];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            let length = cell.chars().count();
            if length <= WIDEST {
                *width = length.max(*width);
            }
        }
    }
    let mut text = String::new();
    for row in cells {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Not by the width of a format, which panics above 65,535.
            let pad = width.saturating_sub(cell.chars().count()) + 2;
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', pad));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The text with `?` for what steers a terminal.
pub(super) fn printable(text: &str) -> String {
    let steers = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if steers(c) { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells_and_drives_no_terminal() {
        let rows = [["a".into(), "\u{1b}[2J".into()], ["longer".into(), "x".into()]];
        assert_eq!(table(["ID", "USER"], rows), "ID      USER\na       ?[2J\nlonger  x\n");
        let rows = [["a".into(), "x".repeat(70_000)], ["y".repeat(70_000), "b".into()]];
        assert!(table(["ID", "USER"], rows).lines().next().is_some_and(|head| head == "ID  USER"));
    }
}
