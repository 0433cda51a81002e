//! The disks that virtual machines start from: a host with Curfew enabled, as an ext4 file system, and its kernel beside it.
//! Kept as the trees of [`crate::root`] are.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::command::run;
use crate::host::Host;
use crate::release::Release;
use crate::report;
use crate::root::{Root, forget_old_trees, hash, made_once};

use super::guard::Guard;

/// Has ext4, NVMe and virtio-serial built in, so that a disk boots without an initrd.
const KERNEL: &str = "linux-image-cloud-amd64";
/// Run in the host that becomes the disk.
const SETUP: &str = include_str!("../../root/vm.sh");
/// The other end of [`super::control`].
const CONTROL: &str = include_str!("../../root/vm-control");
/// Reads and steps clocks.
const CLOCK: &str = include_str!("../../root/vm-clock");
/// What the file system has room for. The file is sparse.
const SIZE: &str = "2G";
/// How long a file system of that size takes to write.
const WRITING: Duration = Duration::from_secs(120);

/// How long the policy of a security module may take to put together.
const PREPARING: Duration = Duration::from_secs(300);

/// Each build of the package makes another disk of some 400 MB: those that nobody used for so long go.
const UNUSED: Duration = Duration::from_secs(2 * 3600);

/// A disk and its kernel, both only read.
#[derive(Clone, Debug)]
pub(super) struct Image {
    folder: PathBuf,
}

impl Image {
    /// The release with the package of this checkout installed and enabled, `ops` on the exempt list, and `guard` over it.
    pub(super) fn of(release: Release, guard: Guard) -> Self {
        let root = Root::with_package(release, &packages(guard));
        let files = guard.files();
        let mut parts = vec![root.lowerdir(), SETUP.into(), CONTROL.into(), CLOCK.into(), guard.setup().into()];
        parts.extend(files.iter().map(|(path, _)| (*path).to_owned()));
        let mut parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
        parts.extend(files.iter().map(|(_, content)| content.as_slice()));
        let begin = format!("vm-{release}-{}-", guard.name());
        let folder = made_once(&format!("{begin}{}", hash(&parts)), |place| {
            forget_old_trees(&begin, UNUSED);
            let begun = Instant::now();
            make(release, guard, &files, place);
            report(&format!("the disk of a {release} machine ({}) was made in {:.1?}", guard.name(), begun.elapsed()));
        });
        // Its age is the time since its last use.
        File::open(&folder).and_then(|file| file.set_modified(SystemTime::now())).expect("the cache can be written");
        Self { folder }
    }

    pub(super) fn kernel(&self) -> PathBuf {
        self.folder.join("kernel")
    }

    /// A disk in `folder` that begins as this one and keeps what is written to it.
    pub(super) fn copy(&self, folder: &Path) -> PathBuf {
        let copy = folder.join("disk.qcow2");
        let mut create = Command::new("qemu-img");
        create.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(self.folder.join("disk")).arg(&copy);
        run(&mut create, WRITING).expect_ok("qemu-img");
        copy
    }
}

fn packages(guard: Guard) -> Vec<&'static str> {
    [&[KERNEL], guard.packages()].concat()
}

/// Boots a container on the host's files, enables Curfew there, and writes what it leaves as a disk.
fn make(release: Release, guard: Guard, files: &[(&str, Vec<u8>)], place: &Path) {
    let mut host = Host::builder(release).with_packages(&packages(guard)).exempt(&["ops"]).boot();
    host.write("/usr/local/bin/vm-control", CONTROL);
    host.write("/usr/local/bin/vm-clock", CLOCK);
    for (path, content) in files {
        host.write(path, content);
    }
    host.spawn(guard.setup()).finish(PREPARING).expect_ok("the setup of a security module");
    host.ok(SETUP);
    let files = host.power_off();
    fs::copy(kernel_of(files), place.join("kernel")).expect("the kernel can be copied");
    let mut mkfs = Command::new("mkfs.ext4");
    // All of it now, nothing left for a thread of the machine's kernel.
    mkfs.args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-d"]);
    mkfs.arg(files).arg(place.join("disk")).arg(SIZE);
    run(&mut mkfs, WRITING).expect_ok("mkfs.ext4");
    guard.seal(&place.join("disk"), &place.join("mounted"));
}

fn kernel_of(files: &Path) -> PathBuf {
    let boot = fs::read_dir(files.join("boot")).expect("a kernel was installed").flatten();
    let kernels = boot.filter(|file| file.file_name().to_string_lossy().starts_with("vmlinuz-"));
    kernels.map(|file| file.path()).max().expect("a kernel was installed")
}
