//! Whether SELinux is loaded. Our module lets the agent do what it needs to enforce grants, and no more: not read the tables of the network's sockets or
//! sshd's keys, nor have PID 1 write into its pipes. So the agent looks at none of that there; `curfew doctor`, which root runs, does.

use std::path::Path;

/// Whether the kernel has it on, enforcing or not (selinux(8)).
pub fn is_loaded() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}
