//! The lines of sudoers with everything that it includes (sudoers(5)), read and not judged: sudo itself decides what they mean.

use std::fs;
use std::path::{Path, PathBuf};

/// Includes within includes end here, as they do in sudo.
const DEEPEST: usize = 128;

/// At most so many lines are read.
const MOST_LINES: usize = 100_000;

/// A line, with what it goes on in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    pub path: PathBuf,
    /// From 1.
    pub number: usize,
    pub text: String,
}

/// Every line from `main` on, and the folders that are included.
pub(super) fn read(main: &Path) -> (Vec<Line>, Vec<PathBuf>) {
    let (mut lines, mut folders) = (Vec::new(), Vec::new());
    follow(main, 0, &mut lines, &mut folders);
    (lines, folders)
}

fn follow(path: &Path, depth: usize, lines: &mut Vec<Line>, folders: &mut Vec<PathBuf>) {
    let Ok(text) = fs::read(path) else { return };
    if depth > DEEPEST {
        return;
    }
    for (number, text) in joined(&String::from_utf8_lossy(&text)) {
        if lines.len() >= MOST_LINES {
            return;
        }
        match include(&text) {
            Some(Include::File(file)) => follow(&beside(path, file), depth + 1, lines, folders),
            Some(Include::Folder(folder)) => {
                let folder = beside(path, folder);
                for file in files_of(&folder) {
                    follow(&file, depth + 1, lines, folders);
                }
                folders.push(folder);
            }
            None => lines.push(Line { path: path.into(), number, text }),
        }
    }
}

enum Include<'a> {
    File(&'a str),
    Folder(&'a str),
}

fn include(line: &str) -> Option<Include<'_>> {
    let line = line.trim_start();
    let rest = line.strip_prefix('@').or_else(|| line.strip_prefix('#'))?;
    let (word, path) = rest.split_once(|c: char| c.is_ascii_whitespace())?;
    let path = path.trim().trim_matches('"');
    match word {
        "include" => Some(Include::File(path)),
        "includedir" => Some(Include::Folder(path)),
        _ => None,
    }
}

fn beside(path: &Path, included: &str) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).join(included)
}

/// sudo skips names with a dot and those that end in a tilde.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            !name.contains('.') && !name.ends_with('~')
        })
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// Lines with their numbers, and with what a backslash continues.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (number, line) in text.lines().enumerate() {
        let (line, goes_on) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        match lines.last_mut().filter(|_| continues) {
            Some((_, last)) => last.push_str(line.trim_start()),
            None => lines.push((number + 1, line.to_owned())),
        }
        continues = goes_on;
    }
    lines.retain(|(_, line)| is_said(line));
    lines
}

/// Neither empty nor a comment. `#` begins no comment before a number, which is a user, nor in the old way to include.
fn is_said(line: &str) -> bool {
    let line = line.trim_start();
    match line.strip_prefix('#') {
        Some(rest) => include(line).is_some() || rest.starts_with(|c: char| c.is_ascii_digit()),
        None => !line.is_empty(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_included_is_read_and_what_sudo_skips_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("d")).unwrap();
        for (name, text) in [
            (
                "sudoers",
                "# words\nDefaults env_reset, \\\n    !pam_acct_mgmt\n@include more\n#includedir d\n#1001 ALL = ALL\n",
            ),
            ("more", "%wheel ALL=(ALL) NOPASSWD: ALL\n@include sudoers\n"),
            ("d/a", "dave ALL = /usr/bin/id\n"),
            ("d/a.dpkg-old", "eve ALL = ALL\n"),
            ("d/a~", "eve ALL = ALL\n"),
        ] {
            fs::write(at(name), text).unwrap();
        }
        let (lines, folders) = read(&at("sudoers"));
        assert_eq!(folders.first(), Some(&at("d")));
        let says = |text: &str| lines.iter().any(|line| line.text == text);
        assert!(says("Defaults env_reset, !pam_acct_mgmt"), "{lines:?}");
        assert!(says("%wheel ALL=(ALL) NOPASSWD: ALL") && says("dave ALL = /usr/bin/id") && says("#1001 ALL = ALL"));
        assert!(!lines.iter().any(|line| line.text.contains("eve") || line.text.contains("words")));
        assert!(lines.len() < MOST_LINES);
    }
}
