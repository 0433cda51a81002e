//! The Match blocks of an sshd_config(5) that say how PAM is asked, with what it includes. sshd itself decides what they mean; this finds them, and
//! somebody whom each is about.

use crate::host::glob::fits;
use nix::unistd::{Gid, Group, User};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Includes within includes end here, as they do in sshd.
const DEEPEST: usize = 16;

/// At most so many files are read.
const MOST_FILES: usize = 256;

/// At most so many blocks are told.
const MOST_BLOCKS: usize = 64;

/// Where sshd looks for files that are included by a relative name.
const FOLDER: &str = "/etc/ssh";

/// A Match block that says how PAM is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Block {
    /// Where it begins, as a person looks for it.
    pub place: String,
    /// For whom it is: `user bob`.
    pub criteria: Vec<(String, String)>,
    /// The PAM services that it names.
    pub services: Vec<String>,
}

impl Block {
    /// For whom it is, as it is written.
    pub fn of_whom(&self) -> String {
        let pairs = self.criteria.iter().map(|(key, value)| format!("{key} {value}"));
        pairs.collect::<Vec<_>>().join(" ").trim().to_owned()
    }

    /// Somebody whom it is about, as `sshd -T -C` takes it; none where that can't be told.
    pub fn example(&self) -> Option<String> {
        let (mut user, mut host, mut addr) = ("root".to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned());
        let mut more = String::new();
        for (key, patterns) in &self.criteria {
            let first = || patterns.split(',').map(str::trim).find(|it| !it.starts_with('!')).map(unwild);
            match key.as_str() {
                "user" => user = first()?,
                "group" => user = member_of(&first()?)?,
                "host" => host = first()?,
                "address" => addr = first()?.split('/').next()?.to_owned(),
                "localaddress" => more += &format!(",laddr={}", first()?.split('/').next()?),
                "localport" => more += &format!(",lport={}", first()?),
                "rdomain" => more += &format!(",rdomain={}", first()?),
                "all" => {}
                _ => return None,
            }
        }
        Some(format!("user={user},host={host},addr={addr}{more}"))
    }
}

/// Something that the pattern fits.
fn unwild(pattern: &str) -> String {
    pattern.replace(['*', '?'], "x")
}

fn member_of(group: &str) -> Option<String> {
    let group = Group::from_name(group).ok().flatten()?;
    group.mem.first().cloned().or_else(|| primary_member(group.gid))
}

fn primary_member(gid: Gid) -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let names = passwd.lines().filter_map(|line| line.split(':').next());
    names.filter_map(|name| User::from_name(name).ok().flatten()).find(|user| user.gid == gid).map(|user| user.name)
}

/// What an sshd_config says, with what it includes.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// The blocks that say how PAM is asked.
    pub blocks: Vec<Block>,
    /// The files and folders that were read, or looked for.
    pub read: BTreeSet<PathBuf>,
    /// What can't be read, with why.
    pub unread: Vec<String>,
    files: usize,
}

/// Reads `file` and what it includes.
pub(super) fn read(file: &Path) -> Text {
    let mut text = Text::default();
    text.follow(file, &[], None, 0);
    text.blocks.retain(|block| !block.services.is_empty());
    text.blocks.truncate(MOST_BLOCKS);
    text
}

impl Text {
    /// Reads a file that is included where the block `within` is open, which is for `criteria`.
    fn follow(&mut self, file: &Path, criteria: &[(String, String)], within: Option<usize>, depth: usize) {
        self.read.insert(file.to_owned());
        self.files += 1;
        if depth > DEEPEST || self.files > MOST_FILES {
            return;
        }
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) => return self.unread.push(format!("{}: {error}", file.display())),
        };
        let mut open = within;
        let mut here = criteria.to_vec();
        for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let words = words(line);
            let Some((keyword, values)) = words.split_first() else { continue };
            match keyword.to_ascii_lowercase().as_str() {
                "match" => {
                    here = [criteria, &pairs(values)].concat();
                    let place = format!("{}, line {}", file.display(), number + 1);
                    open = Some(self.blocks.len());
                    self.blocks.push(Block { place, criteria: here.clone(), services: Vec::new() });
                }
                "pamservicename" => {
                    let block = open.and_then(|open| self.blocks.get_mut(open));
                    block.into_iter().for_each(|block| block.services.extend(values.first().cloned()));
                }
                "include" => {
                    for pattern in values {
                        self.include(pattern, &here, open, depth);
                    }
                }
                _ => {}
            }
        }
    }

    fn include(&mut self, pattern: &str, criteria: &[(String, String)], open: Option<usize>, depth: usize) {
        let path = Path::new(FOLDER).join(pattern);
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { return };
        if !name.contains(['*', '?', '[']) {
            // sshd passes by what is not there.
            return if path.exists() {
                self.follow(&path, criteria, open, depth + 1)
            } else {
                _ = self.read.insert(path)
            };
        }
        let folder = path.parent().unwrap_or(Path::new(FOLDER)).to_owned();
        let mut names: Vec<String> = fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|file| fits(&name, file) && (!file.starts_with('.') || name.starts_with('.')))
            .collect();
        names.sort();
        self.read.insert(folder.clone());
        names.iter().for_each(|name| self.follow(&folder.join(name), criteria, open, depth + 1));
    }
}

/// The criteria of a Match line. `Match all` and `Match invalid-user` have no pattern.
fn pairs(words: &[String]) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = words.iter();
    while let Some(key) = rest.next() {
        // Since OpenSSH 10: `user=bob`.
        let (key, value) =
            key.split_once('=').map_or((key.as_str(), None), |(key, value)| (key, Some(value.to_owned())));
        let key = key.to_ascii_lowercase();
        let value = match key.as_str() {
            "all" | "invalid-user" => String::new(),
            _ => value.or_else(|| rest.next().cloned()).unwrap_or_default(),
        };
        pairs.push((key, value));
    }
    pairs
}

/// The words of a line: blanks and one `=` behind the keyword part them, quotes hold them together, `#` ends the line.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut quoted, mut begun) = (String::new(), false, false);
    for c in line.chars() {
        match c {
            '"' => (quoted, begun) = (!quoted, true),
            '#' if !quoted && !begun => break,
            c if !quoted && (c.is_whitespace() || (c == '=' && words.is_empty())) => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    // `UsePAM = no`: the sign stands alone.
    if words.get(1).is_some_and(|word| word == "=") {
        words.remove(1);
    }
    words
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_that_name_a_service_are_found_wherever_they_are_included() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("d")).unwrap();
        let main = format!(
            "UsePAM yes # PAMServiceName no\nPAMServiceName sshd\nInclude {0}/d/*.conf {0}/gone.conf\n\
             match USER \"bob\" address 10.0.0.0/8,192.168.0.1\n  pamservicename=partner\n  X11Forwarding no\n\
             Match Group devs\n  Include {0}/inner\nMatch all\n  PermitTTY no\n",
            folder.path().display()
        );
        for (name, text) in [
            ("main", main.as_str()),
            ("d/a.conf", "Match User=carol\nPAMServiceName \"other one\"\n"),
            ("d/a.conf.bak", "Match User eve\nPAMServiceName never\n"),
            ("inner", "PAMServiceName grouped\nMatch User dave\nPAMServiceName his\n"),
        ] {
            fs::write(at(name), text).unwrap();
        }
        let text = read(&at("main"));
        let told: Vec<(String, String)> =
            text.blocks.iter().map(|block| (block.of_whom(), block.services.join(" "))).collect();
        let told: Vec<(&str, &str)> = told.iter().map(|(whom, services)| (whom.as_str(), services.as_str())).collect();
        assert_eq!(
            told,
            [
                ("user carol", "other one"),
                ("user bob address 10.0.0.0/8,192.168.0.1", "partner"),
                ("group devs", "grouped"),
                ("group devs user dave", "his"),
            ]
        );
        let bob = text.blocks.get(1).unwrap();
        assert!(bob.place.ends_with("main, line 4"), "{bob:?}");
        assert_eq!(bob.example().as_deref(), Some("user=bob,host=localhost,addr=10.0.0.0"));
        assert!(text.read.contains(&at("d")) && text.read.contains(&at("gone.conf")) && text.unread.is_empty());
    }

    #[test]
    fn an_example_fits_its_block_or_there_is_none() {
        let block = |line: &str| Block { place: String::new(), criteria: pairs(&words(line)), services: Vec::new() };
        for (line, example) in [
            ("user !root,ops-*", Some("user=ops-x,host=localhost,addr=127.0.0.1")),
            ("all", Some("user=root,host=localhost,addr=127.0.0.1")),
            ("localport 2222", Some("user=root,host=localhost,addr=127.0.0.1,lport=2222")),
            ("group root", Some("user=root,host=localhost,addr=127.0.0.1")),
            ("group no-such-group", None),
            ("user !root", None),
            ("invalid-user", None),
        ] {
            assert_eq!(block(line).example().as_deref(), example, "{line}");
        }
    }

    #[test]
    fn an_include_that_includes_itself_ends() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display();
        fs::write(file.path(), format!("Include {path} {path}\nMatch User a\nPAMServiceName b\n")).unwrap();
        assert!(read(file.path()).blocks.len() <= MOST_BLOCKS);
    }
}
