//! Files of policies, cut into policies, and the digest that names them all.
//!
//! Cedar ends every policy with a semicolon, which stands nowhere else but in strings and comments. Each policy is then read by itself, so that a place in it is a
//! place in its file, and that the text that is kept, shown and compared is the text that counts. Where a cut were wrong, the piece would be no policy, and all is refused.

use super::problem::{Place, Problem};
use aws_lc_rs::digest::{SHA256, digest};
use std::fmt::Write as _;

/// The longest text of all files, in bytes.
pub const LONGEST: usize = 4 * 1024 * 1024;

/// The longest policy, in bytes.
pub const LONGEST_POLICY: usize = 16 * 1024;

/// The most policies.
pub const MOST_POLICIES: usize = 10_000;

/// How deep brackets may lie in each other, and how many `if`s one policy may have: either is a tree that Cedar walks by calling itself, many calls a level.
const DEEPEST: usize = 20;

/// The most operators, dots and brackets of one policy: a tree, too, of fewer calls a level.
const MOST_OPERATORS: usize = 256;

/// A file of policies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// Its name, as people know it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// One policy of a file: from its first annotation to its semicolon, with the comment before it cut off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Piece<'s> {
    /// Where it begins, in bytes.
    pub offset: usize,
    pub text: &'s str,
}

impl Source {
    /// A file of this name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The place of a byte of it.
    pub(super) fn place(&self, offset: usize) -> Place {
        Place::of(&self.text, offset)
    }

    /// Its policies.
    pub(super) fn pieces(&self) -> Result<Vec<Piece<'_>>, Problem> {
        let mut pieces = Vec::new();
        let (mut begin, mut depth, mut ifs, mut operators) = (None, 0_usize, 0_usize, 0_usize);
        for Token { offset, text } in tokens(&self.text) {
            let begins = *begin.get_or_insert(offset);
            match text {
                "(" | "[" | "{" => {
                    depth += 1;
                    operators += 1;
                }
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                "if" => ifs += 1,
                "." | "!" | "-" | "+" | "*" | "&" | "|" | "=" | "<" | ">" | "in" | "has" | "like" => {
                    operators += 1;
                }
                ";" => {
                    let text = self.text.get(begins..=offset).unwrap_or_default();
                    pieces.push(Piece { offset: begins, text });
                    (begin, depth, ifs, operators) = (None, 0, 0, 0);
                    continue;
                }
                _ => {}
            }
            let over =
                |what: String| Problem::error(&self.name, self.place(offset), what).next("Make several policies of it");
            if depth > DEEPEST {
                return Err(over(format!("more than {DEEPEST} brackets lie in each other")));
            }
            if ifs > DEEPEST {
                return Err(over(format!("a policy has more than {DEEPEST} ifs")));
            }
            if operators > MOST_OPERATORS {
                return Err(over(format!("a policy has more than {MOST_OPERATORS} operators")));
            }
            if offset - begins > LONGEST_POLICY {
                return Err(over(format!("a policy is longer than {LONGEST_POLICY} bytes")));
            }
        }
        // What no semicolon ends is told by the parser, with what it misses.
        pieces.extend(begin.map(|offset| Piece { offset, text: self.text.get(offset..).unwrap_or_default() }));
        Ok(pieces)
    }

    /// Its text as the digest takes it: lines end with `\n` alone, without white space before it, and there is no empty line at the end.
    pub fn canonical(&self) -> String {
        let mut text: String = self.text.lines().fold(String::with_capacity(self.text.len()), |mut text, line| {
            text.push_str(line.trim_end());
            text.push('\n');
            text
        });
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }
}

/// The text of several files as one, in the order of their names.
pub fn canonical(sources: &[Source]) -> String {
    let mut ordered: Vec<_> = sources.iter().collect();
    ordered.sort_by(|a, b| (&a.name, &a.text).cmp(&(&b.name, &b.text)));
    ordered.iter().map(|source| source.canonical()).collect::<Vec<_>>().join("\n")
}

/// The digest of a canonical text: SHA-256 in hexadecimal, as `sha256sum` prints it.
pub fn sha256(canonical: &str) -> String {
    digest(&SHA256, canonical.as_bytes()).as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A word, a string or a character, as far as cutting needs to tell them apart.
struct Token<'t> {
    offset: usize,
    text: &'t str,
}

/// The tokens of a text, without white space and comments.
fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let first = rest.chars().next()?;
            let offset = at;
            if first.is_whitespace() {
                at += first.len_utf8();
                continue;
            }
            if rest.starts_with("//") {
                // As Cedar has it: a carriage return alone ends a comment, too.
                at += rest.find(['\n', '\r']).unwrap_or(rest.len());
                continue;
            }
            at += match first {
                '"' => string_length(rest),
                c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            return Some(Token { offset, text: text.get(offset..at)? });
        }
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// How long the string is that a text begins with, quotes included; one that nothing ends goes on to the end.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<String> {
        let source = Source::new("a", text);
        source.pieces().unwrap().iter().map(|piece| piece.text.to_owned()).collect()
    }

    #[test]
    fn a_semicolon_ends_a_policy_but_not_in_a_string_or_a_comment() {
        let text = "// a; b\n@id(\"x;\\\";\") permit(principal, action, resource); // c;\n\nforbid(1);\n// end\n";
        assert_eq!(pieces(text), ["@id(\"x;\\\";\") permit(principal, action, resource);", "forbid(1);"]);
        assert_eq!(pieces("permit(\"http://a\");forbid"), ["permit(\"http://a\");", "forbid"]);
        assert_eq!(pieces("// nothing\n"), Vec::<String>::new());
        assert_eq!(pieces("// a\rforbid(1);\n"), ["forbid(1);"]);
        assert_eq!(pieces("permit(\"ł;"), ["permit(\"ł;"]);
    }

    #[test]
    fn what_would_be_too_deep_or_too_long_is_refused_with_its_place() {
        for (text, says) in [
            ("(".repeat(21), "a, line 1, column 21: more than 20 brackets"),
            ("if ".repeat(21), "a, line 1, column 61: a policy has more than 20 ifs"),
            ("a.".repeat(257), "a, line 1, column 514: a policy has more than 256 operators"),
            (format!("\"{}\" x", "a".repeat(17_000)), "a policy is longer than 16384 bytes"),
        ] {
            let error = Source::new("a", text).pieces().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_digest_is_of_the_text_and_not_of_how_lines_end() {
        let one = Source::new("a", "permit;  \r\n\r\nforbid;\r\n\r\n");
        assert_eq!(one.canonical(), "permit;\n\nforbid;\n");
        let tidy = Source::new("a", "permit;\n\nforbid;\n");
        assert_eq!(sha256(&canonical(&[one])), sha256(&tidy.text));
        assert_ne!(sha256(&tidy.text), sha256("permit;\n\nforbid; // now\n"));
        // The order of the files does not count, their names' does.
        let (a, b) = (Source::new("a", "1"), Source::new("b", "2"));
        assert_eq!(canonical(&[a.clone(), b.clone()]), canonical(&[b, a]));
        assert_eq!(sha256("").len(), 64);
    }
}
