//! How the module is linked.

use std::process::Command;

fn main() {
    // dlclose(3) leaves it mapped: the standard library keeps destructors for its thread-local values, and they must not point
    // at unmapped code when sshd ends.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // The unwinder comes along instead of with libgcc_s.so: each login would load that library first, which takes longer than all
    // that the module does.
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CC");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let asked = Command::new(compiler).arg("-print-file-name=libgcc_eh.a").output();
    let archive = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if let Some((folder, _)) = archive.rsplit_once('/') {
        println!("cargo::rustc-link-search=native={folder}");
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
