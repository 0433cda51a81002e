//! Who imports whom: the rooms of the agent's sources stand on each other in one direction, and files within a room
//! form no circle.
//!
//! A room is a folder with its file of the same name; single files of `src` are the base. What is read is the text
//! outside of tests: `use` trees and paths that are written out. A parent that names its children is no circle.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The base: files that each room may import.
const BASE: [&str; 10] =
    ["clock", "config", "descriptors", "digest", "durable", "human", "journal", "log", "settings", "trigger"];

/// What each room may import beside itself; of one with `::`, that file alone; of one with a dot, the room's own file
/// alone.
const MAY_IMPORT: [(&str, &[&str]); 14] = [
    ("base", &[]),
    ("host", &[]),
    ("audit", &["base"]),
    ("grant", &["base", "audit"]),
    ("sessions", &["base", "host", "audit", "grant"]),
    ("endpoint", &["base", "audit", "grant"]),
    ("wiring", &["base", "host", "sessions"]),
    ("residue", &["base", "host", "audit", "grant", "wiring"]),
    ("enforce", &["base", "host", "audit", "grant", "sessions", "wiring", "residue"]),
    ("ipc", &["base", "host", "audit", "grant", "sessions", "wiring", "endpoint", "enforce::status"]),
    ("doctor", &["base", "host", "wiring", "ipc::messages"]),
    (
        "cli",
        &[
            "base",
            "host",
            "wiring",
            "doctor",
            "audit",
            "grant.",
            "endpoint::identity",
            "endpoint::tls",
            "ipc::messages",
            "ipc::client",
        ],
    ),
    ("daemon", &["base", "host", "audit", "grant", "sessions", "endpoint", "wiring", "residue", "enforce", "ipc"]),
    ("bin", &["base", "cli", "daemon"]),
];

type Module = Vec<String>;

/// The modules of the crate, by their paths, with their texts.
fn modules() -> BTreeMap<Module, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut waiting = vec![source.clone()];
    let mut found = BTreeMap::new();
    while let Some(folder) = waiting.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if is_code(&path) {
                let module = path.strip_prefix(&source).unwrap().with_extension("");
                let module: Module = module.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                found.insert(module, without_tests(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

fn is_code(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name.ends_with(".rs") && !["lib.rs", "tests.rs", "test_server.rs"].contains(&&*name)
}

/// The text without tests, comments and what stands in quotes.
fn without_tests(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]").next().unwrap();
    let mut code = String::new();
    for line in text.lines() {
        let mut quoted = false;
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\\' if quoted => drop(characters.next()),
                '"' => quoted = !quoted,
                '/' if !quoted && characters.peek() == Some(&'/') => break,
                _ if !quoted => code.push(character),
                _ => {}
            }
        }
        code.push('\n');
    }
    code
}

/// The paths that a module imports or writes out, each in its parts.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = String::new();
    let mut begun: Option<String> = None;
    for line in code.lines() {
        let trimmed = line.trim_start().trim_start_matches("pub ");
        if begun.is_none() && trimmed.starts_with("use ") {
            begun = Some(String::new());
        }
        match &mut begun {
            Some(tree) => {
                tree.push_str(trimmed.trim_start_matches("use "));
                if line.trim_end().ends_with(';') {
                    expand(&[], tree.trim_end_matches(';'), &mut found);
                    begun = None;
                }
            }
            None => {
                rest.push_str(line);
                rest.push('\n');
            }
        }
    }
    let words = rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let written = words.filter(|word| word.contains("::")).map(|word| word.split("::").map(str::to_owned).collect());
    found.extend(written);
    found
}

/// The leaves of a `use` tree.
fn expand(above: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let (head, inner) = match tree.find('{') {
        Some(at) => (&tree[..at], Some(tree[at + 1..].trim_end().trim_end_matches('}'))),
        None => (tree.split(" as ").next().unwrap(), None),
    };
    let mut path = above.to_vec();
    path.extend(head.split("::").map(str::trim).filter(|part| !["", "*"].contains(part)).map(str::to_owned));
    let Some(inner) = inner else { return found.push(path) };
    let (mut depth, mut begin) = (0, 0);
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&path, &inner[begin..at], found);
                begin = at + 1;
            }
            _ => {}
        }
    }
    if !inner[begin..].trim().is_empty() {
        expand(&path, &inner[begin..], found);
    }
}

/// Which modules each one imports, its own children left out.
fn imports(modules: &BTreeMap<Module, String>) -> BTreeMap<&Module, BTreeSet<&Module>> {
    let resolve = |mut path: Module| {
        while !path.is_empty() && !modules.contains_key(&path) {
            path.pop();
        }
        modules.get_key_value(&path).map(|(module, _)| module)
    };
    let of = |module: &Module, path: Vec<String>| -> Option<Module> {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let rest = path.get(ups..)?.to_vec();
        match path.first()?.as_str() {
            "crate" | "curfew" => Some(path.get(1..)?.to_vec()),
            "self" => Some([module.clone(), path.get(1..)?.to_vec()].concat()),
            "super" => Some([module.get(..module.len().checked_sub(ups)?)?.to_vec(), rest].concat()),
            first => {
                let child = [module.clone(), vec![first.to_owned()]].concat();
                modules.contains_key(&child).then(|| [module.clone(), path].concat())
            }
        }
    };
    let edges = |module: &Module, code: &str| {
        let targets = paths(code).into_iter().filter_map(|path| resolve(of(module, path)?));
        targets.filter(|target| *target != module && !target.starts_with(module)).collect()
    };
    modules.iter().map(|(module, code)| (module, edges(module, code))).collect()
}

fn room(module: &Module) -> &str {
    let first = module.first().unwrap().as_str();
    if BASE.contains(&first) { "base" } else { first }
}

#[test]
fn no_room_imports_one_that_stands_on_it() {
    let modules = modules();
    let mut wrong = Vec::new();
    for (module, targets) in imports(&modules) {
        let own = room(module);
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(room, _)| *room == own) else {
            wrong.push(format!("there is no room {own}, where {} is", module.join("::")));
            continue;
        };
        for target in targets {
            let (other, path) = (room(target), target.join("::"));
            let is_allowed = |allowed: &&str| match allowed.strip_suffix('.') {
                Some(file) => file == path,
                None if allowed.contains("::") => *allowed == path,
                None => *allowed == other,
            };
            if other != own && !allowed.iter().any(is_allowed) {
                wrong.push(format!("{} imports {path}", module.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let modules = modules();
    let mut edges = imports(&modules);
    // What imports nothing that is left is in no circle.
    loop {
        let done: Vec<&Module> =
            edges.iter().filter(|(_, targets)| targets.is_empty()).map(|(module, _)| *module).collect();
        if done.is_empty() {
            break;
        }
        done.iter().for_each(|module| drop(edges.remove(module)));
        edges.values_mut().for_each(|targets| targets.retain(|target| !done.contains(target)));
    }
    let left: Vec<String> = edges
        .iter()
        .map(|(module, targets)| {
            let targets: Vec<String> = targets.iter().map(|target| target.join("::")).collect();
            format!("{} imports {}", module.join("::"), targets.join(", "))
        })
        .collect();
    assert!(left.is_empty(), "in a circle, or standing on one:\n{}", left.join("\n"));
}

#[test]
fn a_use_tree_is_read_to_its_leaves() {
    let code = without_tests(
        "use crate::a::{self, b::{C, d}};\nuse super::e as f; // use crate::no;\nlet x = \"crate::no\";\ncrate::g::h();\n",
    );
    let found: Vec<String> = paths(&code).into_iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["crate::a::self", "crate::a::b::C", "crate::a::b::d", "super::e", "crate::g::h"]);
}
