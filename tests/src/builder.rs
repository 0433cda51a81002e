//! What a host is to be like before it boots.

use std::fs;
use std::path::Path;

use crate::host::{Host, prepend};
use crate::release::Release;
use crate::root::{Root, package};

/// What a host is to be like.
#[derive(Clone, Debug)]
pub struct HostBuilder {
    release: Release,
    packaged: bool,
    enabled: bool,
    extra: Vec<&'static str>,
    exempt: Vec<&'static str>,
    config: String,
}

impl HostBuilder {
    /// With Curfew installed and enabled, and only what the package brings.
    pub(crate) fn new(release: Release) -> Self {
        Self { release, packaged: true, enabled: true, extra: Vec::new(), exempt: Vec::new(), config: String::new() }
    }

    /// Without Curfew. As on every host, the package lies in `/root/curfew.deb`.
    #[must_use]
    pub fn without_package(mut self) -> Self {
        self.packaged = false;
        self.enabled = false;
        self
    }

    /// With the package installed, but not wired into PAM and sudo.
    #[must_use]
    pub fn not_enabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// With more of the distribution's packages.
    #[must_use]
    pub fn with_packages(mut self, names: &[&'static str]) -> Self {
        self.extra.extend_from_slice(names);
        self
    }

    /// With more people on the exempt list than the package puts there.
    #[must_use]
    pub fn exempt(mut self, names: &[&'static str]) -> Self {
        self.exempt.extend_from_slice(names);
        self
    }

    /// With this in front of what the package has in `/etc/curfew/agent.toml`.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// Boots it, and enables Curfew unless asked not to.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn boot(self) -> Host {
        let root = if self.packaged {
            Root::with_package(self.release, &self.extra)
        } else {
            Root::bare(self.release, &self.extra)
        };
        let host = Host::start(self.release, &root, |root| self.prepare(root));
        if self.enabled {
            // What it looks at and tries has tests of its own, and leaves records in the audit.
            host.run("curfew enable --unchecked").expect_ok("curfew enable");
        }
        host
    }

    /// Changes the host's files before it boots.
    fn prepare(&self, root: &Path) {
        if self.packaged {
            prepend(&root.join("etc/curfew/agent.toml"), &self.config);
            let exempt: String = self.exempt.iter().map(|name| format!("{name}\n")).collect();
            prepend(&root.join("etc/curfew/exempt"), &exempt);
        }
        if let Some(package) = package() {
            fs::copy(package, root.join("root/curfew.deb")).expect("the package can be copied");
        }
    }
}
