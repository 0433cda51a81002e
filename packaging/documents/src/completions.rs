//! What bash, zsh and fish complete.

use crate::programs::Program;
use clap_complete::Shell;

/// The name and the text of each script.
pub fn of(program: &Program) -> Vec<(String, Vec<u8>)> {
    let script = |shell, name: String| {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut program.command.clone(), program.name, &mut text);
        (name, text)
    };
    let name = program.name;
    vec![
        script(Shell::Bash, format!("{name}.bash")),
        script(Shell::Zsh, format!("_{name}")),
        script(Shell::Fish, format!("{name}.fish")),
    ]
}
