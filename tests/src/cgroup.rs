//! A cgroup for each host, so that several can run at once.
//!
//! Hosts of one run live under `curfew-tests/RUN/` of the unified hierarchy; `systemd-nspawn` mirrors that
//! path in systemd's old named hierarchy where a machine still has it. `tests/setup.sh` removes what a killed
//! run leaves.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::wait::until;

/// One host's cgroup, removed when dropped.
#[derive(Debug)]
pub struct Cgroup {
    /// The folder in each hierarchy that has one, the unified one first.
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes the cgroup `name` of the run that `tests/run` started.
    ///
    /// # Panics
    /// Outside `tests/run`, or where the machine has no unified cgroup hierarchy.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let run = std::env::var("CURFEW_TEST_RUN")
            .expect("whole-host tests need private mounts and processes: run them with tests/run [NAME]");
        let mounts = fs::read_to_string("/proc/mounts").expect("/proc/mounts can be read");
        let path = Path::new("curfew-tests").join(run).join(name);
        let unified = mount_point(&mounts, |kind, _| kind == "cgroup2").expect("a unified cgroup hierarchy is mounted");
        let named = mount_point(&mounts, |kind, options| kind == "cgroup" && options.contains("name=systemd"));
        let folders: Vec<PathBuf> =
            [Some(unified), named].into_iter().flatten().map(|mount| mount.join(&path)).collect();
        fs::create_dir_all(&folders[0]).expect("a cgroup can be made");
        Self { folders }
    }

    /// The file that takes the process which is to live here.
    #[must_use]
    pub fn procs(&self) -> PathBuf {
        self.folders[0].join("cgroup.procs")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Processes leave their cgroup a moment after they were killed.
            until(Duration::from_secs(2), || {
                remove(folder);
                (!folder.exists()).then_some(())
            });
        }
    }
}

/// The first mount of `/proc/mounts` whose type and options `wanted` takes.
fn mount_point(mounts: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        wanted(kind, options).then(|| PathBuf::from(place))
    })
}

/// Removes a cgroup and those under it, as far as they are empty.
fn remove(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}
