//! Links the module so that dlclose(3) leaves it mapped: the standard library keeps destructors for its thread-local
//! values, and they must not point at unmapped code when sshd ends.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
