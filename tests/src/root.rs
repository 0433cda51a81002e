//! The file trees that hosts start from, kept in `CURFEW_TEST_CACHE` (`/var/cache/curfew-tests`).
//!
//! A tree's name carries a hash of all that went into it, so a change makes a new one. Each is made beside its
//! place and renamed into it: a killed run leaves no half of one.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};

use crate::cgroup::Cgroup;
use crate::command::run;
use crate::overlay::Overlay;
use crate::release::Release;
use crate::report;

/// What every host has.
const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "dbus",
    "libpam-systemd",
    "openssh-server",
    "openssh-client",
    "sshpass",
    "sudo",
    "iproute2",
    "procps",
    // What people leave for later runs here.
    "cron",
    "at",
    // What tests break hosts with.
    "perl",
    "strace",
];
/// Run inside each new root.
const SETUP: &str = include_str!("../root/setup.sh");
/// Run after it where sudo-rs is to be the host's sudo.
const SUDO_RS: &str = include_str!("../root/sudo-rs.sh");
/// Talks to an IPC socket byte for byte.
const VARLINK_RAW: &str = include_str!("../root/varlink-raw");
/// The people of `root/setup.sh`, by uid from 1001 on.
const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "ops", "first.last"];
/// Longest time that making a tree may take: the archive may be slow.
const MAKING: Duration = Duration::from_secs(900);
/// Trees that nobody will use again go after this time.
const OLD: Duration = Duration::from_secs(24 * 3600);

/// A read-only tree: layers for an overlay, the uppermost first.
#[derive(Clone, Debug)]
pub struct Root {
    layers: Vec<PathBuf>,
}

impl Root {
    /// The release with [`PACKAGES`] and `extra` packages in it, and the people of `root/setup.sh`.
    ///
    /// # Panics
    /// When it is not there and can't be made.
    #[must_use]
    pub fn bare(release: Release, extra: &[&str]) -> Self {
        let (sudo, sudo_setup): (&[&str], &str) =
            if release.has_sudo_rs() { (&["sudo-rs"], SUDO_RS) } else { (&[], "") };
        let packages = [PACKAGES, sudo, extra].concat().join(",");
        let setup = format!("{SETUP}{sudo_setup}");
        let name = format!("{release}-{}", hash(&[packages.as_bytes(), setup.as_bytes(), VARLINK_RAW.as_bytes()]));
        let layer = made_once(&name, |place| {
            forget_old_trees(&format!("{release}-"), OLD);
            report(&format!("making a {release} root; this is done once and takes about a minute"));
            let mut mmdebstrap = Command::new("mmdebstrap");
            mmdebstrap
                .args(["--quiet", "--variant=minbase", &format!("--include={packages}"), release.code_name()])
                .arg(place);
            run(&mut mmdebstrap, MAKING).expect_ok("mmdebstrap");
            let tool = place.join("usr/local/bin/varlink-raw");
            fs::write(&tool, VARLINK_RAW).expect("the root can be written");
            inside(place, &["/bin/sh", "-c", &format!("chmod 755 /usr/local/bin/varlink-raw\n{setup}")], &[]);
        });
        Self { layers: vec![layer] }
    }

    /// As [`Root::bare`], with the package of this checkout installed. Nothing is enabled in it.
    ///
    /// # Panics
    /// When the package was not built, or can't be installed.
    #[must_use]
    pub fn with_package(release: Release, extra: &[&str]) -> Self {
        let bare = Self::bare(release, extra);
        let package = package().expect("there is a curfew_*.deb in target/packages: run packaging/build");
        let bytes = fs::read(&package).expect("the package can be read");
        let below = bare.layers[0].file_name().and_then(|name| name.to_str()).expect("trees have plain names");
        let name = format!("{below}-{}", hash(&[&bytes]));
        let layer = made_once(&name, |place| {
            forget_old_trees(&format!("{below}-"), OLD);
            let overlay = Overlay::mount(&bare, place);
            let bind = format!("--bind-ro={}:/run/curfew.deb", package.display());
            inside(overlay.root(), &["dpkg", "--install", "/run/curfew.deb"], &[&bind]);
        });
        let layer = layer.join("upper");
        Self { layers: [vec![layer], bare.layers].concat() }
    }

    /// The layers as overlayfs takes them.
    #[must_use]
    pub fn lowerdir(&self) -> String {
        let layers: Vec<_> = self.layers.iter().map(|layer| layer.display().to_string()).collect();
        layers.join(":")
    }
}

/// The agent's newest `.deb` in `target/packages`.
#[must_use]
pub fn package() -> Option<PathBuf> {
    newest("curfew_")
}

/// The server's newest `.deb` in `target/packages`.
#[must_use]
pub fn server_package() -> Option<PathBuf> {
    newest("curfew-server_")
}

fn newest(prefix: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/packages");
    let packages = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let its = packages.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(prefix) && name.ends_with(".deb")
    });
    its.max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok())
}

/// The uid of one of the people of every host.
///
/// # Panics
/// For somebody else.
#[must_use]
pub fn uid(name: &str) -> u32 {
    let place = PEOPLE.iter().position(|person| *person == name).unwrap_or_else(|| panic!("nobody is called {name}"));
    1001 + u32::try_from(place).expect("people are few")
}

/// Where trees and running hosts live.
#[must_use]
pub fn cache() -> PathBuf {
    std::env::var_os("CURFEW_TEST_CACHE").map_or_else(|| PathBuf::from("/var/cache/curfew-tests"), PathBuf::from)
}

/// The tree `name`; `make` fills a new folder when it is not there yet. Safe against other threads and runs.
pub(crate) fn made_once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let place = cache().join(name);
    let lock = File::create(cache().join(format!("{name}.lock"))).expect("the cache can be written");
    let _held = Flock::lock(lock, FlockArg::LockExclusive).expect("the cache can be locked");
    if !place.exists() {
        let new = cache().join(format!("new-{name}"));
        if new.exists() {
            fs::remove_dir_all(&new).expect("what a killed run left can be removed");
        }
        fs::create_dir_all(&new).expect("the cache can be written");
        make(&new);
        fs::rename(&new, &place).expect("a new tree can be put in its place");
    }
    place
}

/// Runs a program in a tree that is not booted.
fn inside(root: &Path, program: &[&str], options: &[&str]) {
    let name = root.to_string_lossy().replace('/', "-");
    let cgroup = Cgroup::new(name.trim_start_matches('-'));
    let mut nspawn = nspawn(&cgroup, root);
    nspawn.args(options).arg("--as-pid2").arg("--setenv=DEBIAN_FRONTEND=noninteractive").args(program);
    run(&mut nspawn, MAKING).expect_ok(&program.join(" "));
}

/// `systemd-nspawn` on `root` as every host uses it: unregistered, with a private network, in `cgroup`.
#[must_use]
pub fn nspawn(cgroup: &Cgroup, root: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]).arg(cgroup.procs());
    command.args(["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network"]);
    command.arg("--directory").arg(root).env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
    command
}

/// Removes trees whose names begin so and that were made longer ago than `old`: a newer one takes their place.
pub(crate) fn forget_old_trees(prefix: &str, old: Duration) {
    for entry in fs::read_dir(cache()).into_iter().flatten().flatten() {
        let age = entry
            .metadata()
            .and_then(|data| data.modified())
            .ok()
            .and_then(|made| SystemTime::now().duration_since(made).ok());
        if entry.file_name().to_string_lossy().starts_with(prefix) && age.is_some_and(|age| age > old) {
            let _ = fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path()));
        }
    }
}

/// Sixteen hex digits for the content of `parts`.
pub(crate) fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
