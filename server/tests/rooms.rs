//! The rooms of the server, and which of them may import which: so that a call, a change and a set can each be read in one direction.
//!
//! It reads `use` trees and paths as text, but for the tests in the files. A parent that names its children is no circle.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Files that stand under all rooms.
const BASE: [&str; 7] = ["actor", "config", "duration", "host_name", "labels", "owner", "secret"];

/// Each room, and the others that it may import.
const ROOMS: [(&str, &[&str]); 10] = [
    ("base", &[]),
    ("store", &["base"]),
    ("sets", &["base", "store"]),
    ("identity", &["base", "store"]),
    ("access", &["base", "store", "identity"]),
    ("maintenance", &["base", "store", "sets"]),
    ("http", &["base", "store", "sets", "identity", "access"]),
    ("init", &["base", "store", "sets"]),
    ("serve", &["base", "store", "sets", "identity", "access", "maintenance", "http", "init"]),
    ("cli", &["base", "store", "sets", "http", "init", "serve"]),
];

/// A module by its path: `["http", "body"]`.
type Module = Vec<String>;

/// Each file, and those that it imports.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    read(&root, &mut Vec::new(), &mut files);
    let is_file = |module: &[String]| files.contains_key(module);
    let imports = files.iter().map(|(module, text)| {
        let paths = paths(&tokens(text));
        let found = paths.iter().filter_map(|path| target(module, path, &is_file));
        let others = found.filter(|other| !other.is_empty() && !other.starts_with(module));
        (module.clone(), others.collect())
    });
    imports.collect()
}

fn read(folder: &Path, at: &mut Module, files: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        at.push(name.clone());
        if path.is_dir() {
            read(&path, at, files);
        } else if !["lib", "main", "testing"].contains(&name.as_str()) {
            files.insert(at.clone(), fs::read_to_string(&path).unwrap());
        }
        at.pop();
    }
}

/// The file that a path in `module` leads into.
fn target(module: &[String], path: &[String], is_file: &dyn Fn(&[String]) -> bool) -> Option<Module> {
    let mut at = module.to_vec();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => (at, rest) = (Vec::new(), &path[1..]),
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|it| it == "super") {
                at.pop();
                rest = &rest[1..];
            }
        }
        child => {
            at.push(child.to_owned());
            if !is_file(&at) {
                return None;
            }
            rest = &path[1..];
        }
    }
    at.extend_from_slice(rest);
    while !at.is_empty() && !is_file(&at) {
        at.pop();
    }
    Some(at)
}

/// Words and signs of a file's code: without comments, texts and tests.
fn tokens(text: &str) -> Vec<String> {
    let code = text.split("\n#[cfg(test)]").next().unwrap();
    let mut tokens = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => drop(chars.by_ref().find(|c| *c == '\n')),
            '\'' if chars.peek() == Some(&'"') => drop(chars.next()),
            '"' => {
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    if c == '\\' {
                        chars.next();
                    }
                }
            }
            ':' if chars.peek() == Some(&':') => {
                chars.next();
                tokens.push("::".into());
            }
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                tokens.push(word);
            }
            c if c.is_whitespace() => {}
            c => tokens.push(c.into()),
        }
    }
    tokens
}

/// Every path in a file, and each that a `use` tree stands for.
fn paths(tokens: &[String]) -> Vec<Module> {
    let is_word =
        |at: usize| tokens.get(at).is_some_and(|it| it.starts_with(|c: char| c.is_alphanumeric() || c == '_'));
    let mut paths = Vec::new();
    // The paths that the braces around stand behind.
    let mut around: Vec<Module> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "{" {
            around.push(Vec::new());
        } else if tokens[at] == "}" {
            around.pop();
        } else if is_word(at) {
            let mut path = around.last().cloned().unwrap_or_default();
            path.push(tokens[at].clone());
            while tokens.get(at + 1).is_some_and(|it| it == "::") && is_word(at + 2) {
                at += 2;
                path.push(tokens[at].clone());
            }
            if tokens.get(at + 1).is_some_and(|it| it == "::") && tokens.get(at + 2).is_some_and(|it| it == "{") {
                at += 2;
                around.push(path.clone());
            }
            if path.len() > 1 {
                paths.push(path);
            }
        }
        at += 1;
    }
    paths
}

fn room(module: &[String]) -> &str {
    if BASE.contains(&module[0].as_str()) { "base" } else { &module[0] }
}

#[test]
fn a_file_imports_only_what_its_room_may() {
    let rooms = BTreeMap::from(ROOMS);
    for (module, others) in imports() {
        let own = room(&module);
        let may = rooms.get(own).unwrap_or_else(|| panic!("{module:?} is in no room"));
        for other in others {
            let other_room = room(&other);
            assert!(own == other_room || may.contains(&other_room), "{module:?} imports {other:?}");
        }
    }
}

#[test]
fn no_imports_go_in_a_circle() {
    let mut left = imports();
    loop {
        // Whoever imports nothing that is left is in no circle.
        let there: BTreeSet<_> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, others| others.iter().any(|other| there.contains(other)));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "in a circle, or above one: {:?}", left.keys().collect::<Vec<_>>());
}
