//! [`Command`]: a command that a grant lets run, and how it is written into a sudoers file.
//!
//! As in sudoers(5), a path alone allows any arguments, a path with arguments allows exactly these, and `ALL` allows
//! anything. Unlike there, no wildcard, regular expression, list, digest, folder or alias can be meant: what could
//! be taken for one is refused, and what sudoers would read as a separator is escaped.

use serde::{Deserialize, Serialize};

/// One command of a grant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Command {
    /// Any command: `ALL`.
    All,
    /// The program at this path, with any arguments, or with exactly these where there are some.
    Exact {
        /// An absolute path.
        path: Box<str>,
        /// The arguments, parted by single spaces.
        arguments: Option<Box<str>>,
    },
}

/// Why a text is no [`Command`].
#[derive(Debug, thiserror::Error)]
#[error("command {command:?} {problem}")]
pub struct CommandError {
    command: String,
    problem: &'static str,
}

/// What sudoers would take for a wildcard, a regular expression, a negation or a quotation. A backslash is unescaped twice, once by
/// its parser and once by fnmatch(3), and how often depends on the sudo.
const MEANS_MORE: &[char] = &['*', '?', '[', ']', '^', '!', '"', '#', '\\'];

impl Command {
    /// Whether a run of `path` with `arguments` is this command. A `path` without a slash is what was typed before
    /// the search in `PATH`, and is compared with the file name.
    pub fn covers(&self, path: &str, arguments: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact { path: granted, arguments: granted_arguments } => {
                let same =
                    if path.contains('/') { **granted == *path } else { granted.rsplit('/').next() == Some(path) };
                same && granted_arguments.as_deref().is_none_or(|granted| granted == arguments)
            }
        }
    }

    /// The command as sudoers(5) writes it, its separators escaped.
    pub fn to_sudoers(&self) -> String {
        match self {
            Self::All => "ALL".into(),
            Self::Exact { path, arguments: None } => escaped(path),
            Self::Exact { path, arguments: Some(arguments) } => format!("{} {}", escaped(path), escaped(arguments)),
        }
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ',' | ':' | '=') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

impl TryFrom<String> for Command {
    type Error = CommandError;

    fn try_from(command: String) -> Result<Self, CommandError> {
        match parse(&command) {
            Ok(parsed) => Ok(parsed),
            Err(problem) => Err(CommandError { command, problem }),
        }
    }
}

fn parse(command: &str) -> Result<Command, &'static str> {
    if command == "ALL" {
        return Ok(Command::All);
    }
    let (path, arguments) = match command.split_once(' ') {
        Some((path, arguments)) => (path, Some(arguments)),
        None => (command, None),
    };
    if !path.starts_with('/') {
        return Err("is no absolute path, nor ALL");
    }
    if command.len() > 1024 {
        return Err("is longer than 1024 bytes");
    }
    if !command.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        return Err("has a character that is not printable ASCII");
    }
    if command.contains(MEANS_MORE) {
        return Err("has one of * ? [ ] ^ ! \" # \\, which sudo could read as a pattern; name each command in full");
    }
    if path.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")) {
        return Err("has a path that is not plain: no //, /./, /../ and no / at its end");
    }
    if arguments.is_some_and(|arguments| arguments.split(' ').any(str::is_empty)) {
        return Err("has more than one space between two words, or a space at its end");
    }
    Ok(Command::Exact { path: path.into(), arguments: arguments.map(Into::into) })
}

impl std::str::FromStr for Command {
    type Err = CommandError;

    fn from_str(command: &str) -> Result<Self, CommandError> {
        command.to_owned().try_into()
    }
}

impl From<Command> for String {
    fn from(command: Command) -> Self {
        command.to_string()
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("ALL"),
            Self::Exact { path, arguments: None } => f.write_str(path),
            Self::Exact { path, arguments: Some(arguments) } => write!(f, "{path} {arguments}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn command(text: &str) -> Command {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_alone_covers_any_arguments_and_arguments_only_themselves() {
        assert!(command("/usr/bin/id").covers("/usr/bin/id", "-u root"));
        assert!(command("/usr/bin/id").covers("id", ""));
        assert!(!command("/usr/bin/id").covers("/tmp/id", ""));
        assert!(command("/usr/bin/id -u").covers("/usr/bin/id", "-u"));
        assert!(!command("/usr/bin/id -u").covers("/usr/bin/id", ""));
        assert!(!command("/usr/bin/id -u").covers("/usr/bin/id", "-u root"));
        assert!(Command::All.covers("/bin/sh", "-c reboot"));
    }

    #[test]
    fn what_sudo_could_read_as_more_is_refused() {
        for text in [
            "",
            "id",
            "all",
            "ALL ",
            "ALL, !/bin/sh",
            "/usr/bin/",
            "/usr/bin/*",
            "/bin/[a-z]h",
            "!/bin/sh",
            "^/bin/.*$",
            "sha256:abc /bin/sh",
            "/bin/sh\nalice ALL=(ALL) ALL",
            "/bin/sh\\",
            "/bin/cat a\\b",
            "/bin/../bin/sh",
            "//bin/sh",
            "/bin/./sh",
            "/bin/cat  a",
            "/bin/cat ",
            "/bin/cat \"\"",
            "/bin/cat #1",
            "/bin/cat ^a$",
            "/bin/cat \u{e9}",
            "/bin/cat a\tb",
        ] {
            assert!(text.parse::<Command>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn separators_of_sudoers_are_escaped() {
        assert_eq!(command("/bin/a b=c,d:e").to_sudoers(), "/bin/a b\\=c\\,d\\:e");
        assert_eq!(command("/bin/a,b").to_sudoers(), "/bin/a\\,b");
    }

    proptest! {
        #[test]
        fn an_accepted_command_is_one_rule_of_one_line(text in "(/[ -~]{0,40}|.*)") {
            if let Ok(command) = text.parse::<Command>() {
                let rule = command.to_sudoers();
                let bare = rule.replace("\\,", "").replace("\\:", "").replace("\\=", "");
                prop_assert!(!bare.contains([',', ':', '=', '\\', '\n', '#', '!', '*', '?', '[', ']', '"', '^']), "{}", rule);
                prop_assert_eq!(command.to_string(), text);
            }
        }
    }
}
