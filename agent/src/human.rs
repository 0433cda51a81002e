//! What people read: times in their zone, durations in words, tables.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::time::Duration;

/// A time in the local zone, with its offset.
pub fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// A duration, rounded down to what people say: `45 s`, `29 min`, `1 h 5 min`, `2 days`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (1, 0, _) => "1 day".into(),
        (days, 0, _) => format!("{days} days"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// The time from `now` to `then`, in words; nothing is left of what is over.
pub fn left(now: Timestamp, then: Timestamp) -> String {
    duration(Duration::try_from(then.duration_since(now)).unwrap_or_default())
}

/// Columns, each as wide as its widest cell; the last is not padded. Control characters are shown as `?`.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rows: Vec<Vec<String>> =
        std::iter::once(&head).chain(rows).map(|row| row.iter().map(|it| printable(it)).collect()).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// A text that can drive no terminal: control characters are shown as `?`.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        for (seconds, said) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (1799, "29 min"),
            (3600, "1 h"),
            (3900, "1 h 5 min"),
            (86_400, "1 day"),
            (190_000, "2 d 4 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), said);
        }
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells_and_drives_no_terminal() {
        let rows = [vec!["a".into(), "\u{1b}[2J".into()], vec!["long".into(), "x".into()]];
        assert_eq!(table(&["ID", "USER"], &rows), "ID    USER\na     ?[2J\nlong  x\n");
    }
}
