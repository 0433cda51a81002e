//! What systemd starts at boot, or where somebody connects: the programs of its services, by their unit files (systemd.service(5)).

use super::Survey;
use super::listening::base_name;
use crate::host::program::{self, Said};
use std::path::{Path, PathBuf};

const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// At most so many units are asked about.
const MOST_UNITS: usize = 512;

/// Where units are enabled: a new one there is worth a new look.
const FOLDERS: [&str; 4] = [
    "/etc/systemd/system",
    "/etc/systemd/system/multi-user.target.wants",
    "/etc/systemd/system/sockets.target.wants",
    "/run/systemd/generator",
];

/// A program that a unit starts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Started {
    /// The unit.
    pub unit: String,
    /// The program.
    pub program: PathBuf,
    /// The whole command line; variables are left out.
    pub arguments: Vec<String>,
}

impl Started {
    /// The name of its program.
    pub fn name(&self) -> String {
        base_name(&self.program)
    }
}

/// What every service starts that is enabled, or that a socket waits for.
pub(super) fn started(survey: &mut Survey) -> Vec<Started> {
    FOLDERS.iter().for_each(|folder| survey.reads(folder));
    let services = names(&["list-unit-files", "--type=service", "--state=enabled,enabled-runtime"]);
    let sockets = names(&["list-units", "--type=socket", "--state=active"]);
    let behind_sockets = sockets.iter().filter_map(|socket| socket.strip_suffix(".socket")).flat_map(|stem| {
        // Accept=yes has a service of its own for each connection.
        let stem = stem.split('@').next().unwrap_or(stem);
        [format!("{stem}.service"), format!("{stem}@.service")]
    });
    let mut units: Vec<String> = services.into_iter().chain(behind_sockets).collect();
    units.sort();
    units.dedup();
    units.truncate(MOST_UNITS);
    let mut asked = vec!["cat", "--no-pager", "--"];
    asked.extend(units.iter().map(String::as_str));
    // Of those that are not there, it says so on standard error, and tells the others.
    let text = program::run_and_wait(SYSTEMCTL, &asked).map(|said| said.output).unwrap_or_default();
    if units.is_empty() { Vec::new() } else { programs(&text) }
}

fn names(arguments: &[&str]) -> Vec<String> {
    let asked = [arguments, &["--plain", "--no-legend", "--no-pager"]].concat();
    let said = program::run_and_wait(SYSTEMCTL, &asked).and_then(Said::output).unwrap_or_default();
    said.lines().filter_map(|line| line.split_ascii_whitespace().next()).map(str::to_owned).collect()
}

/// The programs in what `systemctl cat` shows: each file begins with its path as a comment.
fn programs(text: &str) -> Vec<Started> {
    let mut unit = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("# /") {
            unit = unit_of(path);
        }
        let Some(command) = line.trim().strip_prefix("ExecStart=") else { continue };
        let command = command.trim_start_matches(['-', '@', '+', '!', ':', '|']);
        let arguments: Vec<String> = words(command);
        if let Some(program) = arguments.first().filter(|program| program.starts_with('/')) {
            found.push(Started { unit: unit.clone(), program: program.into(), arguments: arguments.clone() });
        }
    }
    found
}

/// The unit that a file belongs to: a drop-in's folder names it.
fn unit_of(path: &str) -> String {
    let path = Path::new(path);
    let folder = path.parent().map(base_name).unwrap_or_default();
    folder.strip_suffix(".d").map_or_else(|| base_name(path), str::to_owned)
}

/// The words of a command line, without quotes and variables.
fn words(command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut quote, mut begun) = (String::new(), None, false);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => (quote, begun) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                words.extend(begun.then(|| std::mem::take(&mut word)));
                begun = false;
            }
            (_, c) => {
                word.push(c);
                begun = true;
            }
        }
    }
    words.extend(begun.then_some(word));
    words.retain(|word| !word.starts_with('$'));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_told_with_what_it_starts() {
        let text = "# /usr/lib/systemd/system/ssh.service\n[Service]\nExecStartPre=/usr/sbin/sshd -t\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n\n\
                    # /etc/systemd/system/partner.service.d/a.conf\n[Service]\nExecStart=\nExecStart=-@/opt/sshd -o \"UsePAM no\" -f /etc/p\n";
        let found = programs(text);
        let told: Vec<(&str, String)> = found.iter().map(|it| (it.unit.as_str(), it.arguments.join("|"))).collect();
        let expected = [
            ("ssh.service", "/usr/sbin/sshd|-D".to_owned()),
            ("partner.service", "/opt/sshd|-o|UsePAM no|-f|/etc/p".to_owned()),
        ];
        assert_eq!(told, expected);
    }
}
