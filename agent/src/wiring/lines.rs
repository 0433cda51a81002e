//! The lines of a PAM service file as PAM takes them (pam.conf(5)): a backslash at a line's end has it go on in the next one.

/// How every first mark begins, whatever it goes on to say: what another version has written is known, too.
const BEGINS: &[u8] = b"# curfew begin:";

/// The last mark.
pub(super) const END: &str = "# curfew end\n";

/// A text in its logical lines, each with all its bytes. A mark of ours is a line of its own wherever it stands.
pub(super) fn logical(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut length = 0;
        for line in rest.split_inclusive(|&byte| byte == b'\n') {
            if length > 0 && is_mark(line) {
                break;
            }
            length += line.len();
            if !goes_on(line) {
                break;
            }
        }
        let (line, others) = rest.split_at(length);
        rest = others;
        (length > 0).then_some(line)
    })
}

/// What a logical line says: without comments, on one line.
pub(super) fn joined(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let said = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim_end());
    said.map(|line| line.strip_suffix('\\').unwrap_or(line)).collect::<Vec<_>>().join(" ")
}

/// Whether a rule, joined, has our module.
pub(super) fn names_us(rule: &str) -> bool {
    rule.split_ascii_whitespace().skip(1).any(|word| word == "pam_curfew.so" || word.ends_with("/pam_curfew.so"))
}

fn goes_on(line: &[u8]) -> bool {
    !line.contains(&b'#') && line.trim_ascii_end().ends_with(b"\\")
}

/// Whether a line is one of our marks.
pub(super) fn is_mark(line: &[u8]) -> bool {
    begins(line) || ends(line)
}

pub(super) fn begins(line: &[u8]) -> bool {
    line.starts_with(BEGINS)
}

pub(super) fn ends(line: &[u8]) -> bool {
    line.trim_ascii_end() == END.trim_ascii_end().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_joins_lines_and_a_comment_ends_them() {
        let text = b"account a \\\n  b\\\n c\nd # e \\\nf \\\n# curfew end\n";
        let lines: Vec<String> = logical(text).map(joined).collect();
        assert_eq!(lines, ["account a    b  c", "d", "f ", ""]);
        assert_eq!(logical(text).collect::<Vec<_>>().concat(), text);
    }
}
