//! What people are shown: text that can drive no terminal and hide nothing, and tables of it.
//!
//! Names, addresses and command lines come from whoever logs in or types them. Everything that a program of Curfew prints, logs or writes on
//! a terminal goes through [`printable`] or [`printable_lines`], and JSON through [`json`], which keeps the value.

use std::fmt::Write as _;

/// The widest column of a table. A longer cell pushes the others of its own row alone.
const WIDEST: usize = 80;

/// Whether a character drives a terminal, or makes a text look like another one: controls (ECMA-48), what reorders text (Unicode UAX #9), and what has no
/// width (Unicode's Default_Ignorable_Code_Point, and the separators of lines and paragraphs).
pub fn misleads(c: char) -> bool {
    c.is_control()
        || reorders(c)
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Whether a character reorders the text around it, or ends its line.
pub fn reorders(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with `?` for each character that [`misleads`].
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if misleads(c) { '?' } else { c }).collect()
}

/// As [`printable`], for what has lines of its own.
pub fn printable_lines(text: &str) -> String {
    text.chars().map(|c| if misleads(c) && c != '\n' { '?' } else { c }).collect()
}

/// JSON of the same value, with `\u` escapes (RFC 8259, section 7) for each character that [`misleads`]: those stand in strings alone.
pub fn json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        // Line breaks part the elements of JSON; in a string they are escaped already.
        if c == '\n' || !misleads(c) {
            safe.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| _ = write!(safe, "\\u{unit:04x}"));
        }
    }
    safe
}

/// Columns as wide as their widest cell, each cell [`printable`]; the last is not padded.
pub fn table<Row: AsRef<[String]>>(head: &[&str], rows: impl IntoIterator<Item = Row>) -> String {
    let mut cells = vec![head.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>()];
    cells.extend(rows.into_iter().map(|row| row.as_ref().iter().map(|cell| printable(cell)).collect()));
    let mut widths = vec![0; head.len()];
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
        for (cell, width) in row.iter().zip(&widths) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_drives_a_terminal_reorders_a_text_or_has_no_width_is_shown_as_a_question_mark() {
        for hidden in [
            "\u{1b}",
            "\u{7f}",
            "\u{9b}",
            "\u{202e}",
            "\u{2066}",
            "\u{200b}",
            "\u{200d}",
            "\u{200f}",
            "\u{61c}",
            "\u{2060}",
            "\u{feff}",
            "\u{ad}",
            "\u{3164}",
            "\u{e0041}",
            "\u{fe0f}",
            "\u{2028}",
        ] {
            assert_eq!(printable(&format!("ali{hidden}ce")), "ali?ce", "{}", hidden.escape_unicode());
            assert_eq!(printable_lines(&format!("a\n{hidden}")), "a\n?");
        }
        assert_eq!(printable("Łukasz näher 東京 e\u{301}"), "Łukasz näher 東京 e\u{301}");
        assert_eq!(printable("a\nb\t"), "a?b?");
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells_and_drives_no_terminal() {
        let rows = [["a".into(), "\u{1b}[2J".into()], ["longer".into(), "\u{202e}x".into()]];
        assert_eq!(table(&["ID", "USER"], rows), "ID      USER\na       ?[2J\nlonger  ?x\n");
    }

    #[test]
    fn a_cell_of_any_length_panics_nothing_and_moves_its_own_row_alone() {
        let rows = [["a".into(), "x".repeat(70_000)], ["y".repeat(70_000), "b".into()], ["c".into(), "d".into()]];
        let text = table(&["ID", "USER"], rows);
        assert!(text.starts_with("ID  USER\na   xxx") && text.ends_with("\nc   d\n"));
        // A row with fewer or more cells than the head.
        assert_eq!(
            table(&["ID", "USER"], [vec!["a".into()], vec!["b".into(), "c".into(), "d".into()]]),
            "ID  USER\na\nb   c\n"
        );
    }

    proptest! {
        #[test]
        fn json_keeps_its_value_and_shows_nothing_that_misleads(text in any::<String>()) {
            let safe = json(&serde_json::to_string(&text).unwrap());
            prop_assert!(!safe.chars().any(misleads), "{}", safe);
            prop_assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }
    }
}
