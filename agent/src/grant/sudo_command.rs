//! What a run of sudo asks for, read from its arguments as sudo(8) reads them.
//!
//! PAM never sees the command. This is for the audit, and to tell whose elevation another grant still covers; which commands may
//! run is for sudoers to say. What can't be understood counts as wanting everything. No file that was typed is looked at: it may lie where
//! its person decides whether, and when, the kernel answers.

use super::decision::WantedCommand;
use curfew_protocol::grant::Command;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

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
        /// Its file name, as it was typed.
        name: String,
        /// The ways to write its path; none where which file it is can't be told from what was typed.
        paths: Vec<String>,
        /// Parted by single spaces.
        arguments: String,
    },
}

/// A run of sudo, as it was typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Typed {
    /// What is to run, without the file that it is: that depends on the [`Place`].
    command: SudoCommand,
    /// The command alone, as it was typed.
    word: String,
    /// As whom, by name or as `#` and a user id, where it says so.
    pub user: Option<String>,
    /// With which group, by name or as `#` and a group id, where it says so.
    pub group: Option<String>,
    /// The file name of the program, also where it is a shell that runs it, or where it is to have another environment.
    pub program: Option<String>,
    /// Nobody is to be asked for anything (`-n`).
    pub is_noninteractive: bool,
}

impl Typed {
    /// A run of which nothing else is known.
    pub fn of(command: SudoCommand) -> Self {
        let (word, user, group, program) = (String::new(), None, None, None);
        Self { command, word, user, group, program, is_noninteractive: false }
    }

    /// What is to run, by what `place` knows of the files that may be meant.
    pub fn command(&self, place: &Place<'_>) -> SudoCommand {
        match &self.command {
            SudoCommand::Program { name, arguments, .. } => {
                let (name, arguments) = (name.clone(), arguments.clone());
                SudoCommand::Program { name, paths: place.paths(&self.word), arguments }
            }
            other => other.clone(),
        }
    }

    fn note_value(&mut self, is_user: bool, is_group: bool, value: &str) {
        if is_user {
            self.user = Some(value.to_owned());
        }
        if is_group {
            self.group = Some(value.to_owned());
        }
    }

    fn note_program(&mut self, word: &str) {
        let name = word.rsplit('/').next().unwrap_or(word);
        self.program = (name.len() <= LONGEST_NAME).then(|| name.to_owned());
    }
}

/// The longest path of a command, in bytes (PATH_MAX): the kernel runs no longer one.
const LONGEST_PATH: usize = 4096;

/// The longest name of a file, in bytes (NAME_MAX).
const LONGEST_NAME: usize = 255;

/// The longest arguments that are remembered, in bytes. No grant names longer ones, and those of longer ones end in what no grant may have.
const LONGEST_ARGUMENTS: usize = 4096;

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
    /// Reads the arguments, the program's own name first.
    pub fn parse(arguments: &[String]) -> Typed {
        let mut typed = Typed::of(Self::Nothing);
        typed.command = Self::parse_into(arguments, &mut typed);
        typed
    }

    fn parse_into(arguments: &[String], typed: &mut Typed) -> Self {
        let mut rest = arguments.iter().map(String::as_str);
        let own_name = rest.next().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        let (mut lists, mut shell, mut options_over) = (false, false, false);
        let mut edits = is_edit(own_name);
        shell |= edits;
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
                        typed.note_value(is(&["--user"]), is(&["--group"]), value);
                        // Who may choose the folder, the root or the environment may do anything.
                        shell |= is(&["--chdir", "--chroot"]);
                    } else {
                        lists |= is(&["--list", "--validate", "--version", "--help"]);
                        edits |= is(&["--edit"]);
                        shell |= is(&["--edit", "--login", "--preserve-env", "--shell"]);
                        typed.is_noninteractive |= is(&["--non-interactive"]);
                    }
                }
                Some(letters) => {
                    for (place, letter) in letters.char_indices() {
                        lists |= matches!(letter, 'l' | 'v' | 'V');
                        edits |= letter == 'e';
                        shell |= matches!(letter, 'E' | 'e' | 'i' | 's');
                        typed.is_noninteractive |= letter == 'n';
                        if WITH_VALUE.contains(letter) {
                            // The value is the rest of this argument, or the next one.
                            let behind = letters.get(place + letter.len_utf8()..).filter(|behind| !behind.is_empty());
                            let value = behind.or_else(|| rest.next()).unwrap_or_default();
                            typed.note_value(letter == 'u', letter == 'g', value);
                            shell |= matches!(letter, 'D' | 'R');
                            break;
                        }
                    }
                }
                None if is_assignment(argument) => shell = true,
                None if shell => {
                    if !edits {
                        typed.note_program(argument);
                    }
                    return Self::Anything;
                }
                None if lists => return Self::Nothing,
                None if argument.len() > LONGEST_PATH => return Self::Anything,
                None => {
                    typed.note_program(argument);
                    typed.word = argument.to_owned();
                    return Self::of_program(argument, &remembered(rest));
                }
            }
        }
        if shell { Self::Anything } else { Self::Nothing }
    }

    fn of_program(typed: &str, arguments: &str) -> Self {
        let name = typed.rsplit('/').next().unwrap_or(typed).to_owned();
        Self::Program { name, paths: Vec::new(), arguments: arguments.to_owned() }
    }

    /// It as a decision wants it.
    pub fn wanted(&self) -> WantedCommand<'_> {
        match self {
            Self::Nothing => WantedCommand::Unknown,
            Self::Anything => WantedCommand::Any,
            Self::Program { paths, arguments, .. } => WantedCommand::Program { paths, arguments },
        }
    }

    /// The name of the program, where it may mean several files.
    pub fn unresolved(&self) -> Option<&str> {
        match self {
            Self::Program { name, paths, .. } if paths.is_empty() => Some(name),
            _ => None,
        }
    }

    /// The same, of the file at `path`.
    pub fn resolved(&self, path: &str) -> Self {
        match self {
            Self::Program { name, arguments, .. } => {
                Self::Program { name: name.clone(), paths: written(path), arguments: arguments.clone() }
            }
            Self::Nothing | Self::Anything => self.clone(),
        }
    }

    /// The file name of the program that it runs, if it runs a certain one.
    pub fn program(&self) -> Option<&str> {
        match self {
            Self::Program { name, .. } => Some(name),
            Self::Nothing | Self::Anything => None,
        }
    }
}

/// Where a run of sudo was typed, to tell which file is meant.
#[derive(Debug, Default)]
pub struct Place<'a> {
    /// The folder in which it was typed, if that is known.
    pub folder: Option<&'a str>,
    /// The commands that its person's live grants let run as whom it was typed for.
    pub granted: Vec<&'a Command>,
}

impl Place<'_> {
    /// The ways to write the path of what was typed. A bare name is searched in a PATH that only sudo knows: the one file of that name that is
    /// granted is meant, where nothing else can be.
    fn paths(&self, typed: &str) -> Vec<String> {
        if typed.starts_with('/') {
            return written(typed);
        }
        if typed.contains('/') {
            return self.folder.map(|folder| written(&format!("{folder}/{typed}"))).unwrap_or_default();
        }
        let mut paths = HashSet::new();
        for command in &self.granted {
            match command {
                Command::All => return Vec::new(),
                Command::Exact { path, .. } if path.rsplit('/').next() == Some(typed) => {
                    paths.insert(written(path));
                }
                Command::Exact { .. } => {}
            }
        }
        let mut paths = paths.into_iter();
        match (paths.next(), paths.next()) {
            (Some(only), None) => only,
            _ => Vec::new(),
        }
    }
}

impl Place<'_> {
    /// Whether what runs may be one of the commands that are granted, though it can't be told from what was typed: a bare name that several files
    /// have.
    pub fn may_mean(&self, command: &SudoCommand) -> bool {
        let Some(name) = command.unresolved() else { return false };
        self.granted.iter().any(|command| match command {
            Command::All => true,
            Command::Exact { path, .. } => path.rsplit('/').next() == Some(name),
        })
    }
}

/// The ways to write a path, where `/bin` and its like lead to `/usr` (file-hierarchy(7)); none where a step up may lead over a link.
pub fn written(path: &str) -> Vec<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Vec::new();
    }
    let path = format!("/{}", parts.join("/"));
    let other = match parts.as_slice() {
        ["usr", "bin" | "sbin" | "lib" | "lib64", ..] => path.strip_prefix("/usr").map(str::to_owned),
        ["bin" | "sbin" | "lib" | "lib64", ..] => Some(format!("/usr{path}")),
        _ => None,
    };
    let mut paths = vec![path];
    paths.extend(other);
    paths.sort();
    paths
}

/// Whether sudo edits by this name of its own: sudoedit(8) is the same program by another name.
pub fn is_edit(own_name: &str) -> bool {
    own_name.len() > "edit".len() && own_name.ends_with("edit")
}

/// Arguments as a grant writes them; of longer ones than any grant may name, the beginning.
fn remembered<'a>(arguments: impl Iterator<Item = &'a str>) -> String {
    let mut remembered = String::new();
    for (place, argument) in arguments.enumerate() {
        if remembered.len() + argument.len() > LONGEST_ARGUMENTS {
            remembered.push('…');
            break;
        }
        if place > 0 {
            remembered.push(' ');
        }
        remembered.push_str(argument);
    }
    remembered
}

fn is_assignment(argument: &str) -> bool {
    argument.split_once('=').is_some_and(|(name, _)| !name.is_empty() && !name.contains('/'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
