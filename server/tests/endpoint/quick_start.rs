//! The README's first steps with an endpoint, run as they are written.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The block of the README that begins with `curfew-server init`.
fn block() -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let mut blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let (block, _) = blocks.find(|(block, _)| block.starts_with("curfew-server init")).expect("the README has it");
    block.lines().map(str::to_owned).collect()
}

#[test]
fn the_readmes_first_steps_run_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_curfew-server"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let block = block();
    // What serves goes on while the others run, as in a shell of its own; in a network of their own the port is free.
    let script: String =
        block.iter().fold(String::new(), |script, line| match line.starts_with("curfew-server serve") {
            true => format!(
                "{script}( {} ) &\nuntil [ -S curfew/admin.sock ]; do sleep 0.05; done\n",
                line.split(" #").next().unwrap()
            ),
            false => script + line + "\n",
        });
    assert!(script.contains(" &\nuntil"), "{script}");
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let begun = Instant::now();
    let output = command
        .args(["--net", "--pid", "--fork", "--kill-child", "timeout", "60", "bash", "-euxo", "pipefail", "-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env_remove("CURFEW_SERVER_CONFIG")
        .env_remove("CURFEW_SERVER_TOKEN")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{log}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    for part in ["curfew_admin_", "curfew_enroll_", "grant.created", "grant.revoked"] {
        assert!(said.contains(part), "{part}: {said}\n{log}");
    }
    // What the block for hosts takes from here is where it says.
    assert!(folder.path().join("curfew/tls/ca.pem").exists());
}
