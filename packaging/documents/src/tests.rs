//! That the documents are true and whole, and that man(1) has no complaint about any of them.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::examples::EXAMPLES;
use clap::Command as CommandLine;
use std::collections::HashSet;
use std::process::Command;

fn edition() -> Edition {
    Edition::now().unwrap()
}

fn all_pages() -> Vec<Page> {
    programs::all().iter().flat_map(|program| pages(program, &edition()).unwrap()).collect()
}

fn text(page: &Page) -> String {
    String::from_utf8(page.text.clone()).unwrap()
}

/// Every command below `command`, itself included, by the name of its page.
fn names(command: &CommandLine) -> Vec<String> {
    let own = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    command.get_subcommands().filter(|it| !it.is_hide_set()).flat_map(names).chain([own]).collect()
}

#[test]
fn every_command_has_a_page_and_every_page_has_a_name_of_its_own() {
    let files: Vec<_> = all_pages().iter().map(Page::file_name).collect();
    let there: HashSet<_> = files.iter().cloned().collect();
    assert_eq!(there.len(), files.len());
    for program in programs::all() {
        for name in names(&commands::built(&program)) {
            assert!(there.contains(&format!("{name}.1")), "{name} has no page");
        }
    }
    for name in
        ["curfew-grant.1", "curfew-server-grant-create.1", "agent.toml.5", "server.toml.5", "curfewd.8", "pam_curfew.8"]
    {
        assert!(there.contains(name), "{name}");
    }
}

#[test]
fn a_page_names_no_page_that_is_not_there() {
    let pages = all_pages();
    let there: HashSet<_> = pages.iter().map(|page| format!("{}({})", page.name, page.section)).collect();
    for page in &pages {
        let text = text(page).replace('\\', "");
        let (_, see_also) = text.split_once("SEE ALSO").unwrap_or_else(|| panic!("{}", page.name));
        let names = see_also.replace("fB", "").replace("fR", "");
        for name in
            names.split([',', '\n']).map(str::trim).filter(|name| name.contains("curfew") || name.contains("toml"))
        {
            let name = name.trim_start_matches(".BR ").replace(' ', "");
            assert!(there.contains(&name), "{}: {name}", page.name);
        }
    }
}

#[test]
fn every_key_of_a_configuration_has_an_entry() {
    for program in programs::all() {
        let page = settings::page(program.settings, &edition()).unwrap();
        let keys = program
            .settings
            .shipped
            .lines()
            .filter(|line| line.starts_with('#') && line.contains(" = ") && !line.starts_with("# "));
        let text = text(&page);
        let entries = text.matches("\n.TP\n").count() + text.matches("\n.TQ\n").count();
        assert_eq!(entries, keys.count(), "{}", page.name);
        assert!(entries > 10, "{}", page.name);
    }
}

#[test]
fn every_example_can_be_typed() {
    for (name, example) in EXAMPLES {
        let program = programs::all().into_iter().find(|it| example.line.split(' ').next() == Some(it.name)).unwrap();
        assert!(names(&commands::built(&program)).contains(&(*name).to_owned()), "{name} is no command");
        let read = program.command.try_get_matches_from(words(example.line));
        assert!(read.is_ok(), "{}: {}", example.line, read.unwrap_err());
    }
}

/// The words of a line as a shell has them, with single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}

#[test]
fn the_completions_know_every_command() {
    for program in programs::all() {
        let commands = commands::built(&program);
        for (script, text) in completions::of(&program) {
            let text = String::from_utf8(text).unwrap();
            for command in commands.get_subcommands() {
                assert!(text.contains(command.get_name()), "{script}: {}", command.get_name());
            }
        }
    }
}

#[test]
fn the_same_sources_give_the_same_pages() {
    let texts = || all_pages().iter().map(text).collect::<Vec<_>>();
    assert_eq!(texts(), texts());
}

#[test]
fn no_page_has_anything_that_man_or_mandoc_would_warn_of() {
    let folder = tempfile::tempdir().unwrap();
    for page in all_pages() {
        let path = folder.path().join(page.file_name());
        fs::write(&path, &page.text).unwrap();
        complaints("man", &["--warnings", "--local-file", "--encoding=UTF-8"], &path);
        complaints("mandoc", &["-T", "lint", "-W", "warning"], &path);
        // What man -k and whatis read.
        complaints("lexgrog", &[], &path);
    }
}

/// Runs a program on a page, which must end well and print nothing on standard error; mandoc prints its findings on standard output.
fn complaints(program: &str, arguments: &[&str], path: &Path) {
    let mut command = Command::new(program);
    // Not as wide as a file is long, and no pager.
    command.args(arguments).arg(path).env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8").env("MANPAGER", "cat");
    // The machine of somebody who only changes a line of Rust may lack them; tests/run installs them.
    let output = match command.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound && std::env::var_os("CURFEW_TEST_RUN").is_none() => {
            return;
        }
        output => output.unwrap(),
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + if program == "mandoc" { std::str::from_utf8(&output.stdout).unwrap() } else { "" };
    assert!(output.status.success() && said.is_empty(), "{program}: {}: {said}", path.display());
}

#[test]
fn every_library_comes_with_its_terms() {
    for program in programs::all() {
        let libraries = libraries::of(program.crates).unwrap();
        let list = libraries::list(&libraries);
        assert!(list.contains("serde_json") && !list.contains("curfew"), "{list}");
        for library in &libraries {
            assert!(!library.terms().unwrap().is_empty(), "{} has no file with its terms", library.name);
        }
        let terms = libraries::terms(&libraries).unwrap();
        assert!(libraries.iter().all(|library| terms.contains(&format!("{} ", library.name))));
        // Many share one text.
        assert!(terms.matches("TERMS AND CONDITIONS FOR USE").count() < libraries.len() / 4);
    }
}
