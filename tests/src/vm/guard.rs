//! Which of the kernel's security modules guards a virtual machine, and what its disk needs for that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command::run;

/// Run in the host that becomes the disk of a machine with SELinux.
const SELINUX: &str = include_str!("../../root/vm-selinux.sh");
/// Labels a disk: what a boot with `/.autorelabel` does, which takes minutes in an emulated machine.
const LABEL: &str = "set -e; mkdir \"$1\"; mount -o loop \"$0\" \"$1\"; trap 'umount -R \"$1\"; rmdir \"$1\"' EXIT; \
    mount -t proc proc \"$1/proc\"; rm -f \"$1/.autorelabel\"; \
    chroot \"$1\" setfiles -F -m -e /proc /etc/selinux/default/contexts/files/file_contexts /";
/// How long the module may take to compile, and a disk to label.
const PATIENCE: Duration = Duration::from_secs(120);

/// A security module of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// As the release's kernel comes, without any policy.
    #[default]
    None,
    /// SELinux in enforcing mode with the distribution's policy and our module; `bob` is `staff_u`, `carol` is `user_u`.
    Selinux,
    /// The same without our module, and with rpm and our .rpm in `/root/curfew.rpm`.
    SelinuxAlone,
    /// `AppArmor` with the profiles that the distribution has in packages.
    AppArmor,
}

impl Guard {
    /// What disks are called after it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Guard::None => "plain",
            Guard::Selinux => "selinux",
            Guard::SelinuxAlone => "selinux-alone",
            Guard::AppArmor => "apparmor",
        }
    }

    /// The packages that it takes.
    pub(super) fn packages(self) -> &'static [&'static str] {
        match self {
            Guard::None => &[],
            Guard::Selinux => &["selinux-basics", "selinux-policy-default", "policycoreutils"],
            Guard::SelinuxAlone => &["selinux-basics", "selinux-policy-default", "policycoreutils", "rpm"],
            Guard::AppArmor => &["apparmor", "apparmor-profiles", "apparmor-profiles-extra"],
        }
    }

    /// What the kernel is told.
    pub(super) fn kernel_line(self) -> &'static str {
        match self {
            Guard::None => "",
            Guard::Selinux | Guard::SelinuxAlone => "security=selinux selinux=1 enforcing=1",
            Guard::AppArmor => "security=apparmor apparmor=1",
        }
    }

    /// Files for the host that becomes the disk, by their paths there.
    pub(super) fn files(self) -> Vec<(&'static str, Vec<u8>)> {
        match self {
            Guard::None | Guard::AppArmor => Vec::new(),
            Guard::Selinux => vec![("/root/curfew.pp", fs::read(selinux_module()).expect("the module can be read"))],
            Guard::SelinuxAlone => vec![("/root/curfew.rpm", fs::read(our_rpm()).expect("the .rpm can be read"))],
        }
    }

    /// The script that is run there.
    pub(super) fn setup(self) -> &'static str {
        match self {
            Guard::None | Guard::AppArmor => "",
            Guard::Selinux | Guard::SelinuxAlone => SELINUX,
        }
    }

    /// What is done to the disk, mounted at `place` for it.
    pub(super) fn seal(self, disk: &Path, place: &Path) {
        if matches!(self, Guard::Selinux | Guard::SelinuxAlone) {
            let mut label = Command::new("/bin/sh");
            run(label.args(["-c", LABEL]).arg(disk).arg(place), PATIENCE).expect_ok("setfiles");
        }
    }
}

/// Compiles our SELinux module, as the package's build does.
fn selinux_module() -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    run(&mut Command::new(checkout.join("packaging/selinux/build")), PATIENCE).expect_ok("packaging/selinux/build");
    checkout.join("target/selinux/curfew.pp")
}

/// The agent's .rpm, as the package's build left it.
fn our_rpm() -> PathBuf {
    let begins = format!("curfew-{}-", env!("CARGO_PKG_VERSION"));
    let packages = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/packages"))
        .expect("packaging/build has run");
    let names_it = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begins));
    packages.flatten().map(|entry| entry.path()).find(names_it).expect("packaging/build has made an .rpm")
}
