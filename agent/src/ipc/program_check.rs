//! What a command that an operator types leads to on this host: a program that only root can replace, or somebody else's way to root.
//!
//! A grant of a program that is not there, or that bob may write, is bob's as soon as he puts something there.

mod interpreter;
mod starts_shell;

use self::interpreter::Interpreter;
use crate::host::apart;
use crate::host::files::meta::Type;
use crate::host::files::{Files, Found, Links};
use curfew_protocol::grant::Command;
use std::path::Path;
use std::time::Duration;

/// How long the check may take; what is not known by then is not taken.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How many interpreters may stand one behind the other (execve(2)).
const MOST_INTERPRETERS: usize = 5;

/// What was found about the commands of a grant.
#[derive(Debug, Default)]
pub struct Findings {
    /// Why a command is not to be granted.
    pub problems: Vec<String>,
    /// What a command gives beside what its name says.
    pub warnings: Vec<String>,
}

/// Checks the programs of `commands` on a thread of its own.
pub async fn examine(commands: Vec<Command>) -> Findings {
    let checked = apart::run(move || {
        let files = Files::below(Path::new("/"), TIMEOUT);
        commands.iter().fold(Findings::default(), |findings, command| findings.and(command, &files))
    });
    let failed = |why: String| Findings { problems: vec![why], warnings: Vec::new() };
    match tokio::time::timeout(TIMEOUT, checked).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => failed(format!("the commands can't be checked: {error}")),
        Err(_) => failed("the commands can't be checked: the file system does not answer".into()),
    }
}

impl Findings {
    fn and(mut self, command: &Command, files: &Files) -> Self {
        let Command::Exact { path, arguments } = command else { return self };
        let mut names = vec![file_name(Path::new(&**path))];
        match program(files, Path::new(&**path)) {
            // What a link leads to counts as well: /usr/bin/editor.
            Ok(found) => {
                names.push(file_name(found.path()));
                let problem = interpreters(files, found).err();
                self.problems.extend(problem.map(|problem| format!("{path}: {problem}")));
            }
            Err(problem) => self.problems.push(format!("{path}: {problem}")),
        }
        names.dedup();
        let warning = names.iter().find_map(|name| starts_shell::warning(name, arguments.as_deref()));
        self.warnings.extend(warning.map(|what| format!("{command}: {what}")));
        self
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// That what runs a script in its stead is root's alone, too, whatever runs that one, and the files that these are told to run.
fn interpreters(files: &Files, script: Found) -> Result<(), String> {
    let mut waiting = vec![(script, 0)];
    while let Some((found, depth)) = waiting.pop() {
        let beginning =
            found.beginning(interpreter::READ).map_err(|why| format!("its first line can't be read: {why}"))?;
        let Some(named) = interpreter::named_in(&beginning)? else { continue };
        if depth == MOST_INTERPRETERS {
            return Err(format!("more than {MOST_INTERPRETERS} interpreters stand one behind the other"));
        }
        let of_interpreter = |path: &str, problem: String| format!("its interpreter {path}: {problem}");
        for path in named.files()? {
            let found = file(files, Path::new(path)).map_err(|problem| of_interpreter(path, problem))?;
            waiting.push((found, depth + 1));
        }
        let Interpreter { path, .. } = named;
        let found = program(files, Path::new(&path)).map_err(|problem| of_interpreter(&path, problem))?;
        waiting.push((found, depth + 1));
    }
    Ok(())
}

/// The program at `path`, if everything that leads there is root's alone.
fn program(files: &Files, path: &Path) -> Result<Found, String> {
    match file(files, path)? {
        it if it.meta.mode() & 0o111 == 0 => Err("nobody may execute it".into()),
        it => Ok(it),
    }
}

/// The regular file at `path`, if everything that leads there is root's alone.
fn file(files: &Files, path: &Path) -> Result<Found, String> {
    let mut problem = None;
    let passed = |it: &Found| problem = problem.take().or_else(|| not_roots_alone(it));
    let found = files.find_passing(path, Links::Follow, passed).map_err(|why| format!("it can't be checked: {why}"))?;
    if let Some(problem) = problem {
        return Err(problem);
    }
    match found {
        None => Err("there is no such file".into()),
        Some(it) if it.meta.kind() != Type::Regular => Err("it is no regular file".into()),
        Some(it) => Ok(it),
    }
}

/// Who but root can exchange what is here. The write bits of a group stand for the entries of an access control list, too (acl(5)).
fn not_roots_alone(found: &Found) -> Option<String> {
    let (path, meta) = (found.path().display(), &found.meta);
    if meta.uid() != 0 {
        return Some(format!("{path} belongs to uid {}", meta.uid()));
    }
    let others_write = meta.kind() != Type::Link && meta.mode() & 0o022 != 0;
    others_write.then(|| format!("others than root may write {path} ({})", meta.rights()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn found(path: &Path) -> Findings {
        let command: Command = path.to_str().unwrap().parse().unwrap();
        Findings::default().and(&command, &Files::below(Path::new("/"), Duration::from_secs(60)))
    }

    #[test]
    fn a_program_of_the_host_is_taken_and_what_is_not_there_is_not() {
        assert!(found(Path::new("/usr/bin/id")).problems.is_empty());
        for (path, problem) in [
            ("/usr/bin/systemctll", "no such file"),
            ("/usr/bin", "no regular file"),
            ("/etc/passwd", "nobody may execute it"),
            ("/etc/passwd/x", "no such file"),
        ] {
            let problems = found(Path::new(path)).problems;
            assert!(problems.first().is_some_and(|it| it.starts_with(path) && it.contains(problem)), "{problems:?}");
        }
    }

    #[test]
    fn a_link_in_a_folder_that_anybody_writes_is_nobodys_program() {
        // Below /tmp, which everybody may write, also where all that follows is root's alone.
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("t");
        fs::copy("/bin/true", &program).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let link = folder.path().join("link");
        symlink("/usr/bin/id", &link).unwrap();
        for path in [&program, &link] {
            let problems = found(path).problems;
            assert!(
                problems.first().is_some_and(|it| it.contains("may write") || it.contains("belongs to")),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn a_script_is_as_safe_as_what_runs_it_and_what_runs_that() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::below(Path::new("/"), Duration::from_secs(60));
        let script = |name: &str, first_line: &str| {
            let path = folder.path().join(name);
            fs::write(&path, format!("{first_line}\n")).unwrap();
            interpreters(&files, files.find(&path, Links::Follow).unwrap().unwrap())
        };
        for fine in ["#!/bin/sh -e", "#!/usr/bin/env python3", "#!/usr/bin/env -S /bin/sh", "echo", ""] {
            assert_eq!(script("fine", fine), Ok(()), "{fine}");
        }
        let own = folder.path().join("own");
        fs::copy("/bin/true", &own).unwrap();
        let own = own.to_str().unwrap();
        for line in [format!("#!{own}"), format!("#!/bin/sh {own}"), format!("#!/usr/bin/env {own}")] {
            let problem = script("bad", &line).unwrap_err();
            assert!(problem.starts_with(&format!("its interpreter {own}: ")), "{line}: {problem}");
        }
        assert!(script("odd", "#!sh").is_err());
        assert!(script("gone", "#!/usr/bin/systemctll").unwrap_err().contains("no such file"));
    }

    #[test]
    fn what_starts_a_shell_is_warned_of_by_each_of_its_names() {
        assert!(found(Path::new("/bin/sh")).warnings.first().is_some_and(|it| it.contains("shell")));
        assert!(found(Path::new("/usr/bin/id")).warnings.is_empty());
    }
}
