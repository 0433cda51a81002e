//! The host's accounts, of which one changes and one has two names: whose name stands for what is what /etc/passwd says (passwd(5)).

use crate::people::Alice;
use std::fs;

const PATH: &str = "/etc/passwd";
const NEW: &str = "/etc/passwd.model";

/// Writes what it says of alice, gives bob's user id a second name, and leaves everybody else.
pub fn put(alice: Alice) {
    let text = fs::read_to_string(PATH).expect("/etc/passwd can be read");
    let others = text.lines().filter(|line| !NAMES.iter().any(|name| line.starts_with(name)));
    let (name, uid) = match alice {
        Alice::AsEver => ("alice", 1001),
        Alice::Renumbered => ("alice", 2001),
        Alice::Replaced => ("heir", 1001),
    };
    let own = format!("{name}:x:{uid}:1001::/home/alice:/bin/bash");
    let lines: Vec<&str> = others.chain([own.as_str(), SECOND_NAME]).collect();
    fs::write(NEW, lines.join("\n") + "\n").expect("a file can be written");
    fs::rename(NEW, PATH).expect("a file can be renamed");
}

const NAMES: [&str; 3] = ["alice:", "heir:", "robert:"];

/// Whoever asks for the user id finds bob, whose line is above.
const SECOND_NAME: &str = "robert:x:1002:1002::/home/bob:/bin/bash";
