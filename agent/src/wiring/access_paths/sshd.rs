//! OpenSSH's servers: each configuration that one runs with, or that a unit starts one with, as sshd itself reads it (sshd(8), `-T`), and each of its
//! Match blocks that says how PAM is asked.

use super::listening::Listener;
use super::sshd_config::{self, Block};
use super::units::Started;
use super::{AccessPath, Kind, Standing, Survey, is_judged};
use crate::config::Config;
use crate::host::program::{self, Said};
use crate::wiring::PAM_FOLDER;
use crate::wiring::service_file;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The distribution's.
const SSHD: &str = "/usr/sbin/sshd";

/// What it reads unless it is told otherwise.
const USUAL_FILE: &str = "/etc/ssh/sshd_config";

/// As which service it asks PAM where it does not say so.
const USUAL_SERVICE: &str = "sshd";

/// At most so many configurations are looked at.
const MOST_CONFIGURATIONS: usize = 32;

/// Whoever is in no Match block, as far as that can be.
const ANYBODY: &str = "user=nobody,host=localhost,addr=127.0.0.1";

/// Its options with a value.
const WITH_VALUE: &str = "CcEfghkLopu";

/// One way in which sshd is started.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Configuration {
    program: PathBuf,
    file: PathBuf,
    /// What else it is told, `-o` and `-h` with their values.
    options: Vec<String>,
    /// Which one it is, as a person looks for it.
    origin: String,
}

pub(super) fn look(config: &Config, listeners: &[Listener], started: &[Started], survey: &mut Survey) {
    // Whoever takes sshd from the list has it left alone.
    if !is_judged(config, "sshd") {
        return;
    }
    for configuration in configurations(listeners, started) {
        // The program is run as root here, so it has to be root's.
        if is_roots(&configuration.program) {
            examine(config, &configuration, survey);
        } else {
            survey.paths.push(exchangeable(&configuration));
        }
    }
}

fn exchangeable(it: &Configuration) -> AccessPath {
    let program = it.program.display();
    AccessPath {
        kind: Kind::SshServers,
        key: it.key(),
        standing: Standing::Unknown,
        detail: format!(
            "{} is {program}, which others than root can exchange, so it is not run to see whether it asks PAM",
            it.origin
        ),
        fix: format!("give {program} and its folders to root, or stop it"),
    }
}

/// Whether this is a program of OpenSSH's server, by its name: the one that listens, or one of a session, which listens where ports are forwarded.
pub(super) fn is_sshd(name: &str) -> bool {
    name.starts_with("sshd")
}

/// Whether it is the one that listens.
fn is_main(name: &str) -> bool {
    is_sshd(name) && !["sshd-session", "sshd-auth"].contains(&name)
}

fn configurations(listeners: &[Listener], started: &[Started]) -> Vec<Configuration> {
    let usual = Path::new(SSHD).exists() && Path::new(USUAL_FILE).exists();
    let usual = usual.then(|| configuration(Path::new(SSHD), &[], Path::new("/"), "sshd".into()));
    let running = listeners.iter().filter(|it| it.is_root && is_main(&it.name())).map(|it| {
        let origin = format!("the sshd on {} (process {})", it.on(), it.pid);
        configuration(&it.program, &arguments_of(&it.arguments), &it.folder, origin)
    });
    let units = started.iter().filter(|it| is_main(&it.name())).map(|it| {
        let arguments = it.arguments.get(1..).unwrap_or_default();
        configuration(&it.program, arguments, Path::new("/"), format!("the sshd of {}", it.unit))
    });
    let mut all: Vec<Configuration> = Vec::new();
    for found in usual.into_iter().chain(running).chain(units) {
        let known =
            all.iter().any(|it| (&it.program, &it.file, &it.options) == (&found.program, &found.file, &found.options));
        if !known && all.len() < MOST_CONFIGURATIONS {
            all.push(found);
        }
    }
    all
}

/// Whether nobody but root can have written a program, or put another in its place.
fn is_roots(program: &Path) -> bool {
    let Ok(program) = program.canonicalize() else { return false };
    let of_root = |path: &Path| fs::metadata(path).is_ok_and(|about| about.uid() == 0 && about.mode() & 0o022 == 0);
    program.ancestors().all(of_root)
}

/// The arguments of a process. A listening sshd writes over its own: `sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups`.
fn arguments_of(line: &[String]) -> Vec<String> {
    let whole = line.join(" ");
    let Some(written) = whole.strip_prefix("sshd: ").and_then(|rest| rest.split(" [listener]").next()) else {
        return line.get(1..).unwrap_or_default().to_vec();
    };
    let mut words: Vec<String> = Vec::new();
    for word in written.split_ascii_whitespace().skip(1) {
        // What was one argument, `UsePAM no`, is two words here.
        let joins = words.len() > 1
            && words.get(words.len() - 2).is_some_and(|option| option == "-o")
            && words.last().is_some_and(|value| !value.contains(['=', ' ']))
            && !word.starts_with('-');
        match words.last_mut().filter(|_| joins) {
            Some(last) => *last += &format!(" {word}"),
            None => words.push(word.to_owned()),
        }
    }
    words
}

fn configuration(program: &Path, arguments: &[String], folder: &Path, origin: String) -> Configuration {
    let (mut file, mut options) = (PathBuf::from(USUAL_FILE), Vec::new());
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        let Some(letters) = word.strip_prefix('-') else { continue };
        let Some(at) = letters.find(|letter| WITH_VALUE.contains(letter)) else { continue };
        let (letter, behind) = letters.split_at(at).1.split_at(1);
        let value = if behind.is_empty() { rest.next().cloned().unwrap_or_default() } else { behind.to_owned() };
        match letter {
            "f" => file = folder.join(value),
            "o" => options.extend(["-o".to_owned(), value]),
            "h" => options.extend(["-h".to_owned(), folder.join(value).display().to_string()]),
            _ => {}
        }
    }
    Configuration { program: program.into(), file, options, origin }
}

impl Configuration {
    /// What sshd says of it, one setting a line, for a connection as `-C` takes it.
    fn asked(&self, connection: &str) -> Result<String, String> {
        let file = self.file.display().to_string();
        let mut arguments = vec!["-T", "-f", file.as_str(), "-C", connection];
        arguments.extend(self.options.iter().map(String::as_str));
        program::run_and_wait(&self.program.display().to_string(), &arguments).and_then(Said::output)
    }

    fn key(&self) -> String {
        let options = self.options.join(" ");
        format!("{} {} {options}", self.program.display(), self.file.display()).trim_end().to_owned()
    }
}

fn examine(config: &Config, it: &Configuration, survey: &mut Survey) {
    let text = sshd_config::read(&it.file);
    survey.read.extend(text.read.iter().cloned());
    let (key, whole) = (it.key(), format!("{} with {}", it.origin, it.file.display()));
    let said = match it.asked(ANYBODY) {
        Ok(said) => said,
        Err(problem) => {
            survey.paths.push(AccessPath {
                kind: Kind::SshServers,
                key,
                standing: Standing::Unknown,
                detail: format!("whether {whole} asks PAM can't be known: {problem}"),
                fix: format!(
                    "see that `{} -T -f {}` says UsePAM yes; it wants /run/sshd (mkdir -p /run/sshd) and host keys (ssh-keygen -A)",
                    it.program.display(),
                    it.file.display()
                ),
            });
            return;
        }
    };
    match problem(config, &said) {
        None => survey.paths.push(AccessPath::covered(Kind::SshServers, key.clone(), format!("{whole} asks PAM"))),
        Some(problem) => survey.paths.push(open(&key, &whole, it, problem)),
    }
    for block in &text.blocks {
        let whom = format!("{whole}, for `Match {}` ({})", block.of_whom(), block.place);
        if let Some(problem) = problem_of_block(config, it, block) {
            survey.paths.push(open(&format!("{key} match {}", block.of_whom()), &whom, it, problem));
        }
    }
    // What can't be read may have blocks, too.
    for unread in text.unread {
        survey.paths.push(AccessPath {
            kind: Kind::SshServers,
            key: format!("{key} {unread}"),
            standing: Standing::Unknown,
            detail: format!("what else {whole} reads is not known: {unread}"),
            fix: "make it readable, or take the Include out".into(),
        });
    }
}

/// What is wrong, with what to do about it.
type Problem = (String, String);

fn open(key: &str, which: &str, it: &Configuration, (what, fix): Problem) -> AccessPath {
    AccessPath {
        kind: Kind::SshServers,
        key: format!("{key}: {what}"),
        standing: Standing::OpenToTheNetwork,
        detail: format!("{which} {what}"),
        fix: fix.replace("{file}", &it.file.display().to_string()),
    }
}

fn value<'a>(settings: &'a str, key: &str) -> Option<&'a str> {
    settings.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).map(str::trim)
}

/// What is wrong with how it asks PAM, by what it says.
fn problem(config: &Config, said: &str) -> Option<Problem> {
    match value(said, "usepam") {
        Some("yes") => service_problem(config, value(said, "pamservicename").unwrap_or(USUAL_SERVICE)),
        other => {
            let fix = "set UsePAM yes in {file}, or on its command line where that says otherwise, and restart that sshd; or stop and disable it".to_owned();
            Some((format!("does not ask PAM (UsePAM {})", other.unwrap_or("is missing")), fix))
        }
    }
}

fn service_problem(config: &Config, service: &str) -> Option<Problem> {
    if !is_judged(config, service) {
        let fix = format!(
            "add {service:?} to login_services in /etc/curfew/agent.toml, then: curfew enable (or take PAMServiceName out of {{file}})"
        );
        return Some((format!("asks PAM as {service} (PAMServiceName), in which Curfew is not asked"), fix));
    }
    service_file::service_file(service).is_none().then(|| {
        let fix = format!("write {PAM_FOLDER}/{service}, as a copy of {PAM_FOLDER}/sshd, then: curfew enable");
        (format!("asks PAM as {service}, for which {PAM_FOLDER} has no file"), fix)
    })
}

/// sshd is asked where there is somebody to ask it about; otherwise the block is taken at its word.
fn problem_of_block(config: &Config, it: &Configuration, block: &Block) -> Option<Problem> {
    let said = block.example().and_then(|example| it.asked(&example).ok());
    match said.filter(|said| value(said, "pamservicename").is_some()) {
        Some(said) => problem(config, &said),
        None => block.services.iter().find_map(|service| service_problem(config, service)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Configuration {
        let line: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
        configuration(Path::new(SSHD), &arguments_of(&line), Path::new("/root"), String::new())
    }

    #[test]
    fn a_running_sshd_is_told_by_its_command_line_whether_it_wrote_over_it_or_not() {
        let plain = read(&["/usr/sbin/sshd", "-Df", "own", "-oUsePAM=no", "-p", "22", "-o", "Port 2222", "-h/k"]);
        assert_eq!(plain.file, Path::new("/root/own"));
        assert_eq!(plain.options, ["-o", "UsePAM=no", "-o", "Port 2222", "-h", "/k"]);
        // A session that forwards ports, before 9.8.
        assert_eq!(read(&["sshd: root@notty"]).file, Path::new(USUAL_FILE));
        assert!(is_main("sshd") && is_main("sshd-partner") && !is_main("sshd-session"));
        let written = "sshd: /usr/sbin/sshd -p 2222 -o UsePAM no -o Port=1 -f /etc/p [listener] 0 of 10-100 startups";
        let written = read(&[written, ""]);
        assert_eq!(
            (written.file.to_str(), written.options.join(" ")),
            (Some("/etc/p"), "-o UsePAM no -o Port=1".into())
        );
        assert_eq!(read(&["sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"]).file, Path::new(USUAL_FILE));
    }

    #[test]
    fn sshd_is_taken_at_its_word() {
        let config = Config::default();
        let told = |said: &str| problem(&config, said).map(|(what, _)| what).unwrap_or_default();
        assert!(told("usepam no\n").contains("UsePAM no"));
        assert!(told("").contains("UsePAM is missing"));
        assert!(told("usepam yes\npamservicename partner\n").contains("as partner"));
        // Whether there is a file for sshd depends on this machine.
        assert!(!told("usepam yes\npamservicename sshd\n").contains("not asked"));
    }

    #[test]
    fn a_program_that_others_could_have_put_there_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("sshd");
        fs::write(&program, "#!/bin/sh\ntouch /tmp/owned\n").unwrap();
        // /tmp is everybody's.
        assert!(!is_roots(&program) && !is_roots(Path::new("/nowhere/sshd")));
        assert!(is_roots(Path::new("/bin/sh")));
    }

    #[test]
    fn the_same_configuration_is_looked_at_once() {
        let unit = |file: &str| Started {
            unit: "a.service".into(),
            program: SSHD.into(),
            arguments: vec![SSHD.into(), "-D".into(), "-f".into(), file.into()],
        };
        let found = configurations(&[], &[unit("/etc/a"), unit("/etc/a"), unit("/etc/b")]);
        let files: Vec<_> = found.iter().map(|it| it.file.clone()).filter(|it| it != Path::new(USUAL_FILE)).collect();
        assert_eq!(files, [Path::new("/etc/a"), Path::new("/etc/b")]);
    }
}
