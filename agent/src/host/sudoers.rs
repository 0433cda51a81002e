//! What the host's sudo reads: the lines of sudoers with everything that it includes (sudoers(5)), and sudo.conf(5). Read and not judged: sudo itself
//! decides what they mean.

use super::sudo::Flavour;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Includes within includes end here, as they do in sudo.
const DEEPEST: usize = 128;

/// At most so many lines are read.
const MOST_LINES: usize = 100_000;

/// Where classic sudo learns which plugin decides, by which rules (sudo.conf(5)).
pub const SUDO_CONF: &str = "/etc/sudo.conf";

/// A line, with what it goes on in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// The file that it is in.
    pub path: PathBuf,
    /// From 1.
    pub number: usize,
    /// What it says.
    pub text: String,
}

/// What sudo reads.
#[derive(Debug, Default)]
pub struct Sudoers {
    /// All lines but those that only include others.
    pub lines: Vec<Line>,
    /// The folders that are included.
    pub folders: Vec<PathBuf>,
    /// What is included and was not read, with why.
    pub unread: Vec<String>,
    /// The folder that is not looked into.
    left_out: Option<PathBuf>,
}

/// The rules of each sudo. sudo-rs has a file of its own, where it is there; classic sudo may be told another.
pub fn main_file(flavour: Flavour) -> PathBuf {
    let configured = fs::read_to_string(SUDO_CONF).unwrap_or_default();
    if let (Flavour::Classic, Some(file)) = (flavour, sudoers_file(&configured)) {
        return file;
    }
    let of_rs = Path::new("/etc/sudoers-rs");
    let usual = Path::new("/etc/sudoers");
    // SUSE's sudo reads the distribution's own where there is no other.
    let vendors = Path::new("/usr/etc/sudoers");
    match flavour {
        Flavour::Rs if of_rs.exists() => of_rs.into(),
        _ if !usual.exists() && vendors.exists() => vendors.into(),
        _ => usual.into(),
    }
}

/// The file of rules that sudo.conf(5) names, if it does.
fn sudoers_file(conf: &str) -> Option<PathBuf> {
    let words = plugins(conf).find(|words| words.iter().any(|word| word.starts_with("sudoers_file=")))?;
    words.iter().find_map(|word| word.strip_prefix("sudoers_file=")).map(PathBuf::from)
}

/// The lines of sudo.conf(5) that name plugins, in words.
fn plugins(conf: &str) -> impl Iterator<Item = Vec<&str>> {
    let words = conf.lines().map(|line| line.split('#').next().unwrap_or_default().split_ascii_whitespace().collect());
    words.filter(|words: &Vec<&str>| words.first() == Some(&"Plugin"))
}

/// A plugin that sudo.conf(5) names and that is not sudo's own: it may decide without sudoers.
pub fn plugin_of_others(conf: &str) -> Option<String> {
    let is_sudos = |plugin: &str| {
        let name = plugin.rsplit('/').next().unwrap_or(plugin);
        name == "sudoers.so" || name == "group_file.so" || name == "system_group.so"
    };
    let strange = plugins(conf).find(|words| words.get(2).is_some_and(|plugin| !is_sudos(plugin)))?;
    Some(strange.join(" "))
}

/// Everything from `main` on, as sudo on this host reads it.
pub fn read(main: &Path) -> Sudoers {
    read_on(&host(), main, None)
}

/// The same, without the files in one of the folders.
pub fn read_without(main: &Path, left_out: &Path) -> Sudoers {
    read_on(&host(), main, Some(left_out.into()))
}

fn host() -> String {
    nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned()
}

fn read_on(host: &str, main: &Path, left_out: Option<PathBuf>) -> Sudoers {
    let mut sudoers = Sudoers { left_out, ..Sudoers::default() };
    sudoers.follow(main, host, 0);
    sudoers
}

impl Sudoers {
    fn follow(&mut self, path: &Path, host: &str, depth: usize) {
        let text = match fs::read(path) {
            Ok(_) if depth > DEEPEST => return,
            Ok(text) => text,
            Err(error) => return self.unread.push(format!("{}: {error}", path.display())),
        };
        for (number, text) in joined(&String::from_utf8_lossy(&text)) {
            if self.lines.len() >= MOST_LINES {
                return self.unread.push(format!("{}: no more than {MOST_LINES} lines are read", path.display()));
            }
            match include(&text) {
                Some(Include::File(file)) => self.follow(&beside(path, file, host), host, depth + 1),
                Some(Include::Folder(folder)) => self.follow_folder(beside(path, folder, host), host, depth),
                None => self.lines.push(Line { path: path.into(), number, text }),
            }
        }
    }

    fn follow_folder(&mut self, folder: PathBuf, host: &str, depth: usize) {
        match files_of(&folder) {
            _ if self.left_out.as_ref() == Some(&folder) => {}
            Ok(files) => files.iter().for_each(|file| self.follow(file, host, depth + 1)),
            // sudo passes it by, too.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unread.push(format!("{}: {error}", folder.display())),
        }
        self.folders.push(folder);
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

/// Where an include leads. `%h` in it is the host's name up to its first dot.
fn beside(path: &Path, included: &str, host: &str) -> PathBuf {
    let short = host.split('.').next().unwrap_or_default();
    path.parent().unwrap_or(Path::new("/")).join(included.replace("%h", short))
}

/// sudo skips names with a dot and those that end in a tilde.
fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.contains('.') && !name.ends_with('~') && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
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
                "# words\nDefaults env_reset, \\\n    !pam_acct_mgmt\n@include more\n#includedir d\n#1001 ALL = ALL\n\
                 @include of.%h\n@include gone\n@includedir none\n",
            ),
            ("more", "%wheel ALL=(ALL) NOPASSWD: ALL\n@include sudoers\n"),
            ("of.web", "frank ALL = ALL\n"),
            ("d/a", "dave ALL = /usr/bin/id\n"),
            ("d/a.dpkg-old", "eve ALL = ALL\n"),
            ("d/a~", "eve ALL = ALL\n"),
        ] {
            fs::write(at(name), text).unwrap();
        }
        let Sudoers { lines, folders, unread, .. } = read_on("web.example.org", &at("sudoers"), None);
        assert_eq!(folders.first(), Some(&at("d")));
        assert!(
            unread.iter().any(|it| it.contains("gone")) && !unread.iter().any(|it| it.contains("none")),
            "{unread:?}"
        );
        let says = |text: &str| lines.iter().any(|line| line.text == text);
        assert!(says("Defaults env_reset, !pam_acct_mgmt"), "{lines:?}");
        assert!(says("%wheel ALL=(ALL) NOPASSWD: ALL") && says("dave ALL = /usr/bin/id") && says("#1001 ALL = ALL"));
        assert!(!lines.iter().any(|line| line.text.contains("eve") || line.text.contains("words")));
        assert!(lines.len() < MOST_LINES);
    }
    #[test]
    fn a_folder_can_be_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("ours")).unwrap();
        fs::write(at("sudoers"), "root ALL = ALL\n@includedir ours\n").unwrap();
        fs::write(at("ours/g1"), "#1001 ALL = ALL\n").unwrap();
        assert_eq!(read(&at("sudoers")).lines.len(), 2);
        let Sudoers { lines, folders, .. } = read_without(&at("sudoers"), &at("ours"));
        assert_eq!((lines.len(), folders), (1, vec![at("ours")]));
    }

    #[test]
    fn what_sudo_conf_has_sudo_do_is_found() {
        let conf = "# Plugin sudoers_policy sudoers.so sudoers_file=/no\nPlugin sudoers_policy sudoers.so sudoers_file=/etc/alt sudoers_mode=0400\n\
                    Plugin sudoers_audit sudoers.so\n";
        assert_eq!(sudoers_file(conf), Some("/etc/alt".into()));
        assert_eq!(sudoers_file("Plugin sudoers_policy sudoers.so\nDebug sudo /x all@info\n"), None);
        assert_eq!(plugin_of_others(conf), None);
        let others = "Plugin python_policy python_plugin.so ModulePath=/x";
        assert_eq!(plugin_of_others(others).as_deref(), Some(others));
    }
}
