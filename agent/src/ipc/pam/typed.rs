//! The command line of who asks, as the audit shows it.

use curfew_protocol::display::misleads;
use std::fmt::Write as _;

/// The longest command that is audited, in bytes.
const LONGEST_COMMAND: usize = 1024;

/// How much of an argument is shown where the whole is longer than that, in bytes: none hides those behind it.
const LONGEST_OF_LONG: usize = 64;

/// `program` with its arguments, the first of which, its own name, whoever runs it may choose. No two calls look the same but where they are shortened,
/// which is said.
pub(super) fn shown(program: &str, arguments: &[Vec<u8>]) -> String {
    let arguments = arguments.get(1..).unwrap_or_default();
    let length = program.len() + arguments.iter().map(|argument| argument.len() + 1).sum::<usize>();
    if length <= LONGEST_COMMAND {
        let mut whole = program.to_owned();
        arguments.iter().for_each(|argument| whole += &format!(" {}", quoted(argument)));
        if whole.len() <= LONGEST_COMMAND {
            return whole;
        }
    }
    let mut shown = program.to_owned();
    for argument in arguments {
        let begins = match argument.split_at_checked(LONGEST_OF_LONG) {
            Some((begins, [_, ..])) => quoted(begins) + "…",
            _ => quoted(argument),
        };
        if shown.len() + begins.len() > LONGEST_COMMAND {
            shown += " …";
            break;
        }
        _ = write!(shown, " {begins}");
    }
    format!("{shown} (shortened, {length} bytes)")
}

/// An argument as it is where it can't be taken for anything else, and else in quotes, with escapes for what can't be shown.
fn quoted(argument: &[u8]) -> String {
    let means_more = |c: char| c.is_whitespace() || misleads(c) || "\"'`\\…\u{fffd}".contains(c);
    if let Ok(plain) = str::from_utf8(argument)
        && !plain.is_empty()
        && !plain.contains(means_more)
    {
        return plain.to_owned();
    }
    let mut quoted = String::from("\"");
    for chunk in argument.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                c if misleads(c) => quoted.extend(c.escape_unicode()),
                c => quoted.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| _ = write!(quoted, "\\x{byte:02x}"));
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> String {
        shown("sudo", &arguments.iter().map(|it| it.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn two_calls_never_look_the_same() {
        assert_eq!(of(&["sudo /usr/bin/id harmless", "/bin/rm", "-r", "/"]), "sudo /bin/rm -r /");
        for (arguments, looks) in [
            (vec!["x", "cat", "a b"], "sudo cat \"a b\""),
            (vec!["x", "cat", "a", "b"], "sudo cat a b"),
            (vec!["x", "cat", "\"a", "b\""], "sudo cat \"\\\"a\" \"b\\\"\""),
            (vec!["x", "cat", ""], "sudo cat \"\""),
            (vec!["x", "cat", "\u{1b}[2J"], "sudo cat \"\\u{1b}[2J\""),
            (vec!["x", "cat", "\\u{1b}[2J"], "sudo cat \"\\\\u{1b}[2J\""),
            (vec!["x", "cat", "a…"], "sudo cat \"a…\""),
            (vec!["x", "-u", "#0", "A=b", "zoë"], "sudo -u #0 A=b zoë"),
        ] {
            assert_eq!(of(&arguments), looks);
        }
        assert_eq!(quoted(b"a\xff"), "\"a\\xff\"");
        assert_eq!(quoted("\u{fffd}".as_bytes()), "\"\u{fffd}\"");
        assert_eq!(shown("sudo", &[]), "sudo");
    }

    #[test]
    fn what_is_too_long_is_shortened_and_hides_nothing_behind_it() {
        let long = "a".repeat(100_000);
        let said = of(&["x", "-p", &long, "/opt/a/run"]);
        assert_eq!(said, format!("sudo -p {}… /opt/a/run (shortened, 100019 bytes)", "a".repeat(64)));
        let many = vec!["-n"; 100_000];
        let said = of(&many);
        assert!(said.len() < LONGEST_COMMAND + 40 && said.ends_with(" … (shortened, 300001 bytes)"), "{said}");
        let escapes = "\u{1b}".repeat(1000);
        assert!(of(&["x", &escapes]).len() < LONGEST_COMMAND + 40);
    }
}
