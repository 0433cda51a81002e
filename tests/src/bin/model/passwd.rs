//! The host's accounts, of which one changes: whose name stands for what is what /etc/passwd says (passwd(5)).

use crate::people::Alice;
use std::fs;

const PATH: &str = "/etc/passwd";
const NEW: &str = "/etc/passwd.model";

/// Writes what it says of alice, and leaves everybody else.
pub fn put(alice: Alice) {
    let text = fs::read_to_string(PATH).expect("/etc/passwd can be read");
    let others = text.lines().filter(|line| !NAMES.iter().any(|name| line.starts_with(name)));
    let (name, uid) = match alice {
        Alice::AsEver => ("alice", 1001),
        Alice::Renumbered => ("alice", 2001),
        Alice::Replaced => ("heir", 1001),
    };
    let own = format!("{name}:x:{uid}:1001::/home/alice:/bin/bash");
    let lines: Vec<&str> = others.chain([own.as_str()]).collect();
    fs::write(NEW, lines.join("\n") + "\n").expect("a file can be written");
    fs::rename(NEW, PATH).expect("a file can be renamed");
}

const NAMES: [&str; 2] = ["alice:", "heir:"];
