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

/// Each build of the package makes another disk of some 400 MB: those that nobody used for so long go.
const UNUSED: Duration = Duration::from_secs(2 * 3600);

/// A disk and its kernel, both only read.
#[derive(Clone, Debug)]
pub(super) struct Image {
    folder: PathBuf,
}

impl Image {
    /// The release with the package of this checkout installed and enabled, and `ops` on the exempt list.
    pub(super) fn of(release: Release) -> Self {
        let root = Root::with_package(release, &[KERNEL]);
        let name = hash(&[root.lowerdir().as_bytes(), SETUP.as_bytes(), CONTROL.as_bytes(), CLOCK.as_bytes()]);
        let folder = made_once(&format!("vm-{release}-{name}"), |place| {
            forget_old_trees(&format!("vm-{release}-"), UNUSED);
            let begun = Instant::now();
            make(release, place);
            report(&format!("the disk of a {release} machine was made in {:.1?}", begun.elapsed()));
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

/// Boots a container on the host's files, enables Curfew there, and writes what it leaves as a disk.
fn make(release: Release, place: &Path) {
    let mut host = Host::builder(release).with_packages(&[KERNEL]).exempt(&["ops"]).boot();
    host.write("/usr/local/bin/vm-control", CONTROL);
    host.write("/usr/local/bin/vm-clock", CLOCK);
    host.ok(SETUP);
    let files = host.power_off();
    fs::copy(kernel_of(files), place.join("kernel")).expect("the kernel can be copied");
    let mut mkfs = Command::new("mkfs.ext4");
    // All of it now, nothing left for a thread of the machine's kernel.
    mkfs.args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-d"]);
    mkfs.arg(files).arg(place.join("disk")).arg(SIZE);
    run(&mut mkfs, WRITING).expect_ok("mkfs.ext4");
}

fn kernel_of(files: &Path) -> PathBuf {
    let boot = fs::read_dir(files.join("boot")).expect("a kernel was installed").flatten();
    let kernels = boot.filter(|file| file.file_name().to_string_lossy().starts_with("vmlinuz-"));
    kernels.map(|file| file.path()).max().expect("a kernel was installed")
}
