//! Packages on a host: other versions made of one, and dpkg killed in its work.

use std::time::Duration;

use crate::host::Host;

/// Where the package of this checkout lies on every host.
pub const DEB: &str = "/root/curfew.deb";

impl Host {
    /// Makes a package of `deb` that differs from it by its version and by what the shell script `change` does in the folder of its
    /// files. Gives its place.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn repack(&self, deb: &str, version: &str, change: &str) -> String {
        let made = format!("{}-{version}.deb", deb.trim_end_matches(".deb"));
        self.ok(&format!(
            "set -e; rm -rf /root/repacked; dpkg-deb --raw-extract {deb} /root/repacked; cd /root/repacked
             sed -i 's/^Version: .*/Version: {version}/' DEBIAN/control
             {change}
             dpkg-deb -Zgzip -z1 --root-owner-group --build . {made} >/dev/null; rm -r /root/repacked"
        ));
        made
    }

    /// The version of a package, and how far it is installed, as dpkg has it: `0.1.0-1 install ok installed`.
    #[must_use]
    pub fn package_state(&self, name: &str) -> String {
        self.run(&format!("dpkg-query --show --showformat '${{Version}} ${{Status}}' {name}")).stdout
    }

    /// Runs `dpkg ARGUMENTS` and kills it, with all that it has started, after `delay`. Whether it was still at work.
    #[must_use]
    pub fn dpkg_killed_after(&self, arguments: &str, delay: Duration) -> bool {
        let script = format!(
            "setsid dpkg {arguments} </dev/null >/dev/null 2>&1 & sleep {}; kill -KILL -- -$! 2>/dev/null",
            delay.as_secs_f64()
        );
        self.run(&script).success()
    }

    /// Runs `dpkg ARGUMENTS` and kills it just before it renames a file for the `number`th time: packages are unpacked beside
    /// what is there, and every file comes to its place by a rename. Whether it got there.
    #[must_use]
    pub fn dpkg_killed_at_rename(&self, arguments: &str, number: u32) -> bool {
        let inject = format!("inject=rename:signal=KILL:when={number}");
        let output = self.run(&format!(
            "strace -q -o /root/renames -e trace=rename -e {inject} dpkg {arguments} </dev/null >/dev/null 2>&1"
        ));
        !output.success() && self.run("grep -q 'killed by SIGKILL' /root/renames").success()
    }
}
