//! What a run of sudo asks for, read from its arguments as sudo(8) reads them.
//!
//! PAM never sees the command. This is for the audit, and to tell whose elevation another grant still covers; which commands may
//! run is for sudoers to say. What can't be understood counts as wanting everything.

use crate::request::decision::WantedCommand;
use serde::{Deserialize, Serialize};

/// What a run of sudo asks for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum SudoCommand {
    /// Nothing that runs: `sudo -l`, `-v`, `-k`.
    #[default]
    Nothing,
    /// A shell, an editor, or what can't be understood.
    Anything,
    /// A program.
    Program {
        /// Its file name.
        name: String,
        /// Parted by single spaces.
        arguments: String,
    },
}

/// The longest command that is remembered, in bytes; a longer one counts as wanting everything.
const LONGEST_COMMAND: usize = 4096;

/// Options with a value of their own.
const WITH_VALUE: &str = "CDghpRrTtUu";
const LONG_WITH_VALUE: [&str; 11] = [
    "--close-from",
    "--chdir",
    "--group",
    "--host",
    "--prompt",
    "--chroot",
    "--role",
    "--command-timeout",
    "--type",
    "--other-user",
    "--user",
];

impl SudoCommand {
    /// Reads the arguments, the program's own name first: what is to run, and as whom (root if they don't say).
    pub fn parse(arguments: &[String]) -> (Self, String) {
        let mut run_as = "root".to_owned();
        let command = Self::parse_into(arguments, &mut run_as);
        (command, run_as)
    }

    fn parse_into(arguments: &[String], run_as: &mut String) -> Self {
        let mut rest = arguments.iter().skip(1).map(String::as_str);
        let (mut lists, mut shell, mut options_over) = (false, false, false);
        while let Some(argument) = rest.next() {
            let option = argument.strip_prefix('-').filter(|option| !options_over && !option.is_empty());
            match option {
                Some("-") => options_over = true,
                Some(option) if option.starts_with('-') => {
                    let (name, value) =
                        argument.split_once('=').map_or((argument, None), |(name, it)| (name, Some(it)));
                    // As getopt_long(3) does, a beginning stands for the whole.
                    let is = |options: &[&str]| options.iter().any(|option| option.starts_with(name));
                    if is(&LONG_WITH_VALUE) {
                        let value = value.or_else(|| rest.next()).unwrap_or_default();
                        note_user(run_as, is(&["--user"]), value);
                    } else {
                        lists |= is(&["--list", "--validate", "--version", "--help"]);
                        shell |= is(&["--edit", "--login", "--shell"]);
                    }
                }
                Some(letters) => {
                    for (place, letter) in letters.char_indices() {
                        lists |= matches!(letter, 'l' | 'v' | 'V');
                        shell |= matches!(letter, 'e' | 'i' | 's');
                        if WITH_VALUE.contains(letter) {
                            // The value is the rest of this argument, or the next one.
                            let behind = letters.get(place + letter.len_utf8()..).filter(|behind| !behind.is_empty());
                            let value = behind.or_else(|| rest.next()).unwrap_or_default();
                            note_user(run_as, letter == 'u', value);
                            break;
                        }
                    }
                }
                None if is_assignment(argument) => {}
                None => return Self::from_words(Some(argument), rest, lists, shell),
            }
        }
        Self::from_words(None, rest, lists, shell)
    }

    fn from_words<'a>(first: Option<&str>, rest: impl Iterator<Item = &'a str>, lists: bool, shell: bool) -> Self {
        match first {
            _ if shell => Self::Anything,
            _ if lists => Self::Nothing,
            Some(path) => {
                // sudo has judged the path; which grant it was is told by the name, however the path was written.
                let name = path.rsplit('/').next().unwrap_or(path).to_owned();
                let arguments = rest.collect::<Vec<_>>().join(" ");
                let long = name.len() + arguments.len() > LONGEST_COMMAND;
                if long { Self::Anything } else { Self::Program { name, arguments } }
            }
            None => Self::Nothing,
        }
    }

    /// It as a decision wants it.
    pub fn wanted(&self) -> WantedCommand<'_> {
        match self {
            Self::Nothing => WantedCommand::Unknown,
            Self::Anything => WantedCommand::Any,
            Self::Program { name, arguments } => WantedCommand::Program { path: name, arguments },
        }
    }
}

fn note_user(run_as: &mut String, is_user: bool, value: &str) {
    if is_user {
        *run_as = value.to_owned();
    }
}

fn is_assignment(argument: &str) -> bool {
    argument.split_once('=').is_some_and(|(name, _)| !name.is_empty() && !name.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> SudoCommand {
        parse_both(line).0
    }

    fn parse_both(line: &str) -> (SudoCommand, String) {
        SudoCommand::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_user_to_run_as_is_found_however_it_is_written() {
        for line in [
            "sudo -u bob id",
            "sudo -ubob id",
            "sudo -nu bob id",
            "sudo --user bob id",
            "sudo --user=bob -n id",
            "sudo --us bob id",
        ] {
            assert_eq!(parse_both(line), (program("id", ""), "bob".into()), "{line}");
        }
        assert_eq!(parse_both("sudo -p x id -u bob").1, "root");
    }

    fn program(name: &str, arguments: &str) -> SudoCommand {
        SudoCommand::Program { name: name.into(), arguments: arguments.into() }
    }

    #[test]
    fn the_command_is_found_behind_the_options() {
        for (line, command) in [
            ("sudo id", program("id", "")),
            ("sudo -n /usr/bin/id -u root", program("id", "-u root")),
            ("sudo -u postgres psql -l", program("psql", "-l")),
            ("sudo -upostgres psql", program("psql", "")),
            ("sudo -nu postgres psql", program("psql", "")),
            ("sudo --user postgres -- psql", program("psql", "")),
            ("sudo --user=postgres psql", program("psql", "")),
            ("sudo PATH=/tmp LANG=C id", program("id", "")),
            ("sudo -- LANG=C id -i", program("id", "-i")),
            ("sudo -p -i id", program("id", "")),
            ("sudo -k id", program("id", "")),
            ("sudo ./a=b", program("a=b", "")),
        ] {
            assert_eq!(parse(line), command, "{line}");
        }
    }

    #[test]
    fn shells_and_editors_want_everything() {
        for line in
            ["sudo -i", "sudo -s", "sudo -su root", "sudo -i id", "sudo --login", "sudo -e /etc/hosts", "sudo -ni"]
        {
            assert_eq!(parse(line), SudoCommand::Anything, "{line}");
        }
    }

    #[test]
    fn lists_and_tickets_run_nothing() {
        for line in ["sudo -l", "sudo -nv", "sudo -k", "sudo --list", "sudo", "sudo -l id"] {
            assert_eq!(parse(line), SudoCommand::Nothing, "{line}");
        }
    }
}
