//! What is wrong with a configuration, with the line that it is in.

use super::Wrong;
use std::io;
use std::path::{Path, PathBuf};

/// What serde calls a number, and what people do.
const NUMBERS: [&str; 2] = ["expected u32", "expected usize"];

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It can't be read.
    #[error("{path}: {source}. {}", next(source, path))]
    Read { path: PathBuf, source: io::Error },
    /// It is not TOML, or has a key or a value that means nothing.
    #[error("{path}, line {line}: {problem}")]
    Parse { path: PathBuf, line: usize, problem: String },
    /// A value is out of bounds.
    #[error("{path}{}: {problem}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Value { path: PathBuf, line: Option<usize>, problem: String },
}

/// What to do where a configuration can't be read.
fn next(error: &io::Error, path: &Path) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "Say it as root, or let the server's user read it: chown root:curfew-server {0}; chmod 0640 {0}",
            path.display()
        ),
        io::ErrorKind::NotFound => "Make one with: curfew-server init".into(),
        _ => "It has to be a file in TOML".into(),
    }
}

/// What the parser says, with the line and the key that it says it of.
pub(super) fn parsing(path: PathBuf, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or(text);
    let line = before.matches('\n').count();
    let message = NUMBERS.iter().fold(error.message().to_owned(), |message, number| {
        message.replace(number, "expected a number from 0 on, without quotes")
    });
    let key = text.lines().nth(line).and_then(key);
    let problem = match key {
        Some(key) if message == "duplicate key" => format!("{key} is there twice; leave one of them"),
        // A key that there is not names itself.
        Some(key) if !message.contains(&format!("`{key}`")) => format!("{key}: {message}"),
        _ => message,
    };
    ConfigError::Parse { path, line: line + 1, problem }
}

/// What is out of bounds, with the first line that has it.
pub(super) fn value(path: PathBuf, text: &str, wrong: Wrong) -> ConfigError {
    let line = wrong.keys.iter().find_map(|name| text.lines().position(|line| key(line) == Some(name)));
    ConfigError::Value { path, line: line.map(|line| line + 1), problem: wrong.problem }
}

/// The key that a line sets.
fn key(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim().trim_matches(['"', '\'']);
    (!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).then_some(name)
}
